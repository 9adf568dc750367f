/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flushes of one disk, shared by all its queues. virtio 1.2, 5.2.6.
 *
 * Linux tells of a page that it could not write back once for each open file
 * description, and a disk has one: of two fdatasync(2) calls that overlap one
 * gets the error and the other 0, though the lost page may be the other's. So:
 *
 * 1. One flush of a disk is in flight at any time.
 * 2. Its result is noted before anybody is answered and before the next one
 *    begins. An error is final: no later flush succeeds.
 * 3. A flush that began after a write was done covers that write, whoever began
 *    it. Whoever wants one takes the number of the next flush to begin as a
 *    ticket, after its writes were done; that flush serves it, or a later one.
 * 4. A stable write is a write and then such a flush. No write asks the kernel
 *    to flush by itself (RWF_DSYNC), as that would be a second flush in flight.
 *
 * All that wait for one flush share it. Any thread may call; nothing here is a
 * system call but the flush itself, unless two want one at the same time.
 */
#ifndef MIMSY_BLK_FLUSH_H
#define MIMSY_BLK_FLUSH_H

#include <stdbool.h>
#include <stdint.h>

struct blk_backend;
struct blk_flush;

/* One that does not sleep while it waits: its owner's, untouched by it while queued. */
struct blk_flush_waiter {
	struct blk_flush_waiter *next;
	int wake_fd;		/* eventfd; 1 is written to it when a flush has ended */
	bool queued;
};

struct blk_flush_view {
	uint64_t done;		/* tickets up to this one are served */
	int error;		/* 0, or -errno: nobody is served any more */
	bool begin;		/* the caller has to flush now and then call blk_flush_end() */
};

/* backend is borrowed. -ENOMEM */
int blk_flush_create(struct blk_flush **out, struct blk_backend *backend);
void blk_flush_free(struct blk_flush *f);	/* NULL is allowed */

/* Flushes and waits. Returns 0 or the -errno of the first flush that failed. */
int blk_flush_run(struct blk_flush *f);

/* The -errno of the first flush that failed; 0: none did. */
int blk_flush_error(struct blk_flush *f);

/* The flush that covers what was written before. */
uint64_t blk_flush_ticket(struct blk_flush *f);

/*
 * For one whose tickets go up to last and who does not sleep. If not all of
 * them are served, either the flush is the caller's (begin) or w is queued and
 * woken once, when the flush in flight ends: then it has to look again.
 */
struct blk_flush_view blk_flush_look(struct blk_flush *f, uint64_t last,
				     struct blk_flush_waiter *w);

/* The caller's flush has ended. result: 0, or -errno of fdatasync(2), which is final. */
void blk_flush_end(struct blk_flush *f, int result);

#endif
