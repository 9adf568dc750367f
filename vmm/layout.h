/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's address map, one table for all of us. docs/architecture.md
 * draws it.
 */
#ifndef MIMSY_LAYOUT_H
#define MIMSY_LAYOUT_H

/* Guest physical memory below 1 MiB: what a boot loader would leave there. */
#define LAYOUT_GDT		0x00000500u	/* boot GDT, 4 entries */
#define LAYOUT_PAGE_TABLES	0x00001000u	/* 6 pages: 4 GiB mapped one to one */
#define LAYOUT_ZERO_PAGE	0x00007000u	/* struct boot_params */
#define LAYOUT_PVH_INFO		0x00008000u	/* struct hvm_start_info and its lists */
#define LAYOUT_CMDLINE		0x00020000u
#define LAYOUT_CMDLINE_MAX	2048u		/* with the final NUL; x86 COMMAND_LINE_SIZE */
#define LAYOUT_DTB		0x00030000u	/* setup_data node and device tree */
#define LAYOUT_EBDA		0x0009fc00u	/* MP table; end of low RAM in the E820 map */
#define LAYOUT_EBDA_LEN		0x00000400u	/* the MP table may grow below it for many CPUs */
#define LAYOUT_MPTABLE		0x0009b000u	/* 19 KiB: enough for 255 CPUs */
#define LAYOUT_ACPI		0x000e0000u	/* RSDP first, tables behind; 124 KiB */
#define LAYOUT_ACPI_LEN		0x0001f000u
#define LAYOUT_RESET_VECTOR	0x000ffff0u	/* where a real-mode reboot jumps to */
#define LAYOUT_HIGH_RAM		0x00100000u	/* kernels are loaded from here up */

/* The hole under 4 GiB. */
#define LAYOUT_HOLE_START	0xc0000000u
#define LAYOUT_HOLE_END		0x100000000u

#define LAYOUT_VIRTIO_BASE	0xc0000000u
#define LAYOUT_VIRTIO_STRIDE	0x00002000u	/* registers, then a page of doorbells */
#define LAYOUT_VIRTIO_MAX	128u
#define LAYOUT_DOORBELL		0x00001000u	/* offset of queue 0's doorbell */
#define LAYOUT_DOORBELL_STRIDE	4u

#define LAYOUT_IOAPIC		0xfec00000u
#define LAYOUT_LAPIC		0xfee00000u
#define LAYOUT_KVM_IDENTITY_MAP	0xfffbc000u	/* Intel: one page at KVM's default, */
#define LAYOUT_KVM_TSS		0xfffbd000u	/* then three pages for the TSS */

/* Global system interrupts. */
#define LAYOUT_GSI_SERIAL	4u
#define LAYOUT_GSI_BUTTON	9u	/* where a PC has ACPI's interrupt */
#define LAYOUT_NR_IOAPIC_PINS	24u
#define LAYOUT_GSI_MSI_FIRST	24u
/* KVM takes 4096 routes, and 40 are those of the pins of IOAPIC and PICs. */
#define LAYOUT_GSI_MSI_LAST	4079u
/* Lines of virtio devices, in this order, then again from the start. */
#define LAYOUT_LINE_GSIS	{ 5, 6, 7, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23 }

/* Port I/O. */
#define LAYOUT_PORT_I8042	0x0064u
#define LAYOUT_PORT_DEBUG_EXIT	0x00f4u
#define LAYOUT_PORT_COM1	0x03f8u
#define LAYOUT_PORT_PVPANIC	0x0505u		/* where QEMU has it */
#define LAYOUT_PORT_SLEEP	0x0600u		/* ACPI sleep control and status */
#define LAYOUT_PORT_RESET	0x0601u		/* ACPI reset register */
#define LAYOUT_PORT_PC_RESET	0x0cf9u		/* reset control of a PC's chipset */

#endif
