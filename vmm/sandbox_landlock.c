/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock with all rights handled and no rule: no path can be opened, no TCP
 * port bound or connected, no signal sent out, whatever this kernel knows of.
 * Descriptors opened before keep working.
 */
#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox_priv.h"
#include "util.h"

/* Newer than the headers we build with: the kernel's struct grew at its end. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;	/* ABI 4 */
	uint64_t scoped;		/* ABI 6 */
};

/* Number of file rights of each ABI, and what else it brought. */
static const struct {
	unsigned int nr_fs, nr_net, nr_scoped;
	size_t len;
} abis[] = {
	{ 13, 0, 0, 8 },	/* 1 */
	{ 14, 0, 0, 8 },	/* 2: refer */
	{ 15, 0, 0, 8 },	/* 3: truncate */
	{ 15, 2, 0, 16 },	/* 4: TCP */
	{ 16, 2, 0, 16 },	/* 5: ioctl on devices */
	{ 16, 2, 2, 24 },	/* 6: abstract sockets and signals */
};

static uint64_t first_bits(unsigned int n)
{
	return (1ull << n) - 1;
}

int sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? -errno : (int)abi;
}

int sandbox_landlock(int abi)
{
	struct ruleset_attr attr;
	int fd, ret;
	size_t i;

	if (abi < 1)
		return abi ? abi : -ENOTSUP;
	i = MIN((size_t)abi, ARRAY_SIZE(abis)) - 1;
	attr = (struct ruleset_attr){ first_bits(abis[i].nr_fs), first_bits(abis[i].nr_net),
				      first_bits(abis[i].nr_scoped) };
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, abis[i].len, 0);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_landlock_restrict_self, fd, 0) ? -errno : 0;
	close(fd);
	return ret;
}
