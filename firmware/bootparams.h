/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux's zero page: what a kernel that is entered in 64-bit mode gets in RSI.
 * Source: the kernel's documentation of the x86 boot protocol and of the zero
 * page.
 */
#ifndef MIMSY_BOOTPARAMS_H
#define MIMSY_BOOTPARAMS_H

#include <linux/types.h>
#include <asm/bootparam.h>

#include "fw_desc.h"

struct bootparams_cfg {
	/* From a bzImage. header 0 (an ELF kernel): one is made up. */
	const struct setup_header *header;
	uint64_t rsdp;			/* 0: no ACPI */
	uint64_t setup_data;		/* first node of the list; 0: none */
};

/* Takes the memory map, command line and initrd from d. */
void bootparams_build(struct boot_params *bp, const struct fw_desc *d,
		      const struct bootparams_cfg *cfg);

/*
 * The node of a setup_data list that hands over a device tree of dtb_len
 * bytes, which follows it directly. It is the last one of the list.
 */
void bootparams_dtb_node(struct setup_data *node, uint32_t dtb_len);

#endif
