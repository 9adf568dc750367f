/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine from its configuration to its end. struct vm owns
 * everything; docs/architecture.md numbers the steps.
 */
#ifndef MIMSY_VM_H
#define MIMSY_VM_H

struct vm;
struct vm_config;

/* Exit statuses of the monitor. */
#define VM_EXIT_OK	0	/* powered off, or stopped by a person */
#define VM_EXIT_ERROR	1	/* of the monitor or the host */
#define VM_EXIT_USAGE	2
#define VM_EXIT_CRASH	3	/* of the guest: it cannot go on */
#define VM_EXIT_REBOOT	4	/* the guest asked for a reset */
#define VM_EXIT_PANIC	5	/* of the guest's kernel */
#define VM_EXIT_DEBUG	16	/* plus what a test guest wrote to its exit port */

/* c is borrowed. 0 or -errno, logged. */
int vm_create(struct vm **out, const struct vm_config *c);

/* Runs the guest to its end, then stops all devices. Returns the exit status. */
int vm_run(struct vm *vm);

void vm_free(struct vm *vm);	/* NULL is allowed */

#endif
