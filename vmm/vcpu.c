/* SPDX-License-Identifier: Apache-2.0 */
#include "vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm.h"
#include "log.h"
#include "thread.h"
#include "util.h"
#include "worker.h"
#include "zalloc.h"

#define VCPU_SIGNAL	SIGUSR1

/*
 * A vCPU that waits for its start-up is told EAGAIN now and then, one that is
 * to stop EINTR. More than so many in a row are a host that has no thread or
 * no memory for us: it is asked again later and later.
 */
#define NR_FUTILE	16u
#define MAX_PAUSE_MS	100u

struct vcpu {
	struct vcpu_env *env;		/* borrowed */
	unsigned int id;
	int fd;
	struct kvm_run *run;		/* shared with KVM */
	pthread_t thread;
	bool started;			/* main thread */
	atomic_bool stopping;
	unsigned int nr_futile;		/* vCPU thread: times in a row that KVM did not run it */
	bool complained;		/* vCPU thread */
	struct vcpu_stats stats;	/* vCPU thread */
};

/* Its only use is to interrupt KVM_RUN. */
static void vcpu_on_signal(int sig)
{
	(void)sig;
}

void vcpu_signal_init(void)
{
	struct sigaction sa = { .sa_handler = vcpu_on_signal };

	sigaction(VCPU_SIGNAL, &sa, NULL);
}

int vcpu_create(struct vcpu **out, struct vcpu_env *env, unsigned int id)
{
	struct vcpu *v = zalloc(1, sizeof(*v));
	void *run;
	int ret;

	if (!v)
		return -ENOMEM;
	v->env = env;
	v->id = id;
	ret = kvm_create_vcpu(env->kvm, id, &v->fd);
	if (ret)
		goto fail;
	run = mmap(NULL, env->kvm->run_len, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (run == MAP_FAILED) {
		ret = log_errno("map vCPU %u", id);
		goto fail;
	}
	v->run = run;
	*out = v;
	return 0;
fail:
	vcpu_free(v);
	return ret;
}

void vcpu_free(struct vcpu *v)
{
	if (!v)
		return;
	if (v->run)
		munmap(v->run, v->env->kvm->run_len);
	if (v->fd >= 0)
		close(v->fd);
	free(v);
}

int vcpu_fd(const struct vcpu *v)
{
	return v->fd;
}

/* String instructions come as count accesses to one port, data in a row. */
static void vcpu_pio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint8_t size = run->io.size;
	bool claimed = true;

	v->stats.pio++;
	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			claimed &= bus_write(v->env->pio, run->io.port, data, size);
		else
			claimed &= bus_read(v->env->pio, run->io.port, data, size);
	}
	v->stats.unclaimed += !claimed;
}

static void vcpu_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint64_t addr = run->mmio.phys_addr;
	bool claimed;

	v->stats.mmio++;
	if (run->mmio.is_write)
		claimed = bus_write(v->env->mmio, addr, run->mmio.data, run->mmio.len);
	else
		claimed = bus_read(v->env->mmio, addr, run->mmio.data, run->mmio.len);
	v->stats.unclaimed += !claimed;
}

static void vcpu_log_crash(const struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	struct kvm_regs regs = { 0 };

	kvm_ioctl(v->fd, KVM_GET_REGS, &regs);
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		log_error("guest crashed: triple fault on vCPU %u at %#llx", v->id, regs.rip);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		log_error("guest crashed: KVM internal error %u on vCPU %u at %#llx",
			  run->internal.suberror, v->id, regs.rip);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		log_error("guest crashed: KVM cannot enter vCPU %u, reason %#llx", v->id,
			  run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		log_error("guest crashed: KVM exit reason %u on vCPU %u at %#llx",
			  run->exit_reason, v->id, regs.rip);
	}
}

/* false: this vCPU does not go on. */
static bool vcpu_handle_exit(struct vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_pio(v);
		return true;
	case KVM_EXIT_MMIO:
		vcpu_mmio(v);
		return true;
	case KVM_EXIT_INTR:
		v->stats.intr++;
		return true;
	case KVM_EXIT_IOAPIC_EOI:
	case KVM_EXIT_HLT:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		v->stats.other++;
		return true;
	}
	if (!atomic_load(&v->env->over))	/* all CPUs may crash at once */
		vcpu_log_crash(v);
	v->env->ended(v->env->ctx, VCPU_END_CRASH);
	return false;
}

/* A signal ends it. The wait is a futex, which each thread may have. */
static void vcpu_pause(unsigned int ms)
{
	struct timespec until;
	sem_t never;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)ms * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	sem_init(&never, 0, 0);
	sem_clockwait(&never, CLOCK_MONOTONIC, &until);
	sem_destroy(&never);
}

static void vcpu_try_later(struct vcpu *v, int err)
{
	v->stats.intr++;
	if (++v->nr_futile <= NR_FUTILE)
		return;
	if (err != EINTR && !v->complained) {
		v->complained = true;
		log_warn("KVM_RUN on vCPU %u: %s; trying again", v->id, strerror(err));
	}
	vcpu_pause(MIN(v->nr_futile - NR_FUTILE, MAX_PAUSE_MS));
}

static bool vcpu_run_once(struct vcpu *v)
{
	if (ioctl(v->fd, KVM_RUN, NULL) == 0) {
		v->nr_futile = 0;
		return vcpu_handle_exit(v);
	}
	if (errno == EINTR || errno == EAGAIN || errno == ENOMEM) {
		vcpu_try_later(v, errno);
		return true;
	}
	log_errno("KVM_RUN on vCPU %u", v->id);
	v->env->ended(v->env->ctx, VCPU_END_ERROR);
	return false;
}

void vcpu_gate_close(struct vcpu_env *env)
{
	pthread_rwlock_wrlock(&env->gate);
}

void vcpu_gate_open(struct vcpu_env *env)
{
	pthread_rwlock_unlock(&env->gate);
}

static void vcpu_wait_gate(struct vcpu_env *env)
{
	pthread_rwlock_rdlock(&env->gate);
	pthread_rwlock_unlock(&env->gate);
}

/* A guest that has powered off runs no further instruction. */
static bool vcpu_is_over(const struct vcpu *v)
{
	return atomic_load_explicit(&v->stopping, memory_order_relaxed) ||
	       atomic_load_explicit(&v->env->over, memory_order_relaxed);
}

static void *vcpu_main(void *opaque)
{
	struct vcpu *v = opaque;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", v->id);
	pthread_setname_np(pthread_self(), name);
	if (v->env->entry && v->env->entry->enter(v->env->entry)) {
		v->env->ended(v->env->ctx, VCPU_END_ERROR);
		return NULL;
	}
	vcpu_wait_gate(v->env);
	while (!vcpu_is_over(v) && vcpu_run_once(v))
		;
	return NULL;
}

/* The thread takes the one signal that is for it and leaves the rest to the main thread. */
int vcpu_start(struct vcpu *v, int cpu)
{
	int ret = thread_create(&v->thread, vcpu_main, v, VCPU_SIGNAL);

	if (ret)
		return log_fail(ret, "vCPU %u: start a thread: %s", v->id, strerror(-ret));
	v->started = true;
	ret = cpu < 0 ? 0 : thread_pin(v->thread, cpu);
	return ret ? log_fail(ret, "vCPU %u: pin to CPU %d: %s", v->id, cpu, strerror(-ret)) : 0;
}

/* immediate_exit catches a thread that is on its way into KVM_RUN, the signal one inside. */
void vcpu_stop(struct vcpu *v)
{
	if (!v->started)
		return;
	atomic_store(&v->stopping, true);
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(v->thread, VCPU_SIGNAL);
}

void vcpu_join(struct vcpu *v)
{
	if (!v->started)
		return;
	pthread_join(v->thread, NULL);
	v->started = false;
}

void vcpu_stats(const struct vcpu *v, struct vcpu_stats *s)
{
	*s = v->stats;
}
