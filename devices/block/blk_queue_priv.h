/* SPDX-License-Identifier: Apache-2.0 */
/* A disk queue's insides, shared by its engines (blk_queue.c, blk_uring.c). */
#ifndef MIMSY_BLK_QUEUE_PRIV_H
#define MIMSY_BLK_QUEUE_PRIV_H

#include "blk_queue.h"
#include "counter.h"
#include "worker.h"

struct blk_queue {
	struct blk_disk *disk;			/* set once */
	struct worker *worker;			/* set once */
	struct blk_uring *uring;		/* set once; NULL: the plain engine */
	struct virtq *vq;			/* start to stop */
	int kick_fd;				/* start to stop */
	struct virtio_irq *irq;			/* start to stop */
	struct virtio_transport *transport;	/* start to stop */
	uint16_t max_iov;			/* set once */
	bool broken;				/* worker: the driver broke the ring */
	uint64_t poll_ns;			/* worker: current polling window */
	struct {				/* worker */
		struct counter reads, writes, flushes, others;
		struct counter bytes_read, bytes_written;
		struct counter errors, refused, kicks, interrupts;
	} stats;
	struct iovec iov[];			/* worker: the request being taken apart */
};

/* Adaptive polling: the queue slept so long before something came. */
void blk_queue_adapt_polling(struct blk_queue *q, uint64_t slept_ns);

enum blk_taken {
	BLK_TAKEN_NONE,		/* the ring is empty or broken */
	BLK_TAKEN_ANSWERED,	/* a request that was refused */
	BLK_TAKEN_TODO,		/* req is to be carried out, then completed */
};

/* Takes the next request; iov has room for q->max_iov entries and belongs to req then. */
enum blk_taken blk_queue_take(struct blk_queue *q, struct blk_req *req, uint16_t *head,
			      struct iovec *iov);

/* Carries a request out, but for the flush that it may need. Returns 0 or -errno. */
int blk_queue_execute(struct blk_queue *q, struct blk_req *req);

/*
 * Must a flush follow before the request is answered? Asked when all else is
 * done, as the driver may turn the cache off meanwhile.
 */
bool blk_queue_needs_flush(const struct blk_queue *q, const struct blk_req *req);

/* The last that a worker does with a ring that it has wound down. */
void blk_queue_leave_ring(struct blk_queue *q);

/* Answers a request; the driver sees it after the next publication. result: 0 or -errno. */
void blk_queue_complete(struct blk_queue *q, const struct blk_req *req, uint16_t head,
			int result);

#endif
