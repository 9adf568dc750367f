/* SPDX-License-Identifier: Apache-2.0 */
/* As many devices as fit: each is found, reads, and has its own interrupt. */
#include "subject.h"

static struct vdev *disk(unsigned int i)
{
	return vdev_get(VIRTIO_ID_BLOCK, i);
}

/* row M15 */
static void all_devices_are_there(void)
{
	unsigned int n = 0;

	while (disk(n))
		n++;
	EXPECT_EQ(n, option_number("devices", 1));
}

static enum irq_mode mode_of(const struct vdev *d)
{
	return d->nr_vectors ? IRQ_MSI_UPDATE_FIRST : IRQ_LINE;
}

/* All of them run at the same time in the end. */
static void each_device_interrupts(void)
{
	unsigned int i, vector;
	struct vdev *d;

	for (i = 0; (d = disk(i)) && !check_failed(); i++) {
		d->slot = 0;
		vdev_start(d, 1, 0, mode_of(d));
		RETURN_IF_FAILED();
		vector = d->nr_vectors ? VEC_QUEUE(d, 0) : VEC_LINE(d);
		irq_counts_clear();
		EXPECT_MSG(blk_works(d, 0), "device %u does not answer", i);
		EXPECT_MSG(WAIT(irq_count[0][vector] == 1, ARRIVE_MS), "device %u: no interrupt",
			   i);
		EXPECT_MSG(sector_is(blk_page(d, 0), 0), "device %u: wrong data", i);
	}
}

/* row M15 */
static void each_device_still_works_with_all_running(void)
{
	unsigned int i;
	struct vdev *d;

	for (i = 0; (d = disk(i)) && !check_failed(); i++)
		vdev_start(d, 1, 0, mode_of(d));
	for (i = 0; (d = disk(i)) && !check_failed(); i++)
		EXPECT_MSG(blk_works(d, 0), "device %u does not answer", i);
}

CHECKS_WITH("many", vdev_reset_all,
	CHECK(all_devices_are_there),
	CHECK(each_device_interrupts),
	CHECK(each_device_still_works_with_all_running))
