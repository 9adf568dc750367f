/* SPDX-License-Identifier: Apache-2.0 */
/* MASK, UNMASK and the pending bit: rows M6 and M7 of docs/hostile-cases.md. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "msi_block.h"
#include "race.h"
#include "runner.h"
#include "vmmio_msi_abi.h"

#define VECTORS 5u
#define ADDR MSI_BLOCK_ADDRESS
#define CMD MSI_BLOCK_CMD
#define MASK VIRTIO_MMIO_MSI_CMD_MASK
#define UNMASK VIRTIO_MMIO_MSI_CMD_UNMASK

static struct msi_block k;

static void setup(void)
{
	msi_block_init(&k, VECTORS);
}

static void teardown(void)
{
	msi_block_release(&k);
}

/* M7 */
/* row M7 */
START_TEST(signals_while_masked_become_exactly_one)
{
	block_program_all(&k);
	block_enable(&k, 0);
	block_command(&k, MASK, 1);
	for (int i = 0; i < _i; i++)
		ck_assert_uint_eq(block_try_raise(&k, 1), 0);
	block_command(&k, UNMASK, 1);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 1), _i > 0);
	ck_assert_uint_eq(block_try_raise(&k, 1), 1);
}
END_TEST

START_TEST(masking_one_vector_leaves_the_others_alone)
{
	block_program_all(&k);
	block_enable(&k, 0);
	block_command(&k, MASK, 1);
	for (unsigned int i = 0; i < VECTORS; i++)
		ck_assert_uint_eq(block_try_raise(&k, i), i != 1);
}
END_TEST

/* row M7 */
START_TEST(masks_do_not_nest)
{
	block_program_all(&k);
	block_enable(&k, 0);
	block_command(&k, MASK, 1);
	block_command(&k, MASK, 1);
	block_raise(&k, 1);
	block_command(&k, UNMASK, 1);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 1), 1);
	block_command(&k, UNMASK, 1);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 1), 0);
}
END_TEST

/* M6 */
/* row M6 */
START_TEST(masking_makes_no_work_for_the_host)
{
	unsigned int before;

	block_program_all(&k);
	block_enable(&k, 0);
	before = k.irq.nr_commits + k.irq.nr_messages + k.irq.nr_releases;
	for (int i = 0; i < 100000; i++)
		block_write(&k, CMD, 2, (i & 1 ? UNMASK : MASK) << 12 | 1u);
	ck_assert_uint_eq(k.irq.nr_commits + k.irq.nr_messages + k.irq.nr_releases, before);
}
END_TEST

/* row M7 */
START_TEST(a_mask_set_before_the_enable_holds)
{
	block_program_all(&k);
	block_command(&k, MASK, 2);
	block_enable(&k, 0);
	ck_assert_uint_eq(block_try_raise(&k, 2), 0);
	block_command(&k, UNMASK, 2);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 2), 1);
}
END_TEST

/* row M7 */
START_TEST(an_unmask_does_not_let_a_vector_without_message_through)
{
	block_enable(&k, 0);
	ck_assert_uint_eq(block_try_raise(&k, 0), 0);
	block_command(&k, MASK, 0);
	block_command(&k, UNMASK, 0);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 0), 0);
	block_program(&k, 0);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 0), 1);
}
END_TEST

START_TEST(a_message_does_not_let_a_masked_vector_through)
{
	block_program_all(&k);
	block_enable(&k, 0);
	block_command(&k, MASK, 0);
	block_update(&k, 0, 0, ADDR, 0x88);
	ck_assert_uint_eq(block_try_raise(&k, 0), 0);
	block_command(&k, UNMASK, 0);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 0), 1);
}
END_TEST

/* M7 against another thread: 10^6 signals in bursts; each burst has to come through. */
#define NR_SIGNALS 1000000u

static atomic_uint sent, seen;
static atomic_bool done;

static void *raiser(void *arg)
{
	struct race race = race_begin(3000);
	uint32_t n = 0, random = 1;

	(void)arg;
	while (n < NR_SIGNALS && race_goes_on(&race)) {
		random = random * 1664525 + 1013904223;
		for (uint32_t burst = 1 + (random >> 26); burst; burst--) {
			atomic_store(&sent, ++n);
			block_raise(&k, 1);
		}
		while (atomic_load(&seen) < n)
			sched_yield();
	}
	atomic_store(&done, true);
	return NULL;
}

static void mask_and_unmask(uint32_t i)
{
	block_write(&k, CMD, 2, MASK << 12 | 1u);
	if (i % 64 == 0)
		block_update(&k, 1, 0, ADDR, 0x30 + (i >> 6) % 8);
	block_write(&k, CMD, 2, UNMASK << 12 | 1u);
}

/* row M7 */
START_TEST(no_signal_is_lost_to_a_driver_that_masks_and_reprograms)
{
	pthread_t t;

	block_program_all(&k);
	block_enable(&k, 0);
	pthread_create(&t, NULL, raiser, NULL);
	for (uint32_t i = 0; !atomic_load(&done); i++) {
		unsigned int before;

		if (i % 4 == 0)
			mask_and_unmask(i);
		else
			sched_yield();
		/* An interrupt handler looks at what was sent after the interrupt came. */
		before = fake_irq_signals(&k.irq, 1) ? atomic_load(&sent) : 0;
		if (before)
			atomic_store(&seen, before);
	}
	pthread_join(t, NULL);
	ck_assert_uint_eq(atomic_load(&seen), atomic_load(&sent));
	ck_assert_uint_gt(atomic_load(&seen), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vmmio msi masks");
	TCase *tc = tcase_create("masks");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, signals_while_masked_become_exactly_one, 0, 4);
	tcase_add_test(tc, masking_one_vector_leaves_the_others_alone);
	tcase_add_test(tc, masks_do_not_nest);
	tcase_add_test(tc, masking_makes_no_work_for_the_host);
	tcase_add_test(tc, a_mask_set_before_the_enable_holds);
	tcase_add_test(tc, an_unmask_does_not_let_a_vector_without_message_through);
	tcase_add_test(tc, a_message_does_not_let_a_masked_vector_through);
	tcase_add_test(tc, no_signal_is_lost_to_a_driver_that_masks_and_reprograms);
	suite_add_tcase(s, tc);
	return s;
}
