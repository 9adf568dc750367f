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

struct irq_sink;
struct kvm;
struct msi_router;
struct vmmio;

struct machine {
	struct vmmio *dev[LAYOUT_VIRTIO_MAX];
	struct irq_sink *sink[LAYOUT_VIRTIO_MAX];
	unsigned int nr_devs;
};

/* All but machine are borrowed for its life. 0 or -errno, logged; free it in both cases. */
int machine_build(struct machine *m, const struct vm_config *c, const struct guest_mem *mem,
		  struct kvm *kvm, struct msi_router *router, struct bus *mmio);

/* Says to the firmware tables what was built. */
void machine_describe(const struct machine *m, const struct vm_config *c,
		      const struct guest_mem *mem, bool pit, struct fw_desc *desc);

/* All queues drained, all disks flushed, no device thread runs. */
void machine_stop(struct machine *m);
void machine_free(struct machine *m);

#endif
