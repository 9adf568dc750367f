/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two rings of a queue of 4: every available index that a driver can
 * write, wherever the device stands and whatever is in flight; every event
 * index near a batch. The descriptors are sound here (proof_virtq_chain.c has
 * the others).
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "proof.h"
#include "virtq.h"

#define SIZE	4u
#define DESC	0x1000u
#define AVAIL	0x2000u
#define USED	0x3000u
#define DATA	0x10000u
#define RAM	MIB(1)
#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)

struct ring {
	struct virtq *q;
	uint16_t *avail;		/* flags, idx, ring[SIZE], used_event */
	uint16_t *used;			/* flags, idx, ... */
	uint16_t taken, given;		/* as they should be in the device */
};

static void start(struct ring *r, uint64_t features)
{
	const struct virtq_cfg cfg = { DESC, AVAIL, USED, SIZE, true };

	PROVE(!virtq_start(r->q, &cfg, features), "no start");
	r->taken = r->given = 0;
	r->used[1] = 0;
}

static int pop(struct ring *r, uint16_t idx, uint16_t head)
{
	struct iovec iov[SIZE];
	struct virtq_chain c;
	int ret;

	r->avail[2 + r->taken % SIZE] = head;
	r->avail[1] = idx;
	ret = virtq_pop(r->q, &c, iov, SIZE);
	if (!ret) {
		PROVE(c.head == head, "head %u, not %u", c.head, head);
		r->taken++;
	}
	return ret;
}

static void push(struct ring *r, uint16_t head)
{
	virtq_push(r->q, head, 1);
	r->given++;
}

/* Takes and gives back one after the other until the device stands at idx. */
static void advance(struct ring *r, uint16_t idx)
{
	while (r->taken != idx) {
		PROVE(!pop(r, (uint16_t)(r->taken + 1), r->taken % SIZE), "at %u", r->taken);
		push(r, (uint16_t)((r->taken - 1u) % SIZE));
	}
	virtq_publish(r->q);
}

/* Brings heads into flight. A broken queue is started anew and brought back here. */
static void arrange(struct ring *r, uint16_t at, unsigned int inflight)
{
	start(r, 0);
	advance(r, at);
	for (uint16_t head = 0; head < SIZE; head++)
		if (inflight >> head & 1)
			PROVE(!pop(r, (uint16_t)(r->taken + 1), head), "head %u", head);
}

static void check_pop(struct ring *r, uint16_t at, unsigned int inflight, uint16_t idx,
		      uint16_t head)
{
	uint16_t pending = (uint16_t)(idx - r->taken);
	bool sound = pending <= SIZE && head < SIZE && !(inflight >> head & 1);
	int want = !pending ? -EAGAIN : sound ? 0 : -EPROTO;
	int ret = pop(r, idx, head);

	PROVE(ret == want, "at %u, in flight %#x, index %u, head %u: %d", at, inflight, idx, head,
	      ret);
	if (!ret) {
		virtq_unpop(r->q, head);
		r->taken--;
	} else if (ret == -EPROTO) {
		PROVE(pop(r, (uint16_t)(r->taken + 1), 0) == -EPROTO, "works again");
		arrange(r, at, inflight);
	}
}

/* What breaks the queue needs a new arrangement: few indices stand for the many of those. */
static uint64_t check_indices(struct ring *r, uint16_t at, unsigned int inflight, bool full)
{
	static const uint16_t heads[] = { 0, 1, 2, 3, SIZE, SIZE + 1, 0x7fff, 0x8000, 0xffff };
	uint64_t cases = 0;

	arrange(r, at, inflight);
	for (uint32_t ahead = 0; ahead <= UINT16_MAX; ahead++) {
		if (!full && ahead > SIZE + 2 && ahead < UINT16_MAX - SIZE &&
		    ahead & (ahead - 1) && ahead & (ahead + 1))
			continue;
		for (unsigned int h = 0; h < ARRAY_SIZE(heads); h++, cases++)
			check_pop(r, at, inflight, (uint16_t)(r->taken + ahead), heads[h]);
	}
	return cases;
}

static void prove_available(struct ring *r, bool full)
{
	static const uint16_t places[] = { 0, 1, 3, 5, 0x7fff, 0xfffd, 0xffff };
	uint64_t cases = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		if (places[i] > 5 && !full)
			continue;
		for (unsigned int inflight = 0; inflight < 1u << SIZE; inflight++)
			cases += check_indices(r, places[i], inflight, full && places[i] < 5);
	}
	proved("the device takes a head that is there, known and not in flight; else it stops",
	       cases);
}

/* virtio 1.2, 2.7.7.2 in words: used_event is one of the entries just given back. */
static bool is_in_batch(uint16_t event, uint16_t first, uint16_t end)
{
	for (uint16_t i = first; i != end; i++)
		if (i == event)
			return true;
	return false;
}

/* asked: after so many of the batch the driver was shown them, its interrupt still open. */
static uint64_t check_events(struct ring *r, uint16_t batch, uint16_t asked)
{
	uint64_t cases = 0;

	for (int near = -8; near <= 8; near++, cases++) {
		uint16_t first = r->given, event = (uint16_t)(first + near);

		for (uint16_t i = 0; i < batch; i++)
			PROVE(!pop(r, (uint16_t)(first + batch), (first + i) % SIZE), "pop");
		r->avail[2 + SIZE] = event;
		for (uint16_t i = 0; i < batch; i++) {
			push(r, (first + i) % SIZE);
			if (i + 1 == asked)
				PROVE(virtq_publish_open(r->q) ==
				      is_in_batch(event, first, r->given), "open, from %u to %u, "
				      "event %u", first, r->given, event);
		}
		/* What the driver writes over the ring is not what the device goes on from. */
		r->used[1] = (uint16_t)(first + 0x1234 * near);
		PROVE(virtq_publish(r->q) == is_in_batch(event, first, r->given),
		      "from %u to %u, event %u", first, r->given, event);
		PROVE(r->used[1] == r->given, "index %u, not %u", r->used[1], r->given);
	}
	return cases;
}

static void prove_events(struct ring *r)
{
	uint64_t cases = 0;

	for (uint16_t batch = 1; batch <= SIZE; batch++) {
		start(r, EVENT_IDX);
		for (unsigned int n = 0; n < 2 * 65536u / (17 * batch) + 2; n++)
			cases += check_events(r, batch, n % (batch + 1));
	}
	proved("an interrupt exactly if the driver's event lies in the batch, at every index, "
	       "whether or not it was asked before", cases);
}

int main(int argc, char **argv)
{
	struct vring_desc *desc;
	struct guest_mem *mem;
	struct ring r;

	PROVE(!guest_mem_create(&mem, RAM, RAM, RAM, GUEST_MEM_ANON), "no memory");
	PROVE(!virtq_create(&r.q, mem, SIZE), "no queue");
	r.avail = guest_mem_ptr(mem, AVAIL, 4096);
	r.used = guest_mem_ptr(mem, USED, 4096);
	desc = guest_mem_ptr(mem, DESC, 4096);
	for (unsigned int i = 0; i < 4096 / sizeof(*desc); i++)
		desc[i] = (struct vring_desc){ .addr = DATA, .len = 16 };
	prove_available(&r, proof_is_full(argc, argv));
	prove_events(&r);
	virtq_free(r.q);
	guest_mem_free(mem);
	return 0;
}
