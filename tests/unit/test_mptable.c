/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "fw_fixture.h"
#include "layout.h"
#include "mptable.h"
#include "runner.h"
#include "util.h"

#define CAP (LAYOUT_EBDA - LAYOUT_MPTABLE)

struct line {
	uint8_t type, bus, irq, apic, pin;
	uint16_t flags;
};

/* What a kernel makes of the table. */
static struct seen {
	unsigned int nr_cpus, nr_boot_cpus, nr_ioapics, nr_entries;
	uint8_t apic_id[256], ioapic_id;
	uint32_t ioapic;
	char bus[7];
	struct line line[64], local[8];
	unsigned int nr_lines, nr_locals;
} seen;

static struct fw_desc d;
static uint8_t buf[CAP];

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

static uint32_t number(const uint8_t *p, size_t n)
{
	uint32_t val = 0;

	memcpy(&val, p, n);
	return val;
}

static struct line line(const uint8_t *p)
{
	return (struct line){ .type = p[1], .flags = (uint16_t)number(p + 2, 2), .bus = p[4],
			      .irq = p[5], .apic = p[6], .pin = p[7] };
}

static size_t entry(const uint8_t *p)
{
	switch (p[0]) {
	case 0:
		seen.apic_id[seen.nr_cpus++] = p[1];
		ck_assert(p[3] & 1);
		seen.nr_boot_cpus += p[3] >> 1 & 1;
		return 20;
	case 1:
		memcpy(seen.bus, p + 2, 6);
		return 8;
	case 2:
		seen.nr_ioapics++;
		seen.ioapic_id = p[1];
		ck_assert_uint_eq(p[3], 1);
		seen.ioapic = number(p + 4, 4);
		return 8;
	case 3:
		ck_assert_uint_lt(seen.nr_lines, 64);
		seen.line[seen.nr_lines++] = line(p);
		return 8;
	case 4:
		ck_assert_uint_lt(seen.nr_locals, 8);
		seen.local[seen.nr_locals++] = line(p);
		return 8;
	default:
		ck_abort_msg("entry type %u", p[0]);
		return 0;
	}
}

static void parse(size_t len)
{
	size_t pos = 44;

	memset(&seen, 0, sizeof(seen));
	ck_assert_mem_eq(buf, "PCMP", 4);
	ck_assert_uint_eq(number(buf + 4, 2), len);
	ck_assert_uint_eq(buf[6], 4);
	ck_assert_uint_eq(sum(buf, len), 0);
	for (; pos < len; seen.nr_entries++)
		pos += entry(buf + pos);
	ck_assert_uint_eq(pos, len);
	ck_assert_uint_eq(number(buf + 34, 2), seen.nr_entries);
}

static void build(uint32_t nr_cpus, uint32_t nr_virtio)
{
	fw_fixture_init(&d, nr_cpus, nr_virtio);
	memset(buf, 0xa5, sizeof(buf));
	parse(mptable_build(buf, sizeof(buf), &d));
}

static bool has_line(uint8_t gsi)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < seen.nr_lines; i++)
		nr += seen.line[i].pin == gsi;
	ck_assert_uint_le(nr, 1);
	return nr;
}

static const uint32_t cpu_counts[] = { 1, 2, 17, 254, 255 };

START_TEST(every_cpu_is_there_and_one_boots)
{
	uint32_t nr = cpu_counts[_i];

	build(nr, 1);
	ck_assert_uint_eq(seen.nr_cpus, nr);
	ck_assert_uint_eq(seen.nr_boot_cpus, 1);
	for (uint32_t i = 0; i < nr; i++)
		ck_assert_uint_eq(seen.apic_id[i], i);
}
END_TEST

START_TEST(more_cpus_than_a_byte_can_name_are_refused)
{
	fw_fixture_init(&d, 256, 1);
	ck_assert_uint_eq(mptable_build(buf, sizeof(buf), &d), 0);
}
END_TEST

START_TEST(the_controllers_are_where_they_are)
{
	build(2, 1);
	ck_assert_uint_eq(number(buf + 36, 4), LAYOUT_LAPIC);
	ck_assert_uint_eq(seen.nr_ioapics, 1);
	ck_assert_uint_eq(seen.ioapic, LAYOUT_IOAPIC);
	ck_assert_uint_eq(seen.ioapic_id, 2);
	ck_assert_str_eq(seen.bus, "ISA   ");
}
END_TEST

START_TEST(each_used_line_has_one_entry_and_no_other_has)
{
	build(1, 2);
	ck_assert_uint_eq(seen.nr_lines, 3);
	ck_assert(has_line(4) && has_line(5) && has_line(6));
}
END_TEST

START_TEST(shared_lines_have_one_entry)
{
	build(1, 128);
	ck_assert_uint_eq(seen.nr_lines, 1 + 13);
	ck_assert(has_line(23));
}
END_TEST

START_TEST(line_n_is_isa_interrupt_n_as_the_bus_has_it)
{
	build(3, 128);
	for (unsigned int i = 0; i < seen.nr_lines; i++) {
		ck_assert_uint_eq(seen.line[i].type, 0);
		ck_assert_uint_eq(seen.line[i].flags, 0);
		ck_assert_uint_eq(seen.line[i].irq, seen.line[i].pin);
		ck_assert_uint_eq(seen.line[i].apic, 3);
	}
}
END_TEST

START_TEST(a_timer_chip_is_on_line_0)
{
	fw_fixture_init(&d, 1, 0);
	d.pit = true;
	parse(mptable_build(buf, sizeof(buf), &d));
	ck_assert(has_line(0));
	ck_assert_uint_eq(seen.nr_lines, 2);
}
END_TEST

START_TEST(lint0_is_external_and_lint1_the_nmi)
{
	build(2, 1);
	ck_assert_uint_eq(seen.nr_locals, 2);
	ck_assert_uint_eq(seen.local[0].type, 3);
	ck_assert_uint_eq(seen.local[0].pin, 0);
	ck_assert_uint_eq(seen.local[1].type, 1);
	ck_assert_uint_eq(seen.local[1].apic, 0xff);
	ck_assert_uint_eq(seen.local[1].pin, 1);
}
END_TEST

START_TEST(the_pointer_is_sound)
{
	uint8_t p[16];

	mptable_build_pointer(p, LAYOUT_MPTABLE);
	ck_assert_mem_eq(p, "_MP_", 4);
	ck_assert_uint_eq(number(p + 4, 4), LAYOUT_MPTABLE);
	ck_assert_uint_eq(p[8], 1);
	ck_assert_uint_eq(p[11], 0);	/* not a default configuration */
	ck_assert_uint_eq(sum(p, 16), 0);
}
END_TEST

START_TEST(no_capacity_makes_it_write_too_far)
{
	size_t need;

	fw_fixture_init(&d, 2, 3);
	need = mptable_build(buf, sizeof(buf), &d);
	for (size_t cap = 0; cap < need; cap++) {
		uint8_t *exact = malloc(cap + !cap);

		ck_assert_ptr_nonnull(exact);
		ck_assert_uint_eq(mptable_build(exact, cap, &d), 0);
		free(exact);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("mptable");
	TCase *tc = tcase_create("table");

	tcase_add_loop_test(tc, every_cpu_is_there_and_one_boots, 0, ARRAY_SIZE(cpu_counts));
	tcase_add_test(tc, more_cpus_than_a_byte_can_name_are_refused);
	tcase_add_test(tc, the_controllers_are_where_they_are);
	tcase_add_test(tc, each_used_line_has_one_entry_and_no_other_has);
	tcase_add_test(tc, shared_lines_have_one_entry);
	tcase_add_test(tc, line_n_is_isa_interrupt_n_as_the_bus_has_it);
	tcase_add_test(tc, a_timer_chip_is_on_line_0);
	tcase_add_test(tc, lint0_is_external_and_lint1_the_nmi);
	tcase_add_test(tc, the_pointer_is_sound);
	tcase_add_test(tc, no_capacity_makes_it_write_too_far);
	suite_add_tcase(s, tc);
	return s;
}
