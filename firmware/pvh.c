/* SPDX-License-Identifier: Apache-2.0 */
#include "pvh.h"

#include <string.h>

#include "memmap.h"

struct pvh_image {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_memmap_entry map[MEMMAP_MAX];
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "as in start_info.h");
_Static_assert(sizeof(struct pvh_module) == 32, "as in start_info.h");
_Static_assert(sizeof(struct pvh_memmap_entry) == 24, "as in start_info.h");

static void fill_info(struct pvh_start_info *info, uint64_t gpa, const struct fw_desc *d,
		      uint64_t rsdp)
{
	info->magic = PVH_MAGIC;
	info->version = PVH_VERSION;
	info->cmdline_paddr = d->cmdline.base;
	info->rsdp_paddr = rsdp;
	info->memmap_paddr = gpa + offsetof(struct pvh_image, map);
	if (!d->initrd.len)
		return;
	info->nr_modules = 1;
	info->modlist_paddr = gpa + offsetof(struct pvh_image, initrd);
}

size_t pvh_build(void *buf, size_t cap, uint64_t gpa, const struct fw_desc *d, uint64_t rsdp)
{
	struct pvh_image image = { .initrd = { .paddr = d->initrd.base, .size = d->initrd.len } };
	struct memmap_entry map[MEMMAP_MAX];
	unsigned int nr = memmap_build(map, d);

	if (cap < sizeof(image))
		return 0;
	fill_info(&image.info, gpa, d, rsdp);
	image.info.memmap_entries = nr;
	for (unsigned int i = 0; i < nr; i++)
		image.map[i] = (struct pvh_memmap_entry){
			.addr = map[i].base, .size = map[i].len, .type = map[i].type,
		};
	memcpy(buf, &image, sizeof(image));
	return sizeof(image);
}
