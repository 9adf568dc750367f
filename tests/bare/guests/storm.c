/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storms (M5, M6, M14, V2, V3): the second CPU does something without end for a few
 * seconds. Meanwhile another device answers in good time, and afterwards the
 * device under the storm is in order.
 */
#include "neighbours.h"
#include "print.h"
#include "subject.h"

#define STORM_MS ((uint32_t)option_number("storm", 800))
#define VEC_TICK 0xf1		/* not among those that expect_irqs() looks at */
#define TIMER_PERIODIC 0x20000
#define ICR_FIXED 0x4000
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

/* As fast as KVM lets it; each tick interrupts this CPU. */
static void timer_ticks(void *arg)
{
	uint32_t was = lapic_read(LAPIC_LVT_TIMER);

	(void)arg;
	lapic_write(LAPIC_TIMER_DIV, 0xb);		/* divide by 1 */
	lapic_write(LAPIC_LVT_TIMER, TIMER_PERIODIC | VEC_TICK);
	lapic_write(LAPIC_TIMER_INIT, 1);
	while (!stop)
		rounds = irq_count[1][VEC_TICK];
	lapic_write(LAPIC_TIMER_INIT, 0);
	lapic_write(LAPIC_LVT_TIMER, was);
}

static void ipis(void *arg)
{
	(void)arg;
	while (!stop) {
		lapic_send(1, ICR_FIXED | VEC_TICK);
		lapic_send(0, ICR_FIXED | VEC_TICK);
		rounds++;
	}
}

/* mov $value, %eax; ret, with another value each time, on two pages in turn. */
static void code_that_changes(void *arg)
{
	static uint8_t code[2][4096] __attribute__((aligned(4096)));
	unsigned int wrong = 0;

	while (!stop) {
		uint8_t *p = code[rounds & 1];
		uint32_t value = rounds * 2654435761u;

		memcpy(p, "\xb8\0\0\0\0\xc3", 6);
		memcpy(p + 1, &value, 4);
		full_barrier();
		wrong += ((uint32_t(*)(void))(uint64_t)p)() != value;
		rounds++;
	}
	*(volatile unsigned int *)arg = wrong;
}

/* Numbers that nobody knows; a fault is left out. */
static void unknown_numbers(void *arg)
{
	static const uint32_t msr[] = { 0x10, 0x2ff, 0x1000, 0x4b564dff, 0x40000200, 0xc0001234,
					0xc0011fff, 0xffffffff };
	uint32_t regs[4];

	(void)arg;
	while (!stop) {
		uint32_t nr = msr[rounds % ARRAY_SIZE(msr)] + (rounds & 0x70);

		rdmsr(nr);
		if (nr > 0xffff)
			wrmsr(nr, rounds);
		cpuid(rounds << 16, rounds, regs);
		in8((uint16_t)(0x1000 + rounds % 0x1000));
		out32((uint16_t)(0x9000 + rounds % 0x1000), rounds);
		rounds++;
	}
}

static void storm_with(void (*fn)(void *arg), void *arg)
{
	uint32_t start, asked, worst = 0;

	vdev_start(dev, dev->nr_queues, 0, IRQ_MSI_UPDATE_FIRST);
	cpu_run(1, fn, arg);
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

static void storm(void (*fn)(void *arg))
{
	storm_with(fn, dev);
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

static void v2_timer_ticks_without_end(void)
{
	storm(timer_ticks);
	expect_queue_fires(dev, 0);
}

static void v2_ipis_without_end(void)
{
	storm(ipis);
	expect_queue_fires(dev, 0);
}

static void v2_code_that_changes_without_end(void)
{
	static unsigned int wrong;

	storm_with(code_that_changes, &wrong);
	EXPECT_EQ(*(volatile unsigned int *)&wrong, 0);
	expect_queue_fires(dev, 0);
}

static void v3_unknown_numbers_without_end(void)
{
	faults_skip(true);
	storm(unknown_numbers);
	faults_skip(false);
	expect_queue_fires(dev, 0);
}

CHECKS_WATCHED("storm", setup,
	CHECK(v2_timer_ticks_without_end),
	CHECK(v2_ipis_without_end),
	CHECK(v2_code_that_changes_without_end),
	CHECK(v3_unknown_numbers_without_end),
	CHECK(m5_programming_without_end),
	CHECK(m6_masking_without_end),
	CHECK(m2_refused_messages_without_end),
	CHECK(t14_kicks_without_end),
	CHECK(t19_unclaimed_accesses_without_end),
	CHECK(m14_interrupts_without_end))
