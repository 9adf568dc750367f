/* SPDX-License-Identifier: Apache-2.0 */
/* Block device. virtio 1.2, section 5.2. One worker thread for each queue. */
#ifndef MIMSY_VIRTIO_BLK_H
#define MIMSY_VIRTIO_BLK_H

#include <stdint.h>

#include "blk_backend.h"
#include "blk_file.h"
#include "virtio_dev.h"

#define VIRTIO_BLK_MAX_QUEUES	64u
#define VIRTIO_BLK_MIN_SIZE	4u	/* ring entries: header, data, status */
#define VIRTIO_BLK_SERIAL_LEN	20u

enum virtio_blk_cache {
	VIRTIO_BLK_WRITEBACK,		/* a write is stable after the next flush */
	VIRTIO_BLK_WRITETHROUGH,	/* ... when it completes */
	VIRTIO_BLK_UNSAFE,		/* flushes do nothing */
};

enum virtio_blk_aio {
	VIRTIO_BLK_AIO_AUTO,		/* io_uring if the host has it */
	VIRTIO_BLK_AIO_IO_URING,	/* the same; said when it is not there */
	VIRTIO_BLK_AIO_THREADS,		/* one request at a time for each queue */
};

struct worker_entry;

struct virtio_blk_cfg {
	struct blk_file_cfg file;
	uint16_t queues;		/* 1..VIRTIO_BLK_MAX_QUEUES */
	uint16_t queue_size;		/* power of two, VIRTIO_BLK_MIN_SIZE..VIRTQ_MAX_SIZE */
	char serial[VIRTIO_BLK_SERIAL_LEN + 1];
	enum virtio_blk_cache cache;
	enum virtio_blk_aio aio;
	uint32_t poll_us;		/* adaptive polling: longest wait awake; 0: none */
	bool no_discard;		/* the image keeps the space it has */
	bool sqpoll;			/* io_uring with a kernel thread that submits, or nothing */
	const int *cpus;		/* queue i's thread runs on CPU cpus[i % nr_cpus] */
	unsigned int nr_cpus;		/* 0: anywhere */
	/* For the queues' threads, without and with io_uring. NULL: none. */
	const struct worker_entry *entry, *uring_entry;
};

#define VIRTIO_BLK_CFG_DEFAULT { .file = { .fd = -1 }, .queues = 1, .queue_size = 256 }

/*
 * Takes backend, also when it fails. name ("blk0") is the log prefix; cfg is
 * not needed afterwards. -EINVAL: a number outside its range.
 */
int virtio_blk_create(struct virtio_dev **out, const struct virtio_blk_cfg *cfg,
		      struct blk_backend *backend, const char *name);

#endif
