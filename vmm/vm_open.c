/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first step of a VM's life: everything that a path, a name or a right is
 * needed for is opened here, before the monitor goes to jail. What is in the
 * files is looked at afterwards.
 */
#include <errno.h>
#include <fcntl.h>
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

static void keep_fd(int *keep, unsigned int *n, int fd)
{
	if (fd < 0)
		return;
	if (keep)
		keep[*n] = fd;
	++*n;
}

/* The descriptors that were passed in. keep NULL: only counts them. */
static unsigned int list_passed(const struct vm_config *c, int *keep)
{
	unsigned int n = 0;

	keep_fd(keep, &n, c->kvm_fd);
	keep_fd(keep, &n, c->files.kernel_fd);
	keep_fd(keep, &n, c->files.initrd_fd);
	for (unsigned int i = 0; i < c->nr_disks; i++)
		keep_fd(keep, &n, c->disk[i].blk.file.fd);
	for (unsigned int i = 0; i < c->nr_nets; i++)
		for (unsigned int j = 0; j < c->net[i].net.nr_fds; j++)
			keep_fd(keep, &n, c->net[i].net.fd[j]);
	return n;
}

static int close_inherited(const struct vm_config *c)
{
	unsigned int n = list_passed(c, NULL);
	int *keep = zalloc(n + 1, sizeof(*keep));
	int ret;

	if (!keep)
		return -ENOMEM;
	list_passed(c, keep);
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

static int open_console_file(struct vm *vm)
{
	int fd = open(vm->cfg->console_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0)
		return log_errno("--console: %s", vm->cfg->console_file);
	output_open(&vm->console, fd);
	if (vm->console.fd != fd)
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
	vm->stats_fd = open(vm->cfg->stats_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return vm->stats_fd < 0 ? log_errno("--stats: %s", vm->cfg->stats_file) : 0;
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
		ret = open_console(vm);
	if (!ret)
		ret = open_stats(vm);
	return ret ? ret : machine_open(&vm->machine, vm->cfg);
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

	if (vm->cfg->console == VM_CONSOLE_FILE || vm->stats_fd >= 0)
		max = MAX(max, OUTPUT_GROWTH);		/* they were emptied as they were opened */
	max = MAX(max, vm->console.room);
	return MAX(max, vm->log.room);
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
			      vm->console.blocks + vm->log.blocks,
	};
	return sandbox_enter(&vm->sandbox, &vm->cfg->jail, &needs);
}
