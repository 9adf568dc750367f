/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues of the largest size there is, with every set of the ring's features,
 * until the 16-bit indices have come round more than once.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "runner.h"
#include "util.h"
#include "virtq.h"

#define SIZE VIRTQ_MAX_SIZE
#define DESC 0u
#define AVAIL MIB(1)
#define USED MIB(2)
#define DATA MIB(3)
#define TABLE MIB(4)
#define NR_FEATURE_SETS 4
#define ROUNDS 5u			/* of a full ring: the indices wrap twice */
#define BATCH 1000u			/* entries used between two looks at who is interrupted */
#define EVENT_AT 64999u

static struct guest_mem *mem;
static struct virtq *q;
static struct vring_desc *desc;
static uint16_t *avail;			/* flags, idx, ring[SIZE], used_event */
static const uint16_t *used_words;	/* flags, idx */
static const struct vring_used_elem *used;
static struct virtq_chain chain;
static struct iovec iov[SIZE];

static uint64_t features_of(int set)
{
	return (set & 1 ? 1ull << VIRTIO_RING_F_EVENT_IDX : 0) |
	       (set & 2 ? 1ull << VIRTIO_RING_F_INDIRECT_DESC : 0);
}

static void start(int set)
{
	struct virtq_cfg cfg = { .desc = DESC, .avail = AVAIL, .used = USED, .size = SIZE,
				 .ready = true };

	ck_assert_int_eq(virtq_start(q, &cfg, features_of(set)), 0);
}

static void setup(void)
{
	ck_assert_int_eq(guest_mem_create(&mem, MIB(8), MIB(8), GIB(4), GUEST_MEM_ANON), 0);
	ck_assert_int_eq(virtq_create(&q, mem, SIZE), 0);
	desc = guest_mem_ptr(mem, DESC, 1);
	avail = guest_mem_ptr(mem, AVAIL, 1);
	used_words = guest_mem_ptr(mem, USED, 1);
	used = guest_mem_ptr(mem, USED + 4, 1);
}

static void teardown(void)
{
	virtq_stop(q);
	virtq_free(q);
	guest_mem_free(mem);
}

/* One chain of all entries; goes_on: the last one has a next, too. */
static void fill_table(struct vring_desc *table, bool goes_on)
{
	for (uint32_t i = 0; i < SIZE; i++)
		table[i] = (struct vring_desc){
			.addr = DATA + i, .len = 1,
			.flags = i + 1 < SIZE || goes_on ? VRING_DESC_F_NEXT : 0,
			.next = (uint16_t)((i + 1) % SIZE) };
}

/* A full ring in flight, given back from the last to the first. row Q7 */
START_TEST(a_full_ring_of_the_largest_size_goes_round_and_round)	/* features: set _i */
{
	uint16_t idx = 0, used_idx = 0, settled = 0;
	unsigned int wrong = 0;		/* an assertion for each entry would take long */

	for (uint32_t i = 0; i < SIZE; i++)
		desc[i] = (struct vring_desc){ .addr = DATA + i, .len = 1 + i % 7 };
	start(_i);
	avail[2 + SIZE] = EVENT_AT;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < SIZE; i++)
			avail[2 + i] = (uint16_t)((i * 5 + round) % SIZE);
		avail[1] = idx = (uint16_t)(idx + SIZE);
		for (uint32_t i = 0; i < SIZE; i++) {
			wrong += virtq_pop(q, &chain, iov, SIZE) != 0;
			wrong += chain.head != (i * 5 + round) % SIZE;
		}
		ck_assert_int_eq(virtq_pop(q, &chain, iov, SIZE), -EAGAIN);
		ck_assert_uint_eq(virtq_nr_inflight(q), SIZE);
		for (uint32_t i = 0; i < SIZE; i++) {
			bool wanted;

			virtq_push(q, (uint16_t)(SIZE - 1 - i), i);
			wrong += used[used_idx % SIZE].id != SIZE - 1 - i;
			wrong += used[used_idx++ % SIZE].len != i;
			if (i % BATCH && i + 1 < SIZE)
				continue;
			wanted = !(_i & 1) || vring_need_event(EVENT_AT, used_idx, settled);
			settled = used_idx;
			ck_assert_int_eq(virtq_publish(q), wanted);
			ck_assert_uint_eq(used_words[1], used_idx);
		}
		ck_assert_uint_eq(wrong, 0);
	}
	avail[1] = (uint16_t)(idx + SIZE + 1u);
	ck_assert_int_eq(virtq_pop(q, &chain, iov, SIZE), -EPROTO);
}
END_TEST

/* row Q4 */
START_TEST(a_chain_may_have_every_entry_of_the_largest_ring_and_no_more)
{
	fill_table(desc, false);
	start(_i);
	avail[2] = 0;
	avail[1] = 1;
	ck_assert_int_eq(virtq_pop(q, &chain, iov, SIZE), 0);
	ck_assert_uint_eq(chain.nr_out, SIZE);
	ck_assert_uint_eq(chain.out_len, SIZE);
	virtq_push(q, 0, 0);
	fill_table(desc, true);
	avail[3] = 0;
	avail[1] = 2;
	ck_assert_int_eq(virtq_pop(q, &chain, iov, SIZE), -EPROTO);
}
END_TEST

/* row Q6 */
START_TEST(an_indirect_table_may_have_as_many_entries_as_the_largest_ring)
{
	fill_table(guest_mem_ptr(mem, TABLE, SIZE * sizeof(*desc)), false);
	desc[SIZE - 1] = (struct vring_desc){ .addr = TABLE, .len = SIZE * sizeof(*desc),
					      .flags = VRING_DESC_F_INDIRECT };
	start(_i);
	avail[2] = SIZE - 1;
	avail[1] = 1;
	ck_assert_int_eq(virtq_pop(q, &chain, iov, SIZE), _i & 2 ? 0 : -EPROTO);
	if (_i & 2)
		ck_assert_uint_eq(chain.nr_out, SIZE);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtq maxima");
	TCase *tc = tcase_create("largest");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_full_ring_of_the_largest_size_goes_round_and_round, 0,
			    NR_FEATURE_SETS);
	tcase_add_loop_test(tc, a_chain_may_have_every_entry_of_the_largest_ring_and_no_more, 0,
			    NR_FEATURE_SETS);
	tcase_add_loop_test(tc, an_indirect_table_may_have_as_many_entries_as_the_largest_ring, 0,
			    NR_FEATURE_SETS);
	suite_add_tcase(s, tc);
	return s;
}
