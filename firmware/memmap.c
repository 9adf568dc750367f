/* SPDX-License-Identifier: Apache-2.0 */
#include "memmap.h"

#include <assert.h>

#include "util.h"

static unsigned int add(struct memmap_entry *map, unsigned int nr, uint64_t start, uint64_t end,
			enum memmap_type type)
{
	if (start >= end)
		return nr;
	map[nr] = (struct memmap_entry){ .base = start, .len = end - start, .type = type };
	return nr + 1;
}

unsigned int memmap_build(struct memmap_entry map[MEMMAP_MAX], const struct fw_desc *d)
{
	uint64_t cut = d->tables.base, cut_end = d->tables.base + d->tables.len;
	unsigned int nr = 0;

	assert(d->nr_ram <= FW_MAX_RAM);
	for (unsigned int i = 0; i < d->nr_ram; i++) {
		uint64_t start = d->ram[i].base, end = start + d->ram[i].len;

		if (cut >= cut_end || cut < start || cut_end > end) {
			nr = add(map, nr, start, end, MEMMAP_RAM);
			continue;
		}
		nr = add(map, nr, start, cut, MEMMAP_RAM);
		nr = add(map, nr, cut, cut_end, MEMMAP_RESERVED);
		nr = add(map, nr, cut_end, end, MEMMAP_RAM);
	}
	return nr;
}
