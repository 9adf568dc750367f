/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_jail.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli_value.h"

#define MAX_ID 0xfffffffeull	/* the next one means "no change" to the kernel */

int cli_jail(struct vm_config *c, const char *arg)
{
	static const char *const names[] = { "on", "auto", "off", NULL };
	static const enum sandbox_mode mode[] = { SANDBOX_ON, SANDBOX_AUTO, SANDBOX_OFF };
	unsigned int i;

	if (cli_choice(arg, names, &i))
		return -EINVAL;
	c->jail.mode = mode[i];
	return 0;
}

/* Root in the jail is no jail. */
static int parse_id(const char *s, uint32_t *id)
{
	uint64_t n;

	if (cli_number(s, 1, MAX_ID, &n))
		return -EINVAL;
	*id = (uint32_t)n;
	return 0;
}

int cli_jail_user(struct vm_config *c, const char *arg)
{
	const char *colon = strchr(arg, ':');
	size_t len = colon ? (size_t)(colon - arg) : strlen(arg);
	char user[16];
	int ret;

	if (len >= sizeof(user))
		return -EINVAL;
	memcpy(user, arg, len);
	user[len] = '\0';
	ret = parse_id(user, &c->jail.uid);
	if (!ret)
		ret = parse_id(colon ? colon + 1 : user, &c->jail.gid);
	c->jail.has_user = !ret;
	return ret;
}

int cli_jail_cgroup(struct vm_config *c, const char *arg)
{
	c->jail.cgroup = arg;
	return *arg ? 0 : -EINVAL;
}

int cli_seccomp(struct vm_config *c, const char *arg)
{
	static const char *const names[] = { "kill", "trap", "log", "off", NULL };
	unsigned int i;

	if (cli_choice(arg, names, &i))
		return -EINVAL;
	c->jail.seccomp = (enum sandbox_seccomp)i;
	return 0;
}

static int parse_fd(const char *s, int *fd)
{
	uint64_t n;

	if (cli_number(s, 3, INT32_MAX, &n))
		return -EINVAL;
	*fd = (int)n;
	return 0;
}

int cli_kvm_fd(struct vm_config *c, const char *arg)
{
	return parse_fd(arg, &c->kvm_fd);
}

int cli_passed_fd(const char *arg, int *fd)
{
	return strncmp(arg, "fd=", 3) ? 1 : parse_fd(arg + 3, fd);
}
