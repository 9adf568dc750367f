/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PVH start information: what a kernel that is entered by its PVH note gets in
 * EBX. Source: Xen's public header arch-x86/hvm/start_info.h, version 1.
 */
#ifndef MIMSY_PVH_H
#define MIMSY_PVH_H

#include <stddef.h>

#include "fw_desc.h"

#define PVH_MAGIC 0x336ec578u
#define PVH_VERSION 1u			/* the first with a memory map */

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};

struct pvh_memmap_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

/*
 * Writes the structure and its lists to buf, which is at gpa in the guest.
 * rsdp 0: no ACPI. Returns the bytes used, 0 if cap is too small.
 */
size_t pvh_build(void *buf, size_t cap, uint64_t gpa, const struct fw_desc *d, uint64_t rsdp);

#endif
