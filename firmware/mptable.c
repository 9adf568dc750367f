/* SPDX-License-Identifier: Apache-2.0 */
#include "mptable.h"

#include <string.h>

#include "out.h"

#define SPEC_REV 4
#define ISA_BUS 0
#define NR_PINS_MAX 256
#define LAPIC_VERSION 0x14
#define IOAPIC_VERSION 0x11
#define CPU_FAMILY_6 0x600		/* the guest asks CPUID for the truth */
#define CPU_FPU_APIC 0x201
#define ALL_APICS 0xff

enum mp_entry { MP_CPU, MP_BUS, MP_IOAPIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };
enum mp_interrupt { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };

struct mp_pointer {		/* section 4.1 */
	char signature[4];
	uint32_t table;
	uint8_t length;		/* in 16 bytes */
	uint8_t spec_rev;
	uint8_t checksum;
	uint8_t features[5];
} __attribute__((packed));

struct mp_header {		/* section 4.2 */
	char signature[4];
	uint16_t length;
	uint8_t spec_rev;
	uint8_t checksum;
	char oem_id[8];
	char product_id[12];
	uint32_t oem_table;
	uint16_t oem_table_len;
	uint16_t nr_entries;
	uint32_t lapic;
	uint16_t ext_len;
	uint8_t ext_checksum;
	uint8_t reserved;
} __attribute__((packed));

struct mp_out {
	struct out out;
	uint16_t nr_entries;
	uint8_t ioapic_id;
};

_Static_assert(sizeof(struct mp_pointer) == MPTABLE_POINTER_LEN, "section 4.1");
_Static_assert(sizeof(struct mp_header) == 44, "section 4.2");

static void entry(struct mp_out *m, enum mp_entry type)
{
	out_u8(&m->out, (uint8_t)type);
	m->nr_entries++;
}

static void put_cpu(struct mp_out *m, uint32_t id)
{
	entry(m, MP_CPU);
	out_u8(&m->out, (uint8_t)id);
	out_u8(&m->out, LAPIC_VERSION);
	out_u8(&m->out, id ? 1 : 3);		/* enabled; the first one boots */
	out_u32(&m->out, CPU_FAMILY_6);
	out_u32(&m->out, CPU_FPU_APIC);
	out_u64(&m->out, 0);
}

static void put_isa_bus(struct mp_out *m)
{
	entry(m, MP_BUS);
	out_u8(&m->out, ISA_BUS);
	out_bytes(&m->out, "ISA   ", 6);
}

static void put_ioapic(struct mp_out *m, const struct fw_desc *d)
{
	entry(m, MP_IOAPIC);
	out_u8(&m->out, m->ioapic_id);
	out_u8(&m->out, IOAPIC_VERSION);
	out_u8(&m->out, 1);			/* enabled */
	out_u32(&m->out, (uint32_t)d->ioapic);
}

/* Polarity and trigger as the bus has them: on ISA, active high and edge. */
static void put_interrupt(struct mp_out *m, enum mp_entry kind, enum mp_interrupt type,
			  uint8_t irq, uint8_t apic, uint8_t pin)
{
	entry(m, kind);
	out_u8(&m->out, (uint8_t)type);
	out_u16(&m->out, 0);
	out_u8(&m->out, ISA_BUS);
	out_u8(&m->out, irq);
	out_u8(&m->out, apic);
	out_u8(&m->out, pin);
}

static void mark(bool used[NR_PINS_MAX], uint32_t pin)
{
	if (pin < NR_PINS_MAX)
		used[pin] = true;
}

/* Lines can be shared, but each has one entry. */
static void put_lines(struct mp_out *m, const struct fw_desc *d)
{
	bool used[NR_PINS_MAX] = { [0] = d->pit };

	if (d->serial.present)
		mark(used, d->serial.gsi);
	for (uint32_t i = 0; i < d->nr_virtio; i++)
		mark(used, d->virtio[i].gsi);
	for (uint32_t pin = 0; pin < d->nr_ioapic_pins && pin < NR_PINS_MAX; pin++)
		if (used[pin])
			put_interrupt(m, MP_IO_INTERRUPT, MP_INT, (uint8_t)pin, m->ioapic_id,
				      (uint8_t)pin);
}

static size_t finish(struct mp_out *m, struct mp_header *h, const struct fw_desc *d)
{
	*h = (struct mp_header){
		.signature = "PCMP", .length = (uint16_t)m->out.len, .spec_rev = SPEC_REV,
		.oem_id = "MIMSY   ", .product_id = "MICROVM     ",
		.nr_entries = m->nr_entries, .lapic = (uint32_t)d->lapic,
	};
	h->checksum = out_checksum(h, m->out.len);
	return m->out.len;
}

size_t mptable_build(void *buf, size_t cap, const struct fw_desc *d)
{
	/* An id that no CPU has, while there is one; CPUs and IOAPICs do not meet on one bus. */
	struct mp_out m = { .ioapic_id = d->nr_cpus < MPTABLE_MAX_CPUS ? (uint8_t)d->nr_cpus : 0 };
	struct mp_header *h;

	if (d->nr_cpus > MPTABLE_MAX_CPUS)
		return 0;
	out_init(&m.out, buf, cap);
	h = out_take(&m.out, sizeof(*h));
	for (uint32_t i = 0; i < d->nr_cpus; i++)
		put_cpu(&m, i);
	put_isa_bus(&m);
	put_ioapic(&m, d);
	put_lines(&m, d);
	put_interrupt(&m, MP_LOCAL_INTERRUPT, MP_EXTINT, 0, 0, 0);
	put_interrupt(&m, MP_LOCAL_INTERRUPT, MP_NMI, 0, ALL_APICS, 1);
	return m.out.overflow ? 0 : finish(&m, h, d);
}

void mptable_build_pointer(void *buf, uint32_t table_gpa)
{
	struct mp_pointer p = {
		.signature = "_MP_", .table = table_gpa, .length = 1, .spec_rev = SPEC_REV,
	};

	p.checksum = out_checksum(&p, sizeof(p));
	memcpy(buf, &p, sizeof(p));
}
