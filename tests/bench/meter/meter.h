/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter: runs one monitor beside it, is the other end of its guest's console, and reads the
 * kernel's counters at the moments the guest marks. It takes commands on standard input, one a
 * line, and prints raw facts; whoever reads them subtracts.
 *
 *	start		runs the monitor
 *	trace on|off	the histograms; off also clears them
 *	say TEXT	a line to the console
 *	phase		counters, an empty line to the console, wait for "@done", counters
 *	snap		counters
 *	memory MIB	the process tree's memory without mappings of about that size
 *	entry on	look out for the first entry into a guest
 *	entry		the time of the first entry into the guest
 *	stop		kills the monitor; end asks it to stop
 *
 * Prints "t NS line" for the console's lines, "kvm NAME VALUE", "hist EVENT LINE", "task PID TID
 * COMM", "mem KEY BYTES", "trace LINE", and "ok" at the end of each command; when a monitor or a
 * phase begins "started NS" or "go". Before these two and before the guest's marks there is
 * "idle SECONDS", how long the machine has had nothing to do.
 */
#ifndef METER_H
#define METER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define METER_MAX_TASKS 512

struct tree {
	pid_t pid[METER_MAX_TASKS];
	unsigned int nr;
};

uint64_t now_ns(void);
int complain(const char *what);		/* prints it with errno, returns -1 */
char *read_file(const char *path);	/* NULL or a string to free */
int write_file(const char *path, const char *text);

void tree_read(struct tree *t, pid_t root);	/* root and all its descendants */
void tree_print_tasks(const struct tree *t);
void tree_print_memory(const struct tree *t, uint64_t ram);

/* An instance of its own, so that nobody else's tracing is touched; removed by trace_close. */
int trace_add(const char *spec);	/* "system/event=keys" */
int trace_on(void);
void trace_off(void);
void trace_print(void);
void trace_close(void);
void trace_first_entry(void);	/* the first kvm_entry from now on is kept */
void trace_print_entry(void);

void kvm_print(const struct tree *t);	/* debugfs counters of the tree's VMs */
void idle_print(void);			/* how long this machine's CPUs had nothing to do */

#endif
