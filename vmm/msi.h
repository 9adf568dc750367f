/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts of all devices: GSIs, the routing table, irqfds.
 *
 * Devices say through struct irq_sink what they want; the main thread brings
 * KVM into line with it: msi_run() is called when msi_fd() is readable. It
 * unbinds irqfds that are not wanted any more, installs all changed routes
 * with one KVM_SET_GSI_ROUTING, then binds new irqfds, in this order, so a
 * bound irqfd always has a route. The number of such rounds per second is
 * limited, and so is the number in one call of msi_run(), for the main thread
 * has others to look after.
 */
#ifndef MIMSY_MSI_H
#define MIMSY_MSI_H

#include <stdint.h>

#include "irq_sink.h"

struct kvm;
struct msi_router;

/* kvm (borrowed) has its irqchip. */
int msi_router_create(struct msi_router **out, struct kvm *kvm);
void msi_router_free(struct msi_router *r);	/* NULL is allowed; all sinks are gone */

/* The eventfd of an IOAPIC pin, bound to it at the first call. Owned by the router. */
int msi_router_line(struct msi_router *r, uint32_t gsi, int *fd);

/* A device's interrupts: nr_vectors MSI vectors (maybe 0) and the line at pin gsi. */
int msi_sink_create(struct irq_sink **out, struct msi_router *r, unsigned int nr_vectors,
		    uint32_t line_gsi);
void msi_sink_free(struct irq_sink *sink);	/* NULL is allowed */

/* Main thread. */
int msi_fd(const struct msi_router *r);
void msi_run(struct msi_router *r);

struct msi_stats {
	uint64_t routing_calls;		/* KVM_SET_GSI_ROUTING */
	uint64_t irqfd_binds, irqfd_unbinds;
	uint64_t postponed;		/* rounds that had to wait for the rate limit */
	unsigned int gsis_in_use;
};

void msi_router_stats(struct msi_router *r, struct msi_stats *s);

#endif
