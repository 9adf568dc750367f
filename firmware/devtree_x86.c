/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86 part of the tree, for kernels with CONFIG_OF and no ACPI. Linux
 * knows the interrupt controllers by the names of the first chip that was
 * described so (arch/x86/kernel/devicetree.c) and takes a CPU's "reg" as its
 * APIC id, in one cell.
 */
#include <stdio.h>

#include "devtree.h"
#include "devtree_arch.h"
#include "util.h"

#define APIC_WINDOW 0x1000u
#define IOAPIC_EDGE_HIGH 3u	/* index of the binding's four kinds of line */
#define UART_CLOCK_HZ 1843200u
#define UART_NR_PORTS 8u

static void x86_add_cpu(struct devtree *t, uint32_t idx)
{
	devtree_string(t, "compatible", "intel,x86");
	devtree_u32(t, "reg", idx);
}

static void x86_add_interrupt(struct devtree *t, uint32_t gsi)
{
	const uint32_t cells[] = { gsi, IOAPIC_EDGE_HIGH };

	devtree_cells(t, "interrupts", cells, ARRAY_SIZE(cells));
}

static void add_ioapic(struct devtree *t, const struct fw_desc *d)
{
	devtree_begin_at(t, "interrupt-controller", d->ioapic);
	devtree_string(t, "compatible", "intel,ce4100-ioapic");
	devtree_reg(t, d->ioapic, APIC_WINDOW);
	devtree_flag(t, "interrupt-controller");
	devtree_u32(t, "#interrupt-cells", 2);
	devtree_u32(t, "#address-cells", 0);
	devtree_u32(t, "phandle", DEVTREE_INTC);
	devtree_end(t);
}

/* Virtual wire: there is no IMCR that would have to be switched. */
static void add_lapic(struct devtree *t, const struct fw_desc *d)
{
	devtree_begin_at(t, "interrupt-controller", d->lapic);
	devtree_string(t, "compatible", "intel,ce4100-lapic");
	devtree_reg(t, d->lapic, APIC_WINDOW);
	devtree_flag(t, "interrupt-controller");
	devtree_u32(t, "#interrupt-cells", 2);
	devtree_u32(t, "#address-cells", 0);
	devtree_flag(t, "intel,virtual-wire-mode");
	devtree_end(t);
}

static void add_uart(struct devtree *t, const struct fw_serial *s)
{
	const uint32_t reg[] = { 1, s->port, UART_NR_PORTS };
	char name[16];

	snprintf(name, sizeof(name), "serial@i%x", s->port);
	devtree_begin(t, name);
	devtree_string(t, "compatible", "ns16550a");
	devtree_cells(t, "reg", reg, ARRAY_SIZE(reg));
	devtree_u32(t, "clock-frequency", UART_CLOCK_HZ);
	x86_add_interrupt(t, s->gsi);
	devtree_end(t);
}

/*
 * Port I/O is the address space of an ISA bus: flag cell 1, then the port. Its
 * range is needed even though it maps one to one. A bus of its own around it,
 * because port 0 is not the address 0 where memory starts.
 */
static void add_ports(struct devtree *t, const struct fw_desc *d)
{
	const uint32_t all_ports[] = { 1, 0, 0, 0, 0x10000 };

	devtree_begin(t, "ports");
	devtree_string(t, "compatible", "simple-bus");
	devtree_u32(t, "#address-cells", 2);
	devtree_u32(t, "#size-cells", 2);
	devtree_flag(t, "ranges");
	devtree_begin(t, "isa@0");
	devtree_string(t, "device_type", "isa");
	devtree_string(t, "compatible", "isa");
	devtree_u32(t, "#address-cells", 2);
	devtree_u32(t, "#size-cells", 1);
	devtree_cells(t, "ranges", all_ports, ARRAY_SIZE(all_ports));
	add_uart(t, &d->serial);
	devtree_end(t);
	devtree_end(t);
}

static void x86_add_platform(struct devtree *t, const struct fw_desc *d)
{
	add_ioapic(t, d);
	add_lapic(t, d);
	if (d->serial.present)
		add_ports(t, d);
}

const struct devtree_arch devtree_x86 = {
	.compatible = "mimsy,microvm-x86",
	.stdout_path = "/ports/isa@0/serial@i3f8",
	.add_cpu = x86_add_cpu,
	.add_platform = x86_add_platform,
	.add_interrupt = x86_add_interrupt,
};
