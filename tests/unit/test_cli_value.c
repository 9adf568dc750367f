/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli_value.h"
#include "runner.h"
#include "util.h"

static const struct {
	const char *text;
	uint64_t min, max, value;
	int result;
} number[] = {
	{ "0", 0, 10, 0, 0 },
	{ "10", 0, 10, 10, 0 },
	{ "007", 0, 10, 7, 0 },
	{ "0x1f", 0, 100, 31, 0 },
	{ "0X1F", 0, 100, 31, 0 },
	{ "18446744073709551615", 0, UINT64_MAX, UINT64_MAX, 0 },
	{ "11", 0, 10, 0, -EINVAL },
	{ "0", 1, 10, 0, -EINVAL },
	{ "18446744073709551616", 0, UINT64_MAX, 0, -EINVAL },
	{ "", 0, 10, 0, -EINVAL },
	{ " 1", 0, 10, 0, -EINVAL },
	{ "1 ", 0, 10, 0, -EINVAL },
	{ "-1", 0, UINT64_MAX, 0, -EINVAL },
	{ "+1", 0, 10, 0, -EINVAL },
	{ "1.5", 0, 10, 0, -EINVAL },
	{ "1e3", 0, 10000, 0, -EINVAL },
	{ "0x", 0, 10, 0, -EINVAL },
	{ "x1", 0, 10, 0, -EINVAL },
	{ "1a", 0, 100, 0, -EINVAL },
	{ "1K", 0, 10000, 0, -EINVAL },
	{ "\xd9\xa1", 0, 10, 0, -EINVAL },	/* a digit of another script */
};

/* row K2 */
START_TEST(a_number_is_digits_within_its_bounds)
{
	uint64_t n;

	ck_assert_int_eq(cli_number(number[_i].text, number[_i].min, number[_i].max, &n),
			 number[_i].result);
	if (!number[_i].result)
		ck_assert_uint_eq(n, number[_i].value);
}
END_TEST

/* K1 */
static const struct {
	const char *text;
	uint64_t value;
	int result;
} size[] = {
	{ "0", 0, 0 },
	{ "1", 1, 0 },
	{ "512K", KIB(512), 0 },
	{ "512k", KIB(512), 0 },
	{ "256M", MIB(256), 0 },
	{ "4G", GIB(4), 0 },
	{ "2T", GIB(2048), 0 },
	{ "0x10M", MIB(16), 0 },
	{ "16777215T", 16777215ull << 40, 0 },
	{ "16777216T", 0, -EINVAL },			/* 2^64 */
	{ "18446744073709551615K", 0, -EINVAL },
	{ "9223372036854775808", 1ull << 63, 0 },
	{ "1GG", 0, -EINVAL },
	{ "1MB", 0, -EINVAL },
	{ "G", 0, -EINVAL },
	{ "", 0, -EINVAL },
	{ "-1G", 0, -EINVAL },
	{ "1 G", 0, -EINVAL },
	{ "1.5G", 0, -EINVAL },
	{ "1P", 0, -EINVAL },
	{ "1B", 0, -EINVAL },
};

/* row K1 */
START_TEST(a_size_is_a_number_with_one_unit)
{
	uint64_t n;

	ck_assert_int_eq(cli_size(size[_i].text, &n), size[_i].result);
	if (!size[_i].result)
		ck_assert_uint_eq(n, size[_i].value);
}
END_TEST

static const struct {
	const char *text;
	int result;
	bool value;
} on_off[] = {
	{ "on", 0, true }, { "off", 0, false }, { "", -EINVAL, false }, { "ON", -EINVAL, false },
	{ "yes", -EINVAL, false }, { "1", -EINVAL, false }, { "on ", -EINVAL, false },
	{ "offf", -EINVAL, false },
};

START_TEST(a_switch_is_on_or_off)
{
	bool value = true;

	ck_assert_int_eq(cli_on_off(on_off[_i].text, &value), on_off[_i].result);
	if (!on_off[_i].result)
		ck_assert_int_eq(value, on_off[_i].value);
}
END_TEST

START_TEST(a_mac_is_six_bytes)
{
	static const uint8_t expected[6] = { 0x02, 0xab, 0xCD, 0x00, 0x7f, 0xff };
	uint8_t mac[6];

	ck_assert_int_eq(cli_mac("02:ab:CD:00:7f:ff", mac), 0);
	ck_assert_mem_eq(mac, expected, 6);
}
END_TEST

static const char *const no_mac[] = {
	"", "02", "02:00:00:00:00", "02:00:00:00:00:", "02:00:00:00:00:01:",
	"02:00:00:00:00:01:02", "02-00-00-00-00-01", "2:0:0:0:0:1", "020000000001",
	"02:00:00:00:00:0g", "02:00:00:00:00:1", " 02:00:00:00:00:01", "02:00:00:00:00:01 ",
	"00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "+2:00:00:00:00:01",
};

START_TEST(anything_else_is_no_mac)
{
	uint8_t mac[6];

	ck_assert_int_eq(cli_mac(no_mac[_i], mac), -EINVAL);
}
END_TEST

static const struct {
	const char *text;
	unsigned int nr;
	int cpu[8];
} cpus[] = {
	{ "0", 1, { 0 } },
	{ "0-3", 4, { 0, 1, 2, 3 } },
	{ "0-1,8", 3, { 0, 1, 8 } },
	{ "0:2:4", 3, { 0, 2, 4 } },
	{ "5,4-4,0", 3, { 5, 4, 0 } },
	{ "7,7", 2, { 7, 7 } },
	{ "0-7", 8, { 0, 1, 2, 3, 4, 5, 6, 7 } },
};

START_TEST(a_cpu_list_is_numbers_and_ranges)
{
	int cpu[8];
	unsigned int nr;

	ck_assert_int_eq(cli_cpus(cpus[_i].text, cpu, 8, &nr), 0);
	ck_assert_uint_eq(nr, cpus[_i].nr);
	ck_assert_mem_eq(cpu, cpus[_i].cpu, nr * sizeof(cpu[0]));
}
END_TEST

static const char *const no_cpus[] = {
	"", ",", "0,", ",0", "0-", "-1", "3-1", "0-8", "0,1,2,3,4,5,6,7,8", "a", "0;1", "0--1",
	"32768", "0-32768", "99999999999999999999", "0-99999999999999999999", "1 2",
};

START_TEST(anything_else_is_no_cpu_list)
{
	int cpu[8];
	unsigned int nr;

	ck_assert_int_eq(cli_cpus(no_cpus[_i], cpu, 8, &nr), -EINVAL);
}
END_TEST

START_TEST(a_choice_is_one_of_the_names)
{
	static const char *const names[] = { "one", "two", NULL };
	unsigned int i = 9;

	ck_assert_int_eq(cli_choice("two", names, &i), 0);
	ck_assert_uint_eq(i, 1);
	ck_assert_int_eq(cli_choice("tw", names, &i), -EINVAL);
	ck_assert_int_eq(cli_choice("twoo", names, &i), -EINVAL);
	ck_assert_int_eq(cli_choice("", names, &i), -EINVAL);
	ck_assert_uint_eq(i, 1);
}
END_TEST

/* Two keys that keep what they were given; "bad" is a value neither takes. */
struct pair {
	char *a, *b;
	unsigned int nr;
};

static int set_a(void *ctx, char *value)
{
	struct pair *p = ctx;

	p->a = value;
	p->nr++;
	return strcmp(value, "bad") ? 0 : -EINVAL;
}

static int set_b(void *ctx, char *value)
{
	struct pair *p = ctx;

	p->b = value;
	p->nr++;
	return 0;
}

static const struct cli_key keys[] = { { "a", set_a, false }, { "bb", set_b, true } };

static const struct {
	const char *text, *a, *b;	/* NULL: not set */
} list[] = {
	{ "a=1", "1", NULL },
	{ "a=1,bb=2", "1", "2" },
	{ "bb=2,a=1", "1", "2" },
	{ "a=", "", NULL },
	{ "a=x=y", "x=y", NULL },
	{ "a=1,,2", "1,2", NULL },			/* a comma is written twice */
	{ "a=,,", ",", NULL },
	{ "a=,,,bb=,,", ",", "," },
	{ "a=1,,,bb=2", "1,", "2" },
	{ "bb=1,bb=3", NULL, "3" },			/* this key may be there twice */
};

START_TEST(a_list_sets_its_keys)
{
	struct pair p = { NULL, NULL, 0 };
	const char *bad = NULL;
	char *text = strdup(list[_i].text);

	ck_assert_int_eq(cli_keys(text, keys, ARRAY_SIZE(keys), &p, &bad), 0);
	ck_assert_pstr_eq(p.a, list[_i].a);
	ck_assert_pstr_eq(p.b, list[_i].b);
	free(text);
}
END_TEST

static const struct {
	const char *text, *bad;
} no_list[] = {
	{ "", "" },
	{ "a", "a" },
	{ "c=1", "c=1" },
	{ "a=1,c=2", "c=2" },
	{ "aa=1", "aa=1" },
	{ "b=1", "b=1" },
	{ "=1", "=1" },
	{ "a=1,", "" },
	{ ",a=1", "" },
	{ "a=bad", "a=bad" },
	{ "bb=1,bb=2,a=bad,bb=3", "a=bad" },
	{ "A=1", "A=1" },
	{ "a =1", "a =1" },
};

START_TEST(a_key_that_is_there_twice_is_an_error)
{
	struct pair p = { NULL, NULL, 0 };
	const char *bad = NULL;
	char text[] = "a=1,bb=2,a=3";

	ck_assert_int_eq(cli_keys(text, keys, ARRAY_SIZE(keys), &p, &bad), -EEXIST);
	ck_assert_str_eq(bad, "a=3");
}
END_TEST

START_TEST(a_list_that_is_wrong_names_the_item)
{
	struct pair p = { NULL, NULL, 0 };
	const char *bad = NULL;
	char *text = strdup(no_list[_i].text);

	ck_assert_int_eq(cli_keys(text, keys, ARRAY_SIZE(keys), &p, &bad), -EINVAL);
	ck_assert_str_eq(bad, no_list[_i].bad);
	free(text);
}
END_TEST

START_TEST(names_are_as_far_as_letters_lie_between_them)
{
	ck_assert_uint_eq(cli_distance("cpus", 4, "cpus"), 0);
	ck_assert_uint_eq(cli_distance("cpu=2", 3, "cpus"), 1);
	ck_assert_uint_eq(cli_distance("memroy", 6, "memory"), 2);
	ck_assert_uint_eq(cli_distance("kernel", 6, "disk"), CLI_FAR);
	ck_assert_uint_eq(cli_distance("", 0, "fd"), CLI_FAR);
	ck_assert_uint_eq(cli_distance("x", 1, "fd"), CLI_FAR);
	ck_assert_uint_eq(cli_distance("a-name-that-is-longer-than-any-known", 36, "fd"), CLI_FAR);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("cli_value");
	TCase *tc = tcase_create("values");

	tcase_add_loop_test(tc, a_number_is_digits_within_its_bounds, 0, ARRAY_SIZE(number));
	tcase_add_loop_test(tc, a_size_is_a_number_with_one_unit, 0, ARRAY_SIZE(size));
	tcase_add_loop_test(tc, a_switch_is_on_or_off, 0, ARRAY_SIZE(on_off));
	tcase_add_test(tc, a_mac_is_six_bytes);
	tcase_add_loop_test(tc, anything_else_is_no_mac, 0, ARRAY_SIZE(no_mac));
	tcase_add_loop_test(tc, a_cpu_list_is_numbers_and_ranges, 0, ARRAY_SIZE(cpus));
	tcase_add_loop_test(tc, anything_else_is_no_cpu_list, 0, ARRAY_SIZE(no_cpus));
	tcase_add_test(tc, a_choice_is_one_of_the_names);
	tcase_add_loop_test(tc, a_list_sets_its_keys, 0, ARRAY_SIZE(list));
	tcase_add_test(tc, a_key_that_is_there_twice_is_an_error);
	tcase_add_loop_test(tc, a_list_that_is_wrong_names_the_item, 0, ARRAY_SIZE(no_list));
	tcase_add_test(tc, names_are_as_far_as_letters_lie_between_them);
	suite_add_tcase(s, tc);
	return s;
}
