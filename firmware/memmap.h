/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory map, once for E820 and PVH, whose types are the same
 * numbers. Windows of devices are not in it: the tables of devices tell those.
 */
#ifndef MIMSY_MEMMAP_H
#define MIMSY_MEMMAP_H

#include "fw_desc.h"

#define MEMMAP_MAX (FW_MAX_RAM + 2)

enum memmap_type { MEMMAP_RAM = 1, MEMMAP_RESERVED = 2 };

struct memmap_entry {
	uint64_t base, len;
	enum memmap_type type;
};

/* Ascending, without overlaps or empty entries. Returns their number. */
unsigned int memmap_build(struct memmap_entry map[MEMMAP_MAX], const struct fw_desc *d);

#endif
