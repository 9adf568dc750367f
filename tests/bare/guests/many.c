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

/* Programs vectors until the host has no number left. The device that got the last one. */
static unsigned int program_all(unsigned int *nr_done)
{
	unsigned int i, v;
	struct vdev *d;

	for (i = 0; (d = disk(i)); i++)
		for (v = 0; v < d->nr_vectors; v++) {
			uint16_t result = msi_update(d, v, 0, 0x50);

			if (result == VIRTIO_MMIO_MSI_E_NOSPC)
				return i;
			if (result != VIRTIO_MMIO_MSI_DONE) {
				check_fail("device %u, vector %u: result %u", i, v, result);
				return i;
			}
			++*nr_done;
		}
	check_fail("%u vectors are not too many", *nr_done);
	return i;
}

/* row M15: all that the host has are in force; who got none works with fewer, or the line. */
static void no_interrupt_number_is_left(void)
{
	unsigned int i, last, n = 0;
	struct vdev *d;

	SKIP_UNLESS(option_number("exhaust", 0), "there are numbers for all in this run");
	last = program_all(&n);
	RETURN_IF_FAILED();
	EXPECT_EQ(n, option_number("exhaust", 0));
	for (i = 0; i <= last; i++) {
		EXPECT_MSG(msi_enable(disk(i), true) == VIRTIO_MMIO_MSI_DONE, "device %u", i);
		delay_ms(6);		/* rounds are limited to 200 a second */
	}
	for (i = 0; i <= last; i++)
		EXPECT_MSG(!(vdev_status(disk(i)) & S_NEEDS_RESET), "device %u was refused", i);
	d = disk(last);
	d->slot = 1;
	vdev_start(d, 1, 0, IRQ_LINE);
	irq_counts_clear();
	EXPECT(blk_works(d, 0));
	EXPECT(WAIT(irq_count[0][VEC_LINE(d)] == 1, ARRIVE_MS));
	EXPECT(vdev_reset(disk(0)));
	EXPECT(WAIT(msi_update(d, 1, 0, 0x51) == VIRTIO_MMIO_MSI_DONE, ARRIVE_MS));
}

CHECKS_WITH("many", vdev_reset_all,
	CHECK(all_devices_are_there),
	CHECK(each_device_interrupts),
	CHECK(no_interrupt_number_is_left),
	CHECK(each_device_still_works_with_all_running))
