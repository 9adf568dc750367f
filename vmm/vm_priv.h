/* SPDX-License-Identifier: Apache-2.0 */
/* struct vm, for the files that make one (vm.c), run it (vm_run.c) and count (stats.c). */
#ifndef MIMSY_VM_PRIV_H
#define MIMSY_VM_PRIV_H

#include <stdatomic.h>
#include <stdint.h>

#include "boot.h"
#include "bus.h"
#include "config.h"
#include "kvm.h"
#include "machine.h"
#include "panic_watch.h"
#include "util.h"
#include "vcpu.h"
#include "vm_input.h"
#include "vm_output.h"

/* A console or log file may grow by this much; what is beyond it is lost. */
#define OUTPUT_GROWTH GIB(1)

struct vm {
	const struct vm_config *cfg;	/* borrowed */
	struct loader_cfg files;	/* with descriptors, until they are loaded */
	int stats_fd;			/* -1: none */
	struct sandbox *sandbox;	/* NULL: none */
	struct kvm kvm;
	struct guest_mem *mem;
	struct bus mmio, pio;		/* constant once the first vCPU runs */
	struct msi_router *router;
	struct machine machine;
	struct uart16550 *uart;		/* NULL without a console */
	struct vm_input input;
	struct vm_output console, log;
	struct panic_watch panic;	/* the serial port's lock; at the end nobody else's */
	struct vcpu_env env;
	struct vcpu *vcpu[VM_MAX_CPUS];
	unsigned int nr_vcpus;
	struct arch_cpu *cpu;
	int end_fd;			/* eventfd: the guest has ended, or somebody wants it to */
	atomic_uint_fast64_t stop_at;	/* 0, or until when the guest may power off */
	atomic_int end_status;		/* VM_EXIT_*, or -1 while it runs */
	atomic_bool end_is_told;	/* the guest's wish to end is in the log */
};

/* Ends the VM with this status unless it has ended already. Any thread. */
bool vm_end(struct vm *vm, int status);

/* vm_power.c */
int vm_add_ports(struct vm *vm);
bool vm_press_button(struct vm *vm);	/* false: nobody hears it. Perhaps in a signal handler. */
void vm_console_byte(void *vm, uint8_t byte);	/* what the guest has sent */
int vm_final_status(const struct vm *vm);	/* VM_EXIT_*; all vCPUs have ended. Logs a panic. */

/* vm_open.c: opens all files and devices. 0 or -errno, logged; vm_close() in both cases. */
int vm_open(struct vm *vm);
void vm_close_files(struct vm *vm);	/* kernel and initrd */

/* Empties the files that take output: last, when the start cannot be refused any more. */
int vm_empty_outputs(struct vm *vm);
void vm_close(struct vm *vm);		/* what is still open */

/* The jail around what is open. 0 or -errno, logged. */
int vm_enter_sandbox(struct vm *vm);

/* Writes the counters to stats_fd. Devices are stopped. 0 or -errno, logged. */
int stats_write(struct vm *vm);

#endif
