/* SPDX-License-Identifier: Apache-2.0 */
/* Reset at any point gives back the initial state, and the device can be used again. */
#include "subject.h"

#define STATUS_DRIVER (S_ACK | S_DRIVER)

static void acknowledge(void)
{
	vdev_set_status(dev, S_ACK);
}

static void driver(void)
{
	acknowledge();
	vdev_set_status(dev, S_DRIVER);
}

static void features(void)
{
	EXPECT(vdev_negotiate(dev, 0));
}

static void queues(void)
{
	vdev_prepare(dev, 2, 0);
}

static void messages(void)
{
	queues();
	EXPECT(!msi_update(dev, 0, 0, VEC_CONFIG(dev)));
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
}

static void enabled(void)
{
	messages();
	EXPECT(!msi_enable(dev, true));
}

static void enabled_only(void)
{
	EXPECT(!msi_enable(dev, true));
}

static void messages_only(void)
{
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
}

static void running(void)
{
	enabled();
	vdev_run(dev);
}

static void used(void)
{
	running();
	expect_queue_fires(dev, 0);
}

static void in_flight(void)
{
	running();
	RETURN_IF_FAILED();
	blk_submit(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR);
}

static void broken(void)
{
	running();
	break_queue(dev, 0);
}

static void failed(void)
{
	running();
	vdev_set_status(dev, S_FAILED);
}

static void failed_early(void)
{
	driver();
	vdev_set_status(dev, S_FAILED);
}

static void kicked_too_early(void)
{
	queues();
	vdev_kick(dev, 0);
	vdev_kick_classic(dev, 1);
}

/* Each step, reset, then everything works, in the one order or the other. */
static void from(void (*step)(void))
{
	unsigned int i;

	for (i = 0; i < 2 && !check_failed(); i++) {
		EXPECT(vdev_reset(dev));
		step();
		RETURN_IF_FAILED();
		EXPECT(vdev_reset(dev));
		if (i)
			EXPECT(vdev_reset(dev));
		irq_counts_clear();
		vdev_start(dev, 2, 0, i ? IRQ_MSI_ENABLE_FIRST : IRQ_MSI_UPDATE_FIRST);
		expect_queue_fires(dev, 0);
		expect_queue_fires(dev, 1);
	}
}

#define RESET_FROM(step) static void works_again_after_reset_from_##step(void) { from(step); }
RESET_FROM(acknowledge)
RESET_FROM(driver)
RESET_FROM(features)
RESET_FROM(queues)
RESET_FROM(messages)
RESET_FROM(messages_only)
RESET_FROM(enabled)
RESET_FROM(enabled_only)
RESET_FROM(running)
RESET_FROM(used)
RESET_FROM(in_flight)
RESET_FROM(broken)
RESET_FROM(failed)
RESET_FROM(failed_early)
RESET_FROM(kicked_too_early)

/* row T12 */
static void fifty_times_in_a_row(void)
{
	unsigned int i;

	for (i = 0; i < 50 && !check_failed(); i++) {
		vdev_start(dev, 1, 0, i % 2 ? IRQ_MSI_ENABLE_FIRST : IRQ_MSI_UPDATE_FIRST);
		irq_counts_clear();
		EXPECT(blk_works(dev, 0));
		EXPECT(WAIT(irq_count[0][VEC_QUEUE(dev, 0)] == 1, ARRIVE_MS));
	}
}

static void registers_have_their_initial_values(void)
{
	unsigned int q;

	used();
	msi_mask(dev, 0xfff);
	EXPECT(vdev_reset(dev));

	EXPECT_EQ(vdev_status(dev), 0);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	EXPECT_EQ(msi_result(dev), VIRTIO_MMIO_MSI_DONE);
	EXPECT_EQ(msi_csr(dev), VIRTIO_MMIO_MSI_CSR_SUPPORTED | dev->nr_vectors);
	for (q = 0; q < dev->nr_queues; q++) {
		vdev_write(dev, VIRTIO_MMIO_QUEUE_SEL, q);
		EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_QUEUE_READY), 0);
	}
}

static void interrupt_status_is_0_after_reset(void)
{
	vdev_start(dev, 1, 0, IRQ_LINE);
	EXPECT(blk_works(dev, 0));
	EXPECT(WAIT(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS) & 1, ARRIVE_MS));
	EXPECT(vdev_reset(dev));

	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void needs_reset_goes_with_the_reset(void)
{
	broken();
	EXPECT(vdev_reset(dev));

	EXPECT_EQ(vdev_status(dev), 0);
}

static void doorbells_are_where_they_were(void)
{
	uint32_t where = vdev_read(dev, VIRTIO_MMIO_DOORBELL);

	SKIP_UNLESS(dev->doorbells, "no doorbells");
	used();
	EXPECT(vdev_reset(dev));

	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_DOORBELL), where);
	expect_works_anew(dev);
}

/* Then the driver polls: what was enabled before must not fire. */
static void msi_is_off_after_reset(void)
{
	used();
	vdev_start(dev, 1, 0, IRQ_NONE);

	expect_queue_is_quiet(dev, 0);
}

/* row M10 */
static void messages_are_forgotten(void)
{
	used();
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_enable(dev, true));
	vdev_run(dev);

	expect_queue_is_quiet(dev, 0);
}

static void staged_registers_are_forgotten(void)
{
	vdev_prepare(dev, 1, 0);
	msi_stage(dev, MSI_ADDRESS(0), 0, VEC_QUEUE(dev, 0));
	vdev_prepare(dev, 1, 0);

	EXPECT_EQ(msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1), VIRTIO_MMIO_MSI_DONE);
	EXPECT(!msi_enable(dev, true));
	vdev_run(dev);
	expect_queue_is_quiet(dev, 0);
}

static void masks_are_forgotten(void)
{
	running();
	msi_mask(dev, 0);
	msi_mask(dev, 1);

	expect_works_anew(dev);
}

static void masks_preset_are_forgotten(void)
{
	queues();
	msi_mask(dev, 1);

	expect_works_anew(dev);
}

/* row M10 */
static void a_pending_interrupt_is_forgotten(void)
{
	running();
	msi_mask(dev, 1);
	expect_queue_is_quiet(dev, 0);
	irq_counts_clear();

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	expect_irqs(0, VEC_QUEUE(dev, 0), 0);
	EXPECT_EQ(msi_unmask(dev, 1), VIRTIO_MMIO_MSI_DONE);
	expect_irqs(0, VEC_QUEUE(dev, 0), 0);
	expect_queue_fires(dev, 0);
}

/* In flight at the reset: the old message's vector stays quiet afterwards. */
/* row M10 */
static void no_interrupt_comes_late(void)
{
	unsigned int i;

	for (i = 0; i < 20 && !check_failed(); i++) {
		in_flight();
		EXPECT(vdev_reset(dev));
		irq_counts_clear();
		delay_ms(1);
		EXPECT_EQ(irq_sum(VEC_CONFIG(dev), VEC_LAST(dev)), 0);
	}
}

/* Data of a request in flight lands before the reset is over, or never. */
/* row T13 */
static void no_data_comes_late(void)
{
	uint32_t *word;
	unsigned int i;

	for (i = 0; i < 20 && !check_failed(); i++) {
		in_flight();
		EXPECT(vdev_reset(dev));
		word = (uint32_t *)(void *)(blk_page(dev, 0) + 8);
		*word = 0xdeadbeef;
		blk_req(dev, 0)->status = BLK_NO_ANSWER;
		delay_ms(1);
		EXPECT_EQ(*(volatile uint32_t *)word, 0xdeadbeef);
		EXPECT_EQ(blk_req(dev, 0)->status, BLK_NO_ANSWER);
	}
}

static void features_are_negotiated_anew(void)
{
	vdev_start(dev, 1, F_EVENT_IDX | F_INDIRECT, IRQ_NONE);
	EXPECT(vdev_reset(dev));
	vdev_write_status(dev, STATUS_DRIVER);
	vdev_write_status(dev, STATUS_DRIVER | S_FEATURES_OK);

	/* Nothing was accepted this time, not even VERSION_1. */
	EXPECT_EQ(vdev_status(dev), STATUS_DRIVER);
}

CHECKS_WITH("reset", subject_msi_setup,
	CHECK(works_again_after_reset_from_acknowledge),
	CHECK(works_again_after_reset_from_driver),
	CHECK(works_again_after_reset_from_features),
	CHECK(works_again_after_reset_from_queues),
	CHECK(works_again_after_reset_from_messages),
	CHECK(works_again_after_reset_from_messages_only),
	CHECK(works_again_after_reset_from_enabled),
	CHECK(works_again_after_reset_from_enabled_only),
	CHECK(works_again_after_reset_from_running),
	CHECK(works_again_after_reset_from_used),
	CHECK(works_again_after_reset_from_in_flight),
	CHECK(works_again_after_reset_from_broken),
	CHECK(works_again_after_reset_from_failed),
	CHECK(works_again_after_reset_from_failed_early),
	CHECK(works_again_after_reset_from_kicked_too_early),
	CHECK(fifty_times_in_a_row),
	CHECK(registers_have_their_initial_values),
	CHECK(interrupt_status_is_0_after_reset),
	CHECK(needs_reset_goes_with_the_reset),
	CHECK(doorbells_are_where_they_were),
	CHECK(msi_is_off_after_reset),
	CHECK(messages_are_forgotten),
	CHECK(staged_registers_are_forgotten),
	CHECK(masks_are_forgotten),
	CHECK(masks_preset_are_forgotten),
	CHECK(a_pending_interrupt_is_forgotten),
	CHECK(no_interrupt_comes_late),
	CHECK(no_data_comes_late),
	CHECK(features_are_negotiated_anew))
