/* SPDX-License-Identifier: Apache-2.0 */
/* Options that take rights away, and descriptors instead of paths. Setters as cli.c wants them. */
#ifndef MIMSY_CLI_JAIL_H
#define MIMSY_CLI_JAIL_H

#include "config.h"

int cli_jail(struct vm_config *c, const char *arg);		/* on|off|auto */
int cli_jail_user(struct vm_config *c, const char *arg);	/* UID[:GID] */
int cli_jail_cgroup(struct vm_config *c, const char *arg);
int cli_seccomp(struct vm_config *c, const char *arg);		/* kill|trap|log|off */
int cli_kvm_fd(struct vm_config *c, const char *arg);

/* "fd=N" -> *fd. 0, -EINVAL, or 1: it is a path. */
int cli_passed_fd(const char *arg, int *fd);

#endif
