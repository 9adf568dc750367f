/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bootparams.h"
#include "fw_fixture.h"
#include "memmap.h"
#include "runner.h"
#include "util.h"

static struct fw_desc d;
static struct boot_params bp;
static struct setup_header header;
static struct bootparams_cfg cfg;

static void setup(void)
{
	fw_fixture_init(&d, 2, 1);
	d.cmdline = (struct fw_range){ .base = 0x20000, .len = 11 };
	d.initrd = (struct fw_range){ .base = 0xbf000000, .len = 0x123456 };
	memset(&header, 0, sizeof(header));
	cfg = (struct bootparams_cfg){ .header = &header };
	memset(&bp, 0xa5, sizeof(bp));
}

static void check_e820(unsigned int i, uint64_t start, uint64_t end, uint32_t type)
{
	ck_assert_uint_lt(i, bp.e820_entries);
	ck_assert_uint_eq(bp.e820_table[i].addr, start);
	ck_assert_uint_eq(bp.e820_table[i].addr + bp.e820_table[i].size, end);
	ck_assert_uint_eq(bp.e820_table[i].type, type);
}

START_TEST(the_map_has_ram_without_the_tables)
{
	bootparams_build(&bp, &d, &cfg);

	ck_assert_uint_eq(bp.e820_entries, 4);
	check_e820(0, 0, 0x9b000, 1);
	check_e820(1, 0x9b000, 0x100000, 2);
	check_e820(2, 0x100000, GIB(3), 1);
	check_e820(3, GIB(4), GIB(5), 1);
}
END_TEST

START_TEST(a_machine_below_the_hole_has_no_high_entry)
{
	d.nr_ram = 1;
	bootparams_build(&bp, &d, &cfg);

	ck_assert_uint_eq(bp.e820_entries, 3);
	check_e820(2, 0x100000, GIB(3), 1);
}
END_TEST

START_TEST(ram_that_ends_with_the_tables_leaves_no_empty_entry)
{
	d.nr_ram = 1;
	d.ram[0].len = MIB(1);
	bootparams_build(&bp, &d, &cfg);

	ck_assert_uint_eq(bp.e820_entries, 2);
}
END_TEST

START_TEST(without_tables_ram_is_whole)
{
	d.tables.len = 0;
	bootparams_build(&bp, &d, &cfg);

	ck_assert_uint_eq(bp.e820_entries, 2);
	check_e820(0, 0, GIB(3), 1);
}
END_TEST

START_TEST(tables_outside_of_ram_take_nothing_from_it)
{
	d.nr_ram = 1;
	d.ram[0].len = 0x9c000;		/* ends inside the tables */
	bootparams_build(&bp, &d, &cfg);

	ck_assert_uint_eq(bp.e820_entries, 1);
	check_e820(0, 0, 0x9c000, 1);
}
END_TEST

START_TEST(an_elf_kernel_gets_a_header_of_its_own)
{
	bootparams_build(&bp, &d, &cfg);

	ck_assert_uint_eq(bp.hdr.boot_flag, 0xaa55);
	ck_assert_mem_eq((char *)&bp + 0x202, "HdrS", 4);
	ck_assert_uint_ge(bp.hdr.version, 0x020c);
	ck_assert_uint_eq(bp.hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(bp.sentinel, 0);
	ck_assert_uint_eq(bp.hdr.cmdline_size, 11);
}
END_TEST

START_TEST(a_bzimages_header_is_kept_but_for_what_a_loader_fills_in)
{
	header.header = 0x53726448;
	header.version = 0x020d;
	header.kernel_alignment = 0x200000;
	header.cmdline_size = 2047;
	header.init_size = 0x1234;
	bootparams_build(&bp, &d, &cfg);

	ck_assert_uint_eq(bp.hdr.version, 0x020d);
	ck_assert_uint_eq(bp.hdr.kernel_alignment, 0x200000);
	ck_assert_uint_eq(bp.hdr.init_size, 0x1234);
	ck_assert_uint_eq(bp.hdr.cmdline_size, 2047);
	ck_assert_uint_eq(bp.hdr.type_of_loader, 0xff);
}
END_TEST

START_TEST(command_line_initrd_and_tables_are_told)
{
	cfg.rsdp = 0xe0000;
	cfg.setup_data = 0x30000;
	bootparams_build(&bp, &d, &cfg);

	ck_assert_uint_eq(bp.hdr.cmd_line_ptr, 0x20000);
	ck_assert_uint_eq(bp.hdr.ramdisk_image, 0xbf000000);
	ck_assert_uint_eq(bp.hdr.ramdisk_size, 0x123456);
	ck_assert_uint_eq(bp.acpi_rsdp_addr, 0xe0000);
	ck_assert_uint_eq(bp.hdr.setup_data, 0x30000);
}
END_TEST

START_TEST(addresses_above_4_gib_use_the_upper_halves)
{
	d.initrd = (struct fw_range){ .base = GIB(5) + 0x1000, .len = GIB(4) + 2 };
	d.cmdline.base = GIB(6);
	bootparams_build(&bp, &d, &cfg);

	ck_assert_uint_eq(bp.hdr.ramdisk_image, GIB(1) + 0x1000);
	ck_assert_uint_eq(bp.ext_ramdisk_image, 1);
	ck_assert_uint_eq(bp.hdr.ramdisk_size, 2);
	ck_assert_uint_eq(bp.ext_ramdisk_size, 1);
	ck_assert_uint_eq(bp.ext_cmd_line_ptr, 1);
}
END_TEST

START_TEST(without_an_initrd_its_fields_are_zero)
{
	d.initrd = (struct fw_range){ .base = 0x1000 };
	bootparams_build(&bp, &d, &cfg);

	ck_assert_uint_eq(bp.hdr.ramdisk_image, 0);
	ck_assert_uint_eq(bp.hdr.ramdisk_size, 0);
}
END_TEST

START_TEST(the_device_tree_node_ends_the_list)
{
	struct setup_data node = { .next = 1 };

	bootparams_dtb_node(&node, 77);
	ck_assert_uint_eq(node.next, 0);
	ck_assert_uint_eq(node.type, SETUP_DTB);
	ck_assert_uint_eq(node.len, 77);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("bootparams");
	TCase *tc = tcase_create("zero page");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, the_map_has_ram_without_the_tables);
	tcase_add_test(tc, a_machine_below_the_hole_has_no_high_entry);
	tcase_add_test(tc, ram_that_ends_with_the_tables_leaves_no_empty_entry);
	tcase_add_test(tc, without_tables_ram_is_whole);
	tcase_add_test(tc, tables_outside_of_ram_take_nothing_from_it);
	tcase_add_test(tc, an_elf_kernel_gets_a_header_of_its_own);
	tcase_add_test(tc, a_bzimages_header_is_kept_but_for_what_a_loader_fills_in);
	tcase_add_test(tc, command_line_initrd_and_tables_are_told);
	tcase_add_test(tc, addresses_above_4_gib_use_the_upper_halves);
	tcase_add_test(tc, without_an_initrd_its_fields_are_zero);
	tcase_add_test(tc, the_device_tree_node_ends_the_list);
	suite_add_tcase(s, tc);
	return s;
}
