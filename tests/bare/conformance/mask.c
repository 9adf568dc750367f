/* SPDX-License-Identifier: Apache-2.0 */
/* MASK and UNMASK: nothing comes, nothing is lost, nothing comes twice. */
#include "subject.h"

#define VECTOR 1	/* of queue 0 */

static void start(void)
{
	vdev_start(dev, 2, 0, IRQ_MSI_UPDATE_FIRST);
}

static void expect_unmask_gives(uint32_t n)
{
	RETURN_IF_FAILED();
	irq_counts_clear();
	EXPECT_EQ(msi_unmask(dev, VECTOR), VIRTIO_MMIO_MSI_DONE);
	expect_irqs(0, VEC_QUEUE(dev, 0), n);
}

/* row M7 */
static void a_masked_vector_is_quiet(void)
{
	start();
	EXPECT_EQ(msi_mask(dev, VECTOR), VIRTIO_MMIO_MSI_DONE);

	expect_queue_is_quiet(dev, 0);
}

/* row M7 */
static void unmask_gives_the_one_that_is_pending(void)
{
	start();
	msi_mask(dev, VECTOR);
	expect_queue_is_quiet(dev, 0);

	expect_unmask_gives(1);
	expect_unmask_gives(0);
	expect_queue_fires(dev, 0);
}

/* row M7 */
static void many_while_masked_are_one_after(void)
{
	unsigned int i;

	start();
	msi_mask(dev, VECTOR);
	for (i = 0; i < 10; i++)
		EXPECT(blk_works(dev, 0));
	delay_ms(QUIET_MS);

	expect_unmask_gives(1);
}

static void unmask_without_pending_gives_none(void)
{
	start();
	msi_mask(dev, VECTOR);

	expect_unmask_gives(0);
	expect_queue_fires(dev, 0);
}

/* row M7 */
static void mask_twice_is_mask_once(void)
{
	start();
	msi_mask(dev, VECTOR);
	EXPECT_EQ(msi_mask(dev, VECTOR), VIRTIO_MMIO_MSI_DONE);
	expect_queue_is_quiet(dev, 0);
	EXPECT_EQ(msi_mask(dev, VECTOR), VIRTIO_MMIO_MSI_DONE);

	expect_unmask_gives(1);
}

static void a_mask_holds_one_vector_only(void)
{
	SKIP_UNLESS(dev->nr_vectors > 2, "the queues share one vector");
	start();
	msi_mask(dev, VECTOR);

	expect_queue_fires(dev, 1);
	expect_queue_is_quiet(dev, 0);
}

static void preset(bool enable_first)
{
	vdev_prepare(dev, 1, 0);
	if (enable_first)
		EXPECT(!msi_enable(dev, true));
	EXPECT(!msi_update(dev, VECTOR, 0, VEC_QUEUE(dev, 0)));
	EXPECT_EQ(msi_mask(dev, VECTOR), VIRTIO_MMIO_MSI_DONE);
	if (!enable_first)
		EXPECT(!msi_enable(dev, true));
	vdev_run(dev);
	expect_queue_is_quiet(dev, 0);
	expect_unmask_gives(1);
}

static void a_mask_before_the_enable_bit_holds(void)
{
	preset(false);
}

static void a_mask_right_after_the_enable_bit_holds(void)
{
	preset(true);
}

static void a_mask_before_the_message_holds(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT_EQ(msi_mask(dev, VECTOR), VIRTIO_MMIO_MSI_DONE);
	EXPECT(!msi_update(dev, VECTOR, 0, VEC_QUEUE(dev, 0)));
	EXPECT(!msi_enable(dev, true));
	vdev_run(dev);

	expect_queue_is_quiet(dev, 0);
	expect_unmask_gives(1);
}

/* row M7 */
static void unmask_before_the_enable_bit_undoes_a_mask(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, VECTOR, 0, VEC_QUEUE(dev, 0)));
	msi_mask(dev, VECTOR);
	EXPECT_EQ(msi_unmask(dev, VECTOR), VIRTIO_MMIO_MSI_DONE);
	EXPECT(!msi_enable(dev, true));
	vdev_run(dev);

	expect_queue_fires(dev, 0);
}

static void update_leaves_the_mask_alone(void)
{
	start();
	msi_mask(dev, VECTOR);
	EXPECT(!msi_update(dev, VECTOR, 0, VEC_QUEUE(dev, 0)));

	expect_queue_is_quiet(dev, 0);
	expect_unmask_gives(1);
}

static void a_pending_one_goes_where_the_last_message_says(void)
{
	uint8_t other = (uint8_t)(VEC_QUEUE(dev, 0) + 8);

	start();
	msi_mask(dev, VECTOR);
	expect_queue_is_quiet(dev, 0);
	EXPECT(!msi_update(dev, VECTOR, 0, other));

	irq_counts_clear();
	msi_unmask(dev, VECTOR);
	expect_irqs(0, other, 1);
}

static void the_config_vector_can_be_masked(void)
{
	start();
	msi_mask(dev, VIRTIO_MMIO_MSI_VECTOR_CONFIG);
	irq_counts_clear();
	break_queue(dev, 0);
	expect_irqs(0, VEC_CONFIG(dev), 0);

	msi_unmask(dev, VIRTIO_MMIO_MSI_VECTOR_CONFIG);
	expect_irqs(0, VEC_CONFIG(dev), 1);
}

/* Requests end at any moment of a mask and unmask loop: each leads to an interrupt in the end. */
/* row M7 */
static void no_interrupt_is_lost_while_masks_toggle(void)
{
	volatile uint32_t *count = &irq_count[0][VEC_QUEUE(dev, 0)];
	uint32_t before;
	unsigned int i, j;

	start();
	for (i = 0; i < 100 && !check_failed(); i++) {
		before = *count;
		blk_submit(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR);
		for (j = 0; j < i % 5 + 1; j++) {
			msi_mask(dev, VECTOR);
			msi_unmask(dev, VECTOR);
		}
		EXPECT(WAIT(*count > before, ARRIVE_MS));
		EXPECT(ring_take(&dev->ring[0], NULL, NULL));
		EXPECT_EQ(*count, before + 1);
	}
}

CHECKS_WITH("mask", subject_msi_setup,
	CHECK(a_masked_vector_is_quiet),
	CHECK(unmask_gives_the_one_that_is_pending),
	CHECK(many_while_masked_are_one_after),
	CHECK(unmask_without_pending_gives_none),
	CHECK(mask_twice_is_mask_once),
	CHECK(a_mask_holds_one_vector_only),
	CHECK(a_mask_before_the_enable_bit_holds),
	CHECK(a_mask_right_after_the_enable_bit_holds),
	CHECK(a_mask_before_the_message_holds),
	CHECK(unmask_before_the_enable_bit_undoes_a_mask),
	CHECK(update_leaves_the_mask_alone),
	CHECK(a_pending_one_goes_where_the_last_message_says),
	CHECK(the_config_vector_can_be_masked),
	CHECK(no_interrupt_is_lost_while_masks_toggle))
