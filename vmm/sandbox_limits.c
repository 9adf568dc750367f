/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts: descriptors, threads, file size, locked memory, and what a cgroup counts. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_priv.h"
#include "util.h"

/*
 * Threads that the host kernel adds to the process: a worker for each vhost
 * device, one of KVM's, and some for each io_uring. It does with fewer of the
 * last kind, but not with none.
 */
#define KERNEL_THREADS 130u
#define KERNEL_THREADS_PER_OWN 32u

#define RING_MEMORY MIB(1)	/* new kernels count an io_uring as locked memory */
#define THREAD_MEMORY (RING_MEMORY + MIB(1))
#define MAIN_STACK MIB(1)

/* Lowers both limits; a hard limit that is lower already stays. */
static int set_limit(int which, uint64_t value, const char *name)
{
	struct rlimit lim = { value, value };

	if (!setrlimit((__rlimit_resource_t)which, &lim))
		return 0;
	if (errno != EPERM || getrlimit((__rlimit_resource_t)which, &lim))
		return log_errno("jail: limit %s", name);
	lim.rlim_cur = lim.rlim_max = MIN(lim.rlim_max, value);
	return setrlimit((__rlimit_resource_t)which, &lim) ? log_errno("jail: limit %s", name) : 0;
}

static uint64_t max_threads(const struct sandbox_needs *n)
{
	return KERNEL_THREADS + n->nr_threads * (1ull + KERNEL_THREADS_PER_OWN);
}

/*
 * Locked memory is counted for each user id, threads for each user id of a
 * namespace: where others may have the same, a limit would be theirs too.
 * Many rings need more than the usual limit, which takes rights to raise.
 */
int sandbox_limit_locked(const struct sandbox_needs *n)
{
	return set_limit(RLIMIT_MEMLOCK, n->nr_threads * RING_MEMORY, "MEMLOCK");
}

int sandbox_limits(const struct sandbox *s, const struct sandbox_needs *n)
{
	int ret = set_limit(RLIMIT_CORE, 0, "CORE");

	if (!ret)
		ret = set_limit(RLIMIT_FSIZE, n->max_file, "FSIZE");
	if (!ret)
		ret = set_limit(RLIMIT_STACK, MAIN_STACK, "STACK");
	if (!ret)
		ret = set_limit(RLIMIT_MSGQUEUE, 0, "MSGQUEUE");
	if (!ret && s->own_user)
		ret = set_limit(RLIMIT_NPROC, max_threads(n), "NPROC");
	return ret;
}

int sandbox_limit_descriptors(unsigned int nr)
{
	return set_limit(RLIMIT_NOFILE, nr, "NOFILE");
}

static int open_cgroup(const char *path)
{
	int fd;

	if (mkdir(path, 0755) && errno != EEXIST)
		return log_errno("--jail-cgroup %s", path);
	fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? log_errno("--jail-cgroup %s", path) : fd;
}

static int write_at(int dir, const char *file, uint64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, value);
	int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, (size_t)len) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/*
 * Page tables of host and guest take 1/512 of the guest's memory each. A
 * thread has a stack here and one in the kernel, and may have a ring, whose
 * requests the kernel has threads for.
 */
static uint64_t memory_max(const struct sandbox_needs *n)
{
	return n->memory + n->memory / 128 + n->devices + n->nr_threads * THREAD_MEMORY + MIB(16);
}

int sandbox_join_cgroup(const char *path, const struct sandbox_needs *n)
{
	const struct {
		const char *file;
		uint64_t value;
		bool optional;		/* the kernel may have no swap accounting */
	} setting[] = {
		{ "memory.max", memory_max(n), false },
		{ "memory.swap.max", 0, true },
		{ "pids.max", max_threads(n), false },
		{ "cgroup.procs", (uint64_t)getpid(), false },
	};
	int dir = open_cgroup(path);
	int ret = 0;

	if (dir < 0)
		return dir;
	for (unsigned int i = 0; i < ARRAY_SIZE(setting) && !ret; i++) {
		ret = write_at(dir, setting[i].file, setting[i].value);
		if (ret == -ENOENT && setting[i].optional)
			ret = 0;
		if (ret)
			log_error("--jail-cgroup %s: %s: %s", path, setting[i].file,
				  strerror(-ret));
	}
	close(dir);
	return ret;
}
