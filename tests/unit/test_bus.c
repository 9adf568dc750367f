/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "bus.h"
#include "runner.h"
#include "util.h"

/* A device that remembers its last access. */
struct probe {
	uint64_t off;
	uint32_t len;
	uint64_t written;
	unsigned int nr_reads, nr_writes;
};

static void probe_read(void *ctx, uint64_t off, void *buf, uint32_t len)
{
	struct probe *p = ctx;

	p->off = off;
	p->len = len;
	p->nr_reads++;
	memset(buf, 0x5a, len);
}

static void probe_write(void *ctx, uint64_t off, const void *buf, uint32_t len)
{
	struct probe *p = ctx;

	p->off = off;
	p->len = len;
	p->nr_writes++;
	p->written = 0;
	memcpy(&p->written, buf, len);
}

static const struct bus_ops probe_ops = { .read = probe_read, .write = probe_write };
static struct bus bus;
static struct probe probe[3];

static void setup(void)
{
	memset(&bus, 0, sizeof(bus));
	memset(probe, 0, sizeof(probe));
}

static int add(uint64_t base, uint64_t len, unsigned int which)
{
	return bus_add(&bus, base, len, &probe_ops, &probe[which]);
}

START_TEST(an_access_reaches_its_window_with_the_offset)
{
	uint32_t val = 0x11223344;

	ck_assert_int_eq(add(0x1000, 0x100, 0), 0);
	ck_assert(bus_write(&bus, 0x1010, &val, 4));
	ck_assert_uint_eq(probe[0].off, 0x10);
	ck_assert_uint_eq(probe[0].len, 4);
	ck_assert_uint_eq(probe[0].written, val);
	ck_assert(bus_read(&bus, 0x1018, &val, 4));
	ck_assert_uint_eq(probe[0].off, 0x18);
	ck_assert_uint_eq(val, 0x5a5a5a5a);
}
END_TEST

static const struct {
	uint64_t addr;
	uint32_t len;
	bool claimed;
} edge[] = {
	{ 0x1000, 1, true },
	{ 0x1000, 8, true },
	{ 0x10f8, 8, true },
	{ 0x10ff, 1, true },
	{ 0x0fff, 1, false },
	{ 0x0fff, 2, false },		/* runs into the window */
	{ 0x10ff, 2, false },		/* runs out of it */
	{ 0x10f9, 8, false },
	{ 0x1100, 1, false },
	{ 0x1000, 0, false },
	{ 0x1000, 9, false },
	{ 0x1000, UINT32_MAX, false },
	{ UINT64_MAX, 1, false },
	{ UINT64_MAX, 8, false },
	{ 0, 1, false },
};

/* rows T2, T3 */
START_TEST(an_access_is_claimed_only_if_it_lies_wholly_inside)
{
	uint64_t val = 0;

	ck_assert_int_eq(add(0x1000, 0x100, 0), 0);
	ck_assert_int_eq(bus_write(&bus, edge[_i].addr, &val, edge[_i].len), edge[_i].claimed);
	ck_assert_uint_eq(probe[0].nr_writes, edge[_i].claimed);
}
END_TEST

START_TEST(a_read_is_claimed_like_a_write)
{
	uint8_t val[8] = { 0 };

	if (edge[_i].len > sizeof(val))
		return;
	ck_assert_int_eq(add(0x1000, 0x100, 0), 0);
	ck_assert_int_eq(bus_read(&bus, edge[_i].addr, val, edge[_i].len), edge[_i].claimed);
	ck_assert_uint_eq(probe[0].nr_reads, edge[_i].claimed);
}
END_TEST

/* row T19 */
START_TEST(an_unclaimed_read_gives_all_ones)
{
	uint8_t val[9] = { 0 };

	ck_assert(!bus_read(&bus, 0x5000, val, _i));
	for (int i = 0; i < _i; i++)
		ck_assert_uint_eq(val[i], 0xff);
	ck_assert_uint_eq(val[_i], 0);
}
END_TEST

static void read_nothing(void *ctx, uint64_t off, void *buf, uint32_t len)
{
	(void)ctx;
	(void)off;
	(void)buf;
	(void)len;
}

START_TEST(a_device_that_fills_in_nothing_reads_zero)
{
	static const struct bus_ops silent = { .read = read_nothing };
	uint64_t val = ~0ull;

	ck_assert_int_eq(bus_add(&bus, 0, 16, &silent, NULL), 0);
	ck_assert(bus_read(&bus, 0, &val, 8));
	ck_assert_uint_eq(val, 0);
}
END_TEST

static const struct {
	uint64_t base, len;
	int result;
} second[] = {
	{ 0x1000, 0x100, -EEXIST },
	{ 0x0f01, 0x100, -EEXIST },
	{ 0x10ff, 1, -EEXIST },
	{ 0x1010, 4, -EEXIST },
	{ 0x0000, UINT64_MAX, -EEXIST },
	{ 0x0f00, 0x100, 0 },		/* adjacent is fine */
	{ 0x1100, 0x100, 0 },
	{ 0x2000, 0, -EINVAL },
	{ UINT64_MAX, 2, -EINVAL },	/* wraps */
	{ 0x1000, UINT64_MAX, -EINVAL },
	{ UINT64_MAX, 1, 0 },		/* the last byte there is */
	{ UINT64_MAX - 0xff, 0x100, 0 },
};

START_TEST(a_window_must_not_overlap_nor_wrap)
{
	ck_assert_int_eq(add(0x1000, 0x100, 0), 0);
	ck_assert_int_eq(add(second[_i].base, second[_i].len, 1), second[_i].result);
	ck_assert_uint_eq(bus.nr_windows, second[_i].result ? 1 : 2);
}
END_TEST

START_TEST(the_last_byte_of_the_address_space_can_be_a_window)
{
	uint8_t val = 0;

	ck_assert_int_eq(add(UINT64_MAX, 1, 0), 0);
	ck_assert(bus_write(&bus, UINT64_MAX, &val, 1));
	ck_assert(!bus_write(&bus, UINT64_MAX, &val, 2));
	ck_assert_uint_eq(probe[0].nr_writes, 1);
}
END_TEST

START_TEST(windows_are_sorted_whatever_the_order_they_come_in)
{
	static const unsigned int order[6][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	uint8_t val = 0;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(add(0x1000 * order[_i][i], 0x1000, order[_i][i]), 0);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert(bus_write(&bus, 0x1000 * i + i, &val, 1));
		ck_assert_uint_eq(probe[i].off, i);
		ck_assert_uint_eq(probe[i].nr_writes, 1);
		ck_assert_uint_eq(bus.window[i].base, 0x1000 * i);
	}
}
END_TEST

START_TEST(a_full_table_takes_no_more)
{
	for (unsigned int i = 0; i < BUS_MAX_WINDOWS; i++)
		ck_assert_int_eq(add(0x1000 * (uint64_t)(BUS_MAX_WINDOWS - i), 0x800, 0), 0);
	ck_assert_int_eq(add(0, 1, 1), -ENOSPC);
}
END_TEST

/* row T3 */
START_TEST(every_byte_around_every_window_of_a_full_table_is_told_apart)
{
	uint8_t val = 0;

	for (uint64_t i = 0; i < BUS_MAX_WINDOWS; i++)
		ck_assert_int_eq(add(16 * (i * 7 % BUS_MAX_WINDOWS), 8, 0), 0);
	for (uint64_t addr = 0; addr < 16 * BUS_MAX_WINDOWS + 32; addr++) {
		bool inside = addr % 16 < 8 && addr < 16 * BUS_MAX_WINDOWS;

		ck_assert_int_eq(bus_write(&bus, addr, &val, 1), inside);
		if (inside)
			ck_assert_uint_eq(probe[0].off, addr % 16);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("bus");
	TCase *tc = tcase_create("bus");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, an_access_reaches_its_window_with_the_offset);
	tcase_add_loop_test(tc, an_access_is_claimed_only_if_it_lies_wholly_inside, 0,
			    ARRAY_SIZE(edge));
	tcase_add_loop_test(tc, a_read_is_claimed_like_a_write, 0, ARRAY_SIZE(edge));
	tcase_add_loop_test(tc, an_unclaimed_read_gives_all_ones, 1, 9);
	tcase_add_test(tc, a_device_that_fills_in_nothing_reads_zero);
	tcase_add_loop_test(tc, a_window_must_not_overlap_nor_wrap, 0, ARRAY_SIZE(second));
	tcase_add_test(tc, the_last_byte_of_the_address_space_can_be_a_window);
	tcase_add_loop_test(tc, windows_are_sorted_whatever_the_order_they_come_in, 0, 6);
	tcase_add_test(tc, a_full_table_takes_no_more);
	tcase_add_test(tc, every_byte_around_every_window_of_a_full_table_is_told_apart);
	suite_add_tcase(s, tc);
	return s;
}
