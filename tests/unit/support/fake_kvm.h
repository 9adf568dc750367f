/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands where vmm/kvm.c would, for the three calls of vmm/msi.c. It keeps
 * the routes and irqfds as KVM would and counts what KVM would let pass
 * although it loses interrupts: an irqfd without a route, a route taken away
 * under a bound irqfd, a table without the pins of the irqchip.
 *
 * It defines kvm_set_routing(), kvm_irqfd_bind() and kvm_irqfd_unbind(); a
 * test that uses it must not need the real ones.
 */
#ifndef MIMSY_TEST_FAKE_KVM_H
#define MIMSY_TEST_FAKE_KVM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "irq_sink.h"
#include "kvm.h"
#include "layout.h"

#define FAKE_KVM_NR_GSIS (LAYOUT_GSI_MSI_LAST + 1)
#define FAKE_KVM_MAX_ROUTES 4096u	/* KVM's own bound, pins included */
#define FAKE_KVM_POISON 0x40bau	/* a table with this data is refused, sound as it looks */

struct fake_kvm {
	struct kvm kvm;
	pthread_mutex_t lock;
	bool routed[FAKE_KVM_NR_GSIS];
	struct msi_message route[FAKE_KVM_NR_GSIS];
	int bound_fd[FAKE_KVM_NR_GSIS];		/* -1: none */
	unsigned int nr_routed, nr_bound;	/* MSIs only */
	unsigned int nr_routings, nr_binds, nr_unbinds;
	unsigned int nr_violations;
	char trace[256];			/* R, B, U in the order of the calls */
	unsigned int trace_len;

	/* Set by the test: */
	int routing_result;			/* not 0: every routing call fails with it */
	int bind_result;			/* likewise */
	unsigned int bind_fails_after;		/* so many binds succeed before that */
	void (*on_routing)(void *arg);		/* called within a routing call, without the lock */
	void *on_routing_arg;
};

void fake_kvm_init(struct fake_kvm *f);

/* The route behind an eventfd; NULL: it is not bound, or has none. */
const struct msi_message *fake_kvm_route_of(struct fake_kvm *f, int fd);

#endif
