/* SPDX-License-Identifier: Apache-2.0 */
#include "bootparams.h"

#include <string.h>

#include "memmap.h"

#define BOOT_FLAG 0xaa55
#define HDR_MAGIC 0x53726448		/* "HdrS" */
#define HDR_VERSION 0x020f
#define LOADER_UNDEFINED 0xff		/* type_of_loader of those without a number */
#define KERNEL_ALIGNMENT 0x01000000

_Static_assert(MEMMAP_MAX <= E820_MAX_ENTRIES_ZEROPAGE, "the map fits into the zero page");
_Static_assert(sizeof(struct boot_params) == 4096, "the zero page is a page");

/* What a bzImage would say about itself; the fields that the kernel's C code looks at. */
static void default_header(struct setup_header *h)
{
	h->boot_flag = BOOT_FLAG;
	h->header = HDR_MAGIC;
	h->version = HDR_VERSION;
	h->loadflags = LOADED_HIGH;
	h->kernel_alignment = KERNEL_ALIGNMENT;
	h->xloadflags = XLF_KERNEL_64;
}

static void fill_e820(struct boot_params *bp, const struct fw_desc *d)
{
	struct memmap_entry map[MEMMAP_MAX];
	unsigned int nr = memmap_build(map, d);

	for (unsigned int i = 0; i < nr; i++) {
		bp->e820_table[i].addr = map[i].base;
		bp->e820_table[i].size = map[i].len;
		bp->e820_table[i].type = map[i].type;
	}
	bp->e820_entries = (uint8_t)nr;
}

/* 64 bits each; the upper half is in the zero page proper. */
static void fill_addresses(struct boot_params *bp, const struct fw_desc *d)
{
	bp->hdr.cmd_line_ptr = (uint32_t)d->cmdline.base;
	bp->ext_cmd_line_ptr = (uint32_t)(d->cmdline.base >> 32);
	if (!bp->hdr.cmdline_size)
		bp->hdr.cmdline_size = (uint32_t)d->cmdline.len;
	if (!d->initrd.len)
		return;
	bp->hdr.ramdisk_image = (uint32_t)d->initrd.base;
	bp->ext_ramdisk_image = (uint32_t)(d->initrd.base >> 32);
	bp->hdr.ramdisk_size = (uint32_t)d->initrd.len;
	bp->ext_ramdisk_size = (uint32_t)(d->initrd.len >> 32);
}

void bootparams_build(struct boot_params *bp, const struct fw_desc *d,
		      const struct bootparams_cfg *cfg)
{
	memset(bp, 0, sizeof(*bp));
	if (cfg->header->header)
		bp->hdr = *cfg->header;
	else
		default_header(&bp->hdr);
	bp->hdr.type_of_loader = LOADER_UNDEFINED;
	bp->hdr.setup_data = cfg->setup_data;
	bp->acpi_rsdp_addr = cfg->rsdp;
	fill_addresses(bp, d);
	fill_e820(bp, d);
}

void bootparams_dtb_node(struct setup_data *node, uint32_t dtb_len)
{
	node->next = 0;
	node->type = SETUP_DTB;
	node->len = dtb_len;
}
