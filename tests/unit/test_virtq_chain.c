/* SPDX-License-Identifier: Apache-2.0 */
/* What a chain of descriptors may look like: rows Q4..Q6 and Q9..Q13 of docs/hostile-cases.md. */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "runner.h"
#include "util.h"
#include "vdriver.h"
#include "virtq.h"

#define LOW MIB(1)		/* RAM: 0..1 MiB and 8..9 MiB; devices between them */
#define HIGH MIB(8)
#define RAM_END MIB(9)
#define BASE 0x10000u
#define TABLE 0x40000u		/* where an indirect table goes */
#define SIZE 8u
#define INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)

#define F_NEXT VRING_DESC_F_NEXT
#define F_WRITE VRING_DESC_F_WRITE
#define F_INDIRECT VRING_DESC_F_INDIRECT

static struct guest_mem *mem;
static struct virtq *q;
static struct vdriver d;
static struct virtq_chain chain;
static struct iovec iov[3 * SIZE];

static void setup_with(uint64_t features)
{
	ck_assert_int_eq(guest_mem_create(&mem, MIB(2), LOW, HIGH, GUEST_MEM_ANON), 0);
	ck_assert_int_eq(virtq_create(&q, mem, SIZE), 0);
	vdriver_init(&d, mem, BASE, SIZE, false);
	ck_assert_int_eq(virtq_start(q, &d.cfg, features), 0);
}

static void setup(void)
{
	setup_with(INDIRECT);
}

static void setup_no_indirect(void)
{
	setup_with(0);
}

static void teardown(void)
{
	virtq_free(q);
	guest_mem_free(mem);
}

/* Indirect tables need not be aligned. */
static void put(void *table, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags,
		uint16_t next)
{
	struct vring_desc entry = { .addr = addr, .len = len, .flags = flags, .next = next };

	memcpy((uint8_t *)table + i * sizeof(entry), &entry, sizeof(entry));
}

static void desc(unsigned int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	put(d.desc, i, addr, len, flags, next);
}

static void *table_at(gpa_t gpa)
{
	return guest_mem_ptr(mem, gpa, 16);
}

/* Makes the chain that begins at descriptor 0 available and pops it. */
static int pop(void)
{
	d.avail[2] = 0;
	d.avail[1] = 1;
	return virtq_pop(q, &chain, iov, (int)SIZE);
}

START_TEST(readable_buffers_come_first_and_writable_ones_behind)
{
	desc(0, 0x100, 10, F_NEXT, 5);
	desc(5, 0x200, 20, F_NEXT, 3);
	desc(3, HIGH, 30, F_NEXT | F_WRITE, 1);
	desc(1, HIGH + 0x100, 40, F_WRITE, 0);
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.nr_out, 2);
	ck_assert_uint_eq(chain.nr_in, 2);
	ck_assert_uint_eq(chain.out_len, 30);
	ck_assert_uint_eq(chain.in_len, 70);
	ck_assert_ptr_eq(iov[1].iov_base, guest_mem_ptr(mem, 0x200, 1));
	ck_assert_ptr_eq(iov[2].iov_base, guest_mem_ptr(mem, HIGH, 1));
	ck_assert_uint_eq(iov[3].iov_len, 40);
}
END_TEST

/* Q12 */
/* row Q12 */
START_TEST(a_readable_buffer_behind_a_writable_one_breaks_the_queue)
{
	desc(0, 0x100, 16, F_NEXT | F_WRITE, 1);
	desc(1, 0x200, 16, 0, 0);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* row Q12 */
START_TEST(a_chain_may_be_all_readable)
{
	desc(0, 0x100, 16, F_NEXT, 1);
	desc(1, 0x200, 16, 0, 0);
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.nr_in, 0);
}
END_TEST

/* row Q12 */
START_TEST(a_chain_may_be_all_writable)
{
	desc(0, 0x100, 16, F_NEXT | F_WRITE, 1);
	desc(1, 0x200, 16, F_WRITE, 0);
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.nr_out, 0);
}
END_TEST

/* Q4 */
/* row Q4 */
START_TEST(a_chain_as_long_as_the_queue_is_taken)
{
	for (unsigned int i = 0; i < SIZE; i++)
		desc(i, 0x100 * (i + 1), 16, i + 1 < SIZE ? F_NEXT : 0, (uint16_t)(i + 1));
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.nr_out, SIZE);
}
END_TEST

/* _i: where the last descriptor leads back to. Buffers of no length do not end it either. */
/* row Q4 */
START_TEST(a_loop_breaks_the_queue)
{
	uint32_t len = (uint32_t)_i % 2 ? 16 : 0;

	for (unsigned int i = 0; i < SIZE; i++)
		desc(i, 0x100, len, F_NEXT, i + 1 < SIZE ? (uint16_t)(i + 1) : (uint16_t)(_i / 2));
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* row Q4 */
START_TEST(a_descriptor_that_names_itself_breaks_the_queue)
{
	desc(0, 0x100, (uint32_t)_i, F_NEXT, 0);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* Q5 */
static const uint16_t no_next[] = { SIZE, SIZE + 1, 0x7fff, 0x8000, 0xffff };

/* row Q5 */
START_TEST(a_next_beyond_the_table_breaks_the_queue)
{
	desc(0, 0x100, 16, F_NEXT, no_next[_i]);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* Q9 and Q11: no buffer but RAM, whole and in one region. Q10: regions never touch. */
static const struct {
	uint64_t addr;
	uint32_t len;
	int result;
} buffer[] = {
	{ 0, 1, 0 },
	{ LOW - 1, 1, 0 },
	{ 0, LOW, 0 },
	{ HIGH, RAM_END - HIGH, 0 },
	{ LOW - 1, 2, -EPROTO },
	{ LOW - 16, HIGH, -EPROTO },		/* over the hole */
	{ LOW, 1, -EPROTO },			/* a device's registers, say */
	{ HIGH - 1, 1, -EPROTO },
	{ HIGH - 1, 2, -EPROTO },
	{ RAM_END - 1, 2, -EPROTO },
	{ RAM_END, 1, -EPROTO },
	{ 0, UINT32_MAX, -EPROTO },
	{ LOW, UINT32_MAX, -EPROTO },
	{ UINT64_MAX, 1, -EPROTO },
	{ UINT64_MAX, 2, -EPROTO },		/* wraps to 0 */
	{ UINT64_MAX - 15, 32, -EPROTO },
	{ UINT64_MAX - UINT32_MAX + 1, UINT32_MAX, -EPROTO },
	{ 1ull << 63, 16, -EPROTO },
};

/* rows Q9, Q11 */
START_TEST(a_buffer_must_be_ram)
{
	desc(0, buffer[_i].addr, buffer[_i].len, 0, 0);
	ck_assert_int_eq(pop(), buffer[_i].result);
}
END_TEST

/* row Q9 */
START_TEST(a_writable_buffer_must_be_ram_too)
{
	desc(0, buffer[_i].addr, buffer[_i].len, F_WRITE, 0);
	ck_assert_int_eq(pop(), buffer[_i].result);
}
END_TEST

/* row Q11 */
START_TEST(the_rings_themselves_may_be_a_buffer)
{
	static const uint64_t off[] = { 0, 16 * SIZE, 16 * SIZE + 6 + 2 * SIZE };

	desc(0, BASE + off[_i], 32, F_WRITE, 0);
	ck_assert_int_eq(pop(), 0);
	memset(iov[0].iov_base, 0xff, iov[0].iov_len);
	virtq_push(q, chain.head, 32);
	virtq_publish(q);
	ck_assert_uint_eq(virtq_nr_inflight(q), 0);
}
END_TEST

/* Q13. _i: which of three descriptors has no length; 3: all of them. */
/* row Q13 */
START_TEST(a_buffer_of_no_length_is_left_out)
{
	for (unsigned int i = 0; i < 3; i++)
		desc(i, i == (unsigned int)_i || _i == 3 ? LOW : 0x100, /* no RAM there */
		     i == (unsigned int)_i || _i == 3 ? 0 : 16,
		     (uint16_t)((i < 2 ? F_NEXT : 0) | (i == 2 ? F_WRITE : 0)), (uint16_t)(i + 1));
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.nr_out + chain.nr_in, _i == 3 ? 0 : 2);
	ck_assert_uint_eq(chain.nr_in, _i < 2 ? 1 : 0);
	for (int i = 0; i < chain.nr_out + chain.nr_in; i++)
		ck_assert_uint_eq(iov[i].iov_len, 16);
}
END_TEST

START_TEST(more_buffers_than_there_is_room_for_break_the_queue)
{
	for (unsigned int i = 0; i < 4; i++)
		desc(i, 0x100, 16, i < 3 ? F_NEXT : 0, (uint16_t)(i + 1));
	d.avail[1] = 1;
	memset(iov, 0xee, sizeof(iov));
	ck_assert_int_eq(virtq_pop(q, &chain, iov, 3), -EPROTO);
	ck_assert_uint_eq((uintptr_t)iov[3].iov_base, 0xeeeeeeeeeeeeeeee);
}
END_TEST

/* A table of n readable buffers of 16 bytes at gpa, named by descriptor 0. */
static void indirect(gpa_t gpa, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		put(table_at(gpa), i, 0x100 * (i + 1), 16, i + 1 < n ? F_NEXT : 0,
		    (uint16_t)(i + 1));
	desc(0, gpa, n * 16, F_INDIRECT, 0);
}

START_TEST(an_indirect_table_takes_the_place_of_the_chain)
{
	indirect(TABLE, (unsigned int)_i);
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.head, 0);
	ck_assert_uint_eq(chain.nr_out, _i);
	ck_assert_uint_eq(chain.out_len, 16 * _i);
}
END_TEST

START_TEST(an_indirect_table_need_not_be_aligned)
{
	indirect(TABLE + (unsigned int)_i, 3);
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.nr_out, 3);
}
END_TEST

/* virtio 1.2, 2.7.5.3.2: plain descriptors may go before the indirect one. */
START_TEST(an_indirect_table_may_end_a_chain)
{
	indirect(TABLE, 3);
	desc(1, 0x900, 8, F_NEXT, 2);
	d.desc[2] = d.desc[0];
	d.desc[0] = d.desc[1];
	d.desc[0].next = 2;
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.nr_out, 4);
	ck_assert_uint_eq(chain.out_len, 8 + 48);
}
END_TEST

START_TEST(a_chain_and_its_table_together_never_overrun_the_iovec)
{
	indirect(TABLE, SIZE);
	d.desc[SIZE - 1] = d.desc[0];
	for (unsigned int i = 0; i < SIZE - 1; i++)
		desc(i, 0x100, 16, F_NEXT, (uint16_t)(i + 1));
	memset(iov, 0xee, sizeof(iov));
	ck_assert_int_eq(pop(), -EPROTO);
	ck_assert_uint_eq((uintptr_t)iov[SIZE].iov_base, 0xeeeeeeeeeeeeeeee);
}
END_TEST

/* Q6 */
static const struct {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	int result;
} table[] = {
	{ TABLE, 16, F_INDIRECT, 0 },
	{ TABLE, 16, F_INDIRECT | F_WRITE, 0 },		/* 2.7.5.3.2: WRITE is ignored */
	{ TABLE, 16 * SIZE, F_INDIRECT, 0 },
	{ TABLE, 16 * (SIZE + 1), F_INDIRECT, -EPROTO },
	{ TABLE, 0, F_INDIRECT, -EPROTO },
	{ TABLE, 15, F_INDIRECT, -EPROTO },
	{ TABLE, 17, F_INDIRECT, -EPROTO },
	{ TABLE, 16 * 65536, F_INDIRECT, -EPROTO },
	{ TABLE, 0xfffffff0, F_INDIRECT, -EPROTO },
	{ TABLE, UINT32_MAX, F_INDIRECT, -EPROTO },
	{ TABLE, 16, F_INDIRECT | F_NEXT, -EPROTO },
	{ LOW - 16, 32, F_INDIRECT, -EPROTO },		/* its end is not RAM */
	{ LOW, 16, F_INDIRECT, -EPROTO },
	{ RAM_END, 16, F_INDIRECT, -EPROTO },
	{ UINT64_MAX - 15, 16, F_INDIRECT, -EPROTO },
	{ UINT64_MAX - 15, 32, F_INDIRECT, -EPROTO },
};

/* row Q6 */
START_TEST(an_indirect_table_must_be_whole_entries_in_ram)
{
	put(table_at(TABLE), 0, 0x100, 16, 0, 0);
	desc(0, table[_i].addr, table[_i].len, table[_i].flags, 1);
	ck_assert_int_eq(pop(), table[_i].result);
}
END_TEST

/* row Q6 */
START_TEST(a_table_inside_a_table_breaks_the_queue)
{
	put(table_at(TABLE + 0x1000), 0, 0x100, 16, 0, 0);
	put(table_at(TABLE), 0, TABLE + 0x1000, 16, F_INDIRECT, 0);
	desc(0, TABLE, 16, F_INDIRECT, 0);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* rows Q4, Q6 */
START_TEST(a_table_that_names_itself_breaks_the_queue)
{
	put(table_at(TABLE), 0, TABLE, 16, F_INDIRECT, 0);
	desc(0, TABLE, 16, F_INDIRECT, 0);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* row Q4 */
START_TEST(a_loop_inside_a_table_breaks_the_queue)
{
	indirect(TABLE, 4);
	put(table_at(TABLE), 3, 0x100, (uint32_t)_i % 2 * 16, F_NEXT, (uint16_t)(_i / 2));
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* An index that would be fine in the queue's own table. */
/* row Q5 */
START_TEST(a_next_beyond_the_indirect_table_breaks_the_queue)
{
	indirect(TABLE, 2);
	put(table_at(TABLE), 1, 0x100, 16, F_NEXT, 2);
	put(table_at(TABLE), 2, 0x100, 16, 0, 0);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* row Q11 */
START_TEST(the_queues_own_table_may_be_the_indirect_one)
{
	desc(0, BASE + 16, 16, F_INDIRECT, 0);
	desc(1, 0x100, 16, 0, 0);
	ck_assert_int_eq(pop(), 0);
	desc(0, BASE, 16, F_INDIRECT, 0);	/* nested: it names itself */
	virtq_push(q, 0, 0);
	d.avail[1] = 2;
	ck_assert_int_eq(virtq_pop(q, &chain, iov, (int)SIZE), -EPROTO);
}
END_TEST

/* row Q6 */
START_TEST(indirect_needs_to_be_negotiated)
{
	indirect(TABLE, 1);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

/* Flag bits that mean nothing are ignored (virtio 1.2, 2.7.5). */
START_TEST(unknown_flags_are_ignored)
{
	desc(0, 0x100, 16, 0xfff8, 3);
	ck_assert_int_eq(pop(), 0);
	ck_assert_uint_eq(chain.nr_out, 1);
}
END_TEST

/* Q9: needs more RAM than 4 GiB can count; none of it is ever touched. */
/* row Q9 */
START_TEST(more_than_4_gib_in_one_direction_break_the_queue)
{
	struct guest_mem *big;
	struct virtq *bq;
	uint16_t flags = _i ? F_WRITE : 0;

	ck_assert_int_eq(guest_mem_create(&big, GIB(6), GIB(3), GIB(4), GUEST_MEM_ANON), 0);
	ck_assert_int_eq(virtq_create(&bq, big, SIZE), 0);
	vdriver_init(&d, big, BASE, SIZE, false);
	ck_assert_int_eq(virtq_start(bq, &d.cfg, 0), 0);
	desc(0, 0, (uint32_t)GIB(2), F_NEXT | flags, 1);
	desc(1, GIB(4), (uint32_t)GIB(2) - 1, flags, 0);
	d.avail[1] = 1;
	ck_assert_int_eq(virtq_pop(bq, &chain, iov, (int)SIZE), 0);
	ck_assert_uint_eq(chain.out_len + chain.in_len, UINT32_MAX);
	virtq_push(bq, chain.head, 0);
	desc(1, GIB(4), (uint32_t)GIB(2), flags, 0);
	d.avail[1] = 2;
	ck_assert_int_eq(virtq_pop(bq, &chain, iov, (int)SIZE), -EPROTO);
	virtq_free(bq);
	guest_mem_free(big);
}
END_TEST

static void add_indirect(TCase *tc)
{
	tcase_add_loop_test(tc, an_indirect_table_takes_the_place_of_the_chain, 1, SIZE + 1);
	tcase_add_loop_test(tc, an_indirect_table_need_not_be_aligned, 1, 16);
	tcase_add_test(tc, an_indirect_table_may_end_a_chain);
	tcase_add_test(tc, a_chain_and_its_table_together_never_overrun_the_iovec);
	tcase_add_loop_test(tc, an_indirect_table_must_be_whole_entries_in_ram, 0,
			    ARRAY_SIZE(table));
	tcase_add_test(tc, a_table_inside_a_table_breaks_the_queue);
	tcase_add_test(tc, a_table_that_names_itself_breaks_the_queue);
	tcase_add_loop_test(tc, a_loop_inside_a_table_breaks_the_queue, 0, 8);
	tcase_add_test(tc, a_next_beyond_the_indirect_table_breaks_the_queue);
	tcase_add_test(tc, the_queues_own_table_may_be_the_indirect_one);
}

static TCase *not_negotiated(void)
{
	TCase *tc = tcase_create("without indirect");

	tcase_add_checked_fixture(tc, setup_no_indirect, teardown);
	tcase_add_test(tc, indirect_needs_to_be_negotiated);
	return tc;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("virtq chains");
	TCase *tc = tcase_create("chains");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, readable_buffers_come_first_and_writable_ones_behind);
	tcase_add_test(tc, a_readable_buffer_behind_a_writable_one_breaks_the_queue);
	tcase_add_test(tc, a_chain_may_be_all_readable);
	tcase_add_test(tc, a_chain_may_be_all_writable);
	tcase_add_test(tc, a_chain_as_long_as_the_queue_is_taken);
	tcase_add_loop_test(tc, a_loop_breaks_the_queue, 0, 2 * SIZE);
	tcase_add_loop_test(tc, a_descriptor_that_names_itself_breaks_the_queue, 0, 2);
	tcase_add_loop_test(tc, a_next_beyond_the_table_breaks_the_queue, 0, ARRAY_SIZE(no_next));
	tcase_add_loop_test(tc, a_buffer_must_be_ram, 0, ARRAY_SIZE(buffer));
	tcase_add_loop_test(tc, a_writable_buffer_must_be_ram_too, 0, ARRAY_SIZE(buffer));
	tcase_add_loop_test(tc, the_rings_themselves_may_be_a_buffer, 0, 3);
	tcase_add_loop_test(tc, a_buffer_of_no_length_is_left_out, 0, 4);
	tcase_add_test(tc, more_buffers_than_there_is_room_for_break_the_queue);
	tcase_add_loop_test(tc, more_than_4_gib_in_one_direction_break_the_queue, 0, 2);
	tcase_add_test(tc, unknown_flags_are_ignored);
	add_indirect(tc);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, not_negotiated());
	return s;
}
