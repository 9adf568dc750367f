/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for machines of any shape into buffers of any size: nothing is
 * written behind the end, what fits has right lengths and checksums.
 */
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "acpi.h"
#include "aml_walk.h"
#include "bootparams.h"
#include "devtree.h"
#include "fuzz.h"
#include "fw_fixture.h"
#include "memmap.h"
#include "mptable.h"
#include "pvh.h"
#include "util.h"

#define MAX_BUF		(64u * 1024)
#define GPA		0xe0000u

struct table {
	uint8_t *p;		/* cap bytes and no more: the sanitizer sees the rest */
	size_t cap, len;
};

static uint64_t number(const uint8_t *p, unsigned int len)
{
	uint64_t v = 0;

	memcpy(&v, p, len);
	return v;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

/* A table by its address in the guest. */
static const uint8_t *acpi_at(const struct table *t, uint64_t gpa)
{
	const uint8_t *p;
	uint32_t len;

	FUZZ_CHECK(gpa >= GPA && gpa - GPA + 36 <= t->len);
	p = t->p + (gpa - GPA);
	len = (uint32_t)number(p + 4, 4);
	FUZZ_CHECK(len >= 36 && gpa - GPA + len <= t->len);
	FUZZ_CHECK(!sum(p, len));
	return p;
}

static void check_dsdt(const uint8_t *p, const struct fw_desc *d)
{
	static struct aml_seen seen;

	memset(&seen, 0, sizeof(seen));
	aml_walk(&seen, p + 36, number(p + 4, 4) - 36);
	FUZZ_CHECK(seen.nr_devs >= d->nr_virtio);
}

static void check_acpi(const struct table *t, const struct fw_desc *d)
{
	const uint8_t *xsdt;
	uint32_t len;

	FUZZ_CHECK(!memcmp(t->p, "RSD PTR ", 8) && !sum(t->p, 20) && !sum(t->p, 36));
	xsdt = acpi_at(t, number(t->p + 24, 8));
	len = (uint32_t)number(xsdt + 4, 4);
	for (uint32_t at = 36; at + 8 <= len; at += 8) {
		const uint8_t *p = acpi_at(t, number(xsdt + at, 8));

		if (!memcmp(p, "FACP", 4))
			check_dsdt(acpi_at(t, number(p + 140, 8)), d);
	}
}

static void check_mptable(const struct table *t)
{
	FUZZ_CHECK(t->len >= 44 && !memcmp(t->p, "PCMP", 4));
	FUZZ_CHECK(number(t->p + 4, 2) == t->len);
	FUZZ_CHECK(!sum(t->p, t->len));
}

static void check_devtree(const struct table *t, const struct fw_desc *d)
{
	int node, nr = 0;

	FUZZ_CHECK(!fdt_check_full(t->p, t->len));
	fdt_for_each_subnode(node, t->p, 0)
		nr++;
	FUZZ_CHECK(nr > 0);
	nr = 0;
	for (node = fdt_node_offset_by_compatible(t->p, -1, "virtio,mmio"); node >= 0;
	     node = fdt_node_offset_by_compatible(t->p, node, "virtio,mmio"))
		nr++;
	FUZZ_CHECK((uint32_t)nr == d->nr_virtio);
}

static void check_memmap(const struct fw_desc *d)
{
	struct memmap_entry map[MEMMAP_MAX];
	unsigned int n = memmap_build(map, d);
	uint64_t end = 0, len = 0, ram = 0;

	FUZZ_CHECK(n <= MEMMAP_MAX);
	for (unsigned int i = 0; i < n; i++) {
		FUZZ_CHECK(map[i].len && map[i].base >= end);
		end = map[i].base + map[i].len;
		len += map[i].len;
	}
	for (unsigned int i = 0; i < d->nr_ram; i++)
		ram += d->ram[i].len;
	FUZZ_CHECK(len == ram);
}

static void check_zero_page(struct fuzz_input *in, const struct fw_desc *d)
{
	struct setup_header header;
	struct bootparams_cfg cfg = { .header = &header, .rsdp = GPA };
	struct boot_params *bp = malloc(sizeof(*bp));

	FUZZ_CHECK(bp);
	fuzz_bytes(in, &header, sizeof(header));
	bootparams_build(bp, d, &cfg);
	FUZZ_CHECK(bp->e820_entries <= MEMMAP_MAX);
	FUZZ_CHECK(bp->hdr.cmd_line_ptr == (uint32_t)d->cmdline.base);
	FUZZ_CHECK(bp->acpi_rsdp_addr == GPA);
	free(bp);
}

static void check_pvh(const struct table *t)
{
	const struct pvh_start_info *s = (const struct pvh_start_info *)(const void *)t->p;

	FUZZ_CHECK(t->len >= sizeof(*s) && s->magic == PVH_MAGIC);
	FUZZ_CHECK(s->memmap_paddr >= GPA && s->memmap_paddr - GPA +
		   s->memmap_entries * sizeof(struct pvh_memmap_entry) <= t->len);
	FUZZ_CHECK(!s->nr_modules || (s->modlist_paddr >= GPA && s->modlist_paddr - GPA +
		   s->nr_modules * sizeof(struct pvh_module) <= t->len));
}

/* A machine that the monitor could have: any numbers, but sorted RAM and tables inside of it. */
static void some_machine(struct fw_desc *d, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	fw_fixture_init(d, 1u + fuzz_u8(in) % 254u, fuzz_u8(in) % (FW_MAX_VIRTIO + 1u));
	d->describe = how % 3u;
	d->nr_ram = how & 4 ? 2 : 1;
	d->ram[0].len = GUEST_MEM_PAGE * (1024ull + fuzz_u32(in) % 0xbfc00u);
	d->ram[1].len = GUEST_MEM_PAGE * (1ull + fuzz_u32(in));
	d->pit = how & 8;
	d->serial.present = how & 16;
	d->serial.port = fuzz_u16(in);
	d->sleep_port = fuzz_u16(in);
	d->reset_port = fuzz_u16(in);
	d->cmdline = (struct fw_range){ .base = 0x20000, .len = fuzz_u16(in) % 2048u };
	d->initrd = (struct fw_range){ .base = fuzz_u32(in), .len = fuzz_u32(in) };
	for (uint32_t i = 0; i < d->nr_virtio && how & 32; i++)
		d->virtio[i] = (struct fw_virtio){ .base = 0xc0000000u + fuzz_u32(in) % 0x3e000000u,
						   .len = 0x1000u + fuzz_u16(in),
						   .gsi = fuzz_u8(in) % d->nr_ioapic_pins };
}

static void some_text(struct fuzz_input *in, char *text, size_t len)
{
	size_t n = fuzz_u8(in) % len;

	for (size_t i = 0; i < n; i++)
		text[i] = (char)(' ' + fuzz_u8(in) % 95);
	text[n] = 0;
}

static void build_one(struct table *t, unsigned int kind, struct fuzz_input *in,
		      const struct fw_desc *d)
{
	char bootargs[64];

	switch (kind % 4) {
	case 0:
		t->len = acpi_build(t->p, t->cap, GPA, d);
		FUZZ_CHECK(t->len <= t->cap);
		if (t->len)
			check_acpi(t, d);
		break;
	case 1:
		t->len = mptable_build(t->p, t->cap, d);
		FUZZ_CHECK(t->len <= t->cap);
		if (t->len)
			check_mptable(t);
		break;
	case 2:
		some_text(in, bootargs, sizeof(bootargs));
		t->len = devtree_build(t->p, t->cap, d, &devtree_x86, bootargs);
		FUZZ_CHECK(t->len <= t->cap);
		if (t->len)
			check_devtree(t, d);
		break;
	default:
		t->len = pvh_build(t->p, t->cap, GPA, d, fuzz_u32(in));
		FUZZ_CHECK(t->len <= t->cap);
		if (t->len)
			check_pvh(t);
	}
	FUZZ_CHECK(t->len || t->cap < MAX_BUF - 256);	/* what is large enough is enough */
}

void fuzz_setup(void)
{
}

void fuzz_one(struct fuzz_input *in)
{
	struct table t = { .cap = MAX_BUF };
	uint8_t what = fuzz_u8(in);
	struct fw_desc d;

	if (what & 4)
		t.cap = fuzz_u16(in) >> (what >> 5);	/* small ones, too */
	some_machine(&d, in);
	check_memmap(&d);
	t.p = malloc(t.cap + !t.cap);
	FUZZ_CHECK(t.p);
	build_one(&t, what, in, &d);
	free(t.p);
	if (what & 8)
		check_zero_page(in, &d);
}
