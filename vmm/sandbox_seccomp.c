/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the programs made at build time (filters/). Two things are put in
 * now: what happens on a violation, and the process's id.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_filters.h"
#include "sandbox_priv.h"
#include "util.h"

#define MAX_INSNS 256u

static uint32_t action_code(enum sandbox_seccomp action)
{
	switch (action) {
	case SANDBOX_TRAP:
		return SECCOMP_RET_TRAP;
	case SANDBOX_LOG:
		return SECCOMP_RET_LOG;
	default:
		return SECCOMP_RET_KILL_PROCESS;
	}
}

static void patch(struct sock_filter *f, unsigned int n, enum sandbox_seccomp action, pid_t pid)
{
	for (unsigned int i = 0; i < n; i++) {
		if (BPF_CLASS(f[i].code) == BPF_RET && f[i].k == SECCOMP_RET_KILL_PROCESS)
			f[i].k = action_code(action);
		else if (BPF_CLASS(f[i].code) == BPF_JMP && f[i].k == SANDBOX_PID_PLACEHOLDER)
			f[i].k = (uint32_t)pid;
	}
}

int sandbox_filter_check(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) ? -errno : 0;
}

int sandbox_filter_load(enum sandbox_role role, enum sandbox_seccomp action, pid_t pid)
{
	struct sock_filter insns[MAX_INSNS];
	struct sock_fprog prog = { .len = sandbox_programs[role].len, .filter = insns };

	if (prog.len > MAX_INSNS)
		return -E2BIG;
	memcpy(insns, sandbox_programs[role].filter, prog.len * sizeof(insns[0]));
	patch(insns, prog.len, action, pid);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) ? -errno : 0;
}
