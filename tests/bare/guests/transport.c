/* SPDX-License-Identifier: Apache-2.0 */
/* Group T of the hostile cases: registers of the transport, used wrongly. */
#include "layout.h"
#include "neighbours.h"
#include "print.h"
#include "subject.h"

#define STATUS_RUNNING (S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK)
#define UNCLAIMED 0xd0000000u
#define UNCLAIMED_PORT 0x2345

static void setup(void)
{
	subject_setup();
	neighbours_start();
}

static void start(void)
{
	vdev_start(dev, 2, 0, IRQ_NONE);
}

/* T1: only 32-bit aligned accesses mean anything below the configuration space. */
static void t1_odd_reads_give_0(void)
{
	uint64_t a = dev->base;
	unsigned int off;

	for (off = 0; off < 0xc0; off += 4) {
		EXPECT_EQ(mmio_read8(a + off), 0);
		EXPECT_EQ(mmio_read16(a + off), 0);
		EXPECT_EQ(mmio_read16(a + off + 2), 0);
	}
	for (off = 0; off < 0xc0; off += 8)
		EXPECT_EQ(mmio_read64(a + off), 0);
	EXPECT_EQ(mmio_read32(a + 1), 0);
	EXPECT_EQ(mmio_read32(a + 2), 0);
	EXPECT_EQ(mmio_read64(a + 4), 0);
}

static void t1_odd_writes_change_nothing(void)
{
	uint64_t a = dev->base;

	start();
	mmio_write8(a + VIRTIO_MMIO_STATUS, 0);
	mmio_write16(a + VIRTIO_MMIO_STATUS, 0);
	mmio_write64(a + VIRTIO_MMIO_STATUS, 0);
	mmio_write32(a + VIRTIO_MMIO_STATUS + 1, 0);
	mmio_write32(a + VIRTIO_MMIO_STATUS - 2, 0);
	EXPECT_EQ(vdev_status(dev), STATUS_RUNNING);
	EXPECT(blk_works(dev, 0));
}

/* T2: string instructions, and an access across the end of the window. */
static void t2_string_and_crossing_accesses_are_harmless(void)
{
	static uint32_t words[16];
	uint64_t end = dev->base + LAYOUT_VIRTIO_STRIDE - 2, count = 16;
	void *to = words;
	const void *from = (const void *)dev->base;

	__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	EXPECT_EQ(words[0], 0x74726976);
	mmio_read32(end);
	mmio_write32(end, 0xffffffff);
	mmio_read64(dev->base + 0xffc);
	mmio_write64(dev->base + 0xffc, ~0ull);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	start();
	EXPECT(blk_works(dev, 0));
}

/* T3 */
static void t3_read_only_write_only_and_unknown_registers(void)
{
	unsigned int off;

	start();
	for (off = 0; off < 0xd00; off += 4) {
		if (off == VIRTIO_MMIO_STATUS || off == VIRTIO_MMIO_QUEUE_NOTIFY)
			continue;
		vdev_write(dev, off, 0x55555555);
		vdev_read(dev, off);
	}
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_VERSION), 2);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_BLOCK);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_QUEUE_NUM), 0);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_DRIVER_FEATURES), 0);
	EXPECT_EQ(vdev_status(dev), STATUS_RUNNING);
	EXPECT(blk_works(dev, 0));
}

/* T4 */
static void t4_queues_that_do_not_exist(void)
{
	static const uint32_t sel[] = { 0x7f, 0xffff, 0xffffffff, 0x10000 };
	unsigned int i, reg;

	EXPECT(vdev_negotiate(dev, 0));
	EXPECT_EQ(vdev_queue_max(dev, dev->nr_queues), 0);
	for (i = 0; i < ARRAY_SIZE(sel); i++) {
		EXPECT_EQ(vdev_queue_max(dev, sel[i]), 0);
		for (reg = VIRTIO_MMIO_QUEUE_NUM; reg <= VIRTIO_MMIO_QUEUE_READY; reg += 4)
			vdev_write(dev, reg, 1);
		for (reg = VIRTIO_MMIO_QUEUE_DESC_LOW; reg <= VIRTIO_MMIO_QUEUE_USED_HIGH; reg += 4)
			vdev_write(dev, reg, 0x1000);
		EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_QUEUE_READY), 0);
	}
	start();
	EXPECT(blk_works(dev, 0));
}

static void expect_bad_size(uint32_t size)
{
	struct ring *r = &dev->ring[0];

	start();
	RETURN_IF_FAILED();
	vdev_reset(dev);
	EXPECT(vdev_negotiate(dev, 0));
	vdev_write_queue(dev, 0, size, (uint64_t)r->desc, (uint64_t)r->avail, (uint64_t)r->used);
	vdev_set_status(dev, S_DRIVER_OK);
	EXPECT_MSG(vdev_status(dev) & S_NEEDS_RESET, "size %u was taken", size);
}

/* T5 */
static void t5_bad_queue_sizes_need_a_reset(void)
{
	uint32_t max = vdev_queue_max(dev, 0);
	const uint32_t size[] = { 0, 3, 65535, max + 1, 2 * max, 0x10000, 0x10010, 0x80000000 };
	struct vdev *other = bystander_start();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(size) && !check_failed(); i++)
		expect_bad_size(size[i]);
	expect_bystander_works(other);
	expect_works_anew(dev);
}

/* T6 */
static void t6_queue_registers_out_of_turn(void)
{
	struct ring *r = &dev->ring[0];

	ring_init(r, 16, false);
	vdev_write_queue(dev, 0, 16, (uint64_t)r->desc, (uint64_t)r->avail, (uint64_t)r->used);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_QUEUE_READY), 0);

	start();
	EXPECT(blk_works(dev, 0));
	vdev_write_queue(dev, 0, 2, 0x1000, 0x2000, 0x3000);
	EXPECT(blk_works(dev, 0));
	EXPECT(blk_works(dev, 1));
}

/* T7 */
static void t7_a_queue_taken_back_stops_its_device(void)
{
	struct vdev *other = bystander_start();

	start();
	EXPECT(blk_works(dev, 0));
	vdev_write(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	vdev_write(dev, VIRTIO_MMIO_QUEUE_READY, 0);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_QUEUE_READY), 0);
	EXPECT(vdev_status(dev) & S_NEEDS_RESET);
	expect_bystander_works(other);
	expect_works_anew(dev);
}

/* T7 */
static void t7_queue_ready_toggled_before_driver_ok(void)
{
	unsigned int i;

	vdev_prepare(dev, 2, 0);
	vdev_write(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	for (i = 0; i < 5; i++) {
		vdev_write(dev, VIRTIO_MMIO_QUEUE_READY, i & 1);
		EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_QUEUE_READY), i & 1);
	}
	vdev_write(dev, VIRTIO_MMIO_QUEUE_READY, 2);
	vdev_write(dev, VIRTIO_MMIO_QUEUE_READY, 1);
	vdev_run(dev);
	EXPECT(blk_works(dev, 0));
}

/* T8 */
static void t8_driver_ok_without_queues(void)
{
	EXPECT(vdev_negotiate(dev, 0));
	vdev_set_status(dev, S_DRIVER_OK);
	EXPECT_EQ(vdev_status(dev) & ~S_NEEDS_RESET, STATUS_RUNNING);
	vdev_kick(dev, 0);
	expect_works_anew(dev);
}

static void t8_one_queue_of_two(void)
{
	vdev_prepare(dev, 0, 0);
	vdev_setup_queue(dev, 1);
	vdev_run(dev);
	RETURN_IF_FAILED();
	vdev_kick(dev, 0);
	EXPECT(blk_works(dev, 1));
}

/* T9: from the initial state only the legal ways lead on; whatever happens, reset works. */
static void t9_every_status_value_from_reset(void)
{
	uint32_t v;

	for (v = 1; v < 256; v++) {
		vdev_write_status(dev, v);
		EXPECT_MSG(!(vdev_status(dev) & S_DRIVER_OK), "DRIVER_OK after %x", v);
		EXPECT_MSG(!(vdev_status(dev) & S_FEATURES_OK), "FEATURES_OK after %x", v);
		vdev_write_status(dev, 0);
		EXPECT_EQ(vdev_status(dev), 0);
	}
	expect_works_anew(dev);
}

static void t9_every_status_value_while_running(void)
{
	uint32_t v;

	start();
	for (v = 1; v < 256; v++) {
		if (v & S_FAILED)
			continue;
		vdev_write_status(dev, v);
		EXPECT_MSG(vdev_status(dev) == STATUS_RUNNING, "status %x after %x",
			   vdev_status(dev), v);
	}
	EXPECT(blk_works(dev, 0));
}

static void t9_steps_cannot_be_skipped(void)
{
	vdev_write_status(dev, S_ACK);
	vdev_write_status(dev, S_ACK | S_FEATURES_OK);
	EXPECT_EQ(vdev_status(dev), S_ACK);
	vdev_write_status(dev, S_ACK | S_DRIVER);
	vdev_write_status(dev, S_ACK | S_DRIVER | S_DRIVER_OK);
	EXPECT_EQ(vdev_status(dev), S_ACK | S_DRIVER);
	expect_works_anew(dev);
}

static bool takes_features(uint64_t features)
{
	vdev_reset(dev);
	vdev_set_status(dev, S_ACK);
	vdev_set_status(dev, S_DRIVER);
	vdev_write_features(dev, features);
	vdev_set_status(dev, S_FEATURES_OK);
	return vdev_status(dev) & S_FEATURES_OK;
}

/* As Linux binds a driver again: no reset, FAILED stays. */
static void t9_a_second_driver_after_one_that_failed(void)
{
	vdev_prepare(dev, 1, 0);
	vdev_write(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	vdev_write(dev, VIRTIO_MMIO_QUEUE_READY, 0);
	vdev_set_status(dev, S_FAILED);
	EXPECT(vdev_negotiate(dev, F_EVENT_IDX));
	vdev_setup_queue(dev, 0);
	vdev_set_status(dev, S_DRIVER_OK);
	EXPECT_EQ(vdev_status(dev), S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK | S_FAILED);
	EXPECT(blk_works(dev, 0));
}

/* Row T10, row Q20: a packed ring is one of them. */
static void t10_features_that_are_not_offered(void)
{
	uint64_t offered = vdev_offered(dev);
	unsigned int bit;

	EXPECT(!(offered >> VIRTIO_F_RING_PACKED & 1));
	EXPECT(takes_features(offered));
	EXPECT(takes_features(F_VERSION_1));
	EXPECT(!takes_features(offered & ~F_VERSION_1));
	EXPECT(!takes_features(0));
	for (bit = 0; bit < 64; bit++)
		EXPECT_EQ(takes_features(F_VERSION_1 | 1ull << bit),
			  !!((offered | F_VERSION_1) >> bit & 1));
	vdev_write(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	expect_works_anew(dev);
}

static void t10_features_after_features_ok(void)
{
	EXPECT(vdev_negotiate(dev, 0));
	vdev_write_features(dev, 0);
	vdev_setup_queue(dev, 0);
	vdev_run(dev);
	EXPECT(blk_works(dev, 0));
}

/* T12: see also conformance/reset.c */
/* row T13 */
static void t12_reset_with_many_reads_in_flight(void)
{
	unsigned int i, round;

	dev->queue_size = 128;
	for (round = 0; round < 5 && !check_failed(); round++) {
		start();
		RETURN_IF_FAILED();
		for (i = 0; i < 40; i++)
			ring_offer(&dev->ring[0], blk_build(dev, 0, VIRTIO_BLK_T_IN, i,
							    blk_page(dev, 0), 8 * SECTOR));
		ring_publish(&dev->ring[0]);
		vdev_kick(dev, 0);
		EXPECT(vdev_reset(dev));
		memset(blk_page(dev, 0), 0x77, 64);
		delay_ms(1);
		EXPECT_EQ(*(volatile uint64_t *)(void *)blk_page(dev, 0), 0x7777777777777777);
	}
}

/* T14 */
static void t14_a_storm_of_kicks_loses_nothing(void)
{
	unsigned int i;

	start();
	for (i = 0; i < 2000; i++)
		vdev_kick(dev, 0);
	for (i = 0; i < 200; i++)
		vdev_kick_classic(dev, i);
	EXPECT(blk_works(dev, 0));
	EXPECT(blk_works(dev, 1));
}

static void t14_no_kick_is_lost_at_activation(void)
{
	vdev_prepare(dev, 1, 0);
	RETURN_IF_FAILED();
	ring_offer(&dev->ring[0], blk_build(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR));
	ring_publish(&dev->ring[0]);
	vdev_kick(dev, 0);
	vdev_run(dev);
	EXPECT(WAIT(ring_nr_used(&dev->ring[0]), BLK_MS));
}

/* T15 */
static void t15_undefined_acknowledgements(void)
{
	start();
	vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, 0xffffffff);
	vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, 0);
	vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, 0x80000000);
	EXPECT(blk_works(dev, 0));
}

/* T16 */
static void t16_configuration_space_at_and_beyond_its_end(void)
{
	uint64_t config = dev->base + VIRTIO_MMIO_CONFIG;
	unsigned int off;

	EXPECT_EQ(mmio_read64(config), blk_capacity(dev));
	EXPECT_EQ(mmio_read16(config), blk_capacity(dev) & 0xffff);
	EXPECT_EQ(mmio_read8(config + 1), blk_capacity(dev) >> 8 & 0xff);
	for (off = 0; off < 0x100; off++) {
		mmio_read64(config + off);
		mmio_write64(config + off, ~0ull);
		mmio_write8(config + off, 0);
	}
	EXPECT_EQ(mmio_read32(config + 0x400), 0);
	EXPECT_EQ(mmio_read32(config + 0xefc), 0);
	start();
	EXPECT(blk_works(dev, 0));
}

/* T17: nothing has changed, so the generation is the same all the time. */
static void t17_generation_is_stable(void)
{
	uint32_t generation = vdev_read(dev, VIRTIO_MMIO_CONFIG_GENERATION);

	start();
	EXPECT(blk_works(dev, 0));
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_CONFIG_GENERATION), generation);
}

/* T18 */
static void t18_shared_memory_and_queue_reset(void)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		vdev_write(dev, 0x0ac, i);
		EXPECT_EQ(vdev_read(dev, 0x0b0), 0xffffffff);
		EXPECT_EQ(vdev_read(dev, 0x0b4), 0xffffffff);
	}
}

/* T19 */
static void t19_unclaimed_addresses_read_all_ones(void)
{
	unsigned int i;

	EXPECT_EQ(mmio_read32(UNCLAIMED), 0xffffffff);
	EXPECT_EQ(mmio_read64(UNCLAIMED + 8), ~0ull);
	EXPECT_EQ(mmio_read8(UNCLAIMED + 3), 0xff);
	EXPECT_EQ(in8(UNCLAIMED_PORT), 0xff);
	EXPECT_EQ(in16(UNCLAIMED_PORT), 0xffff);
	EXPECT_EQ(in32(UNCLAIMED_PORT), 0xffffffff);
	for (i = 0; i < 1000; i++) {
		mmio_write32(UNCLAIMED + 4 * i, i);
		out32(UNCLAIMED_PORT, i);
	}
	start();
	EXPECT(blk_works(dev, 0));
}

CHECKS_WATCHED("transport", setup,
	CHECK(t1_odd_reads_give_0),
	CHECK(t1_odd_writes_change_nothing),
	CHECK(t2_string_and_crossing_accesses_are_harmless),
	CHECK(t3_read_only_write_only_and_unknown_registers),
	CHECK(t4_queues_that_do_not_exist),
	CHECK(t5_bad_queue_sizes_need_a_reset),
	CHECK(t6_queue_registers_out_of_turn),
	CHECK(t7_a_queue_taken_back_stops_its_device),
	CHECK(t7_queue_ready_toggled_before_driver_ok),
	CHECK(t8_driver_ok_without_queues),
	CHECK(t8_one_queue_of_two),
	CHECK(t9_every_status_value_from_reset),
	CHECK(t9_every_status_value_while_running),
	CHECK(t9_steps_cannot_be_skipped),
	CHECK(t9_a_second_driver_after_one_that_failed),
	CHECK(t10_features_that_are_not_offered),
	CHECK(t10_features_after_features_ok),
	CHECK(t12_reset_with_many_reads_in_flight),
	CHECK(t14_a_storm_of_kicks_loses_nothing),
	CHECK(t14_no_kick_is_lost_at_activation),
	CHECK(t15_undefined_acknowledgements),
	CHECK(t16_configuration_space_at_and_beyond_its_end),
	CHECK(t17_generation_is_stable),
	CHECK(t18_shared_memory_and_queue_reset),
	CHECK(t19_unclaimed_addresses_read_all_ones))
