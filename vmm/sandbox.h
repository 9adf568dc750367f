/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail: what the monitor gives up before the guest runs.
 *
 * In this order: sandbox_start() closes what was inherited; the caller opens
 * all that a path or a privilege is needed for; sandbox_enter() leaves the
 * host's users, names and networks while there is one thread; the caller
 * builds the machine, and every thread runs its sandbox_entry() before its
 * work; sandbox_seal() waits for that and takes the main thread's rights last.
 * docs/threat-model.md says what each step is for.
 */
#ifndef MIMSY_SANDBOX_H
#define MIMSY_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox_role.h"
#include "worker.h"

enum sandbox_mode {
	SANDBOX_DEFAULT,	/* on for root, auto for others */
	SANDBOX_ON,		/* every part, or the guest does not start */
	SANDBOX_AUTO,		/* the parts that this host and this user allow */
	SANDBOX_OFF,
};

/* What happens to a thread that makes a system call it has no use for. */
enum sandbox_seccomp { SANDBOX_KILL, SANDBOX_TRAP, SANDBOX_LOG, SANDBOX_UNFILTERED };

struct sandbox_cfg {
	enum sandbox_mode mode;
	enum sandbox_seccomp seccomp;
	bool has_user;			/* false: a user id of its own for each monitor */
	uid_t uid;
	gid_t gid;
	const char *cgroup;		/* directory of a cgroup v2 to join; NULL: stay */
};

/* What the machine needs, for limits that are just large enough. */
struct sandbox_needs {
	uint64_t memory;		/* bytes of the guest */
	uint64_t max_file;		/* bytes: the largest file that is written to */
	unsigned int nr_threads;	/* the main one, and all that get a sandbox_entry() */
	uint64_t devices;		/* bytes that they may come to use */
};

struct sandbox;

/*
 * Closes every descriptor above 2 but the nr_keep in keep (sorted here), and
 * makes sure that 0, 1 and 2 are open. Before anything else is opened.
 */
int sandbox_start(int *keep, unsigned int nr_keep);

/* One thread. cfg is borrowed. 0 or -errno, logged; *out is freed by the caller. */
int sandbox_enter(struct sandbox **out, const struct sandbox_cfg *cfg,
		  const struct sandbox_needs *needs);
void sandbox_free(struct sandbox *s);	/* NULL is allowed. The process stays jailed. */

/* For worker_create() and vCPUs: what a thread of this role does first. NULL-safe. */
const struct worker_entry *sandbox_entry(const struct sandbox *s, enum sandbox_role role);

/*
 * The main thread's part, after the last descriptor was made and the last
 * thread. No descriptor gets a number of nr_fds or more from then on; poll(2)
 * takes no more than nr_fds either.
 */
int sandbox_seal(struct sandbox *s, unsigned int nr_fds);

#endif
