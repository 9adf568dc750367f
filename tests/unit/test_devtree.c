/* SPDX-License-Identifier: Apache-2.0 */
/* The tree is read back with libfdt and, where dtc is installed, checked by it. */
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devtree.h"
#include "fw_fixture.h"
#include "layout.h"
#include "runner.h"
#include "util.h"

#define CAP (LAYOUT_MPTABLE - LAYOUT_DTB)

static struct fw_desc d;
static _Alignas(8) uint8_t buf[CAP];
static size_t built;

static size_t tree_into(void *to, size_t cap)
{
	return devtree_build(to, cap, &d, &devtree_x86, "console=ttyS0 quiet");
}

static void build(void)
{
	memset(buf, 0xa5, sizeof(buf));
	built = tree_into(buf, sizeof(buf));
	ck_assert_uint_gt(built, 0);
	ck_assert_int_eq(fdt_check_full(buf, built), 0);
}

static void setup(void)
{
	fw_fixture_init(&d, 2, 3);
	d.initrd = (struct fw_range){ .base = 0xbf000000, .len = 0x12345 };
}

static int node(const char *path)
{
	int off = fdt_path_offset(buf, path);

	ck_assert_msg(off >= 0, "no node %s", path);
	return off;
}

static void check_cells(const char *path, const char *name, const uint32_t *want, int nr)
{
	int len;
	const fdt32_t *p = fdt_getprop(buf, node(path), name, &len);

	ck_assert_msg(p, "%s has no %s", path, name);
	ck_assert_int_eq(len, nr * 4);
	for (int i = 0; i < nr; i++)
		ck_assert_uint_eq(fdt32_to_cpu(p[i]), want[i]);
}

#define CHECK_CELLS(path, name, ...) do {					\
	const uint32_t want_[] = { __VA_ARGS__ };				\
	check_cells(path, name, want_, (int)ARRAY_SIZE(want_));			\
} while (0)

static void check_string(const char *path, const char *name, const char *want)
{
	int len;
	const char *p = fdt_getprop(buf, node(path), name, &len);

	ck_assert_msg(p, "%s has no %s", path, name);
	ck_assert_str_eq(p, want);
	ck_assert_int_eq(len, (int)strlen(want) + 1);
}

START_TEST(memory_is_told_region_by_region)
{
	build();
	CHECK_CELLS("/memory@0", "reg", 0, 0, 0, 0xc0000000);
	CHECK_CELLS("/memory@100000000", "reg", 1, 0, 0, 0x40000000);
	check_string("/memory@0", "device_type", "memory");
}
END_TEST

START_TEST(command_line_and_initrd_are_chosen)
{
	build();
	check_string("/chosen", "bootargs", "console=ttyS0 quiet");
	CHECK_CELLS("/chosen", "linux,initrd-start", 0, 0xbf000000);
	CHECK_CELLS("/chosen", "linux,initrd-end", 0, 0xbf012345);
}
END_TEST

START_TEST(without_an_initrd_none_is_chosen)
{
	d.initrd.len = 0;
	build();
	ck_assert_ptr_null(fdt_getprop(buf, node("/chosen"), "linux,initrd-start", NULL));
}
END_TEST

START_TEST(every_cpu_has_its_apic_id_in_one_cell)
{
	char path[24];

	d.nr_cpus = 255;
	build();
	CHECK_CELLS("/cpus", "#address-cells", 1);
	CHECK_CELLS("/cpus", "#size-cells", 0);
	for (uint32_t i = 0; i < 255; i++) {
		snprintf(path, sizeof(path), "/cpus/cpu@%" PRIx32, i);
		CHECK_CELLS(path, "reg", i);
		check_string(path, "device_type", "cpu");
	}
}
END_TEST

START_TEST(lines_end_at_the_ioapic)
{
	uint32_t phandle;

	build();
	phandle = fdt_get_phandle(buf, node("/interrupt-controller@fec00000"));
	ck_assert_uint_ne(phandle, 0);
	CHECK_CELLS("/", "interrupt-parent", phandle);
	check_string("/interrupt-controller@fec00000", "compatible", "intel,ce4100-ioapic");
	CHECK_CELLS("/interrupt-controller@fec00000", "reg", 0, 0xfec00000, 0, 0x1000);
	CHECK_CELLS("/interrupt-controller@fec00000", "#interrupt-cells", 2);
	check_string("/interrupt-controller@fee00000", "compatible", "intel,ce4100-lapic");
}
END_TEST

/* Type 3 of the binding is an edge line, active high. */
START_TEST(every_virtio_device_has_its_window_and_line)
{
	char path[32];

	fw_fixture_init(&d, 1, 128);
	build();
	for (uint32_t i = 0; i < 128; i++) {
		snprintf(path, sizeof(path), "/virtio@%" PRIx64, d.virtio[i].base);
		check_string(path, "compatible", "virtio,mmio");
		CHECK_CELLS(path, "reg", 0, (uint32_t)d.virtio[i].base, 0, 0x2000);
		CHECK_CELLS(path, "interrupts", d.virtio[i].gsi, 3);
	}
}
END_TEST

START_TEST(the_serial_port_is_at_its_ports_on_an_isa_bus)
{
	const char *out;

	build();
	out = fdt_getprop(buf, node("/chosen"), "stdout-path", NULL);
	ck_assert_ptr_nonnull(out);
	check_string(out, "compatible", "ns16550a");
	CHECK_CELLS(out, "reg", 1, 0x3f8, 8);
	CHECK_CELLS(out, "interrupts", 4, 3);
	CHECK_CELLS("/ports/isa@0", "ranges", 1, 0, 0, 0, 0x10000);
}
END_TEST

START_TEST(an_absent_serial_port_is_not_described)
{
	d.serial.present = false;
	build();
	ck_assert_int_lt(fdt_path_offset(buf, "/ports"), 0);
	ck_assert_ptr_null(fdt_getprop(buf, node("/chosen"), "stdout-path", NULL));
}
END_TEST

/* row L6 */
START_TEST(the_largest_machine_fits_with_the_longest_command_line)
{
	static char line[LAYOUT_CMDLINE_MAX];

	memset(line, 'x', sizeof(line) - 1);
	fw_fixture_init(&d, 255, 128);
	built = devtree_build(buf, sizeof(buf), &d, &devtree_x86, line);
	ck_assert_uint_gt(built, 0);
	ck_assert_uint_lt(built, KIB(256));	/* what Linux maps at once so early */
}
END_TEST

/* row L6 */
START_TEST(no_capacity_makes_it_write_too_far)
{
	build();
	for (size_t cap = 0; cap < built; cap += cap < 200 ? 1 : 13) {
		void *exact = malloc(cap + !cap);

		ck_assert_ptr_nonnull(exact);
		ck_assert_uint_eq(tree_into(exact, cap), 0);
		free(exact);
	}
}
END_TEST

START_TEST(the_compiler_has_no_complaint)
{
	char path[] = "/tmp/devtree-XXXXXX", cmd[128];
	int fd, ret;

	if (system("command -v dtc >/dev/null 2>&1"))
		return;		/* not installed here */
	fw_fixture_init(&d, _i ? 255 : 1, _i ? 128 : 0);
	build();
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, buf, built), (ssize_t)built);
	snprintf(cmd, sizeof(cmd), "test -z \"$(dtc -I dtb -O dts -o /dev/null %s 2>&1)\"", path);
	ret = system(cmd);
	close(fd);
	unlink(path);
	ck_assert_int_eq(ret, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("devtree");
	TCase *tc = tcase_create("x86");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, memory_is_told_region_by_region);
	tcase_add_test(tc, command_line_and_initrd_are_chosen);
	tcase_add_test(tc, without_an_initrd_none_is_chosen);
	tcase_add_test(tc, every_cpu_has_its_apic_id_in_one_cell);
	tcase_add_test(tc, lines_end_at_the_ioapic);
	tcase_add_test(tc, every_virtio_device_has_its_window_and_line);
	tcase_add_test(tc, the_serial_port_is_at_its_ports_on_an_isa_bus);
	tcase_add_test(tc, an_absent_serial_port_is_not_described);
	tcase_add_test(tc, the_largest_machine_fits_with_the_longest_command_line);
	tcase_add_test(tc, no_capacity_makes_it_write_too_far);
	tcase_add_loop_test(tc, the_compiler_has_no_complaint, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
