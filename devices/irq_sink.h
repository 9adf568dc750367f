/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a virtio-mmio transport needs from the interrupt controller. The
 * interface belongs to the devices; vmm/msi.c implements it over KVM, the
 * tests over a recorder.
 *
 * A vector is one eventfd for life. A new message changes only the GSI route
 * behind it. The line is one eventfd too, possibly shared by several devices:
 * whoever signals it has set its InterruptStatus before.
 *
 * set_message, clear_message, commit and release are called with a lock of the transport's
 * held and only note what is wanted; they make no system call but a wake-up.
 * The work is done by the main thread, so a vCPU never waits for KVM to
 * synchronise, and what a guest can cause per second is bounded there. That
 * thread waits for nobody in turn: settled() takes no lock that is held over
 * anything that could wait for a guest, a disk or a reader.
 */
#ifndef MIMSY_IRQ_SINK_H
#define MIMSY_IRQ_SINK_H

#include <stdint.h>

struct msi_message {
	uint32_t address_lo, address_hi, data;
};

struct irq_sink;

struct irq_sink_ops {
	/*
	 * Gives the vector a GSI if it has none and stages its message for
	 * the next commit. Messages were checked by the caller.
	 * -ENOSPC: no GSI is left; nothing is staged then. A vector that has a
	 * message keeps its GSI, so this cannot happen to it.
	 */
	int (*set_message)(struct irq_sink *sink, unsigned int vector,
			   const struct msi_message *msg);

	/* Takes the vector's message away: unbinds its irqfd, gives its GSI back, if any. */
	void (*clear_message)(struct irq_sink *sink, unsigned int vector);

	/*
	 * Makes everything staged effective: at most one KVM_SET_GSI_ROUTING,
	 * none if nothing changed, then binds irqfds not bound yet.
	 * 0: it is in force. -EINPROGRESS: sink->settled() will be called,
	 * from a thread that holds no lock; then ask again.
	 */
	int (*commit)(struct irq_sink *sink);

	/* Unbinds the irqfds, gives the GSIs back, forgets what was staged. */
	void (*release)(struct irq_sink *sink);
};

struct irq_sink {
	const struct irq_sink_ops *ops;
	unsigned int nr_vectors;	/* 0: the device has only its line */
	const int *vector_fd;		/* nr_vectors eventfds, owned by the sink */
	int line_fd;			/* eventfd, owned by the sink */
	void *owner;			/* set by the transport, with the next */
	void (*settled)(void *owner, int result);	/* -errno: KVM refused */
};

#endif
