/* SPDX-License-Identifier: Apache-2.0 */
/* Doorbells, and the classic notification register beside them. */
#include "subject.h"

static void offer(unsigned int q)
{
	ring_offer(&dev->ring[q],
		   blk_build(dev, q, VIRTIO_BLK_T_IN, 0, blk_page(dev, q), SECTOR));
	ring_publish(&dev->ring[q]);
}

static void expect_served(unsigned int q)
{
	RETURN_IF_FAILED();
	EXPECT_MSG(WAIT(ring_nr_used(&dev->ring[q]), BLK_MS), "queue %u is not served", q);
	ring_take(&dev->ring[q], NULL, NULL);
	EXPECT_EQ(blk_req(dev, q)->status, VIRTIO_BLK_S_OK);
}

static void start(void)
{
	vdev_start(dev, dev->nr_queues, 0, IRQ_MSI_UPDATE_FIRST);
}

static void doorbells_lie_inside_the_window(void)
{
	uint64_t first = vdev_doorbell(dev, 0), last = vdev_doorbell(dev, dev->nr_queues - 1);

	SKIP_UNLESS(dev->doorbells, "no doorbells");
	EXPECT(first >= dev->base + VIRTIO_MMIO_CONFIG);
	EXPECT(last > first);
	EXPECT(last + 4 <= dev->base + option_number("stride", 0x2000));
	EXPECT_EQ(first % 4, 0);
	EXPECT_EQ(last % 4, 0);
}

static void each_doorbell_serves_its_queue(void)
{
	unsigned int q;

	SKIP_UNLESS(dev->doorbells, "no doorbells");
	start();
	for (q = 0; q < dev->nr_queues && !check_failed(); q++) {
		offer(q);
		mmio_write32(vdev_doorbell(dev, q), q);
		expect_served(q);
	}
}

static void a_doorbell_takes_any_value_and_width(void)
{
	uint64_t bell = vdev_doorbell(dev, 1);
	unsigned int i;

	SKIP_UNLESS(dev->doorbells, "no doorbells");
	start();
	for (i = 0; i < 5 && !check_failed(); i++) {
		offer(1);
		switch (i) {
		case 0:	mmio_write8(bell, 0x5a);		break;
		case 1:	mmio_write16(bell, 0xffff);		break;
		case 2:	mmio_write32(bell, 0xdeadbeef);		break;
		case 3:	mmio_write64(bell, ~0ull);		break;
		default: mmio_write32(bell, 0);
		}
		expect_served(1);
	}
}

static void the_classic_register_works_beside_doorbells(void)
{
	unsigned int q;

	start();
	for (q = 0; q < dev->nr_queues && !check_failed(); q++) {
		offer(q);
		vdev_kick_classic(dev, q);
		expect_served(q);
	}
}

static void doorbells_and_classic_can_be_mixed(void)
{
	unsigned int i;

	start();
	for (i = 0; i < 20 && !check_failed(); i++) {
		offer(i % 2);
		if (i & 2)
			vdev_kick_classic(dev, i % 2);
		else
			vdev_kick(dev, i % 2);
		expect_served(i % 2);
	}
}

static void doorbells_work_after_reset(void)
{
	unsigned int i;

	for (i = 0; i < 3 && !check_failed(); i++) {
		start();
		offer(0);
		vdev_kick(dev, 0);
		expect_served(0);
		offer(1);
		vdev_kick_classic(dev, 1);
		expect_served(1);
	}
}

/* row T14 */
static void a_kick_of_a_missing_queue_is_ignored(void)
{
	start();
	vdev_kick_classic(dev, dev->nr_queues);
	vdev_kick_classic(dev, 0xffff);
	vdev_kick_classic(dev, 0xffffffff);
	EXPECT(!(vdev_status(dev) & S_NEEDS_RESET));

	expect_queue_fires(dev, 0);
}

static void a_kick_of_an_empty_queue_is_harmless(void)
{
	unsigned int i;

	start();
	irq_counts_clear();
	for (i = 0; i < 20; i++)
		vdev_kick(dev, 0);

	expect_irqs(0, VEC_QUEUE(dev, 0), 0);
	expect_queue_fires(dev, 0);
}

/* The device looks at its queues when it starts. */
/* row T14 */
static void a_kick_before_driver_ok_is_not_lost(void)
{
	vdev_prepare(dev, 2, 0);
	RETURN_IF_FAILED();
	vdev_setup_irqs(dev, 2, IRQ_MSI_UPDATE_FIRST);
	offer(0);
	vdev_kick(dev, 0);
	vdev_kick_classic(dev, 1);
	delay_ms(QUIET_MS);
	EXPECT_EQ(ring_nr_used(&dev->ring[0]), 0);
	vdev_run(dev);
	expect_served(0);
	EXPECT(WAIT(irq_count[0][VEC_QUEUE(dev, 0)] == 1, ARRIVE_MS));
	expect_queue_fires(dev, 1);
}

static void one_kick_serves_all_that_is_offered(void)
{
	unsigned int i;

	start();
	RETURN_IF_FAILED();
	for (i = 0; i < 4; i++)
		offer(0);
	vdev_kick(dev, 0);
	for (i = 0; i < 4; i++)
		EXPECT(WAIT(ring_take(&dev->ring[0], NULL, NULL), BLK_MS));
}

static void reading_a_doorbell_gives_no_kick(void)
{
	SKIP_UNLESS(dev->doorbells, "no doorbells");
	start();
	RETURN_IF_FAILED();
	delay_ms(QUIET_MS);	/* until the device has had its first look */
	offer(0);
	mmio_read32(vdev_doorbell(dev, 0));
	delay_ms(QUIET_MS);
	EXPECT_EQ(ring_nr_used(&dev->ring[0]), 0);
	vdev_kick(dev, 0);
	expect_served(0);
}

/* Its value would tell how far the ring is; a doorbell's tells nothing. */
static void notification_data_is_not_offered(void)
{
	SKIP_UNLESS(dev->doorbells, "no doorbells");
	EXPECT(!(vdev_offered(dev) >> 38 & 1));
}

CHECKS_WITH("notify", subject_msi_setup,
	CHECK(doorbells_lie_inside_the_window),
	CHECK(each_doorbell_serves_its_queue),
	CHECK(a_doorbell_takes_any_value_and_width),
	CHECK(the_classic_register_works_beside_doorbells),
	CHECK(doorbells_and_classic_can_be_mixed),
	CHECK(doorbells_work_after_reset),
	CHECK(a_kick_of_a_missing_queue_is_ignored),
	CHECK(a_kick_of_an_empty_queue_is_harmless),
	CHECK(a_kick_before_driver_ok_is_not_lost),
	CHECK(one_kick_serves_all_that_is_offered),
	CHECK(reading_a_doorbell_gives_no_kick),
	CHECK(notification_data_is_not_offered))
