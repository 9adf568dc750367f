/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fw_fixture.h"
#include "pvh.h"
#include "runner.h"
#include "util.h"

#define GPA 0x8000u

static struct fw_desc d;
static _Alignas(8) uint8_t buf[4096];

static void setup(void)
{
	fw_fixture_init(&d, 2, 1);
	d.cmdline = (struct fw_range){ .base = 0x20000, .len = 11 };
	d.initrd = (struct fw_range){ .base = 0xbf000000, .len = 0x123456 };
	memset(buf, 0xa5, sizeof(buf));
}

/* Reads as a guest does: by address, never beyond what was built. */
static const void *guest(uint64_t gpa, size_t len, size_t built)
{
	ck_assert_uint_ge(gpa, GPA);
	ck_assert_uint_le(gpa - GPA + len, built);
	return buf + (gpa - GPA);
}

START_TEST(the_structure_says_what_it_is_and_where_the_rest_is)
{
	size_t n = pvh_build(buf, sizeof(buf), GPA, &d, 0xe0000);
	const struct pvh_start_info *info = guest(GPA, sizeof(*info), n);

	ck_assert_uint_eq(info->magic, 0x336ec578);
	ck_assert_uint_eq(info->version, 1);
	ck_assert_uint_eq(info->flags, 0);
	ck_assert_uint_eq(info->cmdline_paddr, 0x20000);
	ck_assert_uint_eq(info->rsdp_paddr, 0xe0000);
}
END_TEST

START_TEST(the_initrd_is_the_only_module)
{
	size_t n = pvh_build(buf, sizeof(buf), GPA, &d, 0);
	const struct pvh_start_info *info = guest(GPA, sizeof(*info), n);
	const struct pvh_module *m = guest(info->modlist_paddr, sizeof(*m), n);

	ck_assert_uint_eq(info->nr_modules, 1);
	ck_assert_uint_eq(m->paddr, 0xbf000000);
	ck_assert_uint_eq(m->size, 0x123456);
	ck_assert_uint_eq(m->cmdline_paddr, 0);
}
END_TEST

START_TEST(without_an_initrd_there_is_no_module)
{
	const struct pvh_start_info *info = (const void *)buf;

	d.initrd.len = 0;
	pvh_build(buf, sizeof(buf), GPA, &d, 0);
	ck_assert_uint_eq(info->nr_modules, 0);
	ck_assert_uint_eq(info->modlist_paddr, 0);
}
END_TEST

START_TEST(the_memory_map_is_ascending_and_complete)
{
	static const struct pvh_memmap_entry want[] = {
		{ .addr = 0, .size = 0x9b000, .type = 1 },
		{ .addr = 0x9b000, .size = 0x65000, .type = 2 },
		{ .addr = MIB(1), .size = GIB(3) - MIB(1), .type = 1 },
		{ .addr = GIB(4), .size = GIB(1), .type = 1 },
	};
	size_t n = pvh_build(buf, sizeof(buf), GPA, &d, 0);
	const struct pvh_start_info *info = guest(GPA, sizeof(*info), n);

	ck_assert_uint_eq(info->memmap_entries, ARRAY_SIZE(want));
	ck_assert_mem_eq(guest(info->memmap_paddr, sizeof(want), n), want, sizeof(want));
}
END_TEST

START_TEST(a_buffer_too_small_stays_untouched)
{
	size_t n = pvh_build(buf, sizeof(buf), GPA, &d, 0);

	memset(buf, 0xa5, sizeof(buf));
	ck_assert_uint_eq(pvh_build(buf, n - 1, GPA, &d, 0), 0);
	ck_assert_uint_eq(buf[0], 0xa5);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("pvh");
	TCase *tc = tcase_create("start info");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, the_structure_says_what_it_is_and_where_the_rest_is);
	tcase_add_test(tc, the_initrd_is_the_only_module);
	tcase_add_test(tc, without_an_initrd_there_is_no_module);
	tcase_add_test(tc, the_memory_map_is_ascending_and_complete);
	tcase_add_test(tc, a_buffer_too_small_stays_untouched);
	suite_add_tcase(s, tc);
	return s;
}
