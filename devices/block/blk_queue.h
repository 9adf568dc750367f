/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One queue of a disk: a worker thread that takes requests from the ring,
 * carries them out and interrupts the driver.
 *
 * Created, started, stopped and freed by the device; between start and stop
 * the virtqueue belongs to the worker.
 */
#ifndef MIMSY_BLK_QUEUE_H
#define MIMSY_BLK_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "blk_backend.h"
#include "blk_flush.h"
#include "blk_req.h"
#include "virtio_dev.h"

struct blk_queue;
struct worker_entry;

/* What the queues of one disk share. */
struct blk_disk {
	struct blk_backend *backend;	/* set once */
	struct blk_flush *flush;	/* set once */
	struct guest_errors *errors;	/* set once */
	struct blk_limits limits;	/* set once */
	char serial[BLK_ID_LEN];	/* set once; padded with NUL */
	bool ignore_flush;		/* set once: cache=unsafe */
	/* Set once: for threads of queues without and with io_uring. NULL: none. */
	const struct worker_entry *entry, *uring_entry;
	uint32_t poll_us;		/* set once: longest wait without sleeping */
	bool sqpoll;			/* set once: the kernel polls for submissions ... */
	int sqpoll_fd;			/* ... with the thread of this ring; -1: none yet */
	atomic_bool stable_writes;	/* transport's lock: writes are stable when done */
	atomic_uint nr_running;		/* queues whose threads are in them */
	atomic_bool ending;		/* the last one to leave makes the disk lasting ... */
	atomic_bool settled;		/* ... which was done, well or not */
};

/*
 * disk is borrowed; size is the largest ring; name is the thread's. *no_uring:
 * 0: use io_uring, and if the host does not let us the -errno is put there.
 */
int blk_queue_create(struct blk_queue **out, struct blk_disk *disk, const char *name,
		     uint16_t size, int *no_uring);
void blk_queue_leave(struct blk_queue *q);	/* its thread may go; only free may follow */
void blk_queue_free(struct blk_queue *q);	/* NULL is allowed, above too */

/* Does io_uring do the I/O? */
bool blk_queue_has_uring(const struct blk_queue *q);

/* Runs the queue's thread on one host CPU. */
int blk_queue_pin(struct blk_queue *q, int cpu);

/* vq and t are borrowed until blk_queue_stop() has returned. */
void blk_queue_start(struct blk_queue *q, const struct virtio_queue *vq,
		     struct virtio_transport *t);

/* Begins a stop, which has to follow, and waits for nothing. */
void blk_queue_ask(struct blk_queue *q);

/* The same for a queue that is not started: its thread makes the disk lasting. */
void blk_queue_settle(struct blk_queue *q);

/* What was made available before is done and answered, nothing is in flight after. */
void blk_queue_stop(struct blk_queue *q);

/* Any thread. */
void blk_queue_stats(const struct blk_queue *q,
		     void (*emit)(void *ctx, const char *key, uint64_t value), void *ctx);

#endif
