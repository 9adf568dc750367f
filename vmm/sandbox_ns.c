/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New namespaces and an empty root. There is no PID namespace: it would need
 * a second process, only to hide ids that no allowed system call takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox_priv.h"

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* The one user and the one group are mapped to themselves. */
int sandbox_user_namespace(void)
{
	char uid_map[32], gid_map[32];
	int ret;

	snprintf(uid_map, sizeof(uid_map), "%u %u 1", geteuid(), geteuid());
	snprintf(gid_map, sizeof(gid_map), "%u %u 1", getegid(), getegid());
	if (unshare(CLONE_NEWUSER))
		return -errno;
	ret = write_file("/proc/self/setgroups", "deny");
	if (!ret)
		ret = write_file("/proc/self/uid_map", uid_map);
	return ret ? ret : write_file("/proc/self/gid_map", gid_map);
}

int sandbox_namespaces(void)
{
	return unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
		       CLONE_NEWCGROUP) ? -errno : 0;
}

/*
 * The kernel numbers namespaces for the whole host, and ours is ours for as
 * long as we live. Without one, or without /proc, chance has to do.
 */
int sandbox_unique(bool own_namespaces, uint64_t *out)
{
	struct stat st;

	*out = 0;
	if (own_namespaces && !stat("/proc/self/ns/uts", &st)) {
		*out = st.st_ino;
		return 0;
	}
	return getrandom(out, sizeof(*out), 0) < 0 ? -errno : 0;
}

/*
 * An empty read-only tmpfs, mounted where every host has a directory, becomes
 * the root. The old root ends up on top of the new one and is taken away. If
 * it is the initial RAM file system it cannot be moved; then it stays below,
 * where no path leads.
 */
int sandbox_empty_root(void)
{
	static const char place[] = "/dev";
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", place, "tmpfs", flags, NULL) || chdir(place))
		return -errno;
	if (!syscall(SYS_pivot_root, ".", "."))
		return umount2(".", MNT_DETACH) || chdir("/") ? -errno : 0;
	if (errno != EINVAL)
		return -errno;
	return chroot(".") || chdir("/") ? -errno : 0;
}
