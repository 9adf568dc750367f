/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MSI register block of a virtio-mmio device: caches messages, commits
 * them together on the enable, masks in software. docs/virtio-mmio-msi.md.
 *
 * vCPUs come here with the transport's lock held, maybe for as long as a disk
 * takes. What the main thread needs when a commit has ended is under a lock of
 * its own, never held over anything that could wait: no log line, no call of a
 * device. A vector's state word needs none; queue threads change it as they
 * signal.
 */
#ifndef MIMSY_VMMIO_MSI_H
#define MIMSY_VMMIO_MSI_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "irq_sink.h"
#include "log.h"
#include "virtio_dev.h"

#define VMMIO_MSI_MAX_VECTORS (VIRTIO_MAX_QUEUES + 1)

/* Bits of a vector's state. A signal passes only if none of the first two is set. */
#define VMMIO_MSI_MASKED	1u	/* by the driver */
#define VMMIO_MSI_HELD		2u	/* by us: no message of it is in force */
#define VMMIO_MSI_PENDING	4u	/* a signal was held back */

struct vmmio_msi_vector {
	atomic_uint state;		/* any thread */
	struct msi_message msg;		/* last one accepted; transport's lock */
	bool programmed;		/* msg is staged or in force; lock */
};

struct vmmio_msi {
	struct irq_sink *sink;		/* set once; nr_vectors 0: no such block */
	struct guest_errors *errors;	/* set once */
	pthread_mutex_t lock;		/* a leaf but for the sink's */
	bool enabled;			/* lock; constant while the device runs */
	bool settling;			/* lock: a commit is under way */
	uint16_t result;		/* lock: what the command register reads as */
	uint16_t nr_used;		/* vectors the driver uses; transport's lock */
	struct msi_message staged;	/* what the next UPDATE takes; transport's lock */
	struct vmmio_msi_vector vector[VMMIO_MSI_MAX_VECTORS];
};

void vmmio_msi_init(struct vmmio_msi *m, struct irq_sink *sink, struct guest_errors *errors);

/* Back to the initial state: no message, no GSI, nothing pending. No queue thread runs. */
void vmmio_msi_reset(struct vmmio_msi *m);

/* off is relative to the block. An access of a width that means nothing reads 0. */
uint32_t vmmio_msi_read(struct vmmio_msi *m, uint32_t off, uint32_t len);

/* running: DRIVER_OK is set, so the mode cannot change any more. */
void vmmio_msi_write(struct vmmio_msi *m, uint32_t off, uint32_t len, uint32_t val, bool running);

/* A commit that was under way has ended. Any thread, with our lock held, not the transport's. */
void vmmio_msi_settled(struct vmmio_msi *m);

/* The same, but the host refused it. false: it was a driver's before the last reset. */
bool vmmio_msi_refused(struct vmmio_msi *m);

/* Any thread: signals pass; neither masked nor held. */
bool vmmio_msi_is_open(const struct vmmio_msi *m, unsigned int vector);

/*
 * Any thread: the eventfd to signal, or -1 if the signal is held back. A vector
 * masked or programmed between this and the signal does not stop it: it goes by
 * the message that is in force then. Nobody counts such signals, for it may be
 * the kernel that writes them (io_uring); the reset waits for the threads.
 */
int vmmio_msi_begin(struct vmmio_msi *m, unsigned int vector);

#endif
