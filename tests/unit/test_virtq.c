/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings and cursors: where a queue may lie, what the available ring may say,
 * when the driver is interrupted. Chains are in test_virtq_chain.c, a second
 * thread in test_virtq_race.c.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "runner.h"
#include "util.h"
#include "vdriver.h"
#include "virtq.h"

#define LOW MIB(1)		/* RAM: 0..1 MiB and 8..9 MiB */
#define HIGH MIB(8)
#define RAM_END MIB(9)
#define BASE 0x10000u
#define SIZE 8u
#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)

static struct guest_mem *mem;
static struct virtq *q;
static struct vdriver d;
static struct virtq_chain chain;
static struct iovec iov[SIZE];

static void setup_with(uint64_t features)
{
	ck_assert_int_eq(guest_mem_create(&mem, MIB(2), LOW, HIGH, GUEST_MEM_ANON), 0);
	ck_assert_int_eq(virtq_create(&q, mem, 1024), 0);
	vdriver_init(&d, mem, BASE, SIZE, features & EVENT_IDX);
	ck_assert_int_eq(virtq_start(q, &d.cfg, features), 0);
}

static void setup(void)
{
	setup_with(0);
}

static void setup_event_idx(void)
{
	setup_with(EVENT_IDX);
}

static void teardown(void)
{
	virtq_stop(q);
	virtq_free(q);
	guest_mem_free(mem);
}

static int pop(void)
{
	return virtq_pop(q, &chain, iov, ARRAY_SIZE(iov));
}

/* One buffer of 16 bytes, made available and shown. */
static uint16_t offer(void)
{
	struct vbuf buf = { .gpa = LOW / 2, .len = 16, .write = true };
	uint16_t head = vdriver_add(&d, &buf, 1);

	vdriver_show(&d);
	return head;
}

static void set_avail_idx(uint16_t idx)
{
	d.avail[1] = idx;
}

static uint16_t used_idx(void)
{
	uint16_t idx;

	memcpy(&idx, d.used + 2, sizeof(idx));
	return idx;
}

/* Q1. Rings of 8 entries: 128, 22 and 70 bytes. */
static const struct {
	gpa_t desc, avail, used;
	int result;
} place[] = {
	{ 0x1000, 0x2000, 0x3000, 0 },
	{ 0, 0x2000, 0x3000, 0 },			/* guest address 0 is RAM */
	{ HIGH, HIGH + 0x1000, HIGH + 0x2000, 0 },
	{ 0x1000, HIGH, 0x3000, 0 },
	{ LOW - 128, 0x2000, 0x3000, 0 },		/* up to the last byte */
	{ 0x1000, LOW - 22, 0x3000, 0 },
	{ 0x1000, 0x2000, LOW - 72, 0 },
	{ LOW - 112, 0x2000, 0x3000, -EINVAL },		/* one entry too far */
	{ 0x1000, LOW - 20, 0x3000, -EINVAL },		/* used_event falls out */
	{ 0x1000, 0x2000, LOW - 68, -EINVAL },		/* avail_event falls out */
	{ 0x1001, 0x2000, 0x3000, -EINVAL },
	{ 0x1008, 0x2000, 0x3000, -EINVAL },
	{ 0x1000, 0x2001, 0x3000, -EINVAL },
	{ 0x1000, 0x2000, 0x3001, -EINVAL },
	{ 0x1000, 0x2000, 0x3002, -EINVAL },
	{ LOW, 0x2000, 0x3000, -EINVAL },		/* in the hole */
	{ 0x1000, LOW + 0x1000, 0x3000, -EINVAL },
	{ 0x1000, 0x2000, HIGH - 4, -EINVAL },
	{ RAM_END, 0x2000, 0x3000, -EINVAL },
	{ 0x1000, 0x2000, 1ull << 40, -EINVAL },
	{ UINT64_MAX - 15, 0x2000, 0x3000, -EINVAL },	/* 2^64 - 16 */
	{ 0x1000, UINT64_MAX - 1, 0x3000, -EINVAL },
	{ 0x1000, 0x2000, UINT64_MAX - 3, -EINVAL },
};

/* row Q1 */
START_TEST(rings_must_lie_aligned_in_ram)
{
	struct virtq_cfg cfg = { .desc = place[_i].desc, .avail = place[_i].avail,
				 .used = place[_i].used, .size = SIZE };

	virtq_stop(q);
	ck_assert_int_eq(virtq_start(q, &cfg, EVENT_IDX), place[_i].result);
	ck_assert_uint_eq(virtq_size(q), place[_i].result ? 0 : SIZE);
}
END_TEST

/* T5 */
static const struct {
	uint32_t size;
	int result;
} size[] = {
	{ 0, -EINVAL }, { 1, 0 }, { 2, 0 }, { 3, -EINVAL }, { 4, 0 }, { 1000, -EINVAL },
	{ 1024, 0 }, { 1025, -EINVAL }, { 2048, -EINVAL }, { 32768, -EINVAL },
	{ 65535, -EINVAL }, { 65536, -EINVAL }, { 65540, -EINVAL }, { UINT32_MAX, -EINVAL },
	{ 0x80000000, -EINVAL },
};

/* row T5 */
START_TEST(the_size_must_be_a_power_of_two_within_the_maximum)
{
	struct virtq_cfg cfg = { .desc = 0x1000, .avail = 0x8000, .used = 0xa000,
				 .size = size[_i].size };

	virtq_stop(q);
	ck_assert_int_eq(virtq_start(q, &cfg, 0), size[_i].result);
}
END_TEST

/* Q2: the guest only hurts itself. */
/* row Q2 */
START_TEST(overlapping_rings_are_accepted_and_stay_inside_ram)
{
	struct virtq_cfg cfg = { .desc = BASE, .avail = BASE, .used = BASE, .size = SIZE };

	virtq_stop(q);
	memset(guest_mem_ptr(mem, BASE, 4096), 0, 4096);
	ck_assert_int_eq(virtq_start(q, &cfg, 0), 0);
	for (int i = 0; i < 100; i++) {
		if (pop())
			break;
		virtq_push(q, chain.head, 1);
		virtq_publish(q);
	}
}
END_TEST

START_TEST(an_empty_ring_gives_nothing)
{
	ck_assert_int_eq(pop(), -EAGAIN);
	ck_assert_int_eq(pop(), -EAGAIN);
}
END_TEST

START_TEST(chains_come_in_the_order_they_were_made_available)
{
	uint16_t head[SIZE];

	for (unsigned int i = 0; i < SIZE; i++)
		head[i] = offer();
	for (unsigned int i = 0; i < SIZE; i++) {
		ck_assert_int_eq(pop(), 0);
		ck_assert_uint_eq(chain.head, head[i]);
	}
	ck_assert_int_eq(pop(), -EAGAIN);
	ck_assert_uint_eq(virtq_nr_inflight(q), SIZE);
}
END_TEST

/* Q3 */
static const uint16_t no_head[] = { SIZE, SIZE + 1, 0x100, 0x8000, 0xffff };

/* row Q3 */
START_TEST(a_head_beyond_the_table_breaks_the_queue)
{
	d.avail[2] = no_head[_i];
	set_avail_idx(1);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* Q7 */
static const struct {
	uint16_t idx;
	int result;
} jump[] = {
	{ 0, -EAGAIN }, { 1, 0 }, { SIZE - 1, 0 }, { SIZE, 0 }, { SIZE + 1, -EPROTO },
	{ 40000, -EPROTO }, { 0x8000, -EPROTO }, { 0xffff, -EPROTO },
};

/* row Q7 */
START_TEST(the_available_index_may_not_run_ahead_by_more_than_the_size)
{
	set_avail_idx(jump[_i].idx);
	ck_assert_int_eq(pop(), jump[_i].result);
}
END_TEST

/* row Q7 */
START_TEST(an_index_that_goes_back_breaks_the_queue)
{
	offer();
	offer();
	ck_assert_int_eq(pop(), 0);
	ck_assert_int_eq(pop(), 0);
	set_avail_idx(1);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* Q7: a second vCPU that moves the index forever gives us at most size chains. */
/* row Q7 */
START_TEST(one_drain_takes_at_most_size_chains_however_the_index_runs)
{
	unsigned int taken = 0;
	int ret = 0;

	for (uint16_t i = 0; i < SIZE; i++)
		d.avail[2 + i] = i;
	while (!ret && taken <= 2 * SIZE) {
		set_avail_idx((uint16_t)(taken + SIZE));
		ret = pop();
		taken += !ret;
	}
	ck_assert_int_eq(ret, -EPROTO);
	ck_assert_uint_eq(taken, SIZE);
}
END_TEST

START_TEST(a_broken_queue_stays_broken_although_the_ring_was_mended)
{
	set_avail_idx(1000);
	ck_assert_int_eq(pop(), -EPROTO);
	set_avail_idx(1);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

START_TEST(a_broken_queue_works_again_once_it_is_started_anew)
{
	set_avail_idx(1000);
	ck_assert_int_eq(pop(), -EPROTO);
	virtq_stop(q);
	vdriver_init(&d, mem, BASE, SIZE, false);
	ck_assert_int_eq(virtq_start(q, &d.cfg, 0), 0);
	offer();
	ck_assert_int_eq(pop(), 0);
}
END_TEST

/* Q8, CVE-2026-45782 of another monitor */
/* row Q8 */
START_TEST(a_head_in_flight_is_not_taken_again)
{
	uint16_t head = offer();

	d.avail[3] = head;
	set_avail_idx(2);
	ck_assert_int_eq(pop(), 0);
	ck_assert_int_eq(pop(), -EPROTO);
	ck_assert_uint_eq(virtq_nr_inflight(q), 1);
	virtq_push(q, head, 16);
	ck_assert(virtq_publish(q));
	ck_assert_uint_eq(used_idx(), 1);
}
END_TEST

START_TEST(a_head_that_came_back_may_be_used_again)
{
	for (int i = 0; i < 100; i++) {
		uint16_t head = offer();
		uint32_t len;

		ck_assert_int_eq(pop(), 0);
		virtq_push(q, chain.head, (uint32_t)i);
		virtq_publish(q);
		ck_assert(vdriver_take(&d, &head, &len));
		ck_assert_uint_eq(len, i);
	}
	ck_assert_uint_eq(virtq_nr_inflight(q), 0);
}
END_TEST

START_TEST(a_chain_put_back_comes_again)
{
	uint16_t first = offer(), second = offer();

	ck_assert_int_eq(pop(), 0);
	virtq_unpop(q, chain.head);
	ck_assert_uint_eq(virtq_nr_inflight(q), 0);
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.head, first);
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.head, second);
	ck_assert_uint_eq(virtq_nr_inflight(q), 2);
}
END_TEST

START_TEST(used_elements_may_come_out_of_order)
{
	uint16_t a = offer(), b = offer(), head;
	uint32_t len;

	ck_assert_int_eq(pop(), 0);
	ck_assert_int_eq(pop(), 0);
	virtq_push(q, b, 2);
	virtq_push(q, a, 1);
	virtq_publish(q);
	ck_assert(vdriver_take(&d, &head, &len));
	ck_assert_uint_eq(head, b);
	ck_assert_uint_eq(len, 2);
	ck_assert(vdriver_take(&d, &head, &len));
	ck_assert_uint_eq(head, a);
	ck_assert(!vdriver_take(&d, &head, &len));
}
END_TEST

START_TEST(what_was_pushed_stays_unseen_until_it_is_published)
{
	offer();
	ck_assert_int_eq(pop(), 0);
	virtq_push(q, chain.head, 0);
	ck_assert_uint_eq(used_idx(), 0);
	virtq_publish(q);
	ck_assert_uint_eq(used_idx(), 1);
}
END_TEST

START_TEST(publishing_nothing_asks_for_no_interrupt)
{
	ck_assert(!virtq_publish(q));
	offer();
	ck_assert_int_eq(pop(), 0);
	virtq_push(q, chain.head, 0);
	ck_assert(virtq_publish(q));
	ck_assert(!virtq_publish(q));
}
END_TEST

/* The driver sees the entry at once; whether it wants an interrupt is asked twice. */
START_TEST(an_open_question_is_asked_again)
{
	offer();
	ck_assert_int_eq(pop(), 0);
	virtq_push(q, chain.head, 0);
	ck_assert(virtq_publish_open(q));
	ck_assert_uint_eq(used_idx(), 1);
	ck_assert(virtq_publish_open(q));
	if (_i)
		d.avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
	ck_assert_int_eq(virtq_publish(q), !_i);
	ck_assert(!virtq_publish_open(q));
	ck_assert(!virtq_publish(q));
}
END_TEST

/* Q15 */
/* row Q15 */
START_TEST(the_used_index_is_never_read_back)
{
	uint16_t garbage = 999;
	struct vring_used_elem elem;

	offer();
	offer();
	ck_assert_int_eq(pop(), 0);
	virtq_push(q, chain.head, 0);
	virtq_publish(q);
	memcpy(d.used + 2, &garbage, sizeof(garbage));
	memset(d.used + 4, 0xff, 8 * SIZE);
	ck_assert_int_eq(pop(), 0);
	virtq_push(q, chain.head, 77);
	virtq_publish(q);
	ck_assert_uint_eq(used_idx(), 2);
	memcpy(&elem, d.used + 4 + 8, sizeof(elem));
	ck_assert_uint_eq(elem.len, 77);
}
END_TEST

/* Called 2^17 times: an assertion per call would be what takes the time. */
static void require(bool holds, const char *what, uint32_t at)
{
	if (!holds)
		ck_abort_msg("%s: %u", what, at);
}

static bool complete_one(void)
{
	uint16_t head;
	uint32_t len;
	bool wanted;

	offer();
	require(!pop(), "pop", chain.head);
	virtq_push(q, chain.head, 0);
	wanted = virtq_publish(q);
	require(vdriver_take(&d, &head, &len), "take", chain.head);
	return wanted;
}

START_TEST(no_interrupt_suppresses_without_event_idx)
{
	ck_assert(complete_one());
	d.avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
	ck_assert(!complete_one());
	d.avail[0] = 0;
	ck_assert(complete_one());
}
END_TEST

/* Q16: with EVENT_IDX the flag means nothing (virtio 1.2, 2.7.7.2). */
/* row Q16 */
START_TEST(no_interrupt_means_nothing_with_event_idx)
{
	d.avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
	vdriver_want_irq_at(&d, 0);
	ck_assert(complete_one());
}
END_TEST

/* The definition in words: entry number event was among those just published. */
static bool event_was_passed(uint16_t old, uint16_t new, uint16_t event)
{
	for (uint16_t i = old; i != new; i++)
		if (i == event)
			return true;
	return false;
}

/* Q16: 2^17 completions in batches of 1..8, the event index anywhere. */
/* row Q16 */
START_TEST(an_interrupt_is_wanted_exactly_when_the_event_index_is_passed)
{
	uint32_t done = 0, random = 12345 + (uint32_t)_i;
	uint16_t idx = 0, head;
	uint32_t len;

	while (done < 1u << 17) {
		unsigned int batch = 1 + done % SIZE;
		uint16_t event;

		random = random * 1664525 + 1013904223;
		event = _i ? (uint16_t)(idx + (random >> 16) % 20 - 10) : (uint16_t)(random >> 16);
		for (unsigned int i = 0; i < batch; i++)
			offer();
		for (unsigned int i = 0; i < batch; i++) {
			require(!pop(), "pop", done);
			virtq_push(q, chain.head, 0);
		}
		vdriver_want_irq_at(&d, event);
		require(virtq_publish(q) ==
			event_was_passed(idx, (uint16_t)(idx + batch), event), "wrong at", done);
		idx = (uint16_t)(idx + batch);
		done += batch;
		while (vdriver_take(&d, &head, &len))
			;
	}
}
END_TEST

/* Q16: every value of used_event, one completion each, across the wrap twice. */
START_TEST(a_driver_that_asks_for_the_next_entry_is_always_interrupted)
{
	for (uint32_t i = 0; i < 1u << 17; i++) {
		vdriver_want_irq_at(&d, (uint16_t)i);
		require(complete_one(), "no interrupt", i);
	}
}
END_TEST

START_TEST(a_driver_that_asked_for_the_entry_before_is_left_alone)
{
	for (uint32_t i = 0; i < 1u << 17; i++) {
		vdriver_want_irq_at(&d, (uint16_t)(i - 1));
		require(!complete_one(), "interrupt", i);
	}
}
END_TEST

START_TEST(kicks_are_switched_off_and_on_by_the_flag)
{
	virtq_disable_kick(q);
	ck_assert(!vdriver_show(&d));
	ck_assert(!virtq_enable_kick(q));
	offer();
	ck_assert(vdriver_show(&d));
	ck_assert_int_eq(pop(), 0);
	offer();
	ck_assert(virtq_enable_kick(q));	/* something came meanwhile */
}
END_TEST

START_TEST(with_event_idx_a_kick_is_asked_for_at_the_next_entry)
{
	struct vbuf buf = { .gpa = 0x100, .len = 1 };

	ck_assert(!virtq_enable_kick(q));
	vdriver_add(&d, &buf, 1);
	ck_assert(vdriver_show(&d));
	ck_assert_int_eq(pop(), 0);
	vdriver_add(&d, &buf, 1);
	ck_assert(!vdriver_show(&d));		/* it was not asked for again */
	ck_assert(virtq_enable_kick(q));
	ck_assert_int_eq(pop(), 0);
	ck_assert(!virtq_enable_kick(q));
	vdriver_add(&d, &buf, 1);
	ck_assert(vdriver_show(&d));
}
END_TEST

START_TEST(stopping_a_queue_forgets_its_place)
{
	virtq_stop(q);
	ck_assert_uint_eq(virtq_size(q), 0);
	virtq_stop(q);
}
END_TEST

START_TEST(freeing_nothing_is_allowed)
{
	virtq_free(NULL);
}
END_TEST

static TCase *event_idx(void)
{
	TCase *tc = tcase_create("event index");

	tcase_add_checked_fixture(tc, setup_event_idx, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, no_interrupt_means_nothing_with_event_idx);
	tcase_add_loop_test(tc, an_interrupt_is_wanted_exactly_when_the_event_index_is_passed,
			    0, 4);
	tcase_add_test(tc, a_driver_that_asks_for_the_next_entry_is_always_interrupted);
	tcase_add_test(tc, a_driver_that_asked_for_the_entry_before_is_left_alone);
	tcase_add_test(tc, with_event_idx_a_kick_is_asked_for_at_the_next_entry);
	return tc;
}

static void add_ring_tests(TCase *tc)
{
	tcase_add_test(tc, an_empty_ring_gives_nothing);
	tcase_add_test(tc, chains_come_in_the_order_they_were_made_available);
	tcase_add_loop_test(tc, a_head_beyond_the_table_breaks_the_queue, 0, ARRAY_SIZE(no_head));
	tcase_add_loop_test(tc, the_available_index_may_not_run_ahead_by_more_than_the_size, 0,
			    ARRAY_SIZE(jump));
	tcase_add_test(tc, an_index_that_goes_back_breaks_the_queue);
	tcase_add_test(tc, one_drain_takes_at_most_size_chains_however_the_index_runs);
	tcase_add_test(tc, a_broken_queue_stays_broken_although_the_ring_was_mended);
	tcase_add_test(tc, a_broken_queue_works_again_once_it_is_started_anew);
	tcase_add_test(tc, a_head_in_flight_is_not_taken_again);
	tcase_add_test(tc, a_head_that_came_back_may_be_used_again);
	tcase_add_test(tc, a_chain_put_back_comes_again);
	tcase_add_test(tc, used_elements_may_come_out_of_order);
	tcase_add_test(tc, what_was_pushed_stays_unseen_until_it_is_published);
	tcase_add_test(tc, publishing_nothing_asks_for_no_interrupt);
	tcase_add_loop_test(tc, an_open_question_is_asked_again, 0, 2);
	tcase_add_test(tc, the_used_index_is_never_read_back);
	tcase_add_test(tc, no_interrupt_suppresses_without_event_idx);
	tcase_add_test(tc, kicks_are_switched_off_and_on_by_the_flag);
}

Suite *test_suite(void)
{
	Suite *s = suite_create("virtq");
	TCase *tc = tcase_create("rings");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, rings_must_lie_aligned_in_ram, 0, ARRAY_SIZE(place));
	tcase_add_loop_test(tc, the_size_must_be_a_power_of_two_within_the_maximum, 0,
			    ARRAY_SIZE(size));
	tcase_add_test(tc, overlapping_rings_are_accepted_and_stay_inside_ram);
	tcase_add_test(tc, stopping_a_queue_forgets_its_place);
	tcase_add_test(tc, freeing_nothing_is_allowed);
	add_ring_tests(tc);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, event_idx());
	return s;
}
