/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"
#include "subject.h"

#define VEC_FIRST 0x20
#define VEC_END 0xef

struct vdev *dev;

static void choose(bool msi)
{
	unsigned int i;

	vdev_reset_all();
	for (i = 0; (dev = vdev_get(VIRTIO_ID_BLOCK, i)); i++)
		if (dev->nr_queues >= 2 && (!msi || dev->nr_vectors))
			return;
	check_abort("no block device with two queues%s", msi ? " and MSI" : "");
}

void subject_setup(void)
{
	choose(false);
}

void subject_msi_setup(void)
{
	choose(true);
}

static void fail_with_counts(unsigned int cpu, uint8_t vector, uint32_t n)
{
	unsigned int c, v;

	check_fail("interrupts on CPU %u vector 0x%x: %u, not %u; on all:", cpu, vector,
		   irq_count[cpu][vector], n);
	for (c = 0; c < MAX_CPUS; c++)
		for (v = VEC_FIRST; v <= VEC_END; v++)
			if (irq_count[c][v])
				print("# CPU %u vector 0x%x: %u\n", c, v, irq_count[c][v]);
}

void expect_irqs(unsigned int cpu, uint8_t vector, uint32_t n)
{
	RETURN_IF_FAILED();
	if (n)
		WAIT(irq_count[cpu][vector] >= n, ARRIVE_MS);
	delay_ms(n ? 2 : QUIET_MS);
	if (irq_count[cpu][vector] != n || irq_sum(VEC_FIRST, VEC_END) != n)
		fail_with_counts(cpu, vector, n);
}

static bool request(struct vdev *d, unsigned int q)
{
	irq_counts_clear();
	if (blk_works(d, q))
		return true;
	check_fail("a read on queue %u is not answered (status register 0x%x)", q,
		   vdev_status(d));
	return false;
}

void expect_queue_fires(struct vdev *d, unsigned int q)
{
	RETURN_IF_FAILED();
	if (request(d, q))
		expect_irqs(0, VEC_QUEUE(d, msi_vector_of(d, q) - 1), 1);
}

void expect_queue_is_quiet(struct vdev *d, unsigned int q)
{
	RETURN_IF_FAILED();
	if (request(d, q))
		expect_irqs(0, VEC_QUEUE(d, q), 0);
}

void break_queue(struct vdev *d, unsigned int q)
{
	RETURN_IF_FAILED();
	ring_offer(&d->ring[q], d->ring[q].size);
	ring_publish(&d->ring[q]);
	vdev_kick(d, q);
	EXPECT(WAIT(vdev_status(d) & S_NEEDS_RESET, ARRIVE_MS));
}

void expect_works_anew(struct vdev *d)
{
	unsigned int q;

	RETURN_IF_FAILED();
	vdev_start(d, d->nr_queues, 0, d->nr_vectors ? IRQ_MSI_UPDATE_FIRST : IRQ_NONE);
	for (q = 0; q < d->nr_queues && !check_failed(); q++)
		if (d->nr_vectors)
			expect_queue_fires(d, q);
		else
			EXPECT(blk_works(d, q));
}

struct vdev *bystander(void)
{
	struct vdev *d;
	unsigned int i;

	for (i = 0; (d = vdev_get(VIRTIO_ID_BLOCK, i)); i++)
		if (d != dev)
			return d;
	return NULL;
}

struct vdev *bystander_start(void)
{
	struct vdev *d = bystander();

	if (d)
		vdev_start(d, 1, 0, IRQ_NONE);
	return d;
}

void expect_bystander_works(struct vdev *d)
{
	RETURN_IF_FAILED();
	if (d)
		EXPECT_MSG(blk_works(d, 0), "the second device no longer works");
}
