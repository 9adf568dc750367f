/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What things cost the host. The guest only does them; the runner reads the
 * monitor's counters afterwards, so each check is a run of its own.
 */
#include "subject.h"

static void start(void)
{
	vdev_start(dev, dev->nr_queues, 0, IRQ_MSI_UPDATE_FIRST);
}

/* One routing call for the device; no request leads to an exit to the monitor. */
static void a_start_and_traffic(void)
{
	unsigned int i, q;

	start();
	for (i = 1; i <= 50; i++)
		for (q = 0; q < dev->nr_queues; q++) {
			EXPECT(blk_works(dev, q));
			EXPECT(WAIT(irq_count[0][VEC_QUEUE(dev, q)] == i, ARRIVE_MS));
		}
}

/* row M6 */
static void a_thousand_masks(void)
{
	unsigned int i;

	start();
	for (i = 0; i < 1000; i++) {
		msi_mask(dev, i % dev->nr_vectors);
		msi_unmask(dev, i % dev->nr_vectors);
	}
	expect_queue_fires(dev, 0);
}

/* row M5 */
static void the_same_message_again_and_again(void)
{
	unsigned int i;

	start();
	expect_queue_fires(dev, 0);
	for (i = 0; i < 200; i++)
		EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	expect_queue_fires(dev, 0);
}

static void restarts_and_a_reset(void)
{
	unsigned int i;

	for (i = 0; i < 20 && !check_failed(); i++) {
		start();
		expect_queue_fires(dev, i % dev->nr_queues);
	}
	EXPECT(vdev_reset(dev));
	delay_ms(300);		/* the monitor gives the numbers back in its own time */
}

CHECKS_WITH("cost", subject_msi_setup,
	CHECK(a_start_and_traffic),
	CHECK(a_thousand_masks),
	CHECK(the_same_message_again_and_again),
	CHECK(restarts_and_a_reset))
