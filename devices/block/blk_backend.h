/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a disk's bytes are. Ranges were checked against size by the caller.
 *
 * All calls block, are safe from any number of threads at once (but for flush), transfer
 * everything or fail, and return 0 or -errno. An iovec array passed in may be
 * changed by the call. The backend uses nothing of virtio.
 */
#ifndef MIMSY_BLK_BACKEND_H
#define MIMSY_BLK_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct blk_backend;

struct blk_backend_ops {
	int (*readv)(struct blk_backend *b, struct iovec *iov, int nr_iov, uint64_t off);
	int (*writev)(struct blk_backend *b, struct iovec *iov, int nr_iov, uint64_t off);
	/* Makes every write that completed before it stable. One at a time: see blk_flush.h. */
	int (*flush)(struct blk_backend *b);
	/* A hint; success even if the host cannot. */
	int (*discard)(struct blk_backend *b, uint64_t off, uint64_t len);
	/* unmap: the space may be given back */
	int (*write_zeroes)(struct blk_backend *b, uint64_t off, uint64_t len, bool unmap);
	void (*free)(struct blk_backend *b);
};

/* The file or the device behind a disk; the same whatever its name. */
struct blk_identity {
	uint64_t dev, ino;		/* ino 0: a block device */
};

struct blk_backend {	/* set once */
	const struct blk_backend_ops *ops;
	uint64_t size;			/* bytes, a multiple of block_size */
	uint32_t block_size;		/* smallest unit of I/O; power of two, >= 512 */
	uint32_t physical_block_size;	/* power of two, >= block_size */
	uint32_t optimal_io_size;	/* bytes; 0: not known */
	bool readonly;
	bool direct;			/* the page cache is left out */
	bool async_reads, async_writes;	/* io_uring can do them without a thread of its own */
	struct blk_identity identity;
	int fd;				/* for io_uring; the backend's. -1: none */
};

#endif
