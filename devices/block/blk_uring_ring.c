/* SPDX-License-Identifier: Apache-2.0 */
#include "blk_uring_ring.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blk_queue.h"
#include "util.h"

#define SQPOLL_IDLE_MS	10u	/* then the kernel's thread sleeps, too */

/* liburing 2.3 declares helpers for these, but its library does not export them. */
static int ring_register(struct io_uring *ring, unsigned int op, void *arg, unsigned int nr)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, op, arg, nr) < 0 ? -errno : 0;
}

static int restrict_ring(struct io_uring *ring)
{
	static const uint8_t ops[] = {
		IORING_OP_READ, IORING_OP_READV, IORING_OP_WRITE, IORING_OP_WRITEV,
		IORING_OP_FSYNC, IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE,
	};
	struct io_uring_restriction r[ARRAY_SIZE(ops) + 1];

	memset(r, 0, sizeof(r));
	for (unsigned int i = 0; i < ARRAY_SIZE(ops); i++) {
		r[i].opcode = IORING_RESTRICTION_SQE_OP;
		r[i].sqe_op = ops[i];
	}
	r[ARRAY_SIZE(ops)].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	r[ARRAY_SIZE(ops)].sqe_flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
	return ring_register(ring, IORING_REGISTER_RESTRICTIONS, r, ARRAY_SIZE(r));
}

/*
 * A thread that polls looks for completions in memory, so the kernel has to
 * interrupt it to put them there. One that sleeps need not be interrupted.
 */
static int make_ring(struct io_uring *ring, unsigned int entries, const struct blk_disk *disk,
		     struct io_uring_params *p)
{
	int ret = -EINVAL;

	*p = (struct io_uring_params){ .flags = IORING_SETUP_R_DISABLED |
						IORING_SETUP_COOP_TASKRUN };
	if (!disk->poll_us)
		ret = io_uring_queue_init_params(entries, ring, p);
	if (ret != -EINVAL)
		return ret;
	*p = (struct io_uring_params){ .flags = IORING_SETUP_R_DISABLED };	/* before 5.19 */
	return io_uring_queue_init_params(entries, ring, p);
}

/* A thread of the kernel looks for submissions: one for all queues of the disk. */
static int make_polled_ring(struct io_uring *ring, unsigned int entries, struct blk_disk *disk,
			    struct io_uring_params *p)
{
	int ret;

	*p = (struct io_uring_params){ .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SQPOLL,
				       .sq_thread_idle = SQPOLL_IDLE_MS };
	if (disk->sqpoll_fd >= 0) {
		p->flags |= IORING_SETUP_ATTACH_WQ;
		p->wq_fd = (uint32_t)disk->sqpoll_fd;
	}
	ret = io_uring_queue_init_params(entries, ring, p);
	if (!ret && disk->sqpoll_fd < 0)
		disk->sqpoll_fd = ring->ring_fd;
	return ret;
}

int blk_uring_ring_create(struct io_uring *ring, unsigned int entries, struct blk_disk *disk)
{
	struct io_uring_params p;
	int ret = disk->sqpoll ? make_polled_ring(ring, entries, disk, &p) :
				 make_ring(ring, entries, disk, &p);

	if (ret)
		return ret;
	ret = p.features & IORING_FEAT_CQE_SKIP ? 0 : -EOPNOTSUPP;
	if (!ret)
		ret = io_uring_register_files(ring, &disk->backend->fd, 1);
	if (!ret)
		ret = restrict_ring(ring);
	if (!ret)
		ret = ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (ret)
		io_uring_queue_exit(ring);
	return ret;
}
