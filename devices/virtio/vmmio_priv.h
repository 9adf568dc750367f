/* SPDX-License-Identifier: Apache-2.0 */
/* The transport's insides, shared by vmmio.c (registers) and vmmio_irq.c (calls from devices). */
#ifndef MIMSY_VMMIO_PRIV_H
#define MIMSY_VMMIO_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmmio.h"
#include "vmmio_msi.h"

struct virtio_irq {
	struct vmmio *t;			/* set once */
	uint16_t vector;			/* set at DRIVER_OK */
	uint32_t last_data;			/* transport's lock: message at the last stop */
	atomic_uint_fast64_t signals;		/* any thread */
	atomic_uint_fast64_t suppressed;	/* any thread */
};

/* What devices hold as struct virtio_transport. */
struct virtio_transport {
	atomic_uint isr;			/* InterruptStatus, line mode; any thread */
	atomic_uint generation;			/* ConfigGeneration; any thread */
	atomic_bool needs_reset;		/* any thread sets, reset clears */
	struct virtio_irq config_irq;
};

struct vmmio {
	pthread_mutex_t lock;
	struct virtio_dev *dev;			/* owned, set once */
	struct irq_sink *sink;			/* borrowed, set once */
	bool doorbells;				/* set once */
	const struct vmmio_kicks *kicks;	/* set once; NULL: kicks come as exits */
	struct virtio_transport tp;
	struct vmmio_msi msi;			/* lock, but for the states inside */
	uint32_t status;			/* lock; without NEEDS_RESET */
	uint32_t device_features_sel;		/* lock */
	uint32_t driver_features_sel;		/* lock */
	uint32_t queue_sel;			/* lock */
	uint64_t driver_features;		/* lock */
	bool doorbells_known;			/* lock: some driver has read where they are */
	bool started;				/* lock: the device owns the queues */
	atomic_bool irqs_opened;		/* the device has not been told yet; any thread */
	uint8_t bound[VIRTIO_MAX_QUEUES];	/* lock: a bit for each enum vmmio_place */
	struct vmmio_stats stats;		/* lock */
	struct virtq_cfg cfg[VIRTIO_MAX_QUEUES];	/* lock */
	struct virtq *vq[VIRTIO_MAX_QUEUES];	/* set once; the device's between start and stop */
	struct virtio_queue queue[VIRTIO_MAX_QUEUES];	/* handed to the device */
	struct virtio_irq irq[VIRTIO_MAX_QUEUES];
	int kick_fd[VIRTIO_MAX_QUEUES];		/* owned, set once */
};

/* vmmio_kick.c, with the lock */
void vmmio_kick(struct vmmio *t, uint64_t q, enum vmmio_place place);	/* one that was an exit */
void vmmio_bind_kicks(struct vmmio *t);		/* of the queues that have started */
void vmmio_drain_kicks(struct vmmio *t);

/* vmmio_irq.c */
void vmmio_irqs_changed(struct vmmio *t);	/* with the lock: tells the device */
void vmmio_irqs_opened(struct vmmio *t);	/* without: it is told some time */

#endif
