/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "util.h"
#include "zalloc.h"

/*
 * Kernels read these before what the user wrote, so the user has the last
 * word. Each is there for a reason: no PCI and no ISA timer exist here
 * (pci, no_timer_check), no device needs bounce buffers (swiotlb), one serial
 * port exists (8250), and a panic should end the VM at once, not hang it. That
 * one is in quotes, which the kernel takes away: the initramfs of Debian reads the
 * word too, and then gives no rescue shell to somebody whose root= is wrong.
 */
#define CMDLINE_DEFAULTS "\"panic=-1\" pci=off no_timer_check swiotlb=noforce 8250.nr_uarts=1"
#define CMDLINE_CONSOLE " console=ttyS0"

void vm_config_init(struct vm_config *c)
{
	*c = (struct vm_config){
		.files = { .kernel_fd = -1, .initrd_fd = -1 },
		.default_cmdline = true,
		.nr_cpus = 1,
		.memory = MIB(256),
		.doorbells = true,
		.kvm_fd = -1,
		.stop_timeout = 10,
	};
}

void vm_config_release(struct vm_config *c)
{
	for (unsigned int i = 0; i < c->nr_strings; i++)
		free(c->string[i]);
	c->nr_strings = 0;
}

char *vm_config_keep(struct vm_config *c, const char *s, const char *more)
{
	size_t len = strlen(s) + (more ? 1 + strlen(more) : 0) + 1;
	char *copy = c->nr_strings < VM_MAX_STRINGS ? malloc(len) : NULL;

	if (!copy) {
		log_error("no memory for the options");
		return NULL;
	}
	snprintf(copy, len, "%s%s%s", s, more ? " " : "", more ? more : "");
	c->string[c->nr_strings++] = copy;
	return copy;
}

static int check_memory(const struct vm_config *c)
{
	struct sysinfo host;

	if (c->memory < VM_MIN_MEMORY || c->memory % GUEST_MEM_PAGE)
		return log_fail(-EINVAL, "--memory: at least %llu MiB, in whole pages of 4 KiB",
				(unsigned long long)(VM_MIN_MEMORY >> 20));
	if (!sysinfo(&host) &&
	    c->memory / host.mem_unit > (uint64_t)host.totalram + host.totalswap)
		return log_fail(-EINVAL, "--memory: %llu MiB are more than this host has",
				(unsigned long long)(c->memory >> 20));
	if (c->backing == GUEST_MEM_HUGETLB && c->memory % MIB(2))
		return log_fail(-EINVAL, "--memory: huge pages need a multiple of 2M");
	return 0;
}

static void add_fd(int *to, unsigned int *n, int fd)
{
	if (fd < 0)
		return;
	if (to)
		to[*n] = fd;
	++*n;
}

unsigned int vm_config_passed_fds(const struct vm_config *c, int *fd)
{
	unsigned int n = 0;

	add_fd(fd, &n, c->kvm_fd);
	add_fd(fd, &n, c->files.kernel_fd);
	add_fd(fd, &n, c->files.initrd_fd);
	for (unsigned int i = 0; i < c->nr_disks; i++)
		add_fd(fd, &n, c->disk[i].blk.file.fd);
	for (unsigned int i = 0; i < c->nr_nets; i++)
		for (unsigned int j = 0; j < c->net[i].net.nr_fds; j++)
			add_fd(fd, &n, c->net[i].net.fd[j]);
	return n;
}

/* One descriptor is one thing: who closes it closes it for the other. */
static int check_fds(const struct vm_config *c)
{
	unsigned int n = vm_config_passed_fds(c, NULL);
	int *fd = zalloc(n + 1, sizeof(*fd)), ret = 0;

	if (!fd)
		return -ENOMEM;
	vm_config_passed_fds(c, fd);
	for (unsigned int i = 0; i < n && !ret; i++)
		for (unsigned int j = 0; j < i && !ret; j++)
			if (fd[i] == fd[j])
				ret = log_fail(-EINVAL, "fd=%d is there twice", fd[i]);
	free(fd);
	return ret;
}

static int check_macs(const struct vm_config *c)
{
	for (unsigned int i = 0; i < c->nr_nets; i++)
		for (unsigned int j = 0; j < i; j++)
			if (c->net[i].net.has_mac && c->net[j].net.has_mac &&
			    !memcmp(c->net[i].net.mac, c->net[j].net.mac, 6))
				return log_fail(-EINVAL, "--net: two devices have the same mac");
	return 0;
}

int vm_config_check(const struct vm_config *c)
{
	int ret = check_memory(c);

	if (ret)
		return ret;
	if (!c->files.kernel && c->files.kernel_fd < 0)
		return log_fail(-EINVAL, "--kernel is missing");
	if (c->nr_disks + c->nr_nets > LAYOUT_VIRTIO_MAX)
		return log_fail(-EINVAL, "%u devices: at most %u fit",
				c->nr_disks + c->nr_nets, LAYOUT_VIRTIO_MAX);
	ret = check_fds(c);
	return ret ? ret : check_macs(c);
}

static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word), n;

	for (; line && *line; line += n) {
		line += strspn(line, " ");
		n = strcspn(line, " ");
		if (n == len && !memcmp(line, word, len))
			return true;
	}
	return false;
}

bool vm_config_has_acpi(const struct vm_config *c)
{
	return c->describe == FW_DESCRIBE_ACPI && !has_word(c->cmdline, "acpi=off");
}

bool vm_config_wants_pit(const struct vm_config *c)
{
	return c->pit || (c->describe != FW_DESCRIBE_FDT && !vm_config_has_acpi(c));
}

int vm_config_cmdline(const struct vm_config *c, char *buf, size_t len)
{
	int n = snprintf(buf, len, "%s%s%s%s", c->default_cmdline ? CMDLINE_DEFAULTS : "",
			 c->default_cmdline && c->console != VM_CONSOLE_NONE ? CMDLINE_CONSOLE : "",
			 c->default_cmdline && c->cmdline ? " " : "",
			 c->cmdline ? c->cmdline : "");

	if (n < 0 || (size_t)n >= len)
		return log_fail(-E2BIG, "--cmdline: with the defaults longer than %zu bytes",
				len - 1);
	return 0;
}
