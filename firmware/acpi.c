/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed tables are packed structs, filled and copied; the DSDT is written by
 * acpi_dsdt.c. A table is begun by its header and ended by filling in length
 * and checksum, so builders need not count.
 *
 * The machine is hardware-reduced: no PM timer, no SCI, no fixed buttons. The
 * guest is told neither of a PIC nor of a PIT, and Linux then asks for none.
 */
#include "acpi.h"

#include <string.h>

#include "acpi_table.h"
#include "util.h"

#define ADDRESS_SPACE_IO 1
#define ACCESS_BYTE 1

struct acpi_rsdp {		/* ACPI 6.5, 5.2.5.3 */
	char signature[8];
	uint8_t checksum;	/* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t ext_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct acpi_gas {		/* generic address structure, 5.2.3.2 */
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
} __attribute__((packed));

struct acpi_fadt {		/* 5.2.9, revision 6, behind the header */
	uint32_t facs, dsdt;
	uint8_t reserved0, profile;
	uint16_t sci;
	uint8_t unused0[61];	/* ports of the hardware that we reduced */
	uint16_t iapc_boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_revision;
	uint64_t x_facs, x_dsdt;
	struct acpi_gas unused1[8];
	struct acpi_gas sleep_control, sleep_status;
	char hypervisor[8];
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_fadt) == 276 - 36, "revision 6 has 276 bytes");
_Static_assert(offsetof(struct acpi_fadt, iapc_boot_arch) == 109 - 36, "its place");
_Static_assert(offsetof(struct acpi_fadt, sleep_control) == 244 - 36, "its place");

enum {
	FADT_WBINVD = 1 << 0,
	FADT_PROC_C1 = 1 << 2,
	FADT_PWR_BUTTON = 1 << 4,	/* set: no fixed button */
	FADT_SLP_BUTTON = 1 << 5,	/* likewise */
	FADT_RESET_REG_SUP = 1 << 10,
	FADT_HEADLESS = 1 << 12,
	FADT_HW_REDUCED = 1 << 20,
};

enum {
	BOOT_ARCH_NO_VGA = 1 << 2,	/* bit 1, an 8042, is clear */
	BOOT_ARCH_NO_CMOS_RTC = 1 << 5,
};

void acpi_table_begin(struct acpi_table *t, struct out *o, const char *signature,
		      uint8_t revision)
{
	struct acpi_header h = {
		.revision = revision, .oem_id = "MIMSY ", .oem_table_id = "MICROVM ",
		.oem_revision = 1, .creator_id = "MMSY", .creator_revision = 1,
	};

	out_align(o, 16);
	t->start = o->len;
	memcpy(h.signature, signature, sizeof(h.signature));
	out_bytes(o, &h, sizeof(h));
}

void acpi_table_end(const struct acpi_table *t, struct out *o)
{
	uint32_t len = (uint32_t)(o->len - t->start);
	uint8_t *p = o->buf + t->start;

	if (o->overflow)
		return;
	memcpy(p + offsetof(struct acpi_header, length), &len, sizeof(len));
	p[offsetof(struct acpi_header, checksum)] = out_checksum(p, len);
}

static struct acpi_gas byte_port(uint16_t port)
{
	return (struct acpi_gas){
		.space = ADDRESS_SPACE_IO, .bit_width = 8, .access_size = ACCESS_BYTE,
		.address = port,
	};
}

static uint64_t build_fadt(struct out *o, uint64_t gpa, const struct fw_desc *d, uint64_t dsdt)
{
	struct acpi_fadt f = {
		.dsdt = (uint32_t)dsdt,
		.iapc_boot_arch = BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_CMOS_RTC,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON |
			 FADT_RESET_REG_SUP | FADT_HEADLESS | FADT_HW_REDUCED,
		.reset_reg = byte_port(d->reset_port),
		.reset_value = 1,
		.minor_revision = 5,
		.x_dsdt = dsdt,
		.sleep_control = byte_port(d->sleep_port),
		.sleep_status = byte_port(d->sleep_port),
		.hypervisor = "mimsy",
	};
	struct acpi_table t;

	acpi_table_begin(&t, o, "FACP", 6);
	out_bytes(o, &f, sizeof(f));
	acpi_table_end(&t, o);
	return gpa + t.start;
}

/* 5.2.12.2 for ids that fit into a byte (255 means all), else 5.2.12.12. */
static void madt_cpu(struct out *o, uint32_t id)
{
	bool x2apic = id >= 255;

	out_u8(o, x2apic ? 9 : 0);
	out_u8(o, x2apic ? 16 : 8);
	if (x2apic) {
		out_u16(o, 0);
		out_u32(o, id);
		out_u32(o, 1);		/* enabled */
		out_u32(o, id);
		return;
	}
	out_u8(o, (uint8_t)id);
	out_u8(o, (uint8_t)id);
	out_u32(o, 1);
}

static void madt_ioapic(struct out *o, const struct fw_desc *d)
{
	out_u8(o, 1);
	out_u8(o, 12);
	out_u8(o, 0);			/* id */
	out_u8(o, 0);
	out_u32(o, (uint32_t)d->ioapic);
	out_u32(o, 0);			/* its first GSI */
}

/* LINT1 of every CPU is the NMI. */
static void madt_nmi(struct out *o, bool x2apic)
{
	out_u8(o, x2apic ? 10 : 4);
	out_u8(o, x2apic ? 12 : 6);
	if (x2apic) {
		out_u16(o, 0);
		out_u32(o, UINT32_MAX);
		out_u8(o, 1);
		out_bytes(o, "\0\0", 3);
		return;
	}
	out_u8(o, UINT8_MAX);
	out_u16(o, 0);
	out_u8(o, 1);
}

static uint64_t build_madt(struct out *o, uint64_t gpa, const struct fw_desc *d)
{
	struct acpi_table t;

	acpi_table_begin(&t, o, "APIC", 5);
	out_u32(o, (uint32_t)d->lapic);
	out_u32(o, 0);			/* no PC-AT PICs */
	for (uint32_t i = 0; i < d->nr_cpus; i++)
		madt_cpu(o, i);
	madt_ioapic(o, d);
	madt_nmi(o, false);
	if (d->nr_cpus > 255)
		madt_nmi(o, true);
	acpi_table_end(&t, o);
	return gpa + t.start;
}

static uint64_t build_xsdt(struct out *o, uint64_t gpa, const uint64_t *tables, size_t nr)
{
	struct acpi_table t;

	acpi_table_begin(&t, o, "XSDT", 1);
	for (size_t i = 0; i < nr; i++)
		out_u64(o, tables[i]);
	acpi_table_end(&t, o);
	return gpa + t.start;
}

static void fill_rsdp(struct acpi_rsdp *r, uint64_t xsdt)
{
	*r = (struct acpi_rsdp){
		.signature = "RSD PTR ", .oem_id = "MIMSY ", .revision = 2,
		.length = sizeof(*r), .xsdt = xsdt,
	};
	r->checksum = out_checksum(r, offsetof(struct acpi_rsdp, length));
	r->ext_checksum = out_checksum(r, sizeof(*r));
}

size_t acpi_build(void *buf, size_t cap, uint64_t gpa, const struct fw_desc *d)
{
	uint64_t tables[2], xsdt;
	struct acpi_rsdp *rsdp;
	struct out o;

	out_init(&o, buf, cap);
	rsdp = out_take(&o, sizeof(*rsdp));
	tables[0] = build_fadt(&o, gpa, d, gpa + acpi_dsdt_build(&o, d));
	tables[1] = build_madt(&o, gpa, d);
	xsdt = build_xsdt(&o, gpa, tables, ARRAY_SIZE(tables));
	if (o.overflow)
		return 0;
	fill_rsdp(rsdp, xsdt);
	return o.len;
}
