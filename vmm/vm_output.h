/* SPDX-License-Identifier: Apache-2.0 */
/* Where text goes that somebody else has to take: the log and the guest's console. */
#ifndef MIMSY_VM_OUTPUT_H
#define MIMSY_VM_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "worker.h"

struct relay;

struct vm_output {
	int fd;			/* -1: nowhere. A write to it never waits once it is started */
	int file;		/* what is behind fd: the same, or what a relay writes to */
	bool is_socket;		/* asked per call not to wait */
	bool blocks;		/* a write may wait: a relay goes in front */
	uint64_t room;		/* bytes it may have, if it is a regular file */
	struct relay *relay;
};

/*
 * from stays open. The flags of its description are left alone, since it may
 * be shared with the shell that started us: a terminal or a pipe is opened
 * once more. Before the jail.
 */
void output_open(struct vm_output *o, int from);

/* Makes the relay if there has to be one. 0 or -errno, logged. */
int output_start(struct vm_output *o, const char *name, const struct worker_entry *entry);

/* Waits until the relay has written all. Returns how many bytes its file did not take. */
uint64_t output_finish(struct vm_output *o);

#endif
