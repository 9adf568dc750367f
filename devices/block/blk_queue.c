/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain engine: one request after the other, three system calls for a
 * lone one (wait for the kick, transfer, interrupt). Requests found together
 * are answered together: one publication and at most one interrupt for up to
 * BATCH of them, so that an early one does not wait for a whole ring.
 */
#include "blk_queue.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blk_queue_priv.h"
#include "blk_uring.h"
#include "clock.h"
#include "util.h"
#include "zalloc.h"

#define BATCH 32

static void count_request(struct blk_queue *q, const struct blk_req *req)
{
	switch (req->type) {
	case VIRTIO_BLK_T_IN:
		counter_add(&q->stats.reads, 1);
		counter_add(&q->stats.bytes_read, req->data_len);
		break;
	case VIRTIO_BLK_T_OUT:
		counter_add(&q->stats.writes, 1);
		counter_add(&q->stats.bytes_written, req->data_len);
		break;
	case VIRTIO_BLK_T_FLUSH:
		counter_add(&q->stats.flushes, 1);
		break;
	default:
		counter_add(&q->stats.others, 1);
	}
}

/*
 * virtio 1.2, 2.7.8.2: from the first writable byte on, all up to this length were
 * written. The status comes last, so it counts if there is no gap before it.
 */
static uint32_t bytes_written(const struct blk_req *req, bool done)
{
	uint32_t data = 0;

	if (done && req->type == VIRTIO_BLK_T_IN)
		data = req->data_len;
	else if (done && req->type == VIRTIO_BLK_T_GET_ID)
		data = BLK_ID_LEN;
	return data + (data == req->in_len);
}

static void refuse(struct blk_queue *q, const struct blk_req *req, uint16_t head, uint8_t status)
{
	counter_add(&q->stats.refused, 1);
	*req->status = status;
	virtq_push(q->vq, head, bytes_written(req, false));
}

void blk_queue_complete(struct blk_queue *q, const struct blk_req *req, uint16_t head, int result)
{
	if (!result) {
		count_request(q, req);
		*req->status = VIRTIO_BLK_S_OK;
		virtq_push(q->vq, head, bytes_written(req, true));
		return;
	}
	counter_add(&q->stats.errors, 1);
	guest_error(q->disk->errors, "request of type %u at sector %llu failed: %s", req->type,
		    (unsigned long long)req->sector, strerror(-result));
	*req->status = result == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
	virtq_push(q->vq, head, bytes_written(req, false));
}

static void queue_break(struct blk_queue *q, const char *why)
{
	q->broken = true;
	guest_error(q->disk->errors, "%s", why);
	virtio_needs_reset(q->transport);
}

enum blk_taken blk_queue_take(struct blk_queue *q, struct blk_req *req, uint16_t *head,
			      struct iovec *iov)
{
	struct virtq_chain c;
	int ret = q->broken ? -EAGAIN : virtq_pop(q->vq, &c, iov, q->max_iov);

	if (ret == -EPROTO)
		queue_break(q, "the driver broke the ring of a queue");
	if (ret)
		return BLK_TAKEN_NONE;
	*head = c.head;
	ret = blk_req_parse(req, &q->disk->limits, &c, iov);
	if (ret == VIRTIO_BLK_S_OK)
		return BLK_TAKEN_TODO;
	if (ret < 0) {
		queue_break(q, "a request has no room for its status");
		return BLK_TAKEN_NONE;
	}
	refuse(q, req, c.head, (uint8_t)ret);
	return BLK_TAKEN_ANSWERED;
}

static int execute_ranges(struct blk_queue *q, const struct blk_req *req)
{
	struct blk_backend *be = q->disk->backend;
	int ret = 0;

	for (unsigned int i = 0; i < req->nr_ranges && !ret; i++) {
		uint64_t off = req->range[i].sector * BLK_SECTOR;
		uint64_t len = (uint64_t)req->range[i].nr_sectors * BLK_SECTOR;

		if (req->type == VIRTIO_BLK_T_DISCARD)
			ret = be->ops->discard(be, off, len);
		else
			ret = be->ops->write_zeroes(be, off, len, req->range[i].unmap);
	}
	return ret;
}

bool blk_queue_needs_flush(const struct blk_queue *q, const struct blk_req *req)
{
	switch (req->type) {
	case VIRTIO_BLK_T_FLUSH:
		return !q->disk->ignore_flush;
	case VIRTIO_BLK_T_OUT:
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return atomic_load(&q->disk->stable_writes);
	default:
		return false;
	}
}

int blk_queue_execute(struct blk_queue *q, struct blk_req *req)
{
	struct blk_backend *be = q->disk->backend;
	uint64_t off = req->sector * BLK_SECTOR;

	switch (req->type) {
	case VIRTIO_BLK_T_IN:
		return be->ops->readv(be, req->iov, req->nr_iov, off);
	case VIRTIO_BLK_T_OUT:
		return be->ops->writev(be, req->iov, req->nr_iov, off);
	case VIRTIO_BLK_T_FLUSH:
		return 0;
	case VIRTIO_BLK_T_GET_ID:
		return blk_req_fill(req, q->disk->serial, BLK_ID_LEN) ? 0 : -EIO;
	default:
		return execute_ranges(q, req);
	}
}

static void serve(struct blk_queue *q, struct blk_req *req, uint16_t head)
{
	int ret = blk_queue_execute(q, req);

	if (!ret && blk_queue_needs_flush(q, req))
		ret = blk_flush_run(q->disk->flush);
	blk_queue_complete(q, req, head, ret);
}

/* Serves and answers up to BATCH requests. false: there were none. */
static bool serve_batch(struct blk_queue *q)
{
	enum blk_taken taken = BLK_TAKEN_TODO;
	struct blk_req req;
	uint16_t head;
	int n;

	for (n = 0; n < BATCH && taken != BLK_TAKEN_NONE; n++) {
		taken = blk_queue_take(q, &req, &head, q->iov);
		if (taken == BLK_TAKEN_TODO)
			serve(q, &req, head);
	}
	if (virtq_publish(q->vq)) {
		counter_add(&q->stats.interrupts, 1);
		virtio_irq_raise(q->irq);
	}
	return taken != BLK_TAKEN_NONE || n > 1;
}

/* Looks for requests for a while without sleeping. false: none came. */
static bool poll_ring(struct blk_queue *q)
{
	uint64_t deadline;

	if (!q->poll_ns)
		return false;
	deadline = clock_now_ns() + q->poll_ns;
	do
		if (serve_batch(q))
			return true;
	while (!q->broken && !worker_stopping(q->worker) && clock_now_ns() < deadline);
	return false;
}

/* Polling pays if the request would have come within the longest window allowed. */
void blk_queue_adapt_polling(struct blk_queue *q, uint64_t slept_ns)
{
	uint64_t max = q->disk->poll_us * 1000ull;

	if (q->poll_ns + slept_ns <= max)
		q->poll_ns = max;
	else
		q->poll_ns = q->poll_ns > max / 8 ? q->poll_ns / 2 : 0;
}

static void read_kick(int fd)
{
	uint64_t count;
	ssize_t n;

	do
		n = read(fd, &count, sizeof(count));
	while (n < 0 && errno == EINTR);
}

/* Waits for a doorbell. Wakes up for worker_stop() too. */
static void wait_for_kick(struct blk_queue *q)
{
	uint64_t start = q->disk->poll_us ? clock_now_ns() : 0;

	read_kick(q->kick_fd);
	counter_add(&q->stats.kicks, 1);
	if (q->disk->poll_us)
		blk_queue_adapt_polling(q, clock_now_ns() - start);
}

/*
 * The last look at the ring comes after "stopping" was seen: what the driver
 * made available before the stop is served, and no more than a ring of it.
 */
static void serve_rest(struct blk_queue *q)
{
	for (unsigned int left = virtq_size(q->vq); left && serve_batch(q); )
		left -= MIN(left, BATCH);
}

static void run_plain(void *arg)
{
	struct blk_queue *q = arg;

	while (!worker_stopping(q->worker) && !q->broken) {
		virtq_disable_kick(q->vq);
		while (!worker_stopping(q->worker) && (serve_batch(q) || poll_ring(q)))
			;
		if (!virtq_enable_kick(q->vq))
			wait_for_kick(q);
	}
	serve_rest(q);
	blk_queue_leave_ring(q);
}

static void settle_disk(struct blk_disk *disk)
{
	if (!disk->backend->readonly)
		blk_flush_run(disk->flush);
	atomic_store(&disk->settled, true);
}

void blk_queue_leave_ring(struct blk_queue *q)
{
	if (atomic_fetch_sub(&q->disk->nr_running, 1) == 1 && atomic_load(&q->disk->ending))
		settle_disk(q->disk);
}

int blk_queue_create(struct blk_queue **out, struct blk_disk *disk, const char *name,
		     uint16_t size, int *no_uring)
{
	struct blk_queue *q = zalloc(1, sizeof(*q) + size * sizeof(q->iov[0]));
	int ret;

	if (!q)
		return -ENOMEM;
	q->disk = disk;
	q->max_iov = size;
	if (!*no_uring)
		*no_uring = blk_uring_create(&q->uring, q);
	ret = worker_create(&q->worker, name, q->uring ? disk->uring_entry : disk->entry);
	if (ret) {
		blk_queue_free(q);
		return ret;
	}
	*out = q;
	return 0;
}

void blk_queue_leave(struct blk_queue *q)
{
	if (q)
		worker_leave(q->worker);
}

void blk_queue_free(struct blk_queue *q)
{
	if (!q)
		return;
	worker_free(q->worker);
	blk_uring_free(q->uring);
	free(q);
}

bool blk_queue_has_uring(const struct blk_queue *q)
{
	return q->uring;
}

int blk_queue_pin(struct blk_queue *q, int cpu)
{
	return worker_pin(q->worker, cpu);
}

void blk_queue_start(struct blk_queue *q, const struct virtio_queue *vq,
		     struct virtio_transport *t)
{
	q->vq = vq->vq;
	q->kick_fd = vq->kick_fd;
	q->irq = vq->irq;
	q->transport = t;
	q->broken = false;
	q->poll_ns = 0;
	atomic_fetch_add(&q->disk->nr_running, 1);
	worker_start(q->worker, q->uring ? blk_uring_run : run_plain, q, q->kick_fd);
}

void blk_queue_ask(struct blk_queue *q)
{
	worker_ask(q->worker);
}

static void run_settle(void *arg)
{
	settle_disk(arg);
}

void blk_queue_settle(struct blk_queue *q)
{
	worker_start(q->worker, run_settle, q->disk, -1);
}

void blk_queue_stop(struct blk_queue *q)
{
	worker_stop(q->worker);
	q->vq = NULL;
}

void blk_queue_stats(const struct blk_queue *q,
		     void (*emit)(void *ctx, const char *key, uint64_t value), void *ctx)
{
	emit(ctx, "reads", counter_read(&q->stats.reads));
	emit(ctx, "writes", counter_read(&q->stats.writes));
	emit(ctx, "flushes", counter_read(&q->stats.flushes));
	emit(ctx, "others", counter_read(&q->stats.others));
	emit(ctx, "refused", counter_read(&q->stats.refused));
	emit(ctx, "errors", counter_read(&q->stats.errors));
	emit(ctx, "bytes_read", counter_read(&q->stats.bytes_read));
	emit(ctx, "bytes_written", counter_read(&q->stats.bytes_written));
	emit(ctx, "kicks", counter_read(&q->stats.kicks));
	emit(ctx, "interrupts", counter_read(&q->stats.interrupts));
}
