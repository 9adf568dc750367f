/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the configuration to devices on the bus. The only file that names
 * every device type; nothing but calls.
 */
#ifndef MIMSY_MACHINE_H
#define MIMSY_MACHINE_H

#include "bus.h"
#include "config.h"
#include "fw_desc.h"
#include "guest_mem.h"
#include "layout.h"
#include "vmmio.h"

struct blk_identity;

struct blk_backend;
struct irq_sink;
struct kvm;
struct msi_router;
struct net_backend;
struct sandbox;

struct machine_kicks {			/* how KVM learns of a device's kicks */
	struct vmmio_kicks kicks;
	struct kvm *kvm;
	uint64_t window;		/* guest address */
	bool any_value;			/* the classic register has one queue's kicks only */
};

struct machine {
	struct blk_backend *disk[LAYOUT_VIRTIO_MAX];	/* opened; NULL once its device has it */
	struct net_backend *net[LAYOUT_VIRTIO_MAX];	/* the same */
	struct vmmio *dev[LAYOUT_VIRTIO_MAX];
	struct irq_sink *sink[LAYOUT_VIRTIO_MAX];
	struct machine_kicks kicks[LAYOUT_VIRTIO_MAX];
	unsigned int nr_devs;
};

/* Opens images and taps: all that needs a path or a right. 0 or -errno, logged. */
int machine_open(struct machine *m, const struct vm_config *c);

/* Bytes of the largest disk. After machine_open(). */
/* Is that file, or device, a disk of this machine? Before machine_build(). */
bool machine_has_disk(const struct machine *m, const struct blk_identity *id);
uint64_t machine_max_disk(const struct machine *m);

/* Threads that the devices will have. */
unsigned int machine_nr_threads(const struct vm_config *c);

/* Bytes that the devices may come to use, whatever their drivers do: an upper bound. */
uint64_t machine_memory(const struct vm_config *c);

/* Bytes of memory that len bytes written to a file take for good: all of them on tmpfs, else 0. */
uint64_t machine_file_memory(int fd, uint64_t len);

/* The same of all images that are written to. Before machine_build(). */
uint64_t machine_image_memory(const struct machine *m);

/* What the devices are built upon; borrowed for the machine's life. */
struct machine_env {
	const struct guest_mem *mem;
	struct kvm *kvm;
	struct msi_router *router;
	struct bus *mmio;
	const struct sandbox *sandbox;	/* NULL: threads keep their rights */
};

/* Devices and their threads, from what was opened. 0 or -errno, logged. */
int machine_build(struct machine *m, const struct vm_config *c, const struct machine_env *env);

/* Says to the firmware tables what was built. */
void machine_describe(const struct machine *m, const struct vm_config *c,
		      const struct guest_mem *mem, bool pit, struct fw_desc *desc);

/* All queues drained, all disks flushed, no device thread runs. -errno: a flush failed. */
int machine_stop(struct machine *m);
void machine_free(struct machine *m);	/* a half-built one too */

#endif
