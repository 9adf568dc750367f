/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU: a thread that runs the guest and passes its exits to the buses.
 *
 * The thread is made before the guest runs and waits for vcpu_start(). It
 * ends when the guest does, or on vcpu_stop().
 */
#ifndef MIMSY_VCPU_H
#define MIMSY_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "bus.h"

struct kvm;
struct vcpu;
struct worker_entry;

/* Why a vCPU thread gave up; kept in this order in vcpu_env.ended's users. */
enum vcpu_end {
	VCPU_END_CRASH,		/* triple fault, KVM internal error: the guest's fault */
	VCPU_END_ERROR,		/* KVM_RUN failed: the host's */
};

struct vcpu_env {			/* shared by all vCPUs, constant but for the last two */
	struct kvm *kvm;
	const struct bus *mmio, *pio;
	/* On the vCPU's thread, once per vCPU at the most. It has logged the reason. */
	void (*ended)(void *ctx, enum vcpu_end end);
	void *ctx;
	const struct worker_entry *entry;	/* what a thread does first; NULL: nothing */
	pthread_rwlock_t gate;		/* write-locked while no thread may enter the guest */
	atomic_bool over;		/* any thread sets: no vCPU enters the guest again */
};

/* Exits to the monitor by cause; written by the vCPU's thread, read after its end. */
struct vcpu_stats {
	uint64_t mmio, pio, intr, other;
	uint64_t unclaimed;		/* MMIO and port accesses that nobody answers */
};

/* Makes the KVM vCPU. Its registers are then set through vcpu_fd(). */
int vcpu_create(struct vcpu **out, struct vcpu_env *env, unsigned int id);
void vcpu_free(struct vcpu *v);		/* NULL is allowed; after vcpu_join or never started */
int vcpu_fd(const struct vcpu *v);

/* Starts the thread, pinned to host CPU cpu unless that is -1. */
int vcpu_start(struct vcpu *v, int cpu);

/* Asks the thread to end; any thread, more than once if you like. */
void vcpu_stop(struct vcpu *v);
void vcpu_join(struct vcpu *v);		/* does nothing if it was not started */

void vcpu_stats(const struct vcpu *v, struct vcpu_stats *s);

/* Between the two, on one thread: vCPUs are started, but their threads wait. */
void vcpu_gate_close(struct vcpu_env *env);
void vcpu_gate_open(struct vcpu_env *env);

/* Before the first vcpu_start: the signal that gets a thread out of KVM_RUN. */
void vcpu_signal_init(void);

#endif
