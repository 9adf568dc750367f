/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The single line, as a stock driver uses it: InterruptStatus and ACK. Run
 * with irq=single, with irq=msi (where the driver just does not use MSI), and
 * with so many disks that lines are shared.
 */
#include "print.h"
#include "subject.h"

static struct vdev *handler_dev[2];
static volatile uint32_t nr_seen[2];	/* interrupts in which the device had something to say */

/* What a shared handler does: ask each device on the line, acknowledge what it says. */
static void line_handler(uint8_t vector)
{
	unsigned int i;
	uint32_t isr;

	(void)vector;
	for (i = 0; i < ARRAY_SIZE(handler_dev); i++) {
		if (!handler_dev[i])
			continue;
		isr = vdev_read(handler_dev[i], VIRTIO_MMIO_INTERRUPT_STATUS);
		vdev_write(handler_dev[i], VIRTIO_MMIO_INTERRUPT_ACK, isr);
		if (isr)
			nr_seen[i]++;
	}
}

static void setup(void)
{
	subject_setup();
	irq_hook(VEC_LINE(dev), NULL);
	handler_dev[0] = dev;
	handler_dev[1] = NULL;
	nr_seen[0] = nr_seen[1] = 0;
}

static void start(void)
{
	vdev_start(dev, dev->nr_queues, 0, IRQ_LINE);
}

/* row M9 */
static void a_plain_device_shows_no_msi(void)
{
	SKIP_UNLESS(option_is("irq", "single"), "the device has MSI");
	EXPECT_EQ(dev->vendor, 0x4d4d5349);
	EXPECT_EQ(msi_csr(dev), 0);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_DOORBELL), 0);
	EXPECT_EQ(msi_enable(dev, true), 0);
	EXPECT_EQ(msi_update(dev, 0, 0, VEC_CONFIG(dev)), 0);
	start();
	irq_counts_clear();
	EXPECT(blk_works(dev, 0));
	expect_irqs(0, VEC_LINE(dev), 1);
}

static void writes_to_the_doorbell_page_kick_nothing(void)
{
	SKIP_UNLESS(option_is("irq", "single"), "the device has doorbells");
	start();
	RETURN_IF_FAILED();
	delay_ms(QUIET_MS);	/* until the device has had its first look */
	ring_offer(&dev->ring[0], blk_build(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR));
	ring_publish(&dev->ring[0]);
	mmio_write32(dev->base + 0x1000, 0);
	delay_ms(QUIET_MS);
	EXPECT_EQ(ring_nr_used(&dev->ring[0]), 0);
	vdev_kick_classic(dev, 0);
	EXPECT(WAIT(ring_nr_used(&dev->ring[0]), BLK_MS));
}

static void every_queue_raises_the_line(void)
{
	unsigned int q;

	start();
	for (q = 0; q < dev->nr_queues && !check_failed(); q++) {
		irq_counts_clear();
		EXPECT(blk_works(dev, q));
		expect_irqs(0, VEC_LINE(dev), 1);
		EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
		vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
		EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	}
}

static void status_is_set_when_the_interrupt_comes(void)
{
	unsigned int i;

	irq_hook(VEC_LINE(dev), line_handler);
	start();
	for (i = 1; i <= 50 && !check_failed(); i++) {
		EXPECT(blk_works(dev, i % dev->nr_queues));
		EXPECT_MSG(WAIT(nr_seen[0] == i, ARRIVE_MS),
			   "request %u: %u interrupts had a status", i, nr_seen[0]);
	}
}

static void acknowledging_one_bit_leaves_the_other(void)
{
	start();
	break_queue(dev, 0);
	EXPECT(WAIT(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG,
		    ARRIVE_MS));
	vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	EXPECT(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
	vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void needs_reset_raises_the_line(void)
{
	start();
	irq_counts_clear();
	break_queue(dev, 0);

	expect_irqs(0, VEC_LINE(dev), 1);
}

/* Not acknowledged, nothing more is due; acknowledged, the next one comes. */
/* row T15 */
static void the_line_works_on_after_a_late_acknowledgement(void)
{
	unsigned int i;

	start();
	for (i = 0; i < 5; i++)
		EXPECT(blk_works(dev, 0));
	delay_ms(QUIET_MS);
	vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	irq_counts_clear();
	EXPECT(blk_works(dev, 0));
	expect_irqs(0, VEC_LINE(dev), 1);
}

static void the_line_works_after_reset(void)
{
	unsigned int i;

	for (i = 0; i < 5 && !check_failed(); i++) {
		start();
		irq_counts_clear();
		EXPECT(blk_works(dev, 0));
		expect_irqs(0, VEC_LINE(dev), 1);	/* never acknowledged */
	}
}

static struct vdev *sharer(void)
{
	struct vdev *d;
	unsigned int i;

	for (i = 0; (d = vdev_get(VIRTIO_ID_BLOCK, i)); i++)
		if (d != dev && d->gsi == dev->gsi)
			return d;
	return NULL;
}

/* Both ask for attention at will; none of their interrupts gets lost. */
static void two_devices_share_a_line(void)
{
	struct vdev *other = sharer();
	unsigned int i;

	SKIP_UNLESS(other, "no second device on the line");
	handler_dev[1] = other;
	irq_hook(VEC_LINE(dev), line_handler);
	vdev_start(other, 1, 0, IRQ_NONE);
	start();
	for (i = 1; i <= 30 && !check_failed(); i++) {
		blk_submit(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR);
		EXPECT(blk_works(other, 0));
		EXPECT(WAIT(ring_take(&dev->ring[0], NULL, NULL), BLK_MS));
		EXPECT(WAIT(nr_seen[0] == i, ARRIVE_MS));
		EXPECT(WAIT(nr_seen[1] == i, ARRIVE_MS));
	}
}

CHECKS_WITH("line", setup,
	CHECK(a_plain_device_shows_no_msi),
	CHECK(writes_to_the_doorbell_page_kick_nothing),
	CHECK(every_queue_raises_the_line),
	CHECK(status_is_set_when_the_interrupt_comes),
	CHECK(acknowledging_one_bit_leaves_the_other),
	CHECK(needs_reset_raises_the_line),
	CHECK(the_line_works_on_after_a_late_acknowledgement),
	CHECK(the_line_works_after_reset),
	CHECK(two_devices_share_a_line))
