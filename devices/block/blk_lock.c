/* SPDX-License-Identifier: Apache-2.0 */
#include "blk_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

/*
 * The kernel takes a ring apart some time after its process is gone, and with
 * it the last reference to an image. So a lock is tried for a while.
 */
#define TRIES		50
#define PAUSE_NS	10000000

/* QEMU: a byte for each thing that a program does, and for each that it bears nobody to do. */
#define QEMU_READS_ALONE	200	/* nobody may read beside it */
#define QEMU_WRITES		101	/* it writes, or ... */
#define QEMU_RESIZES		103	/* ... the two bytes behind: may change what is there */
#define PROCESS_BYTE		INT64_MAX

static bool is_busy(int err)
{
	return err == EAGAIN || err == EACCES || err == EBUSY;
}

static int lock_range(int fd, int command, short type, int64_t start, int64_t end)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start,
			      .l_len = end - start };

	return fcntl(fd, command, &lock) ? -errno : 0;
}

/* Somebody holds one of these bytes, in whatever way. */
static int check_free(int fd, int64_t start, int64_t end)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start,
			      .l_len = end - start };

	if (fcntl(fd, F_OFD_GETLK, &lock))
		return -errno;
	return lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

static int lock_for_reading(int fd)
{
	int ret = lock_range(fd, F_OFD_SETLK, F_RDLCK, 0, QEMU_WRITES);

	if (!ret)
		ret = lock_range(fd, F_OFD_SETLK, F_RDLCK, QEMU_RESIZES + 1, QEMU_READS_ALONE);
	if (!ret)
		ret = lock_range(fd, F_OFD_SETLK, F_RDLCK, QEMU_READS_ALONE + 1, PROCESS_BYTE);
	if (!ret)
		ret = check_free(fd, QEMU_WRITES, QEMU_RESIZES + 1);
	return ret ? ret : check_free(fd, QEMU_READS_ALONE, QEMU_READS_ALONE + 1);
}

static int lock_once(int fd, bool readonly)
{
	int ret = readonly ? lock_for_reading(fd)
			   : lock_range(fd, F_OFD_SETLK, F_WRLCK, 0, PROCESS_BYTE);

	if (ret)
		return ret;
	/* Up to the end: the byte is the last that there can be. */
	return lock_range(fd, F_SETLK, readonly ? F_RDLCK : F_WRLCK, PROCESS_BYTE, PROCESS_BYTE);
}

/* A description of the device that nobody else can have the like of, or -errno. */
static int claim(int fd, bool readonly)
{
	char path[32];
	int claimed;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	claimed = open(path, (readonly ? O_RDONLY : O_RDWR) | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	return claimed < 0 ? -errno : claimed;
}

/*
 * A reader gives the claim back: others may read as well. Without the right to
 * open the node again, a passed descriptor has its other locks.
 */
static int claim_device(int fd, bool readonly)
{
	int flags = fcntl(fd, F_GETFL), claimed = claim(fd, readonly), ret = 0;

	if (claimed < 0)
		return is_busy(-claimed) && claimed != -EACCES ? -EBUSY : 0;
	if (!readonly && (flags < 0 || fcntl(claimed, F_SETFL, flags) ||
			  dup3(claimed, fd, O_CLOEXEC) < 0))
		ret = -errno;
	close(claimed);
	return ret;
}

static int try_for_a_while(int (*once)(int fd, bool readonly), int fd, bool readonly)
{
	int ret = once(fd, readonly);

	for (int i = 0; is_busy(-ret) && i < TRIES; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
		ret = once(fd, readonly);
	}
	return ret;
}

int blk_lock(int fd, bool readonly, bool is_block_device, const char *path, const char *name)
{
	/* One after the other: a device that we have claimed cannot be claimed again. */
	int ret = is_block_device ? try_for_a_while(claim_device, fd, readonly) : 0;

	if (!ret)
		ret = try_for_a_while(lock_once, fd, readonly);
	if (!ret)
		return 0;
	if (is_busy(-ret))
		return log_fail(-EBUSY, "%s: %s is in use by another program%s", name, path,
				readonly ? " that writes to it" : "");
	return log_fail(ret, "%s: %s cannot be locked: %s; lock=off does without", name, path,
			strerror(-ret));
}
