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

/* A read-only tmpfs without a file, mounted on top of the root. Returns a descriptor of it. */
static int mount_empty(void)
{
	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd = -1;

	if (fs < 0)
		return -errno;
	if (!fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
			     MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd >= 0 && move_mount(fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		fd = -errno;
	close(fs);
	return fd;
}

/*
 * The old root ends up on top of the new one and is taken away. If it is the
 * initial RAM file system it cannot be moved; then it stays below, where no
 * path leads.
 */
static int change_root(int fd)
{
	if (fchdir(fd))
		return -errno;
	if (!syscall(SYS_pivot_root, ".", "."))
		return umount2(".", MNT_DETACH) || chdir("/") ? -errno : 0;
	if (errno != EINVAL)
		return -errno;
	return chroot(".") || chdir("/") ? -errno : 0;
}

int sandbox_empty_root(void)
{
	int fd, ret;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	fd = mount_empty();
	if (fd < 0)
		return fd;
	ret = change_root(fd);
	close(fd);
	return ret;
}
