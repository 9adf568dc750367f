/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes to the guest's serial port: a person's keys, or bytes from a pipe
 * or file. A pipe is read only as far as there is room. At a terminal there may be
 * Ctrl-A x behind what the guest does not read: once it has read nothing for
 * a second, keys are read all the same, and those for the guest are lost.
 */
#ifndef MIMSY_VM_INPUT_H
#define MIMSY_VM_INPUT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "console.h"

struct relay;
struct uart16550;
struct worker_entry;

/* Main thread. */
struct vm_input {
	int fd;				/* -1: none, or its end was reached */
	bool blocks;			/* a read may wait: a relay goes in front */
	struct relay *relay;
	struct console_keys keys;
	uint64_t full_since;		/* when the last room was taken; 0: there is room */
};

/* From standard input. Before the jail. */
void input_open(struct vm_input *in);

/* Makes the relay if there has to be one. 0 or -errno, logged. */
int input_start(struct vm_input *in, const struct worker_entry *entry);
void input_finish(struct vm_input *in);

/* What to wait for, and how many milliseconds at most (-1: no limit). */
int input_wait(struct vm_input *in, struct uart16550 *u, struct pollfd *p);

/* There is something. true: the person wants to quit. */
bool input_take(struct vm_input *in, struct uart16550 *u);

#endif
