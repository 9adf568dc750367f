/* SPDX-License-Identifier: Apache-2.0 */
/* The io_uring engine of a disk queue. */
#ifndef MIMSY_BLK_URING_H
#define MIMSY_BLK_URING_H

struct blk_queue;
struct blk_uring;

/* -errno, and nothing logged, if the host has no io_uring for us. q is borrowed. */
int blk_uring_create(struct blk_uring **out, struct blk_queue *q);
void blk_uring_free(struct blk_uring *u);	/* NULL is allowed */

/* The worker's job; arg is the struct blk_queue. */
void blk_uring_run(void *arg);

#endif
