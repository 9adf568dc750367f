/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second CPU changes what the device is reading: descriptors, indices (Q7,
 * Q14). The requests may end in any way; the monitor, the other device and,
 * after a reset, this one must not mind.
 */
#include "neighbours.h"
#include "print.h"
#include "subject.h"

/* A starved host may leave the second CPU without time for seconds. */
#define JOIN_MS 15000

static volatile bool stop;
static volatile uint32_t rounds;
static volatile bool writing, flipping;		/* descriptors: this CPU, the second one */
static struct vdev *other;

static void setup(void)
{
	subject_setup();
	if (!cpu_start(1))
		check_abort("the second CPU does not start");
	neighbours_start();
	other = bystander();
	stop = false;
	rounds = 0;
}

static uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Either no more than is right, or more than there is: the guest's own data must survive. */
static uint32_t random_len(uint32_t *seed)
{
	uint32_t r = random_next(seed);

	return r & 1 ? r >> 1 & 1 : 0x80000000 | r;
}

static void flip_descriptor(volatile struct vring_desc *d, uint32_t *seed)
{
	uint64_t addr = d->addr;
	uint32_t len = d->len;
	uint16_t flags = d->flags, next = d->next;

	d->addr = 0xc0000000 + random_next(seed);
	d->len = random_len(seed);
	d->flags = (uint16_t)random_next(seed);
	d->next = (uint16_t)random_next(seed);
	d->next = next;
	d->flags = flags;
	d->len = len;
	d->addr = addr;
}

/*
 * Not while the first CPU writes a descriptor: half of what was there before
 * would come back into it, and the device would rightly write to where that says.
 */
static bool flip_begin(void)
{
	flipping = true;
	full_barrier();
	if (!writing)
		return true;
	flipping = false;
	cpu_relax();
	return false;
}

static void flip_descriptors(void *arg)
{
	struct ring *r = arg;
	uint32_t seed = 1;

	while (!stop) {
		if (!flip_begin())
			continue;
		flip_descriptor(&r->desc[random_next(&seed) % r->size], &seed);
		barrier();
		flipping = false;
		rounds++;
	}
}

static uint16_t build_undisturbed(void)
{
	uint16_t head;

	writing = true;
	full_barrier();
	if (!WAIT(!flipping, JOIN_MS))
		check_abort("the second CPU hangs");
	head = blk_build(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR);
	barrier();
	writing = false;
	return head;
}

static void run_index(void *arg)
{
	struct ring *r = arg;

	while (!stop) {
		r->avail->idx++;
		rounds++;
	}
}

static void one_request(void)
{
	if (vdev_status(dev) & S_NEEDS_RESET) {
		stop = true;
		if (!cpu_join(1, JOIN_MS))
			check_abort("the second CPU hangs");
		vdev_start(dev, 1, F_INDIRECT, IRQ_NONE);
		stop = false;
		cpu_run(1, flip_descriptors, &dev->ring[0]);
	}
	ring_offer(&dev->ring[0], build_undisturbed());
	ring_publish(&dev->ring[0]);
	vdev_kick(dev, 0);
	WAIT(ring_nr_used(&dev->ring[0]) || vdev_status(dev) & S_NEEDS_RESET, 5);
	ring_take(&dev->ring[0], NULL, NULL);
}

static void finish(void)
{
	stop = true;
	if (!cpu_join(1, JOIN_MS))
		check_abort("the second CPU hangs");
	expect_bystander_works(other);
	expect_works_anew(dev);
}

static void q14_descriptors_change_while_they_are_read(void)
{
	unsigned int i;

	vdev_start(dev, 1, F_INDIRECT, IRQ_NONE);
	cpu_run(1, flip_descriptors, &dev->ring[0]);
	EXPECT(WAIT(rounds, ARRIVE_MS));
	for (i = 0; i < 100; i++)
		one_request();
	finish();
}

static void q7_the_index_runs_on_by_itself(void)
{
	unsigned int i;

	vdev_start(dev, 1, 0, IRQ_NONE);
	blk_build(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR);
	cpu_run(1, run_index, &dev->ring[0]);
	EXPECT(WAIT(rounds, ARRIVE_MS));
	for (i = 0; i < 20; i++) {
		vdev_kick(dev, 0);
		expect_bystander_works(other);
	}
	finish();
}

CHECKS_WATCHED("hostile_smp", setup,
	CHECK(q14_descriptors_change_while_they_are_read),
	CHECK(q7_the_index_runs_on_by_itself))
