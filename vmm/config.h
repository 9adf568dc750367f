/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person asked for. Filled by cli.c, checked once, then constant.
 * Strings belong to the configuration.
 */
#ifndef MIMSY_CONFIG_H
#define MIMSY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "fw_desc.h"
#include "guest_mem.h"
#include "layout.h"
#include "loader.h"
#include "log.h"
#include "sandbox.h"
#include "virtio_blk.h"
#include "virtio_net.h"

#define VM_MAX_CPUS 254u		/* APIC ids of 8 bits, 255 means all */
#define VM_MAX_STRINGS (2 * LAYOUT_VIRTIO_MAX + 8)
#define VM_MIN_MEMORY MIB(4)

enum vm_irq_mode {
	VM_IRQ_MSI,			/* a vector for each queue and one for the configuration */
	VM_IRQ_SHARED,			/* one for all queues and one for the configuration */
	VM_IRQ_SINGLE,			/* no MSI: the line only */
	VM_IRQ_DEFAULT,			/* whatever the machine's default is */
};

enum vm_console { VM_CONSOLE_STDIO, VM_CONSOLE_NONE, VM_CONSOLE_FILE };

struct vm_disk {
	struct virtio_blk_cfg blk;
	enum vm_irq_mode irq;
	int cpus[VIRTIO_BLK_MAX_QUEUES];
};

struct vm_net {
	struct virtio_net_cfg net;
	enum vm_irq_mode irq;
	int cpus[VIRTIO_NET_MAX_PAIRS];
};

struct vm_config {
	struct loader_cfg files;	/* kernel, initrd, entry */
	const char *cmdline;		/* NULL: only the defaults */
	bool default_cmdline;		/* false: cmdline is all there is */
	unsigned int nr_cpus;
	uint64_t memory;		/* bytes */
	enum guest_mem_backing backing;
	enum vm_irq_mode irq;
	enum fw_describe describe;
	enum vm_console console;
	const char *console_file;
	const char *stats_file;		/* NULL: none */
	bool pit;			/* a timer chip although the CPU has a timer */
	bool doorbells;			/* false: kicks go through 0x050 alone */
	struct sandbox_cfg jail;
	int kvm_fd;			/* an open /dev/kvm, or -1 */
	unsigned int stop_timeout;	/* seconds to power off after SIGTERM; 0: none */
	bool debug_exit;		/* port 0xf4 ends the monitor */
	int vcpu_cpus[VM_MAX_CPUS];	/* host CPUs, or empty */
	unsigned int nr_vcpu_cpus;
	struct vm_disk disk[LAYOUT_VIRTIO_MAX];
	unsigned int nr_disks;
	struct vm_net net[LAYOUT_VIRTIO_MAX];
	unsigned int nr_nets;
	char *string[VM_MAX_STRINGS];	/* owned */
	unsigned int nr_strings;
};

void vm_config_init(struct vm_config *c);
void vm_config_release(struct vm_config *c);

/*
 * A private copy of s, and of a blank and more behind it unless NULL, that lives
 * as long as c. NULL after one log line.
 */
char *vm_config_keep(struct vm_config *c, const char *s, const char *more);

/* What cannot be told from one option alone. -EINVAL after one log line. */
int vm_config_check(const struct vm_config *c);

/* The descriptors that were passed in: into fd, unless NULL. Returns how many. */
unsigned int vm_config_passed_fds(const struct vm_config *c, int *fd);

/* The guest is told of the machine by ACPI, and looks at it. Without, it cannot power off. */
bool vm_config_has_acpi(const struct vm_config *c);

/*
 * A timer chip is wanted: by the user, or because the guest may find no interrupt
 * controller but the old one. Debian's cloud kernels read no MP table, so without
 * ACPI they know of no local APIC, and have no other timer.
 */
bool vm_config_wants_pit(const struct vm_config *c);

/*
 * The kernel command line, defaults first. -E2BIG after one log line if it
 * does not fit into len bytes.
 */
int vm_config_cmdline(const struct vm_config *c, char *buf, size_t len);

#endif
