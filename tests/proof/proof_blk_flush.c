/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flushes of one disk: every order in which queues can write, ask for a
 * flush, begin one, see one end and look again, with a disk that loses what it
 * had to make stable at any one of them, or never. Linux would tell of that
 * once, so the model has no second chance to notice.
 */
#include <errno.h>

#include "blk_backend.h"
#include "blk_flush.h"
#include "proof.h"

#define MAX_QUEUES	3u
#define MAX_STEPS	128u

enum state {
	IDLE,		/* has something to write, or is done */
	WRITTEN,	/* its write was done, its ticket not taken */
	LOOK,		/* is going to look */
	ASLEEP,		/* until it is woken */
	FLUSHING,	/* has a flush in flight */
};

struct queue {
	enum state state;
	unsigned int nr_left;		/* writes to make */
	unsigned int written;		/* writes made */
	unsigned int stable;		/* writes that a power cut would leave */
	uint64_t ticket;
	struct blk_flush_waiter waiter;
};

static struct queue queue[MAX_QUEUES];
static unsigned int nr_queues, snapshot[MAX_QUEUES], nr_flying;
static bool may_lose, lost;
static struct blk_flush *flush;

/* The choices of this run; the next run differs in the last that can differ. */
static unsigned int choice[MAX_STEPS], nr_choices[MAX_STEPS], step;

static unsigned int choose(unsigned int n)
{
	PROVE(step < MAX_STEPS, "no end after %u steps", step);
	nr_choices[step] = n;
	return choice[step++];
}

static bool next_run(void)
{
	while (step && choice[step - 1] + 1 == nr_choices[step - 1])
		choice[--step] = 0;
	if (!step)
		return false;
	choice[step - 1]++;
	return true;
}

static void begin(struct queue *q)
{
	PROVE(!nr_flying++, "two flushes in flight");
	for (unsigned int i = 0; i < nr_queues; i++)
		snapshot[i] = queue[i].written;
	q->state = FLUSHING;
}

/* What was lost is so for good: no later flush has it. */
static void end(struct queue *q)
{
	bool loses = may_lose && choose(2);

	nr_flying--;
	for (unsigned int i = 0; i < nr_queues && !loses && !lost; i++)
		queue[i].stable = snapshot[i];
	lost |= loses;
	may_lose &= !loses;
	q->state = LOOK;
	blk_flush_end(flush, loses ? -EIO : 0);
}

static void look(struct queue *q)
{
	struct blk_flush_view view = blk_flush_look(flush, q->ticket, &q->waiter);

	if (view.begin) {
		begin(q);
	} else if (view.error) {
		PROVE(lost, "an error that never was");
		q->state = IDLE;
	} else if (view.done >= q->ticket) {
		PROVE(q->stable == q->written, "answered: %u writes, %u of them stable",
		      q->written, q->stable);
		q->state = IDLE;
	} else {
		q->state = ASLEEP;
	}
}

static bool can_act(const struct queue *q)
{
	switch (q->state) {
	case IDLE:	return q->nr_left;
	case ASLEEP:	return !q->waiter.queued;
	default:	return true;
	}
}

static void act(struct queue *q)
{
	switch (q->state) {
	case IDLE:
		q->nr_left--;
		q->written++;
		q->state = WRITTEN;
		break;
	case WRITTEN:
		q->ticket = blk_flush_ticket(flush);
		q->state = LOOK;
		break;
	case LOOK:
	case ASLEEP:
		look(q);
		break;
	case FLUSHING:
		end(q);
	}
}

static struct queue *choose_queue(void)
{
	struct queue *able[MAX_QUEUES];
	unsigned int n = 0;

	for (unsigned int i = 0; i < nr_queues; i++)
		if (can_act(&queue[i]))
			able[n++] = &queue[i];
	return n ? able[choose(n)] : NULL;
}

static void run(struct blk_backend *be, unsigned int nr_writes)
{
	struct queue *q;

	PROVE(!blk_flush_create(&flush, be), "no memory");
	for (unsigned int i = 0; i < nr_queues; i++)
		queue[i] = (struct queue){ .nr_left = nr_writes, .waiter.wake_fd = -1 };
	step = nr_flying = 0;
	lost = false;
	may_lose = true;
	while ((q = choose_queue()))
		act(q);
	for (unsigned int i = 0; i < nr_queues; i++)
		PROVE(queue[i].state == IDLE, "queue %u is never answered", i);
	blk_flush_free(flush);
}

static uint64_t all_orders(unsigned int queues, unsigned int nr_writes)
{
	struct blk_backend be = { .fd = -1 };
	uint64_t n = 0;

	nr_queues = queues;
	memset(choice, 0, sizeof(choice));
	do {
		run(&be, nr_writes);
		n++;
	} while (next_run());
	return n;
}

int main(void)
{
	uint64_t n;

	PROVE(freopen("/dev/null", "w", stderr), "stderr");	/* a line for each error */
	n = all_orders(1, 3) + all_orders(2, 2) + all_orders(3, 1);
	proved("of a disk one flush is in flight, an answered flush has all that was written "
	       "before, an error is told to all that it concerns, and all are answered", n);
	return 0;
}
