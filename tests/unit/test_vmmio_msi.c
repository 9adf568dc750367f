/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MSI register block by itself: rows M1 to M4 and M9 to M12 of
 * docs/hostile-cases.md. Masks are in test_vmmio_msi_mask.c.
 */
#include "msi_block.h"
#include "runner.h"
#include "util.h"
#include "vmmio_msi_abi.h"

#define VECTORS 5u
#define ADDR MSI_BLOCK_ADDRESS
#define CSR MSI_BLOCK_CSR
#define CMD MSI_BLOCK_CMD
#define ADDR_LOW MSI_BLOCK_ADDR_LOW
#define ADDR_HIGH MSI_BLOCK_ADDR_HIGH
#define DATA MSI_BLOCK_DATA
#define ENABLE VIRTIO_MMIO_MSI_CSR_ENABLE
#define UPDATE VIRTIO_MMIO_MSI_CMD_UPDATE
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

START_TEST(the_control_register_tells_how_many_vectors_there_are)
{
	ck_assert_uint_eq(vmmio_msi_read(&k.m, CSR, 2), 0x8000 | VECTORS);
}
END_TEST

START_TEST(thirty_two_bits_at_the_start_are_control_and_result)
{
	block_program(&k, VECTORS);
	ck_assert_uint_eq(vmmio_msi_read(&k.m, CSR, 4),
			  0x8000 | VECTORS | VIRTIO_MMIO_MSI_E_VECTOR << 16);
}
END_TEST

START_TEST(thirty_two_bits_written_at_the_start_are_control_and_command)
{
	block_write(&k, ADDR_LOW, 4, ADDR);
	block_write(&k, DATA, 4, 0x40);
	block_write(&k, CSR, 4, ENABLE | (UPDATE << 12 | 2u) << 16);
	ck_assert(k.irq.vector[2].is_in_force);
	ck_assert(k.m.enabled);
	ck_assert_uint_eq(block_try_raise(&k, 2), 1);
}
END_TEST

static bool is_known(uint32_t off, uint32_t len, bool write_access)
{
	if (off == CSR)
		return len == 2 || len == 4;
	if (off == CMD)
		return len == 2;
	return write_access && len == 4 && (off == ADDR_LOW || off == ADDR_HIGH || off == DATA);
}

START_TEST(any_other_width_or_offset_reads_zero_and_is_counted)
{
	uint64_t seen = 0;

	for (uint32_t off = 0; off < VIRTIO_MMIO_MSI_LEN; off++) {
		for (uint32_t len = 1; len <= 8; len++) {
			if (is_known(off, len, false))
				continue;
			ck_assert_uint_eq(vmmio_msi_read(&k.m, off, len), 0);
			ck_assert_uint_eq(atomic_load(&k.errors.count), ++seen);
		}
	}
}
END_TEST

START_TEST(any_other_width_or_offset_written_does_nothing_and_is_counted)
{
	uint64_t seen = 0;

	for (uint32_t off = 0; off < VIRTIO_MMIO_MSI_LEN; off++) {
		for (uint32_t len = 1; len <= 8; len++) {
			if (is_known(off, len, true))
				continue;
			block_write(&k, off, len, 0xffffffff);
			ck_assert_uint_eq(atomic_load(&k.errors.count), ++seen);
		}
	}
	ck_assert(!k.m.enabled);
	ck_assert_uint_eq(k.m.staged.address_lo | k.m.staged.address_hi | k.m.staged.data, 0);
	ck_assert_uint_eq(k.irq.nr_messages + k.irq.nr_commits, 0);
}
END_TEST

static void check_all_in_force(void)
{
	for (unsigned int i = 0; i < VECTORS; i++) {
		ck_assert(k.irq.vector[i].is_in_force);
		ck_assert_uint_eq(k.irq.vector[i].in_force.address_lo, ADDR | i << 12);
		ck_assert_uint_eq(k.irq.vector[i].in_force.data, 0x30 + i);
		ck_assert_uint_eq(block_try_raise(&k, i), 1);
	}
}

/* The method: collect, then hand over everything at once. */
START_TEST(messages_written_before_the_enable_take_effect_together)
{
	block_program_all(&k);
	ck_assert_uint_eq(k.irq.nr_commits, 0);
	ck_assert_uint_eq(block_enable(&k, 0), VIRTIO_MMIO_MSI_DONE);
	ck_assert_uint_eq(k.irq.nr_changes, 1);
	check_all_in_force();
}
END_TEST

START_TEST(messages_written_after_the_enable_take_effect_one_by_one)
{
	ck_assert_uint_eq(block_enable(&k, 0), VIRTIO_MMIO_MSI_DONE);
	block_program_all(&k);
	ck_assert_uint_eq(k.irq.nr_changes, VECTORS);
	check_all_in_force();
}
END_TEST

START_TEST(the_same_message_again_costs_nothing)
{
	unsigned int messages, commits;

	block_program_all(&k);
	block_enable(&k, 0);
	messages = k.irq.nr_messages;
	commits = k.irq.nr_commits;
	block_program_all(&k);
	ck_assert_uint_eq(k.irq.nr_messages, messages);
	ck_assert_uint_eq(k.irq.nr_commits, commits);
	ck_assert_uint_eq(block_try_raise(&k, 0), 1);
}
END_TEST

/* M12 */
/* row M12 */
START_TEST(a_staged_message_is_no_message_until_the_command)
{
	block_program_all(&k);
	block_enable(&k, 0);
	block_write(&k, ADDR_LOW, 4, ADDR | 0xff000);
	block_write(&k, DATA, 4, 0x99);
	ck_assert_uint_eq(k.irq.vector[0].in_force.address_lo, ADDR);
	ck_assert_uint_eq(k.irq.nr_changes, 1);
}
END_TEST

/* row M12 */
START_TEST(a_half_written_message_is_refused)
{
	block_enable(&k, 0);
	if (_i)
		block_write(&k, ADDR_LOW, 4, ADDR);
	else
		block_write(&k, DATA, 4, 0x30);
	ck_assert_uint_eq(block_command(&k, UPDATE, 0), VIRTIO_MMIO_MSI_E_MESSAGE);
	ck_assert_uint_eq(block_try_raise(&k, 0), 0);
}
END_TEST

/* M1 */
static const struct {
	unsigned int code, vector, result;
} commands[] = {
	{ UPDATE, VECTORS, VIRTIO_MMIO_MSI_E_VECTOR },
	{ UPDATE, 0xfff, VIRTIO_MMIO_MSI_E_VECTOR },
	{ MASK, VECTORS, VIRTIO_MMIO_MSI_E_VECTOR },
	{ UNMASK, 0xfff, VIRTIO_MMIO_MSI_E_VECTOR },
	{ 15, 0xfff, VIRTIO_MMIO_MSI_E_VECTOR },
	{ 0, 0, VIRTIO_MMIO_MSI_E_COMMAND },
	{ 4, 0, VIRTIO_MMIO_MSI_E_COMMAND },
	{ 5, 1, VIRTIO_MMIO_MSI_E_COMMAND },
	{ 15, VECTORS - 1, VIRTIO_MMIO_MSI_E_COMMAND },
};

/* row M1 */
START_TEST(a_command_that_cannot_be_done_says_why_and_does_nothing)
{
	block_program_all(&k);
	block_enable(&k, 0);
	ck_assert_uint_eq(block_command(&k, commands[_i].code, commands[_i].vector),
			  commands[_i].result);
	ck_assert_uint_eq(atomic_load(&k.errors.count), 1);
	check_all_in_force();
}
END_TEST

START_TEST(the_result_is_that_of_the_last_command)
{
	ck_assert_uint_eq(block_program(&k, VECTORS), VIRTIO_MMIO_MSI_E_VECTOR);
	ck_assert_uint_eq(block_program(&k, 0), VIRTIO_MMIO_MSI_DONE);
	ck_assert_uint_eq(block_enable(&k, VECTORS + 1), VIRTIO_MMIO_MSI_E_STATE);
	ck_assert_uint_eq(block_enable(&k, VECTORS), VIRTIO_MMIO_MSI_DONE);
}
END_TEST

/* M2, M3, M4. Address bits 19:12 are the destination, data bits 10:8 the delivery mode. */
static const struct {
	uint32_t hi, lo, data;
	bool accepted;
} message[] = {
	{ 0, ADDR, 0x10, true },
	{ 0, ADDR, 0xff, true },
	{ 0, ADDR | 0xff000, 0x30, true },		/* fixed, to all */
	{ 0, ADDR | 0xfffff, 0x30, true },
	{ 0, ADDR | 0x01000, 0x130, true },		/* lowest priority */
	{ 0, ADDR | 0xfe00c, 0x130, true },
	{ 0, ADDR, 0x4030, true },			/* assert, edge: what Linux writes */
	{ 0, 0, 0x30, false },
	{ 0, 0x1000, 0x30, false },			/* RAM */
	{ 0, 0xc0000000, 0x30, false },			/* a device */
	{ 0, 0xfec00000, 0x30, false },			/* the IOAPIC */
	{ 0, ADDR - 1, 0x30, false },
	{ 0, ADDR + 0x100000, 0x30, false },
	{ 0, 0xffffffff, 0x30, false },
	{ 1, ADDR, 0x30, false },
	{ 0x100, ADDR, 0x30, false },			/* extended destination: not offered */
	{ 0xffffffff, ADDR, 0x30, false },
	{ 0, ADDR, 0x230, false },			/* SMI */
	{ 0, ADDR, 0x330, false },			/* reserved */
	{ 0, ADDR, 0x430, false },			/* NMI */
	{ 0, ADDR, 0x530, false },			/* INIT */
	{ 0, ADDR, 0x630, false },			/* SIPI */
	{ 0, ADDR, 0x730, false },			/* ExtINT */
	{ 0, ADDR, 0x8030, false },			/* level */
	{ 0, ADDR, 0xc030, false },
	{ 0, ADDR, 0x00, false },			/* exceptions' vectors */
	{ 0, ADDR, 0x02, false },
	{ 0, ADDR, 0x0f, false },
	{ 0, ADDR | 0xff000, 0x130, false },		/* lowest priority among all */
};

/* rows M2, M3, M4 */
START_TEST(only_a_message_that_is_one_plain_interrupt_reaches_the_sink)
{
	block_enable(&k, 0);
	ck_assert_uint_eq(block_update(&k, 1, message[_i].hi, message[_i].lo, message[_i].data),
			  message[_i].accepted ? VIRTIO_MMIO_MSI_DONE : VIRTIO_MMIO_MSI_E_MESSAGE);
	ck_assert_uint_eq(k.irq.nr_messages, message[_i].accepted);
	ck_assert_uint_eq(k.irq.vector[1].is_in_force, message[_i].accepted);
	ck_assert_uint_eq(atomic_load(&k.errors.count), !message[_i].accepted);
	ck_assert_uint_eq(block_try_raise(&k, 1), message[_i].accepted);
}
END_TEST

/* row M2 */
START_TEST(a_refused_message_silences_its_vector_alone)
{
	block_program_all(&k);
	block_enable(&k, 0);
	ck_assert_uint_eq(block_update(&k, 2, 0, ADDR, 0x430), VIRTIO_MMIO_MSI_E_MESSAGE);
	for (unsigned int i = 0; i < VECTORS; i++)
		ck_assert_uint_eq(block_try_raise(&k, i), i != 2);
}
END_TEST

START_TEST(a_vector_once_refused_delivers_what_it_held_with_a_good_message)
{
	block_program_all(&k);
	block_enable(&k, 0);
	block_update(&k, 2, 0, ADDR, 0x430);
	ck_assert_uint_eq(block_try_raise(&k, 2), 0);
	ck_assert_uint_eq(block_try_raise(&k, 2), 0);
	ck_assert_uint_eq(block_program(&k, 2), VIRTIO_MMIO_MSI_DONE);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 2), 1);
	ck_assert_uint_eq(block_try_raise(&k, 2), 1);
}
END_TEST

/* _i: enabled before or after. What a kernel writes as it takes an interrupt down. row M1 */
START_TEST(a_message_of_zeroes_takes_the_vectors_message_away)
{
	if (_i)
		block_enable(&k, 0);
	block_program_all(&k);
	ck_assert_uint_eq(block_update(&k, 2, 0, 0, 0), VIRTIO_MMIO_MSI_DONE);
	if (!_i)
		block_enable(&k, 0);
	ck_assert_uint_eq(k.irq.gsis_left, 1000 - VECTORS + 1);
	for (unsigned int i = 0; i < VECTORS; i++)
		ck_assert_uint_eq(block_try_raise(&k, i), i != 2);
	ck_assert_uint_eq(atomic_load(&k.errors.count), 0);
}
END_TEST

START_TEST(a_message_of_zeroes_for_a_vector_without_one_is_no_error)
{
	block_enable(&k, 0);
	ck_assert_uint_eq(block_update(&k, 2, 0, 0, 0), VIRTIO_MMIO_MSI_DONE);
	ck_assert_uint_eq(block_update(&k, 2, 0, ADDR, 0x430), VIRTIO_MMIO_MSI_E_MESSAGE);
	ck_assert_uint_eq(block_update(&k, 2, 0, 0, 0), VIRTIO_MMIO_MSI_DONE);
	ck_assert_uint_eq(atomic_load(&k.errors.count), 1);
	ck_assert_uint_eq(k.irq.nr_messages, 0);
}
END_TEST

START_TEST(what_becomes_due_without_a_message_comes_once_with_the_next_one)
{
	block_program_all(&k);
	block_enable(&k, 0);
	block_update(&k, 2, 0, 0, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(block_try_raise(&k, 2), 0);
	ck_assert_uint_eq(block_program(&k, 2), VIRTIO_MMIO_MSI_DONE);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 2), 1);
	ck_assert_uint_eq(block_try_raise(&k, 2), 1);
}
END_TEST

/* Checked, not yet written: it goes by what is in force when it is, here the old message. row M8 */
START_TEST(a_signal_under_way_goes_by_the_message_that_is_in_force)
{
	int fd;

	block_program_all(&k);
	block_enable(&k, 0);
	fd = vmmio_msi_begin(&k.m, 2);
	k.irq.deferred = true;
	ck_assert_uint_eq(block_update(&k, 2, 0, ADDR, 0x99), VIRTIO_MMIO_MSI_DONE);
	ck_assert_int_eq(fd, k.irq.fd[2]);
	ck_assert_uint_eq(k.irq.vector[2].in_force.data, 0x32);
	ck_assert_int_eq(vmmio_msi_begin(&k.m, 2), -1);
	fake_irq_settle(&k.irq, 0);
	ck_assert_uint_eq(k.irq.vector[2].in_force.data, 0x99);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 2), 1);
}
END_TEST

/* The commit of one vector does not bring another one back to life. */
START_TEST(a_vector_cleared_during_a_commit_stays_silent)
{
	k.irq.deferred = true;
	block_program_all(&k);
	block_enable(&k, 0);
	block_update(&k, 2, 0, 0, 0);
	fake_irq_settle(&k.irq, 0);
	for (unsigned int i = 0; i < VECTORS; i++)
		ck_assert_uint_eq(block_try_raise(&k, i), i != 2);
}
END_TEST

/* row M15 */
START_TEST(a_vector_with_a_message_gets_another_one_when_no_number_is_left)
{
	k.irq.gsis_left = 2;
	block_enable(&k, 0);
	block_program(&k, 0);
	block_program(&k, 1);
	ck_assert_uint_eq(k.irq.gsis_left, 0);
	for (uint32_t data = 0x40; data < 0x50; data++)
		ck_assert_uint_eq(block_update(&k, 1, 0, ADDR, data), VIRTIO_MMIO_MSI_DONE);
	ck_assert_uint_eq(block_program(&k, 2), VIRTIO_MMIO_MSI_E_NOSPC);
	ck_assert_uint_eq(block_update(&k, 1, 0, 0, 0), VIRTIO_MMIO_MSI_DONE);
	ck_assert_uint_eq(block_program(&k, 2), VIRTIO_MMIO_MSI_DONE);
}
END_TEST

/* row M15 */
START_TEST(vectors_beyond_the_hosts_numbers_are_refused_and_others_work)
{
	k.irq.gsis_left = 2;
	block_enable(&k, 0);
	for (unsigned int i = 0; i < VECTORS; i++)
		ck_assert_uint_eq(block_program(&k, i), i < 2 ? VIRTIO_MMIO_MSI_DONE :
				  VIRTIO_MMIO_MSI_E_NOSPC);
	for (unsigned int i = 0; i < VECTORS; i++)
		ck_assert_uint_eq(block_try_raise(&k, i), i < 2);
	vmmio_msi_reset(&k.m);
	ck_assert_uint_eq(k.irq.gsis_left, 2);
}
END_TEST

/* M9 */
/* row M9 */
START_TEST(the_mode_cannot_change_while_the_device_runs)
{
	block_program_all(&k);
	if (_i)
		block_enable(&k, 0);
	vmmio_msi_write(&k.m, CSR, 2, _i ? 0 : ENABLE, true);
	ck_assert_uint_eq(vmmio_msi_read(&k.m, CMD, 2), VIRTIO_MMIO_MSI_E_STATE);
	ck_assert_int_eq(k.m.enabled, _i);
	ck_assert_uint_eq(block_try_raise(&k, 0), _i);
}
END_TEST

/* rows M1, M8 */
START_TEST(messages_can_change_while_the_device_runs)
{
	block_program_all(&k);
	block_enable(&k, 0);
	block_write(&k, DATA, 4, 0x77);
	vmmio_msi_write(&k.m, CMD, 2, UPDATE << 12 | (VECTORS - 1), true);
	ck_assert_uint_eq(k.irq.vector[VECTORS - 1].in_force.data, 0x77);
}
END_TEST

START_TEST(the_driver_says_how_many_vectors_it_uses)
{
	ck_assert_uint_eq(block_enable(&k, (unsigned int)_i), VIRTIO_MMIO_MSI_DONE);
	ck_assert_uint_eq(k.m.nr_used, _i ? _i : (int)VECTORS);
}
END_TEST

START_TEST(more_vectors_than_there_are_cannot_be_used)
{
	static const unsigned int nr[] = { VECTORS + 1, 100, 0x7ff };

	ck_assert_uint_eq(block_enable(&k, nr[_i]), VIRTIO_MMIO_MSI_E_STATE);
	ck_assert(!k.m.enabled);
}
END_TEST

START_TEST(disabled_vectors_hold_one_signal_until_the_next_enable)
{
	block_program_all(&k);
	block_enable(&k, 0);
	block_write(&k, CSR, 2, 0);
	ck_assert_uint_eq(block_try_raise(&k, 3), 0);
	ck_assert_uint_eq(block_try_raise(&k, 3), 0);
	block_enable(&k, 0);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 3), 1);
	ck_assert_uint_eq(k.irq.nr_changes, 1);
}
END_TEST

/* KVM is told by another thread; until then no signal may go to an old or to no route. */
/* row M8 */
START_TEST(signals_wait_for_a_commit_under_way)
{
	k.irq.deferred = true;
	block_program_all(&k);
	block_enable(&k, 0);
	ck_assert_uint_eq(block_try_raise(&k, 0), 0);
	ck_assert_uint_eq(block_try_raise(&k, 0), 0);
	fake_irq_settle(&k.irq, 0);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 0), 1);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 1), 0);
	ck_assert_uint_eq(block_try_raise(&k, 1), 1);
}
END_TEST

/* row M8 */
START_TEST(an_update_under_way_holds_its_own_vector_only)
{
	block_program_all(&k);
	block_enable(&k, 0);
	k.irq.deferred = true;
	block_update(&k, 2, 0, ADDR, 0x99);
	for (unsigned int i = 0; i < VECTORS; i++)
		ck_assert_uint_eq(block_try_raise(&k, i), i != 2);
	fake_irq_settle(&k.irq, 0);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 2), 1);
}
END_TEST

START_TEST(a_second_update_during_a_commit_is_not_forgotten)
{
	block_program_all(&k);
	block_enable(&k, 0);
	k.irq.deferred = true;
	block_update(&k, 1, 0, ADDR, 0x91);
	block_update(&k, 2, 0, ADDR, 0x92);
	block_raise(&k, 1);
	block_raise(&k, 2);
	fake_irq_settle(&k.irq, 0);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 1), 1);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 2), 1);
	ck_assert_uint_eq(k.irq.vector[2].in_force.data, 0x92);
}
END_TEST

/* _i: a disable or a reset while the commit is under way. */
/* row M10 */
START_TEST(a_commit_that_ends_too_late_unblocks_nothing)
{
	k.irq.deferred = true;
	block_program_all(&k);
	block_enable(&k, 0);
	block_raise(&k, 0);
	if (_i)
		vmmio_msi_reset(&k.m);
	else
		block_write(&k, CSR, 2, 0);
	fake_irq_settle(&k.irq, 0);
	ck_assert_uint_eq(fake_irq_signals(&k.irq, 0), 0);
	ck_assert_uint_eq(block_try_raise(&k, 0), 0);
}
END_TEST

/* M10, and rule 10: nothing survives, not even a mask. */
/* row M10 */
START_TEST(a_reset_forgets_messages_masks_and_pending_signals)
{
	block_program_all(&k);
	block_enable(&k, 3);
	block_command(&k, MASK, 1);
	block_raise(&k, 0);		/* nobody has taken it yet */
	block_raise(&k, 1);
	vmmio_msi_reset(&k.m);
	ck_assert_uint_eq(k.irq.nr_releases, 1);
	ck_assert(!k.m.enabled);
	ck_assert_uint_eq(k.m.nr_used, 0);
	ck_assert_uint_eq(k.m.staged.address_lo | k.m.staged.data, 0);
	ck_assert_uint_eq(vmmio_msi_read(&k.m, CMD, 2), 0);
	block_program_all(&k);
	block_enable(&k, 0);
	for (unsigned int i = 0; i < VECTORS; i++) {
		ck_assert_uint_eq(fake_irq_signals(&k.irq, i), 0);
		ck_assert_uint_eq(block_try_raise(&k, i), 1);
	}
}
END_TEST

static void add_commands(TCase *tc)
{
	tcase_add_loop_test(tc, a_command_that_cannot_be_done_says_why_and_does_nothing, 0,
			    ARRAY_SIZE(commands));
	tcase_add_test(tc, the_result_is_that_of_the_last_command);
	tcase_add_loop_test(tc, only_a_message_that_is_one_plain_interrupt_reaches_the_sink, 0,
			    ARRAY_SIZE(message));
	tcase_add_test(tc, a_refused_message_silences_its_vector_alone);
	tcase_add_test(tc, a_vector_once_refused_delivers_what_it_held_with_a_good_message);
	tcase_add_loop_test(tc, a_message_of_zeroes_takes_the_vectors_message_away, 0, 2);
	tcase_add_test(tc, a_message_of_zeroes_for_a_vector_without_one_is_no_error);
	tcase_add_test(tc, what_becomes_due_without_a_message_comes_once_with_the_next_one);
	tcase_add_test(tc, a_signal_under_way_goes_by_the_message_that_is_in_force);
	tcase_add_test(tc, a_vector_cleared_during_a_commit_stays_silent);
	tcase_add_test(tc, a_vector_with_a_message_gets_another_one_when_no_number_is_left);
	tcase_add_test(tc, vectors_beyond_the_hosts_numbers_are_refused_and_others_work);
	tcase_add_loop_test(tc, the_mode_cannot_change_while_the_device_runs, 0, 2);
	tcase_add_test(tc, messages_can_change_while_the_device_runs);
	tcase_add_loop_test(tc, the_driver_says_how_many_vectors_it_uses, 0, VECTORS + 1);
	tcase_add_loop_test(tc, more_vectors_than_there_are_cannot_be_used, 0, 3);
	tcase_add_test(tc, disabled_vectors_hold_one_signal_until_the_next_enable);
}

static TCase *commits(void)
{
	TCase *tc = tcase_create("commits");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, messages_written_before_the_enable_take_effect_together);
	tcase_add_test(tc, messages_written_after_the_enable_take_effect_one_by_one);
	tcase_add_test(tc, the_same_message_again_costs_nothing);
	tcase_add_test(tc, signals_wait_for_a_commit_under_way);
	tcase_add_test(tc, an_update_under_way_holds_its_own_vector_only);
	tcase_add_test(tc, a_second_update_during_a_commit_is_not_forgotten);
	tcase_add_loop_test(tc, a_commit_that_ends_too_late_unblocks_nothing, 0, 2);
	tcase_add_test(tc, a_reset_forgets_messages_masks_and_pending_signals);
	return tc;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("vmmio msi");
	TCase *tc = tcase_create("registers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_control_register_tells_how_many_vectors_there_are);
	tcase_add_test(tc, thirty_two_bits_at_the_start_are_control_and_result);
	tcase_add_test(tc, thirty_two_bits_written_at_the_start_are_control_and_command);
	tcase_add_test(tc, any_other_width_or_offset_reads_zero_and_is_counted);
	tcase_add_test(tc, any_other_width_or_offset_written_does_nothing_and_is_counted);
	tcase_add_test(tc, a_staged_message_is_no_message_until_the_command);
	tcase_add_loop_test(tc, a_half_written_message_is_refused, 0, 2);
	add_commands(tc);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, commits());
	return s;
}
