/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group Q of the hostile cases: rings that are wrong. Whatever happens to the
 * queue, the device says DEVICE_NEEDS_RESET at most, a second device works
 * on, and after a reset the first one does too.
 */
#include "neighbours.h"
#include "print.h"
#include "subject.h"

#define RAM_END (option_number("ram", 16) << 20)
#define HOLE 0xc0000000u

static struct vdev *other;
static struct ring *r;
static uint8_t *page;
static struct vring_desc table[64] __attribute__((aligned(16)));

static void setup(void)
{
	subject_setup();
	neighbours_start();
	other = bystander();
	vdev_start(dev, 2, F_INDIRECT, IRQ_NONE);
	r = &dev->ring[0];
	page = blk_page(dev, 0);
	blk_req(dev, 0)->hdr = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN };
	blk_req(dev, 0)->status = BLK_NO_ANSWER;
}

static void offer(uint16_t head)
{
	ring_offer(r, head);
	ring_publish(r);
	vdev_kick(dev, 0);
}

/* Afterwards: the others are well, and so is this one once it is reset. */
static void expect_all_well(void)
{
	expect_bystander_works(other);
	expect_works_anew(dev);
	expect_bystander_works(other);
}

static void expect_broken(void)
{
	RETURN_IF_FAILED();
	EXPECT(WAIT(vdev_status(dev) & S_NEEDS_RESET, ARRIVE_MS));
	EXPECT_EQ(ring_nr_used(r), 0);
	EXPECT_EQ(blk_req(dev, 0)->status, BLK_NO_ANSWER);
	expect_all_well();
}

/* Answered somehow, or given up; but not left alone. */
static void expect_an_end(void)
{
	RETURN_IF_FAILED();
	EXPECT(WAIT(ring_nr_used(r) || vdev_status(dev) & S_NEEDS_RESET, ARRIVE_MS));
	expect_all_well();
}

/* The three parts of a good read of sector 0, in descriptors at, at + 1, at + 2. */
static void put_read(volatile struct vring_desc *d, uint16_t at)
{
	struct blk_req *req = blk_req(dev, 0);

	d[at] = (struct vring_desc){ (uint64_t)&req->hdr, 16, VRING_DESC_F_NEXT, at + 1 };
	d[at + 1] = (struct vring_desc){ (uint64_t)page, SECTOR,
					 VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, at + 2 };
	d[at + 2] = (struct vring_desc){ (uint64_t)&req->status, 1, VRING_DESC_F_WRITE, 0 };
}

static bool activates(uint64_t desc, uint64_t avail, uint64_t used)
{
	vdev_reset(dev);
	vdev_negotiate(dev, 0);
	vdev_write_queue(dev, 0, 16, desc, avail, used);
	vdev_set_status(dev, S_DRIVER_OK);
	return !(vdev_status(dev) & S_NEEDS_RESET);
}

static void q1_ring_addresses(void)
{
	uint64_t d = (uint64_t)r->desc, a = (uint64_t)r->avail, u = (uint64_t)r->used;
	const uint64_t bad[] = { RAM_END, RAM_END - 16, HOLE, dev->base, 1ull << 32, 1ull << 52,
				 ~0ull - 15, 0x8000000000000000 };
	unsigned int i;

	EXPECT(activates(d, a, u));
	EXPECT(!activates(d + 8, a, u));
	EXPECT(!activates(d, a + 1, u));
	EXPECT(!activates(d, a, u + 2));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_MSG(!activates(bad[i], a, u), "descriptors at %lx", bad[i]);
		EXPECT_MSG(!activates(d, bad[i], u), "available ring at %lx", bad[i]);
		EXPECT_MSG(!activates(d, a, bad[i]), "used ring at %lx", bad[i]);
	}
	/* The words behind the rings count too: flags, index, 16 entries, event. */
	EXPECT(!activates(d, RAM_END - 36, u));
	EXPECT(!activates(d, a, RAM_END - 132));
	expect_all_well();
}

static void q2_rings_on_top_of_each_other(void)
{
	uint64_t d = (uint64_t)r->desc;

	if (activates(d, d, d)) {
		r->desc[0].addr = 0x100000000;	/* available: flags 0, index 0, head 1 .. */
		vdev_kick(dev, 0);
		delay_ms(5);
	}
	expect_all_well();
}

static void q3_head(uint16_t head)
{
	put_read(r->desc, 0);
	offer(head);
	expect_broken();
}

static void q3_head_is_size(void) { q3_head(r->size); }
static void q3_head_is_65535(void) { q3_head(0xffff); }

static void q4_loop_to_itself(void)
{
	ring_set(r, 0, (uint64_t)page, 16, VRING_DESC_F_NEXT, 0);
	offer(0);
	expect_broken();
}

static void q4_loop_of_two(void)
{
	ring_set(r, 0, (uint64_t)page, 16, VRING_DESC_F_NEXT, 1);
	ring_set(r, 1, (uint64_t)page, 16, VRING_DESC_F_NEXT, 0);
	offer(0);
	expect_broken();
}

static void q4_loop_into_an_indirect_table(void)
{
	put_read(table, 0);
	table[2].flags |= VRING_DESC_F_NEXT;
	table[2].next = 1;
	ring_set(r, 0, (uint64_t)table, 48, VRING_DESC_F_INDIRECT, 0);
	offer(0);
	expect_broken();
}

static void q4_chain_as_long_as_the_ring_works(void)
{
	uint16_t i, last = (uint16_t)(r->size - 1);

	put_read(r->desc, 0);
	for (i = 1; i < last; i++)
		ring_set(r, i, (uint64_t)page + 64u * i, i == 1 ? SECTOR - 13 : 1,
			 VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, (uint16_t)(i + 1));
	ring_set(r, last, (uint64_t)&blk_req(dev, 0)->status, 1, VRING_DESC_F_WRITE, 0);
	EXPECT_EQ(r->size, 16);		/* 499 bytes and 13 single ones */
	offer(0);
	EXPECT(WAIT(ring_take(r, NULL, NULL), BLK_MS));
	EXPECT_EQ(blk_req(dev, 0)->status, VIRTIO_BLK_S_OK);
}

static void q5_next_beyond_the_ring(void)
{
	put_read(r->desc, 0);
	r->desc[1].next = r->size;
	offer(0);
	expect_broken();
}

static void q5_next_beyond_an_indirect_table(void)
{
	put_read(table, 0);
	table[1].next = 3;
	ring_set(r, 0, (uint64_t)table, 48, VRING_DESC_F_INDIRECT, 0);
	offer(0);
	expect_broken();
}

static void q6_indirect_not_negotiated(void)
{
	vdev_start(dev, 2, 0, IRQ_NONE);
	put_read(table, 0);
	ring_set(r, 0, (uint64_t)table, 48, VRING_DESC_F_INDIRECT, 0);
	offer(0);
	expect_broken();
}

static void q6_indirect_with_next(void)
{
	put_read(table, 0);
	ring_set(r, 0, (uint64_t)table, 48, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
	offer(0);
	expect_broken();
}

static void q6_nested_indirect(void)
{
	put_read(table, 1);
	table[0] = (struct vring_desc){ (uint64_t)&table[1], 48, VRING_DESC_F_INDIRECT, 0 };
	ring_set(r, 0, (uint64_t)table, 64, VRING_DESC_F_INDIRECT, 0);
	offer(0);
	expect_broken();
}

static void q6_lengths_of_indirect_tables(void)
{
	const uint32_t len[] = { 0, 15, 17, 47, 16 * 17, 16 * 0x8000, 0xfffffff0, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(len) && !check_failed(); i++) {
		vdev_start(dev, 2, F_INDIRECT, IRQ_NONE);
		put_read(table, 0);
		ring_set(r, 0, (uint64_t)table, len[i], VRING_DESC_F_INDIRECT, 0);
		offer(0);
		EXPECT_MSG(WAIT(vdev_status(dev) & S_NEEDS_RESET, ARRIVE_MS), "length %u", len[i]);
	}
	expect_all_well();
}

static void q6_indirect_table_outside_of_ram(void)
{
	const uint64_t at[] = { RAM_END - 32, RAM_END, dev->base, ~0ull - 31 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at) && !check_failed(); i++) {
		vdev_start(dev, 2, F_INDIRECT, IRQ_NONE);
		ring_set(r, 0, at[i], 48, VRING_DESC_F_INDIRECT, 0);
		offer(0);
		EXPECT_MSG(WAIT(vdev_status(dev) & S_NEEDS_RESET, ARRIVE_MS), "table at %lx",
			   at[i]);
	}
	expect_all_well();
}

static void q7_index(uint16_t idx)
{
	put_read(r->desc, 0);
	r->next_avail = idx;
	ring_publish(r);
	vdev_kick(dev, 0);
	expect_broken();
}

static void q7_index_ahead_by_more_than_the_ring(void) { q7_index((uint16_t)(r->size + 1)); }
static void q7_index_goes_back(void) { q7_index(0xffff); }
static void q7_index_jumps(void) { q7_index(40000); }

static void q8_the_same_head_twice(void)
{
	put_read(r->desc, 0);
	ring_offer(r, 0);
	offer(0);
	/* The first may be done before the second is looked at: then that is a new request. */
	EXPECT(WAIT(ring_nr_used(r) == 2 || vdev_status(dev) & S_NEEDS_RESET, ARRIVE_MS));
	EXPECT(ring_nr_used(r) <= 2);
	expect_all_well();
}

static void q9_buffers_outside_of_ram(void)
{
	const struct { uint64_t addr; uint32_t len; } b[] = {
		{ ~0ull - 255, SECTOR }, { (uint64_t)page, 0xffffffff },
		{ (uint64_t)page, 0xfffffe00 }, { RAM_END - 256, SECTOR }, { RAM_END, SECTOR },
		{ 0x8000000000000000, SECTOR }, { HOLE - 256, SECTOR },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(b) && !check_failed(); i++) {
		vdev_start(dev, 2, 0, IRQ_NONE);
		put_read(r->desc, 0);
		r->desc[1].addr = b[i].addr;
		r->desc[1].len = b[i].len;
		offer(0);
		EXPECT_MSG(WAIT(vdev_status(dev) & S_NEEDS_RESET || ring_nr_used(r), ARRIVE_MS),
			   "buffer %lx + %x", b[i].addr, b[i].len);
		EXPECT(blk_req(dev, 0)->status != VIRTIO_BLK_S_OK);
	}
	expect_all_well();
}

static void q9_a_chain_of_more_than_4_gib(void)
{
	uint16_t i;

	for (i = 0; i < 15; i++)
		ring_set(r, i, 0x100000, 0x40000000, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
			 (uint16_t)(i + 1));
	ring_set(r, 15, 0x100000, 0x40000000, VRING_DESC_F_WRITE, 0);
	offer(0);
	expect_broken();
}

static void buffer_at(uint64_t addr)
{
	put_read(r->desc, 0);
	r->desc[1].addr = addr;
	offer(0);
}

static void q11_buffer_is_its_own_registers(void)
{
	buffer_at(dev->base);
	expect_broken();
}

static void q11_buffer_is_another_device(void)
{
	SKIP_UNLESS(other, "no second device");
	buffer_at(other->base);
	expect_broken();
}

static void q11_buffer_is_the_local_apic(void)
{
	buffer_at(0xfee00000);
	expect_broken();
}

static void q11_buffer_is_the_available_ring(void)
{
	buffer_at((uint64_t)r->avail);
	expect_an_end();
}

static void q11_buffer_is_the_descriptor_table(void)
{
	buffer_at((uint64_t)r->desc);
	expect_an_end();
}

static void q11_buffer_is_the_used_ring(void)
{
	buffer_at((uint64_t)r->used);
	delay_ms(QUIET_MS);		/* what the driver sees there is not defined */
	expect_all_well();
}

static void q12_readable_behind_writable(void)
{
	put_read(r->desc, 0);
	r->desc[0].flags |= VRING_DESC_F_WRITE;
	r->desc[1].flags &= (uint16_t)~VRING_DESC_F_WRITE;
	offer(0);
	expect_an_end();
}

static void q12_all_writable(void)
{
	put_read(r->desc, 0);
	r->desc[0].flags |= VRING_DESC_F_WRITE;
	offer(0);
	expect_an_end();
}

static void q12_all_readable(void)
{
	unsigned int i;

	put_read(r->desc, 0);
	for (i = 0; i < 3; i++)
		r->desc[i].flags &= (uint16_t)~VRING_DESC_F_WRITE;
	offer(0);
	expect_broken();
}

static void q13_length_0(unsigned int at)
{
	put_read(r->desc, 0);
	r->desc[at].len = 0;
	offer(0);
	expect_an_end();
}

static void q13_first_has_length_0(void) { q13_length_0(0); }
static void q13_middle_has_length_0(void) { q13_length_0(1); }
static void q13_last_has_length_0(void) { q13_length_0(2); }

static void q13_all_have_length_0(void)
{
	uint16_t i;

	for (i = 0; i < 16; i++)
		ring_set(r, i, (uint64_t)page, 0, i < 15 ? VRING_DESC_F_NEXT : 0,
			 (uint16_t)(i + 1));
	offer(0);
	expect_an_end();
}

static void q15_the_driver_writes_the_used_ring(void)
{
	unsigned int i;

	EXPECT(blk_works(dev, 0));
	r->used->idx = 0x4321;
	r->used->ring[1].id = 0xffffffff;
	*ring_avail_event(r) = 0x1234;
	blk_submit(dev, 0, VIRTIO_BLK_T_IN, 0, page, SECTOR);
	EXPECT(WAIT(r->used->idx == 2, ARRIVE_MS));
	EXPECT(r->used->ring[1].id < 16);
	r->last_used = 2;
	for (i = 0; i < 40; i++)
		EXPECT(blk_works(dev, 0));
	expect_bystander_works(other);
}

/* Each request asks for its interrupt; none is left out while the index runs. */
static void q16_used_event_one_by_one(void)
{
	volatile uint32_t *count = &irq_count[0][VEC_LINE(dev)];
	uint32_t i, n = (uint32_t)option_number("requests", 300);

	SKIP_UNLESS(vdev_offered(dev) & F_EVENT_IDX, "EVENT_IDX is not offered");
	vdev_start(dev, 1, F_EVENT_IDX, IRQ_LINE);
	irq_counts_clear();
	for (i = 0; i < n && !check_failed(); i++) {
		*ring_used_event(r) = (uint16_t)i;
		EXPECT(blk_works(dev, 0));
		EXPECT_MSG(WAIT(*count == i + 1, ARRIVE_MS), "request %u: %u interrupts", i,
			   *count);
		vdev_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	}
}

static void a_broken_queue_stops_the_device_until_reset(void)
{
	break_queue(dev, 0);
	ring_init(r, 16, false);
	blk_submit(dev, 0, VIRTIO_BLK_T_IN, 0, page, SECTOR);
	delay_ms(QUIET_MS);
	EXPECT_EQ(ring_nr_used(r), 0);
	EXPECT(vdev_status(dev) & S_NEEDS_RESET);
	expect_all_well();
}

CHECKS_WATCHED("hostile_ring", setup,
	CHECK(q1_ring_addresses),
	CHECK(q2_rings_on_top_of_each_other),
	CHECK(q3_head_is_size),
	CHECK(q3_head_is_65535),
	CHECK(q4_loop_to_itself),
	CHECK(q4_loop_of_two),
	CHECK(q4_loop_into_an_indirect_table),
	CHECK(q4_chain_as_long_as_the_ring_works),
	CHECK(q5_next_beyond_the_ring),
	CHECK(q5_next_beyond_an_indirect_table),
	CHECK(q6_indirect_not_negotiated),
	CHECK(q6_indirect_with_next),
	CHECK(q6_nested_indirect),
	CHECK(q6_lengths_of_indirect_tables),
	CHECK(q6_indirect_table_outside_of_ram),
	CHECK(q7_index_ahead_by_more_than_the_ring),
	CHECK(q7_index_goes_back),
	CHECK(q7_index_jumps),
	CHECK(q8_the_same_head_twice),
	CHECK(q9_buffers_outside_of_ram),
	CHECK(q9_a_chain_of_more_than_4_gib),
	CHECK(q11_buffer_is_its_own_registers),
	CHECK(q11_buffer_is_another_device),
	CHECK(q11_buffer_is_the_local_apic),
	CHECK(q11_buffer_is_the_available_ring),
	CHECK(q11_buffer_is_the_descriptor_table),
	CHECK(q11_buffer_is_the_used_ring),
	CHECK(q12_readable_behind_writable),
	CHECK(q12_all_writable),
	CHECK(q12_all_readable),
	CHECK(q13_first_has_length_0),
	CHECK(q13_middle_has_length_0),
	CHECK(q13_last_has_length_0),
	CHECK(q13_all_have_length_0),
	CHECK(q15_the_driver_writes_the_used_ring),
	CHECK(q16_used_event_one_by_one),
	CHECK(a_broken_queue_stops_the_device_until_reset))
