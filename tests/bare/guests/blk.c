/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block requests that a sane driver makes. The runner fills the disk with
 * numbered sectors (blk.h) and looks at it again afterwards: sectors 64 to 95
 * then hold the complement of their numbers.
 */
#include "print.h"
#include "subject.h"

#define FIRST_WRITTEN 64u
#define NR_WRITTEN 32u
#define COMPLEMENT(n) (~(uint64_t)(n) & 0xffffffffffffff)

static void start(uint64_t features)
{
	vdev_start(dev, dev->nr_queues, features, IRQ_NONE);
}

static bool read_is(unsigned int q, uint64_t sector, uint64_t number)
{
	uint8_t *page = blk_page(dev, q);

	memset(page, 0xa5, SECTOR);
	return blk_do(dev, q, VIRTIO_BLK_T_IN, sector, page, SECTOR) == VIRTIO_BLK_S_OK &&
	       sector_is(page, number);
}

static void capacity_is_that_of_the_file(void)
{
	EXPECT_EQ(blk_capacity(dev), option_number("sectors", 2048));
}

static void every_queue_reads_the_right_data(void)
{
	uint64_t last = blk_capacity(dev) - 1;
	unsigned int q;

	start(0);
	for (q = 0; q < dev->nr_queues && !check_failed(); q++) {
		EXPECT(read_is(q, q, q));
		EXPECT(read_is(q, 100 + q, 100 + q));
		EXPECT(read_is(q, last, last));
	}
}

static void a_read_says_how_much_it_wrote(void)
{
	uint32_t id, len;
	uint16_t head;

	start(0);
	RETURN_IF_FAILED();
	head = dev->ring[0].next_desc;
	blk_submit(dev, 0, VIRTIO_BLK_T_IN, 0, blk_page(dev, 0), SECTOR);
	EXPECT(WAIT(ring_take(&dev->ring[0], &id, &len), BLK_MS));
	EXPECT_EQ(id, head);
	EXPECT_EQ(len, SECTOR + 1);
}

static void a_page_is_eight_sectors(void)
{
	uint8_t *page = blk_page(dev, 0);
	unsigned int i;

	start(0);
	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_IN, 200, page, 8 * SECTOR), VIRTIO_BLK_S_OK);
	for (i = 0; i < 8; i++)
		EXPECT(sector_is(page + i * SECTOR, 200 + i));
}

static void data_in_many_pieces_is_put_together(void)
{
	struct blk_req *req = blk_req(dev, 0);
	uint8_t *page = blk_page(dev, 0);
	struct piece p[] = {
		{ &req->hdr, 4, false }, { (char *)&req->hdr + 4, 12, false },
		{ page, 1, true }, { page + 1, 510, true }, { page + 511, 513, true },
		{ &req->status, 1, true },
	};

	start(0);
	req->hdr = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN, .sector = 300 };
	req->status = BLK_NO_ANSWER;
	ring_offer(&dev->ring[0], ring_chain(&dev->ring[0], p, ARRAY_SIZE(p)));
	ring_publish(&dev->ring[0]);
	vdev_kick(dev, 0);
	EXPECT(WAIT(ring_take(&dev->ring[0], NULL, NULL), BLK_MS));
	EXPECT_EQ(req->status, VIRTIO_BLK_S_OK);
	EXPECT(sector_is(page, 300));
	EXPECT(sector_is(page + SECTOR, 301));
}

static void an_indirect_table_works(void)
{
	static struct vring_desc table[4] __attribute__((aligned(16)));
	struct blk_req *req = blk_req(dev, 1);
	uint8_t *page = blk_page(dev, 1);
	struct piece p[] = {
		{ &req->hdr, sizeof(req->hdr), false }, { page, SECTOR, true },
		{ &req->status, 1, true },
	};

	start(F_INDIRECT);
	SKIP_UNLESS(dev->features & F_INDIRECT, "INDIRECT_DESC is not offered");
	req->hdr = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN, .sector = 17 };
	req->status = BLK_NO_ANSWER;
	ring_offer(&dev->ring[1], ring_chain_indirect(&dev->ring[1], table, p, 3));
	ring_publish(&dev->ring[1]);
	vdev_kick(dev, 1);
	EXPECT(WAIT(ring_take(&dev->ring[1], NULL, NULL), BLK_MS));
	EXPECT_EQ(req->status, VIRTIO_BLK_S_OK);
	EXPECT(sector_is(page, 17));
}

/* Each queue writes its share, another one reads it back; the runner compares the file. */
static void what_one_queue_writes_another_reads(void)
{
	unsigned int i, q, n = dev->nr_queues;

	start(0);
	for (i = 0; i < NR_WRITTEN && !check_failed(); i++) {
		uint64_t s = FIRST_WRITTEN + i;

		q = i % n;
		sector_fill(blk_page(dev, q), COMPLEMENT(s));
		EXPECT_EQ(blk_do(dev, q, VIRTIO_BLK_T_OUT, s, blk_page(dev, q), SECTOR),
			  VIRTIO_BLK_S_OK);
		EXPECT(read_is((q + 1) % n, s, COMPLEMENT(s)));
	}
}

static void flush_succeeds_on_every_queue(void)
{
	unsigned int q;

	start(1ull << VIRTIO_BLK_F_FLUSH);
	SKIP_UNLESS(dev->features & 1ull << VIRTIO_BLK_F_FLUSH, "FLUSH is not offered");
	for (q = 0; q < dev->nr_queues; q++)
		EXPECT_EQ(blk_do(dev, q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
}

static void get_id_gives_the_serial(void)
{
	char *id = (char *)blk_page(dev, 0);

	start(0);
	memset(id, 'x', 20);
	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_GET_ID, 0, id, 20), VIRTIO_BLK_S_OK);
	EXPECT_MSG(!memcmp(id, "bare-disk", 10), "the serial is %c%c%c%c...", id[0], id[1], id[2],
		   id[3]);
}

static void beyond_the_end_is_an_error(void)
{
	uint64_t end = blk_capacity(dev);
	uint8_t *page = blk_page(dev, 0);

	start(0);
	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_IN, end, page, SECTOR), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_OUT, end, page, SECTOR), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_IN, end - 1, page, 2 * SECTOR), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_OUT, end - 1, page, 2 * SECTOR), VIRTIO_BLK_S_IOERR);
	EXPECT(read_is(0, end - 1, end - 1));
}

static void many_requests_in_flight_all_end(void)
{
	struct ring *r;
	unsigned int i, taken = 0;

	dev->queue_size = 64;
	start(0);
	RETURN_IF_FAILED();
	r = &dev->ring[0];
	for (i = 0; i < 20; i++)	/* the same request and buffer: only the count matters */
		ring_offer(r, blk_build(dev, 0, VIRTIO_BLK_T_IN, 5, blk_page(dev, 0), SECTOR));
	ring_publish(r);
	vdev_kick(dev, 0);
	while (taken < 20 && WAIT(ring_take(r, NULL, NULL), BLK_MS))
		taken++;
	EXPECT_EQ(taken, 20);
	EXPECT(sector_is(blk_page(dev, 0), 5));
}

/* 16 bits of index wrap in 65536 requests; here the ring of 2^k entries wraps many times. */
/* row Q18 */
static void a_small_ring_wraps_many_times(void)
{
	unsigned int i;

	dev->queue_size = 4;
	start(0);
	for (i = 0; i < 200 && !check_failed(); i++)
		EXPECT(blk_works(dev, i % dev->nr_queues));
}

/* row Q16 */
static void event_idx_takes_interrupts_only_where_asked(void)
{
	struct ring *r = &dev->ring[0];
	volatile uint32_t *count = &irq_count[0][VEC_LINE(dev)];
	unsigned int i;

	SKIP_UNLESS(vdev_offered(dev) & F_EVENT_IDX, "EVENT_IDX is not offered");
	vdev_start(dev, 1, F_EVENT_IDX, IRQ_LINE);
	RETURN_IF_FAILED();
	*ring_used_event(r) = 2;	/* an interrupt for the third one */
	delay_ms(QUIET_MS);
	irq_counts_clear();
	for (i = 0; i < 2; i++)
		EXPECT(blk_works(dev, 0));
	expect_irqs(0, VEC_LINE(dev), 0);
	EXPECT(blk_works(dev, 0));
	EXPECT(WAIT(*count == 1, ARRIVE_MS));
}

static void no_interrupt_flag_is_heeded(void)
{
	vdev_start(dev, 1, 0, IRQ_LINE);
	RETURN_IF_FAILED();
	dev->ring[0].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;

	expect_queue_is_quiet(dev, 0);
}

static void restart_keeps_the_data(void)
{
	unsigned int i;

	for (i = 0; i < 5 && !check_failed(); i++) {
		start(0);
		EXPECT(read_is(i % dev->nr_queues, 1000 + i, 1000 + i));
	}
}

CHECKS_WITH("blk", subject_setup,
	CHECK(capacity_is_that_of_the_file),
	CHECK(every_queue_reads_the_right_data),
	CHECK(a_read_says_how_much_it_wrote),
	CHECK(a_page_is_eight_sectors),
	CHECK(data_in_many_pieces_is_put_together),
	CHECK(an_indirect_table_works),
	CHECK(what_one_queue_writes_another_reads),
	CHECK(flush_succeeds_on_every_queue),
	CHECK(get_id_gives_the_serial),
	CHECK(beyond_the_end_is_an_error),
	CHECK(many_requests_in_flight_all_end),
	CHECK(a_small_ring_wraps_many_times),
	CHECK(event_idx_takes_interrupts_only_where_asked),
	CHECK(no_interrupt_flag_is_heeded),
	CHECK(restart_keeps_the_data))
