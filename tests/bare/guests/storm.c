/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storms (M5, M6, M14): the second CPU does something without end for a few
 * seconds. Meanwhile another device answers in good time, and afterwards the
 * device under the storm is in order.
 */
#include "neighbours.h"
#include "subject.h"

#define STORM_MS ((uint32_t)option_number("storm", 1500))
#define SLOW_MS 500		/* an answer of the other device that took longer is too slow */

static volatile bool stop;
static volatile uint32_t rounds;
static struct vdev *other;

static void setup(void)
{
	subject_msi_setup();
	if (!cpu_start(1))
		check_abort("the second CPU does not start");
	neighbours_start();
	other = bystander();
	stop = false;
	rounds = 0;
}

static void reprogram(void *arg)
{
	struct vdev *d = arg;

	while (!stop) {
		msi_update(d, 1, 0, (uint8_t)(VEC_QUEUE(d, 0) + (rounds & 7)));
		rounds++;
	}
}

static void mask_and_unmask(void *arg)
{
	struct vdev *d = arg;

	while (!stop) {
		msi_mask(d, 1);
		msi_unmask(d, 1);
		rounds++;
	}
}

static void refused_messages(void *arg)
{
	struct vdev *d = arg;

	while (!stop) {
		msi_stage(d, rounds, rounds, rounds);
		msi_command(d, VIRTIO_MMIO_MSI_CMD_UPDATE, 2 + rounds % 8);
		rounds++;
	}
}

static void kick_everything(void *arg)
{
	struct vdev *d = arg;

	while (!stop) {
		vdev_kick(d, rounds % d->nr_queues);
		vdev_kick_classic(d, rounds);
		rounds++;
	}
}

static void unclaimed(void *arg)
{
	(void)arg;
	while (!stop) {
		mmio_write32(0xd0000000 + (rounds & 0xfff) * 4, rounds);
		out8(0x2345, (uint8_t)rounds);
		rounds++;
	}
}

static void storm(void (*fn)(void *arg))
{
	uint32_t start, asked, worst = 0;

	vdev_start(dev, dev->nr_queues, 0, IRQ_MSI_UPDATE_FIRST);
	cpu_run(1, fn, dev);
	EXPECT(WAIT(rounds, ARRIVE_MS));
	for (start = ticks_now(); !time_is_up(start, STORM_MS) && !check_failed();) {
		asked = ticks_now();
		if (other && !blk_works(other, 0))
			check_fail("the other device does not answer");
		if (ticks_now() - asked > worst)
			worst = ticks_now() - asked;
	}
	stop = true;
	if (!cpu_join(1, 2000))
		check_abort("the second CPU hangs");
	EXPECT_MSG(worst < SLOW_MS * TICKS_PER_MS, "the other device took %u ms",
		   worst / TICKS_PER_MS);
	EXPECT(!(vdev_status(dev) & S_NEEDS_RESET));
}

/* The last message is the one in force. */
static void m5_programming_without_end(void)
{
	storm(reprogram);
	RETURN_IF_FAILED();
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	delay_ms(100);
	expect_queue_fires(dev, 0);
}

static void m6_masking_without_end(void)
{
	storm(mask_and_unmask);
	expect_queue_fires(dev, 0);
}

static void m2_refused_messages_without_end(void)
{
	storm(refused_messages);
	expect_queue_fires(dev, 0);
	RETURN_IF_FAILED();
	expect_works_anew(dev);
}

static void t14_kicks_without_end(void)
{
	storm(kick_everything);
	expect_queue_fires(dev, 0);
}

static void t19_unclaimed_accesses_without_end(void)
{
	storm(unclaimed);
	expect_queue_fires(dev, 0);
}

/* M14: interrupts to the second CPU as fast as the device makes them. */
static void m14_interrupts_without_end(void)
{
	uint32_t start, n = 0;

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	EXPECT(!msi_update(dev, 1, 1, VEC_QUEUE(dev, 0)));
	irq_counts_clear();
	for (start = ticks_now(); !time_is_up(start, STORM_MS); n++) {
		EXPECT(blk_works(dev, 0));
		expect_bystander_works(other);
		RETURN_IF_FAILED();
	}
	EXPECT(WAIT(irq_count[1][VEC_QUEUE(dev, 0)] >= 1, ARRIVE_MS));
	EXPECT(irq_count[1][VEC_QUEUE(dev, 0)] <= n);
}

CHECKS_WATCHED("storm", setup,
	CHECK(m5_programming_without_end),
	CHECK(m6_masking_without_end),
	CHECK(m2_refused_messages_without_end),
	CHECK(t14_kicks_without_end),
	CHECK(t19_unclaimed_accesses_without_end),
	CHECK(m14_interrupts_without_end))
