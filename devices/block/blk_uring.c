/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doorbell, transfers and interrupt are all entries of one ring, so a lone
 * request costs two system calls: one that submits the transfer and waits for
 * it, one that submits the interrupt and waits for the next doorbell.
 *
 * The doorbell is a multishot poll: its eventfd is never read. The interrupt
 * is a write to an eventfd of the transport, which tells nothing when it
 * succeeds. Guest memory is not registered with the kernel, because that would
 * pin, and thus allocate, all of it.
 *
 * A flush that no other queue of the disk has begun is an entry of this ring, one
 * at a time; requests that wait for it keep their slots (blk_flush.h). Another
 * queue that ends one rings our doorbell.
 *
 * Transfers that the kernel would pass on to a thread of its own (see
 * probe_reads() in blk_file.c) are done here, on the queue's own thread.
 */
#include "blk_uring.h"

#include <errno.h>
#include <liburing.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blk_queue_priv.h"
#include "blk_uring_ring.h"
#include "clock.h"
#include "iov.h"
#include "util.h"
#include "zalloc.h"

#define MAX_SLOTS	124u	/* requests in flight; more wait in the guest's ring */
#define SPARE_ENTRIES	4u	/* of the ring: the doorbell's poll, the interrupt */
#define TURN		32u	/* requests taken before the answered ones are shown */
#define INLINE_IOV	8u

/* What a completion is for, if not a slot. */
#define TAG_KICK	(1ull << 32)
#define TAG_QUIET	(2ull << 32)
#define TAG_FLUSH	(3ull << 32)
#define TAG_SIGNAL	(4ull << 32)

struct slot {
	struct iovec *iov;		/* what is left to transfer */
	unsigned int nr_iov;
	uint32_t left;			/* bytes */
	uint16_t head;
	uint64_t ticket;		/* of the flush that is waited for */
	struct iovec small[INLINE_IOV];
	struct blk_req req;
};

struct blk_uring {	/* the worker's, but for what create sets */
	struct blk_queue *q;
	struct io_uring ring;
	unsigned int nr_spare;		/* spare entries in the ring, at most */
	unsigned int nr_slots;		/* set once */
	unsigned int nr_free;
	uint8_t free[MAX_SLOTS];	/* a stack, so that few slots are ever touched */
	int signal_fd;			/* of the last interrupt that went into the ring */
	unsigned int nr_waiting;
	uint8_t waiting[MAX_SLOTS];	/* slots that want a flush, in the order of their tickets */
	struct blk_flush_waiter waiter;
	bool kick_armed;
	bool look;			/* there may be requests in the guest's ring */
	bool drained;			/* there were none left, and doorbells are off */
	struct slot *slot;		/* nr_slots */
	struct iovec *large;		/* max_iov for each slot; hardly ever touched */
};

static const uint64_t one = 1;

/*
 * A host short of memory may refuse submissions for a while; entries then stay
 * in the ring. A slot and the doorbell have one there at most, so there is room
 * for theirs. Only a thread of the kernel gives entries back after what they
 * asked for may have been answered, a whole turn of them at once: it is waited
 * for. NULL: no room for another interrupt or another request for quiet.
 */
static struct io_uring_sqe *get_sqe(struct blk_uring *u, bool spare)
{
	struct io_uring_sqe *sqe;

	if (!io_uring_sq_ready(&u->ring))
		u->nr_spare = 0;
	if (spare && u->nr_spare == SPARE_ENTRIES - 1)
		return NULL;
	u->nr_spare += spare;
	while (!(sqe = io_uring_get_sqe(&u->ring))) {
		io_uring_submit(&u->ring);
		io_uring_sqring_wait(&u->ring);
	}
	return sqe;
}

/* The prep helpers clear the entry, its tag included. */
static void finish_sqe(struct io_uring_sqe *sqe, uint64_t tag, unsigned int flags)
{
	sqe->user_data = tag;
	sqe->flags |= (uint8_t)flags;
}

static void arm_kick(struct blk_uring *u)
{
	struct io_uring_sqe *sqe = get_sqe(u, false);

	io_uring_prep_poll_multishot(sqe, u->q->kick_fd, POLLIN);
	finish_sqe(sqe, TAG_KICK, 0);
	u->kick_armed = true;
}

/* The kernel refuses (EALREADY) while a doorbell is just being reported: then it is asked again. */
static void disarm_kick(struct blk_uring *u)
{
	struct io_uring_sqe *sqe = get_sqe(u, true);

	if (!sqe)
		return;
	io_uring_prep_poll_remove(sqe, TAG_KICK);
	finish_sqe(sqe, TAG_QUIET, IOSQE_CQE_SKIP_SUCCESS);
}

static void signal_here(int fd)
{
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n;
}

/* Shows the driver what was completed; the signal goes with the next submission. */
static void publish(struct blk_uring *u)
{
	struct io_uring_sqe *sqe;
	int fd;

	if (!virtq_publish(u->q->vq))
		return;
	counter_add(&u->q->stats.interrupts, 1);
	fd = virtio_irq_begin(u->q->irq);
	if (fd < 0)
		return;
	sqe = get_sqe(u, true);
	if (!sqe) {
		signal_here(fd);
		return;
	}
	u->signal_fd = fd;
	io_uring_prep_write(sqe, fd, &one, sizeof(one), 0);
	finish_sqe(sqe, TAG_SIGNAL, IOSQE_CQE_SKIP_SUCCESS);
}

static struct slot *slot_get(struct blk_uring *u)
{
	return &u->slot[u->free[--u->nr_free]];
}

/* The last one given back is the next one taken: its memory is in the cache. */
static void slot_put(struct blk_uring *u, struct slot *s)
{
	u->free[u->nr_free++] = (uint8_t)(s - u->slot);
}

static unsigned int nr_inflight(const struct blk_uring *u)
{
	return u->nr_slots - u->nr_free;
}

/* The request's list moves from the common array to the slot. */
static void slot_keep_iov(struct blk_uring *u, struct slot *s)
{
	size_t idx = (size_t)(s - u->slot);
	unsigned int n = (unsigned int)s->req.nr_iov;

	s->iov = n <= INLINE_IOV ? s->small : u->large + idx * u->q->max_iov;
	memcpy(s->iov, s->req.iov, n * sizeof(*s->iov));
	s->nr_iov = n;
	s->left = s->req.data_len;
}

static uint64_t place_on_disk(const struct slot *s)
{
	return s->req.sector * BLK_SECTOR + (s->req.data_len - s->left);
}

static void submit_transfer(struct blk_uring *u, struct slot *s)
{
	bool write = s->req.type == VIRTIO_BLK_T_OUT;
	uint64_t tag = (uint64_t)(s - u->slot);
	uint64_t off = place_on_disk(s);
	struct io_uring_sqe *sqe = get_sqe(u, false);

	if (write && s->nr_iov == 1)
		io_uring_prep_write(sqe, BLK_RING_DISK, s->iov->iov_base,
				    (unsigned int)s->iov->iov_len, off);
	else if (write)
		io_uring_prep_writev(sqe, BLK_RING_DISK, s->iov, s->nr_iov, off);
	else if (s->nr_iov == 1)
		io_uring_prep_read(sqe, BLK_RING_DISK, s->iov->iov_base,
				   (unsigned int)s->iov->iov_len, off);
	else
		io_uring_prep_readv(sqe, BLK_RING_DISK, s->iov, s->nr_iov, off);
	finish_sqe(sqe, tag, IOSQE_FIXED_FILE);
}

/* There is room: the slots that wait for it have no entry. */
static void submit_flush(struct blk_uring *u)
{
	struct io_uring_sqe *sqe = get_sqe(u, false);

	io_uring_prep_fsync(sqe, BLK_RING_DISK, IORING_FSYNC_DATASYNC);
	finish_sqe(sqe, TAG_FLUSH, IOSQE_FIXED_FILE);
}

static void complete(struct blk_uring *u, struct slot *s, int result)
{
	blk_queue_complete(u->q, &s->req, s->head, result);
	slot_put(u, s);
	if (u->nr_free == 1)
		u->look = true;		/* it had come to a halt for want of slots */
}

/* The transfer is over: the request is answered, or waits for a flush. */
static void finish(struct blk_uring *u, struct slot *s, int result)
{
	if (result || !blk_queue_needs_flush(u->q, &s->req)) {
		complete(u, s, result);
		return;
	}
	s->ticket = blk_flush_ticket(u->q->disk->flush);
	u->waiting[u->nr_waiting++] = (uint8_t)(s - u->slot);
}

/*
 * Answers what was flushed, and begins the next flush if there is a need and
 * nobody has: before a submission, so that all that came together share one.
 */
static void settle_flushes(struct blk_uring *u)
{
	unsigned int n = 0, kept = 0;
	struct blk_flush_view view;
	struct slot *s;

	if (!u->nr_waiting)
		return;
	s = &u->slot[u->waiting[u->nr_waiting - 1]];
	view = blk_flush_look(u->q->disk->flush, s->ticket, &u->waiter);
	for (; n < u->nr_waiting; n++) {
		s = &u->slot[u->waiting[n]];
		if (view.error || s->ticket <= view.done)
			complete(u, s, view.error);
		else
			u->waiting[kept++] = u->waiting[n];
	}
	u->nr_waiting = kept;
	if (view.begin)
		submit_flush(u);
}

/* true: the ring does it. */
static bool goes_to_ring(struct blk_uring *u, const struct slot *s)
{
	struct blk_backend *be = u->q->disk->backend;

	switch (s->req.type) {
	case VIRTIO_BLK_T_IN:
		return be->async_reads;
	case VIRTIO_BLK_T_OUT:
		return be->async_writes;
	default:
		return false;
	}
}

static void start_request(struct blk_uring *u, struct slot *s)
{
	if (!goes_to_ring(u, s)) {
		finish(u, s, blk_queue_execute(u->q, &s->req));
	} else {
		slot_keep_iov(u, s);
		submit_transfer(u, s);
	}
}

/* Takes one request. false: there is none, or no slot for it. */
static bool take_one(struct blk_uring *u)
{
	enum blk_taken taken;
	struct slot *s;

	if (!u->nr_free)
		return false;
	s = slot_get(u);
	taken = blk_queue_take(u->q, &s->req, &s->head, u->q->iov);
	if (taken == BLK_TAKEN_TODO)
		start_request(u, s);
	else
		slot_put(u, s);
	return taken != BLK_TAKEN_NONE;
}

/* Takes what is there, at most max, with doorbells off. Returns how many. */
static unsigned int take_requests(struct blk_uring *u, unsigned int max)
{
	unsigned int n = 0;

	virtq_disable_kick(u->q->vq);
	while (n < max && take_one(u))
		n++;
	u->look = n == max;
	u->drained = n < max && u->nr_free;
	return n;
}

/*
 * The ring has not done it, such as for want of a thread to do it with: then it
 * is done here.
 */
static bool was_not_done(int result)
{
	return result == -ECANCELED || result == -EINTR || result == -EAGAIN;
}

/*
 * ... nor a transfer, which may be worth another try or need an aligned buffer.
 * Not so for a flush, where ENOMEM may be what a lost page left.
 */
static bool transfer_was_not_done(int result)
{
	return was_not_done(result) || result == -ENOMEM || result == -EINVAL;
}

static int transfer_here(struct blk_uring *u, struct slot *s)
{
	struct blk_backend *be = u->q->disk->backend;

	if (s->req.type == VIRTIO_BLK_T_OUT)
		return be->ops->writev(be, s->iov, (int)s->nr_iov, place_on_disk(s));
	return be->ops->readv(be, s->iov, (int)s->nr_iov, place_on_disk(s));
}

/* The rest of a transfer that was cut short goes back into the ring. */
static void handle_slot(struct blk_uring *u, struct slot *s, int result)
{
	if (result > 0) {
		iov_take(&s->iov, &s->nr_iov, NULL, (size_t)result);
		s->left -= (uint32_t)result;
	}
	if (result > 0 && s->left)
		submit_transfer(u, s);
	else if (transfer_was_not_done(result))
		finish(u, s, transfer_here(u, s));
	else if (result >= 0)
		finish(u, s, s->left ? -EIO : 0);	/* 0 bytes: the image was truncated */
	else
		finish(u, s, result);
}

static void handle_flush(struct blk_uring *u, int result)
{
	struct blk_backend *be = u->q->disk->backend;

	if (was_not_done(result))
		result = be->ops->flush(be);
	blk_flush_end(u->q->disk->flush, result);
}

static void handle_kick(struct blk_uring *u, const struct io_uring_cqe *cqe)
{
	u->kick_armed = cqe->flags & IORING_CQE_F_MORE;
	if (cqe->res == -ECANCELED)
		return;
	counter_add(&u->q->stats.kicks, 1);
	u->look = true;
}

static void handle_completions(struct blk_uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe) {
		if (cqe->user_data == TAG_KICK)
			handle_kick(u, cqe);
		else if (cqe->user_data == TAG_FLUSH)
			handle_flush(u, cqe->res);
		else if (cqe->user_data == TAG_SIGNAL)
			signal_here(u->signal_fd);	/* only a failure is told */
		else if (cqe->user_data < u->nr_slots)
			handle_slot(u, &u->slot[cqe->user_data], cqe->res);
		n++;
	}
	io_uring_cq_advance(&u->ring, n);
}

/*
 * Looks at both rings for a while before doorbells are turned on: in memory, as
 * completions come there by themselves (blk_uring_ring.c). A thread of the
 * kernel that submits may have to be woken.
 */
static void poll_rings(struct blk_uring *u)
{
	uint64_t deadline = clock_now_ns() + u->q->poll_ns;

	virtq_disable_kick(u->q->vq);
	io_uring_submit(&u->ring);	/* the interrupt does not wait for us */
	while (!u->look && !io_uring_cq_ready(&u->ring) && !worker_stopping(u->q->worker) &&
	       clock_now_ns() < deadline) {
		u->look = take_one(u);
		if (u->q->disk->sqpoll)
			io_uring_submit(&u->ring);
	}
	u->drained = u->nr_free;	/* without a slot it is a completion that is waited for */
}

/* Asks for doorbells before the thread sleeps, unless more came meanwhile. */
static void settle(struct blk_uring *u)
{
	if (u->q->poll_ns && !u->look && !u->q->broken)
		poll_rings(u);
	if (!u->drained || u->look || u->q->broken || io_uring_cq_ready(&u->ring))
		return;
	u->look = virtq_enable_kick(u->q->vq);
	u->drained = false;
}

static void wait_for_events(struct blk_uring *u)
{
	uint64_t start = u->q->disk->poll_us ? clock_now_ns() : 0;
	bool asleep = !u->look && !io_uring_cq_ready(&u->ring);

	io_uring_submit_and_wait(&u->ring, asleep ? 1 : 0);
	if (u->q->disk->poll_us && asleep)
		blk_queue_adapt_polling(u->q, clock_now_ns() - start);
}

/*
 * After "stopping" was seen: requests made available before are served, no more
 * than a ring of them, all in flight are waited for, and the doorbell's poll is
 * taken back.
 */
static void wind_down(struct blk_uring *u)
{
	unsigned int left = virtq_size(u->q->vq);

	u->look = true;
	while ((left && u->look) || nr_inflight(u)) {
		if (left && u->look)
			left -= take_requests(u, MIN(left, TURN));
		settle_flushes(u);
		publish(u);
		if (!u->kick_armed)
			arm_kick(u);	/* for a flush of another queue */
		io_uring_submit_and_wait(&u->ring, nr_inflight(u) ? 1 : 0);
		handle_completions(u);
	}
	publish(u);
	do {
		if (u->kick_armed)
			disarm_kick(u);
		io_uring_submit_and_wait(&u->ring, u->kick_armed ? 1 : 0);
		handle_completions(u);
	} while (u->kick_armed);
}

void blk_uring_run(void *arg)
{
	struct blk_queue *q = arg;
	struct blk_uring *u = q->uring;

	u->look = true;
	u->waiter.wake_fd = q->kick_fd;
	while (!worker_stopping(q->worker)) {
		if (!u->kick_armed)
			arm_kick(u);
		if (u->look)
			take_requests(u, TURN);
		settle_flushes(u);
		publish(u);
		settle(u);
		wait_for_events(u);
		handle_completions(u);
	}
	wind_down(u);
	blk_queue_leave_ring(q);
}

static void free_memory(struct blk_uring *u)
{
	free(u->slot);
	free(u->large);
	free(u);
}

int blk_uring_create(struct blk_uring **out, struct blk_queue *q)
{
	struct blk_uring *u = zalloc(1, sizeof(*u));
	int ret = -ENOMEM;

	if (!u)
		return ret;
	u->q = q;
	u->nr_slots = MIN(q->max_iov, MAX_SLOTS);
	u->slot = zalloc(u->nr_slots, sizeof(*u->slot));
	u->large = zalloc((size_t)u->nr_slots * q->max_iov, sizeof(*u->large));
	if (!u->slot || !u->large)
		goto fail;
	for (unsigned int i = u->nr_slots; i--; )
		slot_put(u, &u->slot[i]);
	ret = blk_uring_ring_create(&u->ring, u->nr_slots + SPARE_ENTRIES, q->disk);
	if (ret)
		goto fail;
	*out = u;
	return 0;
fail:
	free_memory(u);
	return ret;
}

void blk_uring_free(struct blk_uring *u)
{
	if (!u)
		return;
	io_uring_queue_exit(&u->ring);
	free_memory(u);
}
