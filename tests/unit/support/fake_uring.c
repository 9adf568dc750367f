/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_uring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util.h"

#define MAX_OPS 512u
#define WAIT_MS 1
#define MAX_RW_COUNT 0x7ffff000u	/* Linux: what one call transfers */

struct op {
	struct io_uring_sqe sqe;
	uint8_t *snapshot;	/* of a flush: what had been written when it was asked for */
	unsigned int epoch;	/* how often pages had been lost then */
};

struct ring {			/* its thread's */
	struct op op[MAX_OPS];
	unsigned int nr_ops;
	int kick_fd;
	uint64_t kick_tag;
	unsigned int taken;	/* submissions; *khead: those that were given back */
};

struct fake_uring fake_uring = { .lock = PTHREAD_MUTEX_INITIALIZER };
static int disk_fd = -1;

long syscall(long nr, ...)
{
	errno = ENOSYS;
	return nr == SYS_io_uring_register ? 0 : -1;
}

void fake_uring_reset(void)
{
	pthread_mutex_lock(&fake_uring.lock);
	memset((uint8_t *)&fake_uring + sizeof(fake_uring.lock), 0,
	       sizeof(fake_uring) - sizeof(fake_uring.lock));
	fake_uring.seed = 1;
	pthread_mutex_unlock(&fake_uring.lock);
}

void fake_uring_rules(unsigned int seed, unsigned int cut, unsigned int again,
		      unsigned int refused)
{
	pthread_mutex_lock(&fake_uring.lock);
	fake_uring.seed = seed;
	fake_uring.percent_short = cut;
	fake_uring.percent_again = again;
	fake_uring.percent_refused = refused;
	pthread_mutex_unlock(&fake_uring.lock);
}

void fake_uring_fail(unsigned int nth, int result)
{
	pthread_mutex_lock(&fake_uring.lock);
	fake_uring.fail_nth = nth;
	fake_uring.fail_result = result;
	pthread_mutex_unlock(&fake_uring.lock);
}

void fake_uring_hold(bool hold)
{
	pthread_mutex_lock(&fake_uring.lock);
	fake_uring.hold = hold;
	pthread_mutex_unlock(&fake_uring.lock);
}

void fake_uring_lose(void)
{
	pthread_mutex_lock(&fake_uring.lock);
	fake_uring.lose = true;
	pthread_mutex_unlock(&fake_uring.lock);
}

unsigned int fake_uring_pending(void)
{
	unsigned int n;

	pthread_mutex_lock(&fake_uring.lock);
	n = fake_uring.nr_pending;
	pthread_mutex_unlock(&fake_uring.lock);
	return n;
}

static struct ring *ring_of(const struct io_uring *ring)
{
	return ring->sq.ring_ptr;
}

void fake_uring_wait_asleep(void)
{
	unsigned int n = 0;

	while (!n) {
		usleep(50);
		pthread_mutex_lock(&fake_uring.lock);
		n = fake_uring.nr_asleep;
		pthread_mutex_unlock(&fake_uring.lock);
	}
}

int io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
			       struct io_uring_params *p)
{
	unsigned int n = 1;

	if (fake_uring.no_ring)
		return fake_uring.no_ring;
	while (n < entries)
		n *= 2;
	memset(ring, 0, sizeof(*ring));
	ring->sq.khead = calloc(4, sizeof(unsigned int));
	ring->sq.ktail = ring->sq.khead + 1;
	ring->cq.khead = ring->sq.khead + 2;
	ring->cq.ktail = ring->sq.khead + 3;
	ring->sq.sqes = calloc(n, sizeof(*ring->sq.sqes));
	ring->cq.cqes = calloc(2 * n, sizeof(*ring->cq.cqes));
	ring->sq.ring_entries = n;
	ring->sq.ring_mask = n - 1;
	ring->cq.ring_entries = 2 * n;
	ring->cq.ring_mask = 2 * n - 1;
	ring->flags = p->flags;
	p->features = IORING_FEAT_CQE_SKIP;
	ring->sq.ring_ptr = calloc(1, sizeof(struct ring));
	ring_of(ring)->kick_fd = -1;
	return 0;
}

int io_uring_register_files(struct io_uring *ring, const int *files, unsigned int nr)
{
	(void)ring;
	(void)nr;
	disk_fd = files[0];
	return 0;
}

void io_uring_queue_exit(struct io_uring *ring)
{
	free(ring->sq.ring_ptr);
	free(ring->sq.khead);
	free(ring->sq.sqes);
	free(ring->cq.cqes);
}

static void answer(struct io_uring *ring, uint64_t tag, int res, uint32_t flags)
{
	unsigned int tail = *ring->cq.ktail;

	if (tail - *ring->cq.khead == ring->cq.ring_entries)
		abort();
	ring->cq.cqes[tail & ring->cq.ring_mask] =
		(struct io_uring_cqe){ .user_data = tag, .res = res, .flags = flags };
	__atomic_store_n(ring->cq.ktail, tail + 1, __ATOMIC_RELEASE);
}

static unsigned int dice(void)
{
	return (unsigned int)rand_r(&fake_uring.seed) % 100;
}

static uint8_t *whole_disk(void)
{
	uint8_t *copy = malloc(FAKE_URING_DISK);

	if (!copy || pread(disk_fd, copy, FAKE_URING_DISK, 0) != FAKE_URING_DISK)
		abort();
	return copy;
}

static bool is_write(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_WRITE || sqe->opcode == IORING_OP_WRITEV;
}

/* The first len bytes of the transfer. */
static int transfer(const struct io_uring_sqe *sqe, size_t len)
{
	struct iovec one = { (void *)(uintptr_t)sqe->addr, sqe->len };
	bool vector = sqe->opcode == IORING_OP_WRITEV || sqe->opcode == IORING_OP_READV;
	const struct iovec *iov = vector ? (void *)(uintptr_t)sqe->addr : &one;
	size_t done = 0;

	for (unsigned int i = 0; i < (vector ? sqe->len : 1) && done < len; i++) {
		size_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;
		off_t off = (off_t)(sqe->off + done);
		ssize_t ret = is_write(sqe) ? pwrite(disk_fd, iov[i].iov_base, n, off) :
					      pread(disk_fd, iov[i].iov_base, n, off);

		if (ret != (ssize_t)n)
			abort();
		if (is_write(sqe) && sqe->rw_flags & RWF_DSYNC)
			memcpy(fake_uring.durable + off, iov[i].iov_base, n);
		done += n;
	}
	return (int)done;
}

static size_t length_of(const struct io_uring_sqe *sqe)
{
	const struct iovec *iov = (void *)(uintptr_t)sqe->addr;
	size_t len = 0;

	if (sqe->opcode == IORING_OP_READ || sqe->opcode == IORING_OP_WRITE)
		return sqe->len;
	for (unsigned int i = 0; i < sqe->len; i++)
		len += iov[i].iov_len;
	return len;
}

static bool is_sync(const struct op *o)
{
	return o->sqe.opcode == IORING_OP_FSYNC ||
	       (is_write(&o->sqe) && o->sqe.rw_flags & RWF_DSYNC);
}

/*
 * Linux tells of pages that it lost once for each open file description: of
 * the syncs that overlap when they are lost one hears of it, whichever. true:
 * o is one of them, and *told is what it says.
 */
static bool is_lost(const struct op *o, int *told)
{
	if (fake_uring.lose && is_sync(o)) {
		fake_uring.lose = false;
		fake_uring.nr_lost = fake_uring.nr_syncs;
		fake_uring.epoch++;
	}
	if (!fake_uring.nr_lost || !is_sync(o) || o->epoch == fake_uring.epoch)
		return false;
	fake_uring.nr_lost--;
	*told = 0;
	if (!fake_uring.error_told && (!fake_uring.nr_lost || dice() < 50)) {
		fake_uring.error_told = true;
		*told = -EIO;
	}
	return true;
}

static int flush(struct op *o)
{
	fake_uring.nr_flushes++;
	memcpy(fake_uring.durable, o->snapshot, FAKE_URING_DISK);
	return 0;
}

static int carry_out(struct op *o)
{
	bool is_flush = o->sqe.opcode == IORING_OP_FSYNC;
	size_t len = is_flush ? 0 : length_of(&o->sqe);
	int told;

	fake_uring.nr_transfers += !is_flush;
	fake_uring.nr_dsync += is_write(&o->sqe) && o->sqe.rw_flags & RWF_DSYNC;
	if (fake_uring.fail_nth && !--fake_uring.fail_nth)
		return fake_uring.fail_result;
	if (is_lost(o, &told))
		return told;
	if (is_flush)
		return flush(o);
	if (fake_uring.pretend)
		return (int)MIN(len, MAX_RW_COUNT);
	if (dice() < fake_uring.percent_again)
		return dice() < 50 ? -EINTR : -EAGAIN;
	if (dice() < fake_uring.percent_short)
		len = 1 + (size_t)rand_r(&fake_uring.seed) % len;
	return transfer(&o->sqe, len);
}

static void complete_one(struct io_uring *ring)
{
	struct ring *r = ring_of(ring);
	unsigned int i = (unsigned int)rand_r(&fake_uring.seed) % r->nr_ops;
	struct op o = r->op[i];

	r->op[i] = r->op[--r->nr_ops];
	answer(ring, o.sqe.user_data, carry_out(&o), 0);
	free(o.snapshot);
	fake_uring.nr_pending--;
	fake_uring.nr_syncs -= is_sync(&o);
}

static void signal_vector(const struct io_uring_sqe *sqe)
{
	if (write(sqe->fd, (void *)(uintptr_t)sqe->addr, sqe->len) < 0)
		abort();
}

static void enqueue(struct ring *r, const struct io_uring_sqe *sqe)
{
	struct op *o = &r->op[r->nr_ops++];

	*o = (struct op){ .sqe = *sqe, .epoch = fake_uring.epoch };
	if (sqe->opcode == IORING_OP_FSYNC)
		o->snapshot = whole_disk();
	fake_uring.nr_pending++;
	fake_uring.max_pending = MAX(fake_uring.max_pending, fake_uring.nr_pending);
	fake_uring.nr_syncs += is_sync(o);
	fake_uring.max_syncs = MAX(fake_uring.max_syncs, fake_uring.nr_syncs);
}

static void take(struct io_uring *ring, const struct io_uring_sqe *sqe)
{
	struct ring *r = ring_of(ring);

	switch (sqe->opcode) {
	case IORING_OP_POLL_ADD:
		r->kick_fd = sqe->fd;
		r->kick_tag = sqe->user_data;
		return;
	case IORING_OP_POLL_REMOVE:
		r->kick_fd = -1;
		answer(ring, r->kick_tag, -ECANCELED, 0);
		return;
	}
	if (!(sqe->flags & IOSQE_FIXED_FILE)) {
		if (!fake_uring.fail_signals)
			signal_vector(sqe);
		else if (fake_uring.fail_signals--)
			answer(ring, sqe->user_data, -ECANCELED, 0);
		return;
	}
	if (r->nr_ops == MAX_OPS)
		abort();
	enqueue(r, sqe);
}

/* A doorbell, as a multishot poll tells it. false: there was none. */
static bool hear_kick(struct io_uring *ring, int ms)
{
	struct ring *r = ring_of(ring);
	struct pollfd p = { .fd = r->kick_fd, .events = POLLIN };
	uint64_t count;

	if (poll(&p, 1, ms) != 1 || read(r->kick_fd, &count, sizeof(count)) < 0)
		return false;
	answer(ring, r->kick_tag, POLLIN, IORING_CQE_F_MORE);
	return true;
}

/* Some of what is pending ends now, all of it never at once. */
static void progress(struct io_uring *ring, bool must)
{
	pthread_mutex_lock(&fake_uring.lock);
	while (ring_of(ring)->nr_ops && !fake_uring.hold && (must || dice() < 60)) {
		complete_one(ring);
		must = false;
	}
	pthread_mutex_unlock(&fake_uring.lock);
}

/* A thread of the kernel gives a turn's entries back when it has been through all of them. */
static void give_back(struct io_uring *ring)
{
	__atomic_store_n(ring->sq.khead, ring_of(ring)->taken, __ATOMIC_RELEASE);
}

int __io_uring_sqring_wait(struct io_uring *ring)
{
	give_back(ring);
	return 0;
}

static void count_asleep(int n)
{
	pthread_mutex_lock(&fake_uring.lock);
	fake_uring.nr_asleep += (unsigned int)n;
	pthread_mutex_unlock(&fake_uring.lock);
}

static int submit(struct io_uring *ring, unsigned int wait)
{
	struct ring *r = ring_of(ring);
	bool refused, late = ring->flags & IORING_SETUP_SQPOLL;

	pthread_mutex_lock(&fake_uring.lock);
	fake_uring.nr_calls += wait || r->taken != ring->sq.sqe_tail;
	refused = dice() < fake_uring.percent_refused && r->taken != ring->sq.sqe_tail;
	if (late && dice() < 1)
		give_back(ring);
	while (!refused && r->taken != ring->sq.sqe_tail)
		take(ring, &ring->sq.sqes[r->taken++ & ring->sq.ring_mask]);
	if (!late)
		give_back(ring);
	pthread_mutex_unlock(&fake_uring.lock);
	if (refused)
		return -EBUSY;
	while (wait && !io_uring_cq_ready(ring)) {
		progress(ring, true);
		if (!io_uring_cq_ready(ring) && r->kick_fd >= 0) {
			count_asleep(1);
			hear_kick(ring, WAIT_MS);
			count_asleep(-1);
		}
	}
	progress(ring, false);
	if (r->kick_fd >= 0)
		hear_kick(ring, 0);
	return 0;
}

int io_uring_submit(struct io_uring *ring)
{
	return submit(ring, 0);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned int wait)
{
	return submit(ring, wait);
}
