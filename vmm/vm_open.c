/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first step of a VM's life: everything that a path, a name or a right is
 * needed for is opened here, before the monitor goes to jail. What is in the
 * files is looked at afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "sandbox.h"
#include "util.h"
#include "vm_priv.h"
#include "zalloc.h"

/* A disk queue takes three descriptors: the soft limit of 1024 is soon reached. */
static void raise_descriptor_limit(void)
{
	struct rlimit lim;

	if (!getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static int close_inherited(const struct vm_config *c)
{
	unsigned int n = vm_config_passed_fds(c, NULL);
	int *keep = zalloc(n + 1, sizeof(*keep));
	int ret;

	if (!keep)
		return -ENOMEM;
	vm_config_passed_fds(c, keep);
	ret = sandbox_start(keep, n);
	free(keep);
	return ret;
}

/* O_NONBLOCK: a FIFO must not hold us; the loader refuses what is no regular file. */
static int open_file(const char *path, int *fd)
{
	if (!path || *fd >= 0)
		return 0;
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return *fd < 0 ? log_errno("%s: open", path) : 0;
}

/* It stays open: the last lines come when all else is closed. */
static void open_log(struct vm *vm)
{
	output_open(&vm->log, STDERR_FILENO);
	log_set_fd(vm->log.fd, vm->log.is_socket);
}

/* Taken by us alone; not emptied yet: the start may still be refused. */
static int open_for_output(const char *option, const char *path, int more)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | more;
	int fd = open(path, flags, 0666);
	struct stat st;

	if (fd < 0 && errno == ENXIO)
		return log_fail(-ENXIO, "--%s: nobody reads from %s", option, path);
	if (fd < 0)
		return log_errno("--%s: %s", option, path);
	if (fstat(fd, &st)) {
		int ret = log_errno("--%s: %s", option, path);

		close(fd);
		return ret;
	}
	if (S_ISBLK(st.st_mode)) {
		close(fd);
		return log_fail(-EINVAL, "--%s: %s is a block device", option, path);
	}
	/* A file system without locks is no reason to refuse a log. */
	if (S_ISREG(st.st_mode) && fcntl(fd, F_OFD_SETLK, &all) &&
	    (errno == EAGAIN || errno == EACCES)) {
		close(fd);
		return log_fail(-EBUSY, "--%s: %s is in use by another program", option, path);
	}
	return fd;
}

static int open_console_file(struct vm *vm)
{
	int fd = open_for_output("console", vm->cfg->console_file, O_APPEND);

	if (fd < 0)
		return fd;
	output_open(&vm->console, fd);
	if (vm->console.room)
		vm->console.room = OUTPUT_GROWTH;	/* it will be emptied */
	if (vm->console.file != fd)
		close(fd);
	return 0;
}

static int open_console(struct vm *vm)
{
	switch (vm->cfg->console) {
	case VM_CONSOLE_STDIO:
		input_open(&vm->input);
		output_open(&vm->console, STDOUT_FILENO);
		return 0;
	case VM_CONSOLE_FILE:
		return open_console_file(vm);
	default:
		return 0;
	}
}

static int open_stats(struct vm *vm)
{
	if (!vm->cfg->stats_file)
		return 0;
	json_object_seed(0);	/* else jansson opens /dev/urandom later, from inside the sandbox */
	vm->stats_fd = open_for_output("stats", vm->cfg->stats_file, 0);
	if (vm->stats_fd < 0)
		return vm->stats_fd;
	return fcntl(vm->stats_fd, F_SETFL, 0) ? log_errno("--stats") : 0;
}

static bool is_same_file(const struct stat *st, int fd)
{
	struct stat other;

	return fd >= 0 && !fstat(fd, &other) && st->st_dev == other.st_dev &&
	       st->st_ino == other.st_ino;
}

/* What is written to must not be what is read from, or written to otherwise. */
static int check_output(const struct vm *vm, const char *option, const char *path, int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	if (!is_same_file(&st, vm->files.kernel_fd) && !is_same_file(&st, vm->files.initrd_fd) &&
	    !machine_has_disk(&vm->machine, &(struct blk_identity){ st.st_dev, st.st_ino }))
		return 0;
	return log_fail(-EINVAL, "--%s: %s is the kernel, the initrd or a disk of this guest",
			option, path);
}

static int open_outputs(struct vm *vm)
{
	int console_fd = -1, ret = open_console(vm);

	if (!ret && vm->cfg->console == VM_CONSOLE_FILE) {
		console_fd = vm->console.file;
		ret = check_output(vm, "console", vm->cfg->console_file, console_fd);
	}
	if (!ret)
		ret = open_stats(vm);	/* a lock keeps it from being the console's file */
	return ret ? ret : check_output(vm, "stats", vm->cfg->stats_file, vm->stats_fd);
}

static int empty(int fd, const char *option, const char *path)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size)
		return 0;
	return ftruncate(fd, 0) ? log_errno("--%s: %s", option, path) : 0;
}

int vm_empty_outputs(struct vm *vm)
{
	int ret = empty(vm->stats_fd, "stats", vm->cfg->stats_file);

	if (!ret && vm->cfg->console == VM_CONSOLE_FILE)
		ret = empty(vm->console.file, "console", vm->cfg->console_file);
	return ret;
}

int vm_open(struct vm *vm)
{
	int ret = close_inherited(vm->cfg);

	if (ret)
		return ret;
	open_log(vm);
	raise_descriptor_limit();
	vm->kvm.sys_fd = vm->cfg->kvm_fd < 0 ? kvm_open_device() : vm->cfg->kvm_fd;
	if (vm->kvm.sys_fd < 0)
		return vm->kvm.sys_fd;
	vm->files = vm->cfg->files;
	ret = open_file(vm->files.kernel, &vm->files.kernel_fd);
	if (!ret)
		ret = open_file(vm->files.initrd, &vm->files.initrd_fd);
	if (!ret)
		ret = machine_open(&vm->machine, vm->cfg);
	return ret ? ret : open_outputs(vm);
}

static void close_file(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vm_close_files(struct vm *vm)
{
	close_file(&vm->files.kernel_fd);
	close_file(&vm->files.initrd_fd);
}

void vm_close(struct vm *vm)
{
	vm_close_files(vm);
	if (vm->console.file != STDOUT_FILENO)
		close_file(&vm->console.file);
	if (vm->input.fd != STDIN_FILENO)
		close_file(&vm->input.fd);
	close_file(&vm->stats_fd);
	close_file(&vm->kvm.sys_fd);
}

/* The largest file that is written to: a disk, or a file that takes output. */
static uint64_t max_file(const struct vm *vm)
{
	uint64_t max = machine_max_disk(&vm->machine);

	if (vm->stats_fd >= 0)
		max = MAX(max, OUTPUT_GROWTH);
	max = MAX(max, vm->console.room);
	return MAX(max, vm->log.room);
}

/* A cgroup pays for what its processes write to tmpfs, and is not paid back. */
static uint64_t tmpfs_memory(const struct vm *vm)
{
	uint64_t n = machine_image_memory(&vm->machine) +
		     machine_file_memory(vm->console.file, vm->console.room) +
		     machine_file_memory(vm->log.file, vm->log.room);

	if (n)
		log_info("--jail-cgroup: %" PRIu64 " MiB more, for images and output on tmpfs",
			 (n - 1) / MIB(1) + 1);
	return n;
}

int vm_enter_sandbox(struct vm *vm)
{
	struct sandbox_needs needs;

	if (vm->cfg->jail.mode == SANDBOX_OFF)
		return 0;
	needs = (struct sandbox_needs){
		.memory = vm->cfg->memory,
		.max_file = max_file(vm),
		.nr_threads = 1 + vm->cfg->nr_cpus + machine_nr_threads(vm->cfg) +
			      vm->console.blocks + vm->log.blocks + vm->input.blocks,
		.devices = machine_memory(vm->cfg),
	};
	if (vm->cfg->jail.cgroup)
		needs.devices += tmpfs_memory(vm);
	return sandbox_enter(&vm->sandbox, &vm->cfg->jail, &needs);
}
