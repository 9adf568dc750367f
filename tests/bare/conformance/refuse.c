/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that no device may send: refused, and nothing else suffers. */
#include "subject.h"

#define GOOD_DATA VEC_QUEUE(dev, 0)
#define MSI_LOGICAL 0x4u
#define MSI_REDIRECT 0x8u
#define DATA_LOWEST 0x100u
#define DATA_LEVEL 0x8000u

struct message {
	uint32_t lo, hi, data;
};

/* What was held back while the vector had no message comes first, once. */
static void vector_works_with(unsigned int vector)
{
	irq_counts_clear();
	EXPECT_EQ(msi_update(dev, vector, 0, VEC_QUEUE(dev, 0)), VIRTIO_MMIO_MSI_DONE);
	EXPECT_EQ(msi_unmask(dev, vector), VIRTIO_MMIO_MSI_DONE);
	expect_irqs(0, VEC_QUEUE(dev, 0), 1);
	expect_queue_fires(dev, 0);
}

/* While enabled: the vector falls silent until it gets a good message; queue 1 goes on. */
static void refused_while_enabled(const struct message *m)
{
	vdev_start(dev, 2, 0, IRQ_MSI_UPDATE_FIRST);
	RETURN_IF_FAILED();
	msi_stage(dev, m->lo, m->hi, m->data);
	EXPECT_MSG(msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1) == VIRTIO_MMIO_MSI_E_MESSAGE,
		   "message %x %x %x: result %u", m->lo, m->hi, m->data, msi_result(dev));
	expect_queue_is_quiet(dev, 0);
	if (dev->nr_vectors > 2)
		expect_queue_fires(dev, 1);
	RETURN_IF_FAILED();
	vector_works_with(1);
}

/* Before: enable works for the others. */
static void refused_before_enabled(const struct message *m)
{
	unsigned int last = msi_vector_of(dev, 1);

	vdev_prepare(dev, 2, 0);
	msi_stage(dev, m->lo, m->hi, m->data);
	EXPECT_EQ(msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1), VIRTIO_MMIO_MSI_E_MESSAGE);
	if (last > 1)
		EXPECT(!msi_update(dev, last, 0, VEC_QUEUE(dev, 1)));
	EXPECT_EQ(msi_enable(dev, true), VIRTIO_MMIO_MSI_DONE);
	vdev_run(dev);
	if (last > 1)
		expect_queue_fires(dev, 1);
	expect_queue_is_quiet(dev, 0);
	RETURN_IF_FAILED();
	vector_works_with(1);
}

static void refused(const struct message *m, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr && !check_failed(); i++) {
		refused_while_enabled(&m[i]);
		RETURN_IF_FAILED();
		refused_before_enabled(&m[i]);
	}
}

/* row M2 */
static void addresses_that_are_no_local_apic_are_refused(void)
{
	const struct message m[] = {
		{ 0, 0, GOOD_DATA },
		{ 0x00100000, 0, GOOD_DATA },			/* RAM */
		{ (uint32_t)dev->base, 0, GOOD_DATA },		/* the device itself */
		{ 0xfee00000 - 1, 0, GOOD_DATA },
		{ 0xfef00000, 0, GOOD_DATA },
		{ 0xffffffff, 0, GOOD_DATA },
	};

	refused(m, ARRAY_SIZE(m));
}

/* row M2 */
static void an_address_above_4_gib_is_refused(void)
{
	const struct message m[] = {
		{ MSI_ADDRESS(0), 1, GOOD_DATA },
		{ MSI_ADDRESS(0), 0xff, GOOD_DATA },
	};

	refused(m, ARRAY_SIZE(m));
}

/* row M3 */
static void other_delivery_modes_are_refused(void)
{
	const struct message m[] = {
		{ MSI_ADDRESS(0), 0, 0x200 | GOOD_DATA },	/* SMI */
		{ MSI_ADDRESS(0), 0, 0x300 | GOOD_DATA },
		{ MSI_ADDRESS(0), 0, 0x400 },			/* NMI */
		{ MSI_ADDRESS(0), 0, 0x400 | GOOD_DATA },
		{ MSI_ADDRESS(0), 0, 0x500 },			/* INIT */
		{ MSI_ADDRESS(0), 0, 0x600 | GOOD_DATA },	/* SIPI */
		{ MSI_ADDRESS(0), 0, 0x700 | GOOD_DATA },	/* ExtINT */
	};

	refused(m, ARRAY_SIZE(m));
}

/* row M3 */
static void level_trigger_is_refused(void)
{
	const struct message m[] = {
		{ MSI_ADDRESS(0), 0, DATA_LEVEL | GOOD_DATA },
		{ MSI_ADDRESS(0), 0, DATA_LEVEL | 0x4000 | GOOD_DATA },
	};

	refused(m, ARRAY_SIZE(m));
}

/* row M3 */
static void vectors_of_exceptions_are_refused(void)
{
	const struct message m[] = {
		{ MSI_ADDRESS(0), 0, 0 },
		{ MSI_ADDRESS(0), 0, 2 },
		{ MSI_ADDRESS(0), 0, 0xf },
	};

	refused(m, ARRAY_SIZE(m));
}

/* row M4 */
static void lowest_priority_to_everyone_is_refused(void)
{
	const struct message m[] = {
		{ MSI_ADDRESS(0xff), 0, DATA_LOWEST | GOOD_DATA },
		{ MSI_ADDRESS(0xff) | MSI_REDIRECT | MSI_LOGICAL, 0, DATA_LOWEST | GOOD_DATA },
	};

	refused(m, ARRAY_SIZE(m));
}

static void lowest_priority_to_one_works(void)
{
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	msi_stage(dev, MSI_ADDRESS(0), 0, DATA_LOWEST | VEC_QUEUE(dev, 0));
	EXPECT_EQ(msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1), VIRTIO_MMIO_MSI_DONE);

	expect_queue_fires(dev, 0);
}

/* One refused entry must not spoil the table for anyone else. */
/* row M2 */
static void a_second_device_is_not_poisoned(void)
{
	struct vdev *other = bystander();

	SKIP_UNLESS(other && other->nr_vectors, "no second device with MSI");
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	msi_stage(dev, 0, 0, GOOD_DATA);
	EXPECT_EQ(msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1), VIRTIO_MMIO_MSI_E_MESSAGE);

	vdev_start(other, 1, 0, IRQ_MSI_UPDATE_FIRST);
	expect_queue_fires(other, 0);
	EXPECT_EQ(msi_update(other, 1, 0, VEC_QUEUE(other, 0)), VIRTIO_MMIO_MSI_DONE);
	expect_queue_fires(other, 0);
}

static void a_refused_message_does_not_survive_reset(void)
{
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	msi_stage(dev, 0, 0, GOOD_DATA);
	EXPECT_EQ(msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1), VIRTIO_MMIO_MSI_E_MESSAGE);

	expect_works_anew(dev);
}

CHECKS_WITH("refuse", subject_msi_setup,
	CHECK(addresses_that_are_no_local_apic_are_refused),
	CHECK(an_address_above_4_gib_is_refused),
	CHECK(other_delivery_modes_are_refused),
	CHECK(level_trigger_is_refused),
	CHECK(vectors_of_exceptions_are_refused),
	CHECK(lowest_priority_to_everyone_is_refused),
	CHECK(lowest_priority_to_one_works),
	CHECK(a_second_device_is_not_poisoned),
	CHECK(a_refused_message_does_not_survive_reset))
