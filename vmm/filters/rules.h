/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which system calls each kind of thread may make: the table, as data.
 *
 * It is compiled into programs when the monitor is built (gen.c); the monitor
 * has neither the table nor libseccomp in it. The prober of tests/jail holds
 * the running filters against this table.
 */
#ifndef MIMSY_RULES_H
#define MIMSY_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "sandbox_role.h"

#define RULE_MAX_CONDS 2

struct rule_cond {		/* (argument & mask) == value */
	unsigned int arg;
	uint64_t mask, value;
};

struct rule {
	int nr;				/* system call */
	const char *name;
	unsigned int nr_conds;		/* all must hold; 0: any arguments */
	struct rule_cond cond[RULE_MAX_CONDS];
	const char *why;
};

struct rule_set {
	const char *name;
	const struct rule *rule;
	unsigned int nr_rules;
};

extern const struct rule_set rule_sets[NR_SANDBOX_ROLES];

/* How many different system calls a set allows. */
unsigned int rule_set_nr_syscalls(const struct rule_set *s);

#endif
