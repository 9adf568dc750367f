/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mmio transport, version 2, with MSI. virtio 1.2, section 4.2;
 * docs/virtio-mmio-msi.md for what is added to it.
 *
 * One lock per device: vCPU threads take it for each register access. Kicks
 * and interrupts take none.
 */
#ifndef MIMSY_VMMIO_H
#define MIMSY_VMMIO_H

#include <stdint.h>

#include "bus.h"
#include "guest_mem.h"
#include "irq_sink.h"
#include "virtio_dev.h"

struct vmmio;

/* The window's layout, in bytes. */
#define VMMIO_WINDOW_LEN	0x2000u
#define VMMIO_DOORBELL		0x1000u		/* of queue 0 */
#define VMMIO_DOORBELL_STRIDE	4u

/*
 * Takes dev (freed with the transport, also when this fails). mem and sink
 * are borrowed. sink->nr_vectors == 0 hides MSI from the guest, and doorbells
 * with it; doorbells == false hides those alone.
 */
int vmmio_create(struct vmmio **out, struct virtio_dev *dev, const struct guest_mem *mem,
		 struct irq_sink *sink, bool doorbells);

/* NULL is allowed. Stops the device first. */
void vmmio_free(struct vmmio *t);

/* ctx is the struct vmmio. */
extern const struct bus_ops vmmio_bus_ops;

/* The VM ends: begins what vmmio_stop(), which has to follow, will wait for. */
void vmmio_end(struct vmmio *t);

/*
 * Stops the device for good: what the driver asked for is done and lasting, no
 * thread runs. 0, or -errno (logged): not all of it is lasting.
 */
int vmmio_stop(struct vmmio *t);

/* Where a driver writes to kick a queue. */
enum vmmio_place { VMMIO_PLACE_NOTIFY, VMMIO_PLACE_DOORBELL };

struct vmmio_kicks {
	/*
	 * From now on a write of queue q's kick signals fd without an exit. If
	 * that cannot be had it logs why, and kicks go on as exits. Called with
	 * the transport's lock held, once at the most for each q and place.
	 */
	void (*bind)(void *ctx, unsigned int q, enum vmmio_place place, int fd);
	void *ctx;
};

/* kicks is borrowed; before the guest runs. */
void vmmio_set_kicks(struct vmmio *t, const struct vmmio_kicks *kicks);
struct virtio_dev *vmmio_dev(const struct vmmio *t);

/* A snapshot of the transport's counters. Any thread. */
struct vmmio_stats {
	uint64_t register_reads, register_writes;	/* exits to the monitor */
	uint64_t running_accesses;			/* of these: while DRIVER_OK was set */
	uint64_t notify_writes;				/* of these: kicks without ioeventfd */
	uint64_t resets;
	uint64_t guest_errors;
	const char *irq_mode;		/* while it ran last: "msi", "line"; "none": never */
	unsigned int nr_vectors;	/* likewise: in use; 0 in line mode */
};

void vmmio_stats(struct vmmio *t, struct vmmio_stats *s);

/* Interrupts of queue q (or the configuration: q == nr_queues): signals sent, held back. */
struct vmmio_irq_stats {
	uint64_t signals;
	uint64_t suppressed;		/* masked, or the line was up already */
	uint32_t vector;		/* index in the MSI table; in line mode 0 */
	uint32_t message_data;		/* MSI: low byte is the CPU's vector number */
};

void vmmio_irq_stats(struct vmmio *t, unsigned int q, struct vmmio_irq_stats *s);

#endif
