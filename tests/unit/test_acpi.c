/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables are read by a parser of our own and, where iasl is installed, by
 * ACPI's reference compiler too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acpi.h"
#include "acpi_aml.h"
#include "aml_walk.h"
#include "fw_fixture.h"
#include "layout.h"
#include "runner.h"
#include "util.h"

#define GPA 0xe0000u

static struct fw_desc d;
static _Alignas(16) uint8_t buf[LAYOUT_ACPI_LEN];
static size_t built;
static struct aml_seen seen;

static void build(uint32_t nr_cpus, uint32_t nr_virtio)
{
	fw_fixture_init(&d, nr_cpus, nr_virtio);
	memset(buf, 0xa5, sizeof(buf));
	built = acpi_build(buf, sizeof(buf), GPA, &d);
	ck_assert_uint_gt(built, 0);
}

static uint64_t number(const uint8_t *p, size_t n)
{
	uint64_t val = 0;

	memcpy(&val, p, n);
	return val;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* A table by its address, with signature, length and checksum looked at. */
static const uint8_t *table_at(uint64_t gpa, const char *signature)
{
	const uint8_t *p = buf + (gpa - GPA);
	uint32_t len;

	ck_assert_uint_ge(gpa, GPA);
	ck_assert_uint_le(gpa - GPA + 36, built);
	len = (uint32_t)number(p + 4, 4);
	ck_assert_uint_ge(len, 36);
	ck_assert_uint_le(gpa - GPA + len, built);
	ck_assert_mem_eq(p, signature, 4);
	ck_assert_uint_eq(sum(p, len), 0);
	return p;
}

static const uint8_t *xsdt(void)
{
	return table_at(number(buf + 24, 8), "XSDT");
}

static const uint8_t *fadt(void)
{
	return table_at(number(xsdt() + 36, 8), "FACP");
}

static const uint8_t *madt(void)
{
	return table_at(number(xsdt() + 44, 8), "APIC");
}

static const uint8_t *dsdt(void)
{
	return table_at(number(fadt() + 140, 8), "DSDT");
}

static void walk(void)
{
	const uint8_t *p = dsdt();

	aml_walk(&seen, p + 36, number(p + 4, 4) - 36);
}

static const struct aml_seen_device *find(const char *path)
{
	for (unsigned int i = 0; i < seen.nr_devs; i++)
		if (!strcmp(seen.dev[i].path, path))
			return &seen.dev[i];
	ck_abort_msg("no device %s", path);
	return NULL;
}

START_TEST(the_root_pointer_has_both_checksums)
{
	build(1, 1);
	ck_assert_mem_eq(buf, "RSD PTR ", 8);
	ck_assert_uint_eq(sum(buf, 20), 0);
	ck_assert_uint_eq(sum(buf, 36), 0);
	ck_assert_uint_eq(buf[15], 2);
	ck_assert_uint_eq(number(buf + 20, 4), 36);
}
END_TEST

START_TEST(the_root_table_lists_two_tables_and_all_are_sound)
{
	build(2, 4);
	ck_assert_uint_eq(number(xsdt() + 4, 4), 36 + 2 * 8);
	fadt();
	madt();
	dsdt();
}
END_TEST

START_TEST(the_machine_is_hardware_reduced_with_power_off_and_reset)
{
	static const uint8_t sleep[] = { 1, 8, 0, 1, 0x00, 0x06, 0, 0, 0, 0, 0, 0 };
	static const uint8_t reset[] = { 1, 8, 0, 1, 0x01, 0x06, 0, 0, 0, 0, 0, 0 };
	const uint8_t *f;

	build(1, 1);
	f = fadt();
	ck_assert_uint_eq(f[8], 6);
	ck_assert_uint_eq(number(f + 4, 4), 276);
	ck_assert_uint_eq(number(f + 40, 4), number(f + 140, 8));
	ck_assert(number(f + 112, 4) & 1 << 20);
	ck_assert(number(f + 112, 4) & 1 << 10);
	ck_assert_mem_eq(f + 116, reset, 12);
	ck_assert_uint_eq(f[128], 1);
	ck_assert_mem_eq(f + 244, sleep, 12);
	ck_assert_mem_eq(f + 256, sleep, 12);
}
END_TEST

START_TEST(there_is_no_keyboard_controller_vga_or_clock)
{
	build(1, 1);
	ck_assert_uint_eq(number(fadt() + 109, 2), 1 << 2 | 1 << 5);
}
END_TEST

/* Entries of one type; *last is the last of them. */
static unsigned int madt_count(uint8_t type, const uint8_t **last)
{
	const uint8_t *p = madt(), *end = p + number(p + 4, 4);
	unsigned int nr = 0;

	for (p += 44; p < end; p += p[1]) {
		ck_assert_uint_ge(p[1], 2);
		ck_assert(p + p[1] <= end);
		if (p[0] != type)
			continue;
		nr++;
		*last = p;
	}
	return nr;
}

static const uint32_t cpu_counts[] = { 1, 2, 64, 255, 256, 300 };

START_TEST(each_cpu_has_one_interrupt_controller_entry)
{
	uint32_t nr = cpu_counts[_i];
	const uint8_t *last = NULL;

	build(nr, 1);
	ck_assert_uint_eq(madt_count(0, &last), MIN(nr, 255));
	ck_assert_uint_eq(last[1], 8);
	ck_assert_uint_eq(last[3], MIN(nr, 255) - 1);
	ck_assert_uint_eq(madt_count(9, &last), nr > 255 ? nr - 255 : 0);
	if (nr <= 255)
		return;
	ck_assert_uint_eq(last[1], 16);
	ck_assert_uint_eq(number(last + 4, 4), nr - 1);
	ck_assert_uint_eq(number(last + 12, 4), nr - 1);
}
END_TEST

START_TEST(there_is_one_ioapic_from_gsi_0_and_no_pic)
{
	const uint8_t *last = NULL;

	build(2, 1);
	ck_assert_uint_eq(number(madt() + 36, 4), LAYOUT_LAPIC);
	ck_assert_uint_eq(number(madt() + 40, 4), 0);
	ck_assert_uint_eq(madt_count(1, &last), 1);
	ck_assert_uint_eq(number(last + 4, 4), LAYOUT_IOAPIC);
	ck_assert_uint_eq(number(last + 8, 4), 0);
}
END_TEST

START_TEST(every_virtio_device_has_its_window_and_line)
{
	char path[8];

	build(1, 128);
	walk();
	ck_assert_uint_eq(seen.nr_devs, 1 + 1 + 128 + 3);
	for (uint32_t i = 0; i < 128; i++) {
		const struct aml_seen_device *v;

		snprintf(path, sizeof(path), "V%03X", i);
		v = find(path);
		ck_assert_str_eq(v->hid, "LNRO0005");
		ck_assert_uint_eq(v->uid, i);
		ck_assert(v->has_memory && v->has_irq && !v->has_io);
		ck_assert_uint_eq(v->mem_base, d.virtio[i].base);
		ck_assert_uint_eq(v->mem_len, 0x2000);
		ck_assert_uint_eq(v->irq, d.virtio[i].gsi);
		ck_assert_uint_eq(v->irq_flags & 7, 3);	/* consumer, edge, active high */
	}
}
END_TEST

START_TEST(a_line_is_shared_only_if_two_devices_use_it)
{
	build(1, 14);	/* 13 lines: the first one twice */
	walk();
	ck_assert(find("V000")->shared);
	ck_assert(find("V00D")->shared);
	ck_assert(!find("V001")->shared);
	ck_assert(!find("COM1")->shared);
}
END_TEST

START_TEST(every_cpu_is_a_processor_device)
{
	build(17, 1);
	walk();
	ck_assert_str_eq(find("C000")->hid, "ACPI0007");
	ck_assert_str_eq(find("C010")->hid, "ACPI0007");
	ck_assert_uint_eq(find("C010")->uid, 16);
}
END_TEST

START_TEST(the_serial_port_has_its_ports_and_line)
{
	const struct aml_seen_device *com;

	build(1, 1);
	walk();
	com = find("COM1");
	ck_assert_str_eq(com->hid, "PNP0501");
	ck_assert(com->has_io && com->has_irq);
	ck_assert_uint_eq(com->io_base, 0x3f8);
	ck_assert_uint_eq(com->io_len, 8);
	ck_assert_uint_eq(com->irq, 4);
}
END_TEST

START_TEST(an_absent_serial_port_is_not_described)
{
	fw_fixture_init(&d, 1, 0);
	d.serial.present = false;
	built = acpi_build(buf, sizeof(buf), GPA, &d);
	walk();
	ck_assert_uint_eq(seen.nr_devs, 4);
	ck_assert_str_eq(seen.dev[0].path, "C000");
	ck_assert_str_eq(seen.dev[1].path, "PEVT");
}
END_TEST

START_TEST(a_panic_can_be_told_at_its_port)
{
	const struct aml_seen_device *p;

	build(1, 1);
	walk();
	p = find("PEVT");
	ck_assert_str_eq(p->hid, "QEMU0001");
	ck_assert(p->has_io && !p->has_irq);
	ck_assert_uint_eq(p->io_base, 0x505);
	ck_assert_uint_eq(p->io_len, 1);
}
END_TEST

START_TEST(the_power_button_is_pressed_by_an_interrupt_of_its_own)
{
	const struct aml_seen_device *ged;

	build(1, 128);
	walk();
	ck_assert_str_eq(find("PWRB")->hid, "PNP0C0C");
	ged = find("GED0");
	ck_assert_str_eq(ged->hid, "ACPI0013");
	ck_assert_uint_eq(ged->irq, LAYOUT_GSI_BUTTON);
	ck_assert_uint_eq(ged->irq_flags & 0xf, 3);	/* consumer, edge, high, exclusive */
	ck_assert_str_eq(ged->method, "_EVT");
	ck_assert_uint_eq(ged->nr_args, 1);
	ck_assert_str_eq(ged->notifies, "PWRB");
	ck_assert_uint_eq(ged->event, 0x80);
	for (uint32_t i = 0; i < d.nr_virtio; i++)
		ck_assert_uint_ne(d.virtio[i].gsi, ged->irq);
}
END_TEST

START_TEST(s5_has_sleep_type_5)
{
	build(1, 1);
	walk();
	ck_assert_uint_eq(seen.nr_s5, 4);
	ck_assert_uint_eq(seen.s5[0], 5);
}
END_TEST

/* row L5 */
START_TEST(the_largest_machine_fits_and_one_byte_less_is_refused)
{
	size_t need;

	build(255, 128);
	need = built;
	ck_assert_uint_eq(acpi_build(buf, need, GPA, &d), need);
	ck_assert_uint_eq(acpi_build(buf, need - 1, GPA, &d), 0);
}
END_TEST

/* Every capacity: ASan sees any byte written beyond it. */
/* row L5 */
START_TEST(no_capacity_makes_it_write_too_far)
{
	build(2, 3);
	for (size_t cap = 0; cap < built; cap++) {
		uint8_t *exact = malloc(cap + 1);

		ck_assert_ptr_nonnull(exact);
		exact[cap] = 0x77;
		ck_assert_uint_eq(acpi_build(exact, cap, GPA, &d), 0);
		ck_assert_uint_eq(exact[cap], 0x77);
		free(exact);
	}
}
END_TEST

/* Over the borders at 63 and 4095 bytes, where a length takes one byte more. */
START_TEST(lengths_of_all_sizes_end_where_their_contents_do)
{
	static char text[5000];
	static uint8_t big[6000];
	struct aml_block dev;
	struct out o;

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		out_init(&o, big, sizeof(big));
		dev = aml_device(&o, "DEV0");
		aml_name(&o, "_STR");
		aml_string(&o, text);
		aml_close(&o, dev);
		ck_assert(!o.overflow);
		aml_walk(&seen, big, o.len);
		text[len] = 'x';
	}
}
END_TEST

static const uint64_t numbers[] = { 0, 1, 2, 255, 256, 65535, 65536, UINT32_MAX, GIB(4),
				    UINT64_MAX };

START_TEST(integers_of_all_sizes_read_back)
{
	struct aml_block dev;
	uint8_t small[64];
	struct out o;

	out_init(&o, small, sizeof(small));
	dev = aml_device(&o, "DEV0");
	aml_name(&o, "_UID");
	aml_int(&o, numbers[_i]);
	aml_close(&o, dev);
	aml_walk(&seen, small, o.len);
	ck_assert_uint_eq(seen.dev[0].uid, numbers[_i]);
}
END_TEST

static void save(const char *dir, const char *name, const uint8_t *table)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(table, 1, number(table + 4, 4), f), number(table + 4, 4));
	fclose(f);
}

/* Disassembled, compiled again; every run must say that it found nothing. */
static int iasl(const char *dir)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd),
		 "cd %s && iasl -d *.dat >log 2>&1 && ! grep -qiE 'error|warning' log && "
		 "for t in FACP APIC XSDT DSDT; do iasl -p out $t.dsl >log 2>&1 && "
		 "grep -q '0 Errors, 0 Warnings, 0 Remarks' log || { cat log; exit 1; }; done",
		 dir);
	return system(cmd);
}

START_TEST(the_reference_compiler_finds_nothing_wrong)
{
	char dir[] = "/tmp/acpi-XXXXXX", cmd[64];
	int ret;

	if (system("command -v iasl >/dev/null 2>&1"))
		return;		/* not installed here */
	build(_i ? 300 : 2, _i ? 128 : 3);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	save(dir, "FACP", fadt());
	save(dir, "APIC", madt());
	save(dir, "XSDT", xsdt());
	save(dir, "DSDT", dsdt());
	ret = iasl(dir);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_eq(ret, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("acpi");
	TCase *tc = tcase_create("tables");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_root_pointer_has_both_checksums);
	tcase_add_test(tc, the_root_table_lists_two_tables_and_all_are_sound);
	tcase_add_test(tc, the_machine_is_hardware_reduced_with_power_off_and_reset);
	tcase_add_test(tc, there_is_no_keyboard_controller_vga_or_clock);
	tcase_add_loop_test(tc, each_cpu_has_one_interrupt_controller_entry, 0,
			    ARRAY_SIZE(cpu_counts));
	tcase_add_test(tc, there_is_one_ioapic_from_gsi_0_and_no_pic);
	tcase_add_test(tc, every_virtio_device_has_its_window_and_line);
	tcase_add_test(tc, a_line_is_shared_only_if_two_devices_use_it);
	tcase_add_test(tc, every_cpu_is_a_processor_device);
	tcase_add_test(tc, the_serial_port_has_its_ports_and_line);
	tcase_add_test(tc, an_absent_serial_port_is_not_described);
	tcase_add_test(tc, a_panic_can_be_told_at_its_port);
	tcase_add_test(tc, the_power_button_is_pressed_by_an_interrupt_of_its_own);
	tcase_add_test(tc, s5_has_sleep_type_5);
	tcase_add_test(tc, the_largest_machine_fits_and_one_byte_less_is_refused);
	tcase_add_test(tc, no_capacity_makes_it_write_too_far);
	tcase_add_test(tc, lengths_of_all_sizes_end_where_their_contents_do);
	tcase_add_loop_test(tc, integers_of_all_sizes_read_back, 0, ARRAY_SIZE(numbers));
	tcase_add_loop_test(tc, the_reference_compiler_finds_nothing_wrong, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
