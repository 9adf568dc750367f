/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that is in guest memory when the first vCPU starts: kernel,
 * initrd, command line and the tables a firmware would leave, at the
 * addresses of layout.h. GDT and page tables are the arch file's.
 *
 * Runs before the first vCPU, on the main thread.
 */
#ifndef MIMSY_BOOT_H
#define MIMSY_BOOT_H

#include "fw_desc.h"
#include "guest_mem.h"
#include "loader.h"

struct boot_cfg {
	struct loader_cfg files;
	const char *cmdline;	/* complete but for virtio_mmio.device=, which we append if asked */
};

struct boot_entry {
	enum loader_entry mode;	/* PVH or LINUX64 */
	gpa_t rip;
	gpa_t arg;		/* PVH: for EBX; LINUX64: for RSI */
};

/*
 * desc is filled but for its command line and initrd, which are set here.
 * 0, or -errno after one log line.
 */
int boot_load(struct boot_entry *entry, const struct boot_cfg *cfg,
	      const struct guest_mem *mem, struct fw_desc *desc);

#endif
