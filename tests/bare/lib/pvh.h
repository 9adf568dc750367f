/* SPDX-License-Identifier: Apache-2.0 */
/* The start info of the PVH boot protocol, version 1. */
#ifndef BARE_PVH_H
#define BARE_PVH_H

#include <stdint.h>

#define HVM_START_MAGIC 0x336ec578u

struct hvm_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
	uint64_t memmap_paddr;		/* from version 1 */
	uint32_t memmap_entries, reserved;
};

struct hvm_memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

#define HVM_MEMMAP_RAM 1

#endif
