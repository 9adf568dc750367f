/* SPDX-License-Identifier: Apache-2.0 */
/* Two CPUs: where messages go, and what they do to each other. */
#include "print.h"
#include "subject.h"

#define VEC_A VEC_QUEUE(dev, 0)
#define VEC_B ((uint8_t)(VEC_CONFIG(dev) + 0x1d))

static void setup(void)
{
	subject_msi_setup();
	if (!cpu_start(1))
		check_abort("the second CPU does not start");
}

static void the_second_cpu_takes_an_ipi(void)
{
	lapic_send(1, 0x4000 | VEC_B);

	expect_irqs(1, VEC_B, 1);
}

static void expect_on(unsigned int cpu, uint8_t vector)
{
	RETURN_IF_FAILED();
	irq_counts_clear();
	EXPECT(blk_works(dev, 0));
	expect_irqs(cpu, vector, 1);
}

static void a_message_for_another_cpu_goes_there(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 1, VEC_A));
	EXPECT(!msi_enable(dev, true));
	vdev_run(dev);

	expect_on(1, VEC_A);
}

/* rows M1, M8 */
static void update_while_enabled_moves_a_vector(void)
{
	unsigned int i;

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	for (i = 0; i < 8 && !check_failed(); i++) {
		EXPECT(!msi_update(dev, 1, i & 1, VEC_A));
		expect_on(i & 1, VEC_A);
	}
}

static void queues_can_go_to_different_cpus(void)
{
	unsigned int last = msi_vector_of(dev, 1);

	SKIP_UNLESS(last > 1, "the queues share one vector");
	vdev_start(dev, 2, 0, IRQ_MSI_UPDATE_FIRST);
	EXPECT(!msi_update(dev, 2, 1, VEC_QUEUE(dev, 1)));

	expect_queue_fires(dev, 0);
	irq_counts_clear();
	EXPECT(blk_works(dev, 1));
	expect_irqs(1, VEC_QUEUE(dev, 1), 1);
}

static void a_pending_interrupt_moves_with_its_vector(void)
{
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	msi_mask(dev, 1);
	expect_queue_is_quiet(dev, 0);
	EXPECT(!msi_update(dev, 1, 1, VEC_A));

	irq_counts_clear();
	msi_unmask(dev, 1);
	expect_irqs(1, VEC_A, 1);
}

/* Address and data of two messages never mix: CPU 0 sees only A, CPU 1 only B. */
/* row M8 */
static void messages_never_mix(void)
{
	unsigned int i, nr = 60;

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	irq_counts_clear();
	for (i = 0; i < nr && !check_failed(); i++) {
		blk_submit(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR);
		EXPECT(!msi_update(dev, 1, !(i & 1), i & 1 ? VEC_A : VEC_B));
		EXPECT(WAIT(ring_take(&dev->ring[0], NULL, NULL), BLK_MS));
		EXPECT(WAIT(irq_count[0][VEC_A] + irq_count[1][VEC_B] == i + 1, ARRIVE_MS));
	}
	delay_ms(5);
	EXPECT_EQ(irq_count[0][VEC_B] + irq_count[1][VEC_A], 0);
	EXPECT_EQ(irq_sum(0x20, 0xef), nr);
}

static volatile bool stop;
static volatile uint32_t nr_toggles;

static void toggle_masks(void *arg)
{
	struct vdev *d = arg;

	while (!stop) {
		msi_mask(d, 1);
		msi_unmask(d, 1);
		nr_toggles++;
	}
}

/* row M7 */
static void no_interrupt_is_lost_under_masks_from_another_cpu(void)
{
	uint32_t before;
	unsigned int i;

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	stop = false;
	nr_toggles = 0;
	cpu_run(1, toggle_masks, dev);
	EXPECT(WAIT(nr_toggles, ARRIVE_MS));
	for (i = 0; i < 100 && !check_failed(); i++) {
		before = irq_count[0][VEC_A];
		if (!blk_works(dev, 0))
			check_fail("request %u is not answered", i);
		else if (!WAIT(irq_count[0][VEC_A] == before + 1, ARRIVE_MS))
			check_fail("request %u: %u interrupts", i, irq_count[0][VEC_A] - before);
	}
	stop = true;
	if (!cpu_join(1, 2000))
		check_abort("the second CPU hangs");
}

static void reset_loop(void *arg)
{
	struct vdev *d = arg;

	while (!stop) {
		vdev_write_status(d, 0);
		nr_toggles++;
	}
}

/* row T12 */
static void reset_from_one_cpu_while_another_kicks(void)
{
	unsigned int i;

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	stop = false;
	nr_toggles = 0;
	cpu_run(1, reset_loop, dev);
	EXPECT(WAIT(nr_toggles, ARRIVE_MS));
	for (i = 0; i < 200; i++) {
		vdev_kick(dev, 0);
		vdev_kick_classic(dev, 0);
		msi_update(dev, 1, 0, VEC_A);
	}
	stop = true;
	if (!cpu_join(1, 2000))
		check_abort("the second CPU hangs");
	expect_works_anew(dev);
}

static void write_features(void *arg)
{
	struct vdev *d = arg;

	while (!stop) {
		vdev_write(d, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
		nr_toggles++;
	}
}

/* Features that are not offered never come through, whoever wins. */
/* row T11 */
static void features_and_status_race(void)
{
	unsigned int i;

	stop = false;
	nr_toggles = 0;
	cpu_run(1, write_features, dev);
	EXPECT(WAIT(nr_toggles, ARRIVE_MS));
	for (i = 0; i < 50; i++) {
		vdev_negotiate(dev, 0);
		if (!vdev_reset(dev))
			check_fail("round %u: no reset", i);
	}
	stop = true;
	if (!cpu_join(1, 2000))
		check_abort("the second CPU hangs");
	expect_works_anew(dev);
}

static void lowest_priority_reaches_one_of_a_set(void)
{
	SKIP_UNLESS(!option_number("x2apic", 0), "logical destinations differ with x2APIC");
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	/* Logical destination, flat model: bit 0 is this CPU. */
	lapic_write(0xe0, 0xffffffff);
	lapic_write(0xd0, 1u << 24);
	msi_stage(dev, MSI_ADDRESS(1) | 0xc, 0, 0x100 | VEC_A);
	EXPECT_EQ(msi_command(dev, VIRTIO_MMIO_MSI_CMD_UPDATE, 1), VIRTIO_MMIO_MSI_DONE);

	expect_on(0, VEC_A);
}

CHECKS_WITH("smp", setup,
	CHECK(the_second_cpu_takes_an_ipi),
	CHECK(a_message_for_another_cpu_goes_there),
	CHECK(update_while_enabled_moves_a_vector),
	CHECK(queues_can_go_to_different_cpus),
	CHECK(a_pending_interrupt_moves_with_its_vector),
	CHECK(messages_never_mix),
	CHECK(no_interrupt_is_lost_under_masks_from_another_cpu),
	CHECK(reset_from_one_cpu_while_another_kicks),
	CHECK(features_and_status_race),
	CHECK(lowest_priority_reaches_one_of_a_set))
