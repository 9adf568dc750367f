/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, in both orders, and the interrupts they become. One CPU. */
#include "subject.h"

#define VEC_OTHER ((uint8_t)(VEC_CONFIG(dev) + 0x1d))

static void all_queues_fire(enum irq_mode mode)
{
	unsigned int q;

	vdev_start(dev, dev->nr_queues, 0, mode);
	for (q = 0; q < dev->nr_queues; q++)
		expect_queue_fires(dev, q);
}

static void messages_before_the_enable_bit_work(void)
{
	all_queues_fire(IRQ_MSI_UPDATE_FIRST);
}

static void messages_after_the_enable_bit_work(void)
{
	all_queues_fire(IRQ_MSI_ENABLE_FIRST);
}

static void messages_on_both_sides_of_the_enable_bit_work(void)
{
	unsigned int last = msi_vector_of(dev, 1);

	vdev_prepare(dev, 2, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	EXPECT(!msi_enable(dev, true));
	EXPECT(!msi_update(dev, last, 0, VEC_QUEUE(dev, last - 1)));
	vdev_run(dev);

	expect_queue_fires(dev, 0);
	expect_queue_fires(dev, 1);
}

static void the_last_message_before_the_enable_bit_counts(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_OTHER));
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	EXPECT(!msi_enable(dev, true));
	vdev_run(dev);

	expect_queue_fires(dev, 0);
}

static void a_vector_without_a_message_is_quiet(void)
{
	vdev_prepare(dev, 2, 0);
	EXPECT(!msi_update(dev, 0, 0, VEC_CONFIG(dev)));
	EXPECT(!msi_enable(dev, true));
	vdev_run(dev);

	expect_queue_is_quiet(dev, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	delay_ms(QUIET_MS);
	expect_queue_fires(dev, 0);
}

static void nothing_comes_without_the_enable_bit(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	vdev_run(dev);

	expect_queue_is_quiet(dev, 0);
}

static void the_enable_bit_can_be_taken_back(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	EXPECT(!msi_enable(dev, true));
	EXPECT(!msi_enable(dev, false));
	vdev_run(dev);

	expect_queue_is_quiet(dev, 0);
}

/* What was written before holds when the bit comes back. */
static void the_enable_bit_can_be_set_again(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	EXPECT(!msi_enable(dev, true));
	EXPECT(!msi_enable(dev, false));
	EXPECT(!msi_enable(dev, true));
	EXPECT(!msi_enable(dev, true));
	vdev_run(dev);

	expect_queue_fires(dev, 0);
}

/* row M12 */
static void half_a_message_is_no_message(void)
{
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	vdev_write(dev, VIRTIO_MMIO_MSI_DATA, VEC_OTHER);

	expect_queue_fires(dev, 0);
	EXPECT(!msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1));
	irq_counts_clear();
	EXPECT(blk_works(dev, 0));
	expect_irqs(0, VEC_OTHER, 1);
}

/* Of queues 0 and 1, whose vectors have all been given VEC_OTHER. */
static void run_with_one_message(void)
{
	EXPECT(!msi_enable(dev, true));
	vdev_run(dev);

	irq_counts_clear();
	EXPECT(blk_works(dev, 0));
	expect_irqs(0, VEC_OTHER, 1);
	EXPECT(blk_works(dev, 1));
	expect_irqs(0, VEC_OTHER, 2);
}

/* What was staged is there for the next vector as well. */
static void one_staged_message_serves_many_vectors(void)
{
	unsigned int v;

	vdev_prepare(dev, 2, 0);
	msi_stage(dev, MSI_ADDRESS(0), 0, VEC_OTHER);
	for (v = 0; v < dev->nr_vectors; v++)
		EXPECT(!msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, v));
	run_with_one_message();
}

static void the_same_message_again_changes_nothing(void)
{
	unsigned int i;

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	for (i = 0; i < 20; i++)
		EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	expect_queue_fires(dev, 0);
}

/* Nothing that is owed is lost: it comes with the next message, once. */
static void a_message_of_zeroes_takes_the_message_away(void)
{
	vdev_start(dev, 2, 0, IRQ_MSI_UPDATE_FIRST);
	expect_queue_fires(dev, 0);
	RETURN_IF_FAILED();
	msi_stage(dev, 0, 0, 0);
	EXPECT_EQ(msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1), VIRTIO_MMIO_MSI_DONE);
	expect_queue_is_quiet(dev, 0);
	if (dev->nr_vectors > 2)
		expect_queue_fires(dev, 1);
	RETURN_IF_FAILED();
	irq_counts_clear();
	EXPECT_EQ(msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)), VIRTIO_MMIO_MSI_DONE);
	expect_irqs(0, VEC_QUEUE(dev, 0), 1);
	expect_queue_fires(dev, 0);
}

static void a_message_of_zeroes_before_the_enable_bit_takes_it_away(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	msi_stage(dev, 0, 0, 0);
	EXPECT_EQ(msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1), VIRTIO_MMIO_MSI_DONE);
	EXPECT_EQ(msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1), VIRTIO_MMIO_MSI_DONE);
	EXPECT(!msi_enable(dev, true));
	vdev_run(dev);

	expect_queue_is_quiet(dev, 0);
}

/* Each keeps what the host gave it for the first one. */
static void a_vector_with_a_message_gets_as_many_others_as_it_likes(void)
{
	unsigned int i;

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	for (i = 0; i < 200; i++)
		EXPECT_EQ(msi_update(dev, 1, 0, (uint8_t)(VEC_QUEUE(dev, 0) + (i & 7))),
			  VIRTIO_MMIO_MSI_DONE);
	EXPECT_EQ(msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)), VIRTIO_MMIO_MSI_DONE);
	delay_ms(QUIET_MS);
	expect_queue_fires(dev, 0);
}

/* Programmed and enabled while Status is 0; then all steps of the driver. */
static void messages_from_before_acknowledge_hold(void)
{
	unsigned int last = msi_vector_of(dev, 1);

	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	EXPECT(!msi_update(dev, last, 0, VEC_QUEUE(dev, last - 1)));
	EXPECT(!msi_mask(dev, 1));
	EXPECT(!msi_enable(dev, true));
	EXPECT(vdev_negotiate(dev, 0));
	vdev_setup_queue(dev, 0);
	vdev_setup_queue(dev, 1);
	vdev_run(dev);
	expect_queue_is_quiet(dev, 0);
	RETURN_IF_FAILED();
	irq_counts_clear();
	EXPECT(!msi_unmask(dev, 1));
	expect_irqs(0, VEC_QUEUE(dev, 0), 1);
	expect_queue_fires(dev, 1);
}

static void a_queue_that_is_not_ready_is_quiet(void)
{
	vdev_prepare(dev, 0, 0);
	vdev_setup_queue(dev, 1);
	vdev_setup_irqs(dev, 2, IRQ_MSI_UPDATE_FIRST);
	vdev_run(dev);
	RETURN_IF_FAILED();
	irq_counts_clear();
	vdev_kick(dev, 0);
	delay_ms(QUIET_MS);
	EXPECT_EQ(irq_sum(VEC_CONFIG(dev), VEC_LAST(dev)), 0);
	expect_queue_fires(dev, 1);
}

static void acknowledging_means_nothing_with_msi(void)
{
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	expect_queue_fires(dev, 0);
	msi_mask(dev, 1);
	expect_queue_is_quiet(dev, 0);
	vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	irq_counts_clear();
	EXPECT(!msi_unmask(dev, 1));
	expect_irqs(0, VEC_QUEUE(dev, 0), 1);
}

/* A driver that knows nothing of all this. */
static void the_line_works_if_msi_is_never_enabled(void)
{
	vdev_start(dev, 2, 0, IRQ_LINE);
	RETURN_IF_FAILED();
	irq_counts_clear();
	EXPECT(blk_works(dev, 0));
	expect_irqs(0, VEC_LINE(dev), 1);
	EXPECT(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS) & 1);
	vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	EXPECT(blk_works(dev, 1));
	expect_irqs(0, VEC_LINE(dev), 2);
}

/* row M8 */
static void update_while_enabled_changes_the_vector(void)
{
	unsigned int i;

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	for (i = 0; i < 4 && !check_failed(); i++) {
		expect_queue_fires(dev, 0);
		EXPECT(!msi_update(dev, 1, 0, VEC_OTHER));
		irq_counts_clear();
		EXPECT(blk_works(dev, 0));
		expect_irqs(0, VEC_OTHER, 1);
		EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	}
}

/* row M11 */
static void vectors_with_the_same_message_share_it(void)
{
	unsigned int v;

	vdev_prepare(dev, 2, 0);
	for (v = 0; v < dev->nr_vectors; v++)
		EXPECT(!msi_update(dev, v, 0, VEC_OTHER));
	run_with_one_message();
}

/* row M11 */
static void devices_with_the_same_message_share_it(void)
{
	struct vdev *other = bystander();

	SKIP_UNLESS(other && other->nr_vectors, "no second device with MSI");
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	vdev_start(other, 1, 0, IRQ_MSI_UPDATE_FIRST);
	EXPECT(!msi_update(dev, 1, 0, VEC_OTHER));
	EXPECT(!msi_update(other, 1, 0, VEC_OTHER));

	irq_counts_clear();
	EXPECT(blk_works(dev, 0));
	expect_irqs(0, VEC_OTHER, 1);
	EXPECT(blk_works(other, 0));
	expect_irqs(0, VEC_OTHER, 2);
}

static void config_vector_tells_of_needs_reset(void)
{
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	irq_counts_clear();

	break_queue(dev, 0);
	expect_irqs(0, VEC_CONFIG(dev), 1);
}

static void an_interrupt_ends_hlt(void)
{
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	RETURN_IF_FAILED();
	irqs_off();
	blk_submit(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR);
	while (!irq_count[0][VEC_QUEUE(dev, 0)]) {
		irqs_on_and_halt();
		irqs_off();
	}
	irqs_on();
	expect_irqs(0, VEC_QUEUE(dev, 0), 1);
	EXPECT(ring_take(&dev->ring[0], NULL, NULL));
}

/* Once the command has returned, nothing more goes where the old message said. */
/* row M8 */
static void the_old_message_is_not_used_after_update(void)
{
	volatile uint32_t *old = &irq_count[0][VEC_QUEUE(dev, 0)];
	uint32_t before;
	unsigned int i;

	for (i = 0; i < 10 && !check_failed(); i++) {
		vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
		RETURN_IF_FAILED();
		blk_submit(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR);
		EXPECT(!msi_update(dev, 1, 0, VEC_OTHER));
		before = *old;
		EXPECT(WAIT(ring_take(&dev->ring[0], NULL, NULL), BLK_MS));
		EXPECT(blk_works(dev, 0));
		EXPECT(WAIT(irq_count[0][VEC_OTHER], ARRIVE_MS));
		EXPECT_EQ(*old, before);
	}
}

static void the_line_is_not_used_with_msi(void)
{
	ioapic_route(dev->gsi, VEC_LINE(dev), 0);
	vdev_start(dev, 2, 0, IRQ_MSI_UPDATE_FIRST);

	expect_queue_fires(dev, 0);
	expect_queue_fires(dev, 1);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	break_queue(dev, 0);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	EXPECT_EQ(irq_count[0][VEC_LINE(dev)], 0);
}

static void start_with(unsigned int nr_vectors)
{
	unsigned int v;

	vdev_prepare(dev, 2, 0);
	for (v = 0; v < nr_vectors; v++)
		EXPECT(!msi_update(dev, v, 0, (uint8_t)(VEC_CONFIG(dev) + v)));
	EXPECT_EQ(msi_enable_some(dev, nr_vectors), VIRTIO_MMIO_MSI_DONE);
	vdev_run(dev);
}

static void expect_request_on(unsigned int q, uint8_t vector)
{
	RETURN_IF_FAILED();
	irq_counts_clear();
	EXPECT(blk_works(dev, q));
	expect_irqs(0, vector, 1);
}

static void with_two_vectors_in_use_queues_share_the_last(void)
{
	start_with(2);
	expect_request_on(0, VEC_QUEUE(dev, 0));
	expect_request_on(1, VEC_QUEUE(dev, 0));
	irq_counts_clear();
	break_queue(dev, 0);
	expect_irqs(0, VEC_CONFIG(dev), 1);
}

static void with_one_vector_in_use_all_share_it(void)
{
	start_with(1);
	expect_request_on(0, VEC_CONFIG(dev));
	expect_request_on(1, VEC_CONFIG(dev));
}

static void with_all_vectors_in_use_each_queue_has_its_own(void)
{
	SKIP_UNLESS(dev->nr_vectors > 2, "the queues share one vector");
	start_with(dev->nr_vectors);
	expect_request_on(0, VEC_QUEUE(dev, 0));
	expect_request_on(1, VEC_QUEUE(dev, 1));
}

static void more_vectors_in_use_than_there_are_is_refused(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	EXPECT_EQ(msi_enable_some(dev, dev->nr_vectors + 1), VIRTIO_MMIO_MSI_E_STATE);
	EXPECT_EQ(msi_enable_some(dev, 0x7ff), VIRTIO_MMIO_MSI_E_STATE);
	vdev_run(dev);

	expect_queue_is_quiet(dev, 0);
}

/* The lowest vector a local APIC takes from a message. */
static void vector_0x10_is_taken(void)
{
	EXPECT_EQ(msi_update(dev, 1, 0, 0x10), VIRTIO_MMIO_MSI_DONE);
	EXPECT_EQ(msi_enable(dev, true), VIRTIO_MMIO_MSI_DONE);
}

static void a_hundred_requests_are_a_hundred_interrupts(void)
{
	unsigned int i;

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	irq_counts_clear();
	for (i = 1; i <= 100; i++) {
		EXPECT(blk_works(dev, 0));
		EXPECT(WAIT(irq_count[0][VEC_QUEUE(dev, 0)] == i, ARRIVE_MS));
	}
	expect_irqs(0, VEC_QUEUE(dev, 0), 100);
}

CHECKS_WITH("vectors", subject_msi_setup,
	CHECK(messages_before_the_enable_bit_work),
	CHECK(messages_after_the_enable_bit_work),
	CHECK(messages_on_both_sides_of_the_enable_bit_work),
	CHECK(the_last_message_before_the_enable_bit_counts),
	CHECK(a_vector_without_a_message_is_quiet),
	CHECK(nothing_comes_without_the_enable_bit),
	CHECK(the_enable_bit_can_be_taken_back),
	CHECK(the_enable_bit_can_be_set_again),
	CHECK(half_a_message_is_no_message),
	CHECK(one_staged_message_serves_many_vectors),
	CHECK(the_same_message_again_changes_nothing),
	CHECK(a_message_of_zeroes_takes_the_message_away),
	CHECK(a_message_of_zeroes_before_the_enable_bit_takes_it_away),
	CHECK(a_vector_with_a_message_gets_as_many_others_as_it_likes),
	CHECK(messages_from_before_acknowledge_hold),
	CHECK(a_queue_that_is_not_ready_is_quiet),
	CHECK(acknowledging_means_nothing_with_msi),
	CHECK(the_line_works_if_msi_is_never_enabled),
	CHECK(update_while_enabled_changes_the_vector),
	CHECK(vectors_with_the_same_message_share_it),
	CHECK(devices_with_the_same_message_share_it),
	CHECK(config_vector_tells_of_needs_reset),
	CHECK(an_interrupt_ends_hlt),
	CHECK(the_old_message_is_not_used_after_update),
	CHECK(the_line_is_not_used_with_msi),
	CHECK(with_two_vectors_in_use_queues_share_the_last),
	CHECK(with_one_vector_in_use_all_share_it),
	CHECK(with_all_vectors_in_use_each_queue_has_its_own),
	CHECK(more_vectors_in_use_than_there_are_is_refused),
	CHECK(vector_0x10_is_taken),
	CHECK(a_hundred_requests_are_a_hundred_interrupts))
