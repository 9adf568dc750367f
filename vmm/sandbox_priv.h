/* SPDX-License-Identifier: Apache-2.0 */
/* Between the sandbox's files. Functions return 0 or -errno; those marked so log. */
#ifndef MIMSY_SANDBOX_PRIV_H
#define MIMSY_SANDBOX_PRIV_H

#include <pthread.h>

#include "sandbox.h"

struct sandbox_role_entry {
	struct worker_entry entry;	/* first */
	struct sandbox *sandbox;
	enum sandbox_role role;
};

struct sandbox {
	const struct sandbox_cfg *cfg;		/* borrowed */
	bool strict;				/* a part that cannot be had is an error */
	bool root;				/* started with the rights of root */
	bool filters;				/* threads get system-call filters */
	bool own_namespaces;			/* nobody else is in them */
	bool own_uid;				/* the user id is nobody else's */
	bool own_user;				/* the same, or it is within a namespace */
	uid_t uid;				/* with root: who we become */
	gid_t gid;
	pid_t pid;				/* ours */
	pthread_mutex_t lock;
	pthread_cond_t entered;
	unsigned int nr_missing;		/* lock: threads without their filter yet */
	int result;				/* lock: the last error of one */
	struct sandbox_role_entry role[NR_SANDBOX_ROLES];
};

/* sandbox_ns.c */
int sandbox_user_namespace(void);		/* rights in it, none outside */
int sandbox_namespaces(void);
int sandbox_empty_root(void);
int sandbox_unique(bool own_namespaces, uint64_t *out);	/* a number no other monitor has */

/* sandbox.c */
uid_t sandbox_own_uid(uint64_t unique);

/* sandbox_limits.c */
int sandbox_join_cgroup(const char *path, const struct sandbox_needs *n);	/* logs */
int sandbox_limit_locked(const struct sandbox_needs *n);	/* before rights go; logs */
int sandbox_limits(const struct sandbox *s, const struct sandbox_needs *n);	/* logs */
int sandbox_limit_descriptors(unsigned int nr);	/* none is numbered nr or higher; logs */

/* sandbox_landlock.c */
int sandbox_landlock_abi(void);			/* the kernel's, or -errno */
int sandbox_landlock(int abi);			/* all rights that this ABI knows; -errno: none */

/* sandbox_names.c */
const char *sandbox_syscall_name(int nr);	/* "unknown" if it is none */

/* sandbox_seccomp.c */
int sandbox_filter_check(void);
int sandbox_filter_load(enum sandbox_role role, enum sandbox_seccomp action, pid_t pid);

#endif
