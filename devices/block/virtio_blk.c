/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device as the driver sees it: features, configuration space, cache
 * mode. Requests are the queues' business (blk_queue.c); all that a queue has
 * to know of the disk is in struct blk_disk.
 */
#include "virtio_blk.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blk_queue.h"
#include "util.h"
#include "zalloc.h"

#define MAX_SEGMENTS 254u	/* data buffers of one request that we ask for at most */

struct virtio_blk {
	struct virtio_dev dev;
	struct blk_disk disk;
	enum virtio_blk_cache cache;		/* set once */
	uint64_t features;			/* transport's lock: negotiated, 0 while stopped */
	struct virtio_blk_config config;	/* transport's lock, for wce; else set once */
	struct blk_queue *queue[VIRTIO_BLK_MAX_QUEUES];	/* set once */
	bool started[VIRTIO_BLK_MAX_QUEUES];	/* transport's lock */
};

static struct virtio_blk *to_blk(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_blk, dev);
}

static void virtio_blk_read_config(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	memcpy(buf, (const uint8_t *)&to_blk(dev)->config + off, len);
}

/* virtio 1.2, 5.2.6.2: when a completed write has to be on stable storage already. */
static bool writes_are_stable(const struct virtio_blk *b)
{
	if (b->cache == VIRTIO_BLK_UNSAFE)
		return false;
	if (b->cache == VIRTIO_BLK_WRITETHROUGH || !(b->features & 1ull << VIRTIO_BLK_F_FLUSH))
		return true;
	return b->features & 1ull << VIRTIO_BLK_F_CONFIG_WCE && !b->config.wce;
}

/* Only the cache mode can be written. Earlier writes count as stable once it is off. */
static void virtio_blk_write_config(struct virtio_dev *dev, uint32_t off, const void *buf,
				    uint32_t len)
{
	struct virtio_blk *b = to_blk(dev);
	bool was_stable = atomic_load(&b->disk.stable_writes);

	if (off != offsetof(struct virtio_blk_config, wce) || len != 1 ||
	    !(dev->features & 1ull << VIRTIO_BLK_F_CONFIG_WCE)) {
		guest_error(&dev->errors, "write to the configuration space at %u", off);
		return;
	}
	b->config.wce = *(const uint8_t *)buf & 1;
	atomic_store(&b->disk.stable_writes, writes_are_stable(b));
	if (b->features && writes_are_stable(b) && !was_stable)
		blk_flush_run(b->disk.flush);
}

static int virtio_blk_start(struct virtio_dev *dev, const struct virtio_start *s)
{
	struct virtio_blk *b = to_blk(dev);

	b->features = s->features;
	atomic_store(&b->disk.ending, false);
	atomic_store(&b->disk.settled, false);
	atomic_store(&b->disk.stable_writes, writes_are_stable(b));
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		b->started[i] = s->queue[i].vq;
		if (b->started[i])
			blk_queue_start(b->queue[i], &s->queue[i], s->transport);
	}
	return 0;
}

static void virtio_blk_stop(struct virtio_dev *dev)
{
	struct virtio_blk *b = to_blk(dev);

	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		if (b->started[i])
			blk_queue_stop(b->queue[i]);
		b->started[i] = false;
	}
	b->features = 0;
	b->config.wce = b->cache != VIRTIO_BLK_WRITETHROUGH;
}

/* The queues' threads do it all, the last flush included. */
static void virtio_blk_end(struct virtio_dev *dev)
{
	struct virtio_blk *b = to_blk(dev);
	bool any = false;

	atomic_store(&b->disk.ending, true);
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		if (b->started[i])
			blk_queue_ask(b->queue[i]);
		any |= b->started[i];
	}
	if (!any)
		blk_queue_settle(b->queue[0]);
}

static int virtio_blk_settle(struct virtio_dev *dev)
{
	struct blk_disk *disk = &to_blk(dev)->disk;

	blk_queue_stop(to_blk(dev)->queue[0]);	/* it may be doing so */
	if (disk->backend->readonly)
		return 0;
	return atomic_load(&disk->settled) ? blk_flush_error(disk->flush) :
					     blk_flush_run(disk->flush);
}

static void virtio_blk_free(struct virtio_dev *dev)
{
	struct virtio_blk *b = to_blk(dev);

	for (unsigned int i = 0; i < ARRAY_SIZE(b->queue); i++)
		blk_queue_leave(b->queue[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(b->queue); i++)
		blk_queue_free(b->queue[i]);
	blk_flush_free(b->disk.flush);
	b->disk.backend->ops->free(b->disk.backend);
	free(b);
}

static void virtio_blk_stats(struct virtio_dev *dev,
			     void (*emit)(void *ctx, const char *key, uint64_t value), void *ctx)
{
	emit(ctx, "io_uring", blk_queue_has_uring(to_blk(dev)->queue[0]));
}

static void virtio_blk_queue_stats(struct virtio_dev *dev, unsigned int queue,
				   void (*emit)(void *ctx, const char *key, uint64_t value),
				   void *ctx)
{
	blk_queue_stats(to_blk(dev)->queue[queue], emit, ctx);
}

static const struct virtio_dev_ops virtio_blk_ops = {
	.read_config = virtio_blk_read_config,
	.write_config = virtio_blk_write_config,
	.start = virtio_blk_start,
	.stop = virtio_blk_stop,
	.end = virtio_blk_end,
	.settle = virtio_blk_settle,
	.free = virtio_blk_free,
	.stats = virtio_blk_stats,
	.queue_stats = virtio_blk_queue_stats,
};

static uint64_t offered_features(const struct virtio_blk_cfg *cfg, const struct blk_backend *be)
{
	uint64_t f = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
		     1ull << VIRTIO_BLK_F_TOPOLOGY | 1ull << VIRTIO_RING_F_EVENT_IDX |
		     1ull << VIRTIO_RING_F_INDIRECT_DESC;

	if (cfg->queues > 1)
		f |= 1ull << VIRTIO_BLK_F_MQ;
	if (be->readonly)
		return f | 1ull << VIRTIO_BLK_F_RO;
	f |= 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
	if (!cfg->no_discard)
		f |= 1ull << VIRTIO_BLK_F_DISCARD;
	if (cfg->cache != VIRTIO_BLK_WRITETHROUGH)
		f |= 1ull << VIRTIO_BLK_F_FLUSH;
	if (cfg->cache == VIRTIO_BLK_WRITEBACK)
		f |= 1ull << VIRTIO_BLK_F_CONFIG_WCE;
	return f;
}

static void fill_config(struct virtio_blk_config *c, const struct virtio_blk_cfg *cfg,
			const struct blk_backend *be)
{
	uint32_t per_physical = be->physical_block_size / be->block_size;

	c->capacity = htole64(be->size / BLK_SECTOR);
	c->seg_max = htole32(MIN(cfg->queue_size - 2u, MAX_SEGMENTS));
	c->blk_size = htole32(be->block_size);
	c->physical_block_exp = (uint8_t)__builtin_ctz(per_physical);
	c->min_io_size = htole16((uint16_t)MIN(per_physical, UINT16_MAX));
	c->opt_io_size = htole32(be->optimal_io_size / be->block_size);
	c->wce = cfg->cache != VIRTIO_BLK_WRITETHROUGH;
	c->num_queues = htole16(cfg->queues);
	c->max_discard_sectors = htole32(BLK_MAX_DISCARD);
	c->max_discard_seg = htole32(BLK_MAX_RANGES);
	c->discard_sector_alignment = htole32(be->physical_block_size / BLK_SECTOR);
	c->max_write_zeroes_sectors = htole32(BLK_MAX_WRITE_ZEROES);
	c->max_write_zeroes_seg = htole32(BLK_MAX_RANGES);
	c->write_zeroes_may_unmap = !cfg->no_discard;
}

static const char *why_no_uring(int err)
{
	switch (err) {
	case -ENOMEM:
		return "no memory, or the limit of locked memory (ulimit -l) is reached";
	case -EPERM:
	case -EACCES:
		return "it is not permitted (kernel.io_uring_disabled)";
	case -ENOSYS:
	case -EINVAL:
	case -EOPNOTSUPP:
		return "it takes Linux 5.17 or later";
	default:
		return strerror(-err);
	}
}

static int create_queues(struct virtio_blk *b, const struct virtio_blk_cfg *cfg)
{
	bool wanted = cfg->aio != VIRTIO_BLK_AIO_THREADS && b->disk.backend->fd >= 0;
	int no_uring = wanted ? 0 : -EOPNOTSUPP;
	char name[32];
	int ret = 0;

	for (unsigned int i = 0; i < cfg->queues && !ret; i++) {
		snprintf(name, sizeof(name), "%.9s-q%u", b->dev.errors.name, i);
		ret = blk_queue_create(&b->queue[i], &b->disk, name, cfg->queue_size,
				       &no_uring);
		if (!ret && cfg->nr_cpus)
			ret = blk_queue_pin(b->queue[i], cfg->cpus[i % cfg->nr_cpus]);
	}
	if (ret || !no_uring)
		return ret;
	if (cfg->sqpoll)
		return log_fail(-ENOTSUP, "%s: sqpoll=on: no such io_uring: %s",
				b->dev.errors.name, why_no_uring(no_uring));
	if (wanted && cfg->aio == VIRTIO_BLK_AIO_IO_URING)
		log_warn("%s: no io_uring: %s; requests are done one by one", b->dev.errors.name,
			 why_no_uring(no_uring));
	else if (wanted)
		log_info("%s: no io_uring: %s", b->dev.errors.name, why_no_uring(no_uring));
	return 0;
}

static bool cfg_is_valid(const struct virtio_blk_cfg *cfg)
{
	return cfg->queues && cfg->queues <= VIRTIO_BLK_MAX_QUEUES &&
	       cfg->queue_size >= VIRTIO_BLK_MIN_SIZE && cfg->queue_size <= VIRTQ_MAX_SIZE &&
	       !(cfg->queue_size & (cfg->queue_size - 1));
}

static void init_disk(struct virtio_blk *b, const struct virtio_blk_cfg *cfg,
		      struct blk_backend *be)
{
	b->disk.backend = be;
	b->disk.errors = &b->dev.errors;
	b->disk.limits.nr_sectors = be->size / BLK_SECTOR;
	b->disk.limits.readonly = be->readonly;
	b->disk.limits.no_discard = cfg->no_discard;
	memcpy(b->disk.serial, cfg->serial, MIN(strlen(cfg->serial), sizeof(b->disk.serial)));
	b->disk.ignore_flush = cfg->cache == VIRTIO_BLK_UNSAFE;
	b->disk.poll_us = cfg->poll_us;
	b->disk.sqpoll = cfg->sqpoll;
	b->disk.sqpoll_fd = -1;
	b->disk.entry = cfg->entry;
	b->disk.uring_entry = cfg->uring_entry;
}

int virtio_blk_create(struct virtio_dev **out, const struct virtio_blk_cfg *cfg,
		      struct blk_backend *be, const char *name)
{
	struct virtio_blk *b = cfg_is_valid(cfg) ? zalloc(1, sizeof(*b)) : NULL;
	int ret;

	if (!b) {
		be->ops->free(be);
		return cfg_is_valid(cfg) ? -ENOMEM : -EINVAL;
	}
	b->dev.ops = &virtio_blk_ops;
	b->dev.device_id = VIRTIO_ID_BLOCK;
	b->dev.nr_queues = cfg->queues;
	b->dev.queue_size_max = cfg->queue_size;
	b->dev.config_len = sizeof(b->config);
	b->dev.features = offered_features(cfg, be);
	guest_errors_init(&b->dev.errors, name);
	b->cache = cfg->cache;
	init_disk(b, cfg, be);
	fill_config(&b->config, cfg, be);
	ret = blk_flush_create(&b->disk.flush, be);
	if (!ret)
		ret = create_queues(b, cfg);
	if (ret) {
		virtio_blk_free(&b->dev);
		return ret;
	}
	*out = &b->dev;
	return 0;
}
