/* SPDX-License-Identifier: Apache-2.0 */
/* irq=shared: a configuration vector, and one that all queues use. */
#include "subject.h"

#define SHARED 1

static void there_are_two_vectors(void)
{
	EXPECT_EQ(msi_csr(dev), VIRTIO_MMIO_MSI_CSR_SUPPORTED | 2);
	EXPECT(dev->nr_queues > 2);
	EXPECT_EQ(msi_mask(dev, 2), VIRTIO_MMIO_MSI_E_VECTOR);
}

static void all_queues_fire_the_one_vector(void)
{
	unsigned int q;

	vdev_start(dev, dev->nr_queues, 0, IRQ_MSI_UPDATE_FIRST);
	irq_counts_clear();
	for (q = 0; q < dev->nr_queues && !check_failed(); q++) {
		EXPECT(blk_works(dev, q));
		expect_irqs(0, VEC_QUEUE(dev, 0), q + 1);
	}
}

static void its_mask_holds_all_queues(void)
{
	unsigned int q;

	vdev_start(dev, dev->nr_queues, 0, IRQ_MSI_ENABLE_FIRST);
	EXPECT(!msi_mask(dev, SHARED));
	for (q = 0; q < dev->nr_queues; q++)
		expect_queue_is_quiet(dev, q);
	EXPECT(!msi_unmask(dev, SHARED));
	expect_irqs(0, VEC_QUEUE(dev, 0), 1);
}

static void configuration_has_its_own(void)
{
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	irq_counts_clear();
	break_queue(dev, 0);
	expect_irqs(0, VEC_CONFIG(dev), 1);
	expect_works_anew(dev);
}

static void doorbells_are_still_one_per_queue(void)
{
	EXPECT(dev->doorbells);
	EXPECT_EQ(vdev_doorbell(dev, 1) - vdev_doorbell(dev, 0), 4);
}

CHECKS_WITH("shared", subject_msi_setup,
	CHECK(there_are_two_vectors),
	CHECK(all_queues_fire_the_one_vector),
	CHECK(its_mask_holds_all_queues),
	CHECK(configuration_has_its_own),
	CHECK(doorbells_are_still_one_per_queue))
