/* SPDX-License-Identifier: Apache-2.0 */
/* What a device gives back or puts back that it does not have. */
#include <errno.h>
#include <string.h>

#include "runner.h"
#include "util.h"
#include "vdriver.h"
#include "virtq.h"

#define SIZE 8u

static struct guest_mem *mem;
static struct virtq *q;
static struct vdriver d;
static struct virtq_chain chain;
static struct iovec iov[SIZE];

static int pop(void)
{
	return virtq_pop(q, &chain, iov, ARRAY_SIZE(iov));
}

/* One chain is in flight. */
static void setup(void)
{
	struct vbuf buf = { .gpa = MIB(1), .len = 16, .write = true };

	ck_assert_int_eq(guest_mem_create(&mem, MIB(2), GIB(3), GIB(4), GUEST_MEM_ANON), 0);
	ck_assert_int_eq(virtq_create(&q, mem, 1024), 0);
	vdriver_init(&d, mem, 0, SIZE, false);
	ck_assert_int_eq(virtq_start(q, &d.cfg, 0), 0);
	vdriver_add(&d, &buf, 1);
	vdriver_show(&d);
	ck_assert_int_eq(pop(), 0);
}

static void teardown(void)
{
	virtq_stop(q);
	virtq_free(q);
	guest_mem_free(mem);
}

/* A device that gives back what it does not have must not move the driver's memory. */
START_TEST(a_head_that_is_not_in_flight_is_not_given_back)
{
	static const uint16_t heads[] = { 1, SIZE - 1, SIZE, 63, 64, UINT16_MAX };

	memset(d.used + 4, 0xee, 8 * SIZE);
	virtq_push(q, heads[_i], 1);
	ck_assert_uint_eq(virtq_nr_inflight(q), 1);
	virtq_publish(q);
	for (unsigned int i = 0; i < 8 * SIZE; i++)
		ck_assert_uint_eq(d.used[4 + i], 0xee);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

START_TEST(a_head_is_given_back_once)
{
	virtq_push(q, chain.head, 1);
	virtq_push(q, chain.head, 1);
	ck_assert_uint_eq(virtq_nr_inflight(q), 0);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

START_TEST(a_chain_that_is_not_in_flight_is_not_put_back)
{
	virtq_push(q, chain.head, 1);
	virtq_unpop(q, chain.head);
	ck_assert_uint_eq(virtq_nr_inflight(q), 0);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtq heads");
	TCase *tc = tcase_create("not in flight");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_head_that_is_not_in_flight_is_not_given_back, 0, 6);
	tcase_add_test(tc, a_head_is_given_back_once);
	tcase_add_test(tc, a_chain_that_is_not_in_flight_is_not_put_back);
	suite_add_tcase(s, tc);
	return s;
}
