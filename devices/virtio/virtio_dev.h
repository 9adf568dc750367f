/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between a transport (vmmio) and a device type (blk, net).
 *
 * The transport calls the ops, one call at a time, with its lock held. A
 * device embeds struct virtio_dev first, fills it in before vmmio_create()
 * and leaves it alone afterwards. Queues belong to the device between start()
 * and the return of stop(); nothing else touches them then.
 *
 * What a device may call, from any of its threads while started:
 * virtio_irq_*(), virtio_needs_reset(), virtio_config_changed().
 */
#ifndef MIMSY_VIRTIO_DEV_H
#define MIMSY_VIRTIO_DEV_H

#include <stdbool.h>
#include <stdint.h>

#include "guest_mem.h"
#include "log.h"
#include "virtq.h"

#define VIRTIO_MAX_QUEUES 65u		/* 32 net pairs and a control queue */

struct virtio_dev;
struct virtio_irq;			/* one per queue; the transport's */
struct virtio_transport;		/* opaque handle for the calls upward */

struct virtio_queue {
	struct virtq *vq;		/* started; NULL: the driver left the queue out */
	int kick_fd;			/* eventfd, readable after a doorbell; blocking reads */
	struct virtio_irq *irq;
	struct virtq_cfg cfg;		/* for vhost, which has its own ring code; checked */
	bool inline_kick;		/* false; start() may set it: kicks go to ops->kick() */
};

struct virtio_start {
	struct virtio_queue *queue;	/* dev->nr_queues entries, valid until stop() returns */
	uint64_t features;		/* negotiated */
	struct virtio_transport *transport;
};

struct virtio_dev_ops {
	/* buf is zeroed; off + len <= dev->config_len. virtio 1.2, 2.5 */
	void (*read_config)(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len);
	/* NULL: nothing in the configuration space is writable */
	void (*write_config)(struct virtio_dev *dev, uint32_t off, const void *buf, uint32_t len);
	/* DRIVER_OK was set. -errno: DEVICE_NEEDS_RESET. Called again only after stop(). */
	int (*start)(struct virtio_dev *dev, const struct virtio_start *s);
	/* NULL, or a kick of a queue with inline_kick, on the vCPU that made it. May not wait. */
	void (*kick)(struct virtio_dev *dev, unsigned int queue);
	/* No I/O in flight, no thread in the queues once it returns. */
	void (*stop)(struct virtio_dev *dev);
	/*
	 * NULL, or the VM ends: begins all that stop() and settle() will wait
	 * for, and waits for nothing, so that no device waits for another's.
	 */
	void (*end)(struct virtio_dev *dev);
	/* NULL, or makes lasting what the driver left behind. Not started. 0 or -errno. */
	int (*settle)(struct virtio_dev *dev);
	/* The device is not started. Closes what it owns. */
	void (*free)(struct virtio_dev *dev);
	/*
	 * NULL, or told while started that virtio_irq_direct_fd() may answer
	 * differently now: by a vCPU, or by a queue's thread as it raises an
	 * interrupt. When it returns the old answer must not be used.
	 */
	void (*irq_changed)(struct virtio_dev *dev);
	/* NULL, or writes the device's counters as "key": value pairs through emit. */
	void (*stats)(struct virtio_dev *dev,
		      void (*emit)(void *ctx, const char *key, uint64_t value), void *ctx);
	/* NULL, or the same for one queue. */
	void (*queue_stats)(struct virtio_dev *dev, unsigned int queue,
			    void (*emit)(void *ctx, const char *key, uint64_t value), void *ctx);
};

struct virtio_dev {
	const struct virtio_dev_ops *ops;
	uint32_t device_id;		/* virtio 1.2, section 5 */
	uint16_t nr_queues;		/* 1..VIRTIO_MAX_QUEUES */
	uint16_t queue_size_max;	/* power of two, <= VIRTQ_MAX_SIZE */
	uint32_t config_len;		/* bytes of configuration space */
	uint64_t features;		/* offered; VERSION_1 is added by the transport */
	struct guest_errors errors;	/* name "blk0", "net1": also the log prefix */
};

/* Interrupts the driver for one queue. At most one write(2). */
void virtio_irq_raise(struct virtio_irq *irq);

/*
 * The same for callers that signal themselves (io_uring): returns the eventfd
 * to which a 1 has to be written, or -1 if no signal is due now (masked, or
 * the line is up already).
 */
int virtio_irq_begin(struct virtio_irq *irq);

/*
 * For signals that the kernel sends by itself (vhost): the eventfd that may be
 * signalled at any time without asking here again, until irq_changed(); or -1:
 * signal something else and pass it on through virtio_irq_raise().
 */
int virtio_irq_direct_fd(struct virtio_irq *irq);

/* The driver broke the protocol: sets DEVICE_NEEDS_RESET, tells the driver. Safe to repeat. */
void virtio_needs_reset(struct virtio_transport *t);

/* The configuration space has changed: new generation, configuration interrupt. */
void virtio_config_changed(struct virtio_transport *t);

#endif
