/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine looks like: the one input of every table in this folder.
 * Pure values. The owner fills it once, before the first table is built.
 *
 * GSI n is pin n of the only IOAPIC. Lines are edge triggered, active high.
 * CPU n has APIC id n.
 */
#ifndef MIMSY_FW_DESC_H
#define MIMSY_FW_DESC_H

#include <stdbool.h>
#include <stdint.h>

#define FW_MAX_RAM 2
#define FW_MAX_VIRTIO 128

/* How the guest is told of its devices. */
enum fw_describe {
	FW_DESCRIBE_ACPI,	/* ACPI tables; and an MP table for kernels without ACPI */
	FW_DESCRIBE_FDT,	/* device tree; no ACPI */
	FW_DESCRIBE_CMDLINE,	/* virtio_mmio.device= and an MP table; no ACPI */
};

struct fw_range {
	uint64_t base, len;	/* len 0: absent */
};

struct fw_virtio {		/* a virtio-mmio window */
	uint64_t base;
	uint32_t len;
	uint32_t gsi;
};

struct fw_serial {		/* a 16550 on port I/O */
	bool present;
	uint16_t port;
	uint32_t gsi;
};

struct fw_desc {
	enum fw_describe describe;
	uint32_t nr_cpus;			/* at least 1 */

	struct fw_range ram[FW_MAX_RAM];	/* ascending, not adjacent */
	uint32_t nr_ram;

	uint64_t lapic, ioapic;			/* MMIO bases */
	uint32_t nr_ioapic_pins;

	uint16_t sleep_port;			/* ACPI sleep control and status, 8 bits */
	uint16_t reset_port;			/* ACPI reset register: value 1 */
	uint16_t pvpanic_port;			/* takes a byte of pvpanic's events */
	uint32_t button_gsi;			/* the power button's, of its own */
	bool pit;				/* an 8254 raises GSI 0 */

	struct fw_serial serial;
	struct fw_virtio virtio[FW_MAX_VIRTIO];
	uint32_t nr_virtio;

	/* Set by boot_load(), not by the machine. */
	struct fw_range tables;			/* RAM that holds tables: reserved */
	struct fw_range cmdline;		/* len without the NUL */
	struct fw_range initrd;
};

#endif
