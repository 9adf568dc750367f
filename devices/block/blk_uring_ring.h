/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a ring of io_uring for a queue of a disk. It is restricted to what the
 * engine (blk_uring.c) does: a monitor taken over through it could not open a file.
 */
#ifndef MIMSY_BLK_URING_RING_H
#define MIMSY_BLK_URING_RING_H

#define BLK_RING_DISK 0		/* the image's index among the registered files */

struct io_uring;
struct blk_disk;

/* -errno, and nothing logged, if the host has no such ring for us. */
int blk_uring_ring_create(struct io_uring *ring, unsigned int entries, struct blk_disk *disk);

#endif
