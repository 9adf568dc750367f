/* SPDX-License-Identifier: Apache-2.0 */
/* Group B of the hostile cases: requests that are no requests. */
#include "neighbours.h"
#include "print.h"
#include "subject.h"

#define T_DISCARD	VIRTIO_BLK_T_DISCARD
#define T_ZEROES	VIRTIO_BLK_T_WRITE_ZEROES
#define CANARY		0xc5

static struct vdev *other;
static struct blk_req *req;
static uint8_t *page;

static void setup(void)
{
	subject_setup();
	neighbours_start();
	other = bystander();
	dev->queue_size = 32;
	vdev_start(dev, 2, ~0ull & ~F_EVENT_IDX, IRQ_NONE);
	req = blk_req(dev, 0);
	page = blk_page(dev, 0);
	memset(page, CANARY, 4096);
	req->hdr = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN };
	req->status = BLK_NO_ANSWER;
}

enum outcome { OUT_SILENT, OUT_ANSWERED, OUT_BROKEN };

static uint32_t used_len;

static enum outcome try(const struct piece *p, unsigned int nr)
{
	struct ring *r = &dev->ring[0];

	if (vdev_status(dev) & S_NEEDS_RESET)
		vdev_start(dev, 2, dev->features, IRQ_NONE);
	req->status = BLK_NO_ANSWER;
	ring_offer(r, ring_chain(r, p, nr));
	ring_publish(r);
	vdev_kick(dev, 0);
	WAIT(ring_nr_used(r) || vdev_status(dev) & S_NEEDS_RESET, ARRIVE_MS);
	if (ring_take(r, NULL, &used_len))
		return OUT_ANSWERED;
	return vdev_status(dev) & S_NEEDS_RESET ? OUT_BROKEN : OUT_SILENT;
}

static void expect_all_well(void)
{
	expect_bystander_works(other);
	expect_works_anew(dev);
}

static bool canary_is_intact(unsigned int from, unsigned int to)
{
	for (; from < to; from++)
		if (page[from] != CANARY)
			return false;
	return true;
}

/* Refused one way or the other, and nothing was written to the data. */
static void expect_refused(const struct piece *p, unsigned int nr)
{
	enum outcome o = try(p, nr);

	RETURN_IF_FAILED();
	EXPECT(o != OUT_SILENT);
	EXPECT_MSG(o == OUT_BROKEN || req->status == VIRTIO_BLK_S_IOERR ||
		   req->status == VIRTIO_BLK_S_UNSUPP, "status %x", req->status);
}

static void b1_short_headers(void)
{
	uint32_t len;

	for (len = 0; len < 16 && !check_failed(); len++) {
		struct piece p[] = {
			{ &req->hdr, len, false },
			{ page, SECTOR, true },
			{ &req->status, 1, true },
		};

		expect_refused(p, 3);
	}
	EXPECT(canary_is_intact(0, 4096));
	expect_all_well();
}

static void b1_header_in_sixteen_pieces(void)
{
	struct piece p[18];
	unsigned int i;

	for (i = 0; i < 16; i++)
		p[i] = (struct piece){ (char *)&req->hdr + i, 1, false };
	p[16] = (struct piece){ page, SECTOR, true };
	p[17] = (struct piece){ &req->status, 1, true };
	EXPECT_EQ(try(p, 18), OUT_ANSWERED);
	EXPECT_EQ(req->status, VIRTIO_BLK_S_OK);
	EXPECT(sector_is(page, 0));
}

static void b1_header_that_is_not_memory(void)
{
	struct piece p[] = {
		{ (void *)dev->base, 16, false }, { page, SECTOR, true }, { &req->status, 1, true },
	};

	EXPECT_EQ(try(p, 3), OUT_BROKEN);
	EXPECT(canary_is_intact(0, 4096));
	expect_all_well();
}

static void b2_no_status(void)
{
	struct piece p[] = { { &req->hdr, 16, false } };

	EXPECT_EQ(try(p, 1), OUT_BROKEN);
	expect_all_well();
}

static void b2_status_is_readable_only(void)
{
	struct piece p[] = {
		{ &req->hdr, 16, false }, { &req->status, 1, false },
	};

	EXPECT_EQ(try(p, 2), OUT_BROKEN);
	EXPECT_EQ(req->status, BLK_NO_ANSWER);
	expect_all_well();
}

static void b2_status_of_length_0(void)
{
	struct piece p[] = { { &req->hdr, 16, false }, { &req->status, 0, true } };

	EXPECT_EQ(try(p, 2), OUT_BROKEN);
	EXPECT_EQ(req->status, BLK_NO_ANSWER);
	expect_all_well();
}

/* virtio 1.2, 2.7.4: framing is free, so the last byte of the one buffer is the status. */
static void b2_status_behind_the_data_in_one_buffer(void)
{
	struct piece p[] = { { &req->hdr, 16, false }, { page, SECTOR + 1, true } };

	EXPECT_EQ(try(p, 2), OUT_ANSWERED);
	EXPECT_EQ(page[SECTOR], VIRTIO_BLK_S_OK);
	EXPECT(sector_is(page, 0));
	EXPECT(canary_is_intact(SECTOR + 1, 4096));
}

static void b2_status_that_is_not_memory(void)
{
	struct piece p[] = {
		{ &req->hdr, 16, false }, { page, SECTOR, true }, { (void *)dev->base, 1, true },
	};

	EXPECT_EQ(try(p, 3), OUT_BROKEN);
	expect_all_well();
}

static void b3_lengths_that_are_no_sectors(void)
{
	const uint32_t len[] = { 0, 1, 511, 513, 1023 };
	unsigned int i, type;

	for (i = 0; i < 2 * ARRAY_SIZE(len) && !check_failed(); i++) {
		type = i & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
		struct piece p[] = {
			{ &req->hdr, 16, false }, { page, len[i / 2], type == VIRTIO_BLK_T_IN },
			{ &req->status, 1, true },
		};

		req->hdr.type = type;
		expect_refused(p, 3);
	}
	EXPECT(canary_is_intact(0, 4096));
	expect_all_well();
}

static void b4_sectors_beyond_the_end(void)
{
	uint64_t end = blk_capacity(dev);
	const uint64_t sector[] = { end, end + 1, 1ull << 55, (1ull << 55) - 1, ~0ull, ~0ull >> 9,
				    1ull << 63, end - 1 };
	unsigned int i, type;

	for (i = 0; i < 2 * ARRAY_SIZE(sector) && !check_failed(); i++) {
		type = i & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
		struct piece p[] = {
			{ &req->hdr, 16, false }, { page, SECTOR, type == VIRTIO_BLK_T_IN },
			{ page + SECTOR, SECTOR, type == VIRTIO_BLK_T_IN },
			{ &req->status, 1, true },
		};

		req->hdr = (struct virtio_blk_outhdr){ .type = type, .sector = sector[i / 2] };
		expect_refused(p, 4);
	}
	EXPECT(canary_is_intact(0, 4096));
	expect_all_well();
}

static void b5_types_that_do_not_exist(void)
{
	const uint32_t type[] = { 2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 17, 99, 255, 0x80000000,
				  0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(type); i++) {
		struct piece p[] = {
			{ &req->hdr, 16, false }, { page, SECTOR, true }, { &req->status, 1, true },
		};

		req->hdr.type = type[i];
		EXPECT_EQ(try(p, 3), OUT_ANSWERED);
		EXPECT_MSG(req->status == VIRTIO_BLK_S_UNSUPP, "type %u: status %u", type[i],
			   req->status);
	}
	EXPECT(canary_is_intact(0, 4096));
	expect_all_well();
}

static void b7_get_id_of_any_length(void)
{
	uint32_t len;

	for (len = 0; len < 30 && !check_failed(); len++) {
		struct piece p[] = {
			{ &req->hdr, 16, false }, { page, len, true }, { &req->status, 1, true },
		};

		memset(page, CANARY, 64);
		req->hdr.type = VIRTIO_BLK_T_GET_ID;
		EXPECT_EQ(try(p, 3), OUT_ANSWERED);
		if (len < 20)
			EXPECT_MSG(req->status == VIRTIO_BLK_S_IOERR || !page[len - 1],
				   "length %u: status %u", len, req->status);
		else
			EXPECT_EQ(req->status, VIRTIO_BLK_S_OK);
		EXPECT(canary_is_intact(len < 20 ? len : 20, 64));
	}
}

static void b7_get_id_into_a_readable_buffer(void)
{
	struct piece p[] = {
		{ &req->hdr, 16, false }, { page, 20, false }, { &req->status, 1, true },
	};

	req->hdr.type = VIRTIO_BLK_T_GET_ID;
	expect_refused(p, 3);
	EXPECT(canary_is_intact(0, 64));
	expect_all_well();
}

static void expect_range_refused(uint32_t type, const struct virtio_blk_discard_write_zeroes *range,
				 uint32_t len)
{
	struct piece p[] = {
		{ &req->hdr, 16, false }, { range, len, false }, { &req->status, 1, true },
	};

	req->hdr.type = type;
	expect_refused(p, 3);
}

static void b8_ranges_to_discard_and_to_zero(void)
{
	static struct virtio_blk_discard_write_zeroes range[64];
	uint64_t end = blk_capacity(dev);
	const struct virtio_blk_discard_write_zeroes bad[] = {
		{ end, 1, 0 }, { end - 1, 2, 0 }, { ~0ull, 2, 0 }, { 0, 0xffffffff, 0 },
		{ 0, 1, 2 }, { 0, 1, 0xffffffff }, { 1ull << 55, 1, 0 },
	};
	unsigned int i, j;

	for (i = 0; i < 2 && !check_failed(); i++) {
		uint32_t type = i ? T_DISCARD : T_ZEROES;

		for (j = 0; j < ARRAY_SIZE(bad); j++) {
			range[0] = bad[j];
			expect_range_refused(type, range, sizeof(range[0]));
		}
		range[0] = (struct virtio_blk_discard_write_zeroes){ 0, 1, 0 };
		expect_range_refused(type, range, 0);
		expect_range_refused(type, range, 15);
		expect_range_refused(type, range, 17);
		expect_range_refused(type, range, sizeof(range));
	}
	range[0].flags = 1;
	/* unmap is for write-zeroes only */
	expect_range_refused(T_DISCARD, range, sizeof(range[0]));
	expect_all_well();
	RETURN_IF_FAILED();
	EXPECT(sector_is(blk_page(dev, 0), 0));
}

/* The device tells exactly what it wrote, and writes nothing behind it. */
static void b9_length_of_what_was_written(void)
{
	struct piece p[] = {
		{ &req->hdr, 16, false }, { page, 2 * SECTOR, true }, { &req->status, 1, true },
	};

	req->hdr.sector = 7;
	EXPECT_EQ(try(p, 3), OUT_ANSWERED);
	EXPECT_EQ(used_len, 2 * SECTOR + 1);
	EXPECT(sector_is(page + SECTOR, 8));
	EXPECT(canary_is_intact(2 * SECTOR, 4096));
	req->hdr.sector = blk_capacity(dev);
	EXPECT_EQ(try(p, 3), OUT_ANSWERED);
	EXPECT_EQ(used_len, 0);		/* the status, but not what lies before it */
	p[1].writable = false;
	req->hdr = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_OUT, .sector = 2000 };
	EXPECT_EQ(try(p, 3), OUT_ANSWERED);
	EXPECT_EQ(used_len, 1);
}

static void b10_reset_with_reads_in_flight_again_and_again(void)
{
	unsigned int i, j;

	for (i = 0; i < 30 && !check_failed(); i++) {
		vdev_start(dev, 1, 0, IRQ_NONE);
		for (j = 0; j < 10; j++)
			ring_offer(&dev->ring[0], blk_build(dev, 0, VIRTIO_BLK_T_IN, j * 8, page,
							    8 * SECTOR));
		ring_publish(&dev->ring[0]);
		vdev_kick(dev, 0);
	}
	expect_all_well();
}

static void b11_a_storm_of_flushes(void)
{
	struct piece p[] = { { &req->hdr, 16, false }, { &req->status, 1, true } };
	unsigned int i;

	req->hdr.type = VIRTIO_BLK_T_FLUSH;
	for (i = 0; i < 100; i++)
		EXPECT_EQ(try(p, 2), OUT_ANSWERED);
	expect_all_well();
}

/* The configuration's one writable byte, while both queues write and flush. */
static void b11_the_cache_mode_to_and_fro(void)
{
	uint64_t wce = dev->base + VIRTIO_MMIO_CONFIG +
		       offsetof(struct virtio_blk_config, wce);
	unsigned int i;

	SKIP_UNLESS(dev->features >> VIRTIO_BLK_F_CONFIG_WCE & 1, "the cache mode is fixed");
	for (i = 0; i < 100 && !check_failed(); i++) {
		sector_fill(blk_page(dev, 1), i);
		blk_submit(dev, 1, VIRTIO_BLK_T_OUT, 1800, blk_page(dev, 1), SECTOR);
		mmio_write8(wce, (uint8_t)i);
		EXPECT(mmio_read8(wce) <= 1);
		mmio_write8(wce, 0);
		EXPECT_EQ(mmio_read8(wce), 0);
		EXPECT(WAIT(ring_take(&dev->ring[1], NULL, NULL), BLK_MS));
		EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
	}
	expect_all_well();
}

/* The format is what the command line says, whatever a guest writes; it can write this one. */
static void b6_an_image_that_looks_like_another_format(void)
{
	static const uint8_t magic[] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };
	uint64_t capacity = blk_capacity(dev);

	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_IN, 0, page, SECTOR), VIRTIO_BLK_S_OK);
	memcpy(page + SECTOR, page, SECTOR);
	memset(page, 0, SECTOR);
	memcpy(page, magic, sizeof(magic));
	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_OUT, 0, page, SECTOR), VIRTIO_BLK_S_OK);
	vdev_start(dev, 2, dev->features, IRQ_NONE);
	memset(page, 0, SECTOR);
	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_IN, 0, page, SECTOR), VIRTIO_BLK_S_OK);
	EXPECT(!memcmp(page, magic, sizeof(magic)));
	EXPECT_EQ(blk_capacity(dev), capacity);
	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_OUT, 0, page + SECTOR, SECTOR), VIRTIO_BLK_S_OK);
}

static void b12_two_queues_write_one_sector(void)
{
	unsigned int i;

	for (i = 0; i < 10; i++) {
		sector_fill(blk_page(dev, 0), 0xaa);
		sector_fill(blk_page(dev, 1), 0xbb);
		blk_submit(dev, 0, VIRTIO_BLK_T_OUT, 1900, blk_page(dev, 0), SECTOR);
		blk_submit(dev, 1, VIRTIO_BLK_T_OUT, 1900, blk_page(dev, 1), SECTOR);
		EXPECT(WAIT(ring_take(&dev->ring[0], NULL, NULL), BLK_MS));
		EXPECT(WAIT(ring_take(&dev->ring[1], NULL, NULL), BLK_MS));
		EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_IN, 1900, page, SECTOR), VIRTIO_BLK_S_OK);
		EXPECT(sector_is(page, 0xaa) || sector_is(page, 0xbb));
	}
}

CHECKS_WATCHED("hostile_blk", setup,
	CHECK(b1_short_headers),
	CHECK(b1_header_in_sixteen_pieces),
	CHECK(b1_header_that_is_not_memory),
	CHECK(b2_no_status),
	CHECK(b2_status_is_readable_only),
	CHECK(b2_status_of_length_0),
	CHECK(b2_status_behind_the_data_in_one_buffer),
	CHECK(b2_status_that_is_not_memory),
	CHECK(b3_lengths_that_are_no_sectors),
	CHECK(b4_sectors_beyond_the_end),
	CHECK(b5_types_that_do_not_exist),
	CHECK(b6_an_image_that_looks_like_another_format),
	CHECK(b7_get_id_of_any_length),
	CHECK(b7_get_id_into_a_readable_buffer),
	CHECK(b8_ranges_to_discard_and_to_zero),
	CHECK(b9_length_of_what_was_written),
	CHECK(b10_reset_with_reads_in_flight_again_and_again),
	CHECK(b11_a_storm_of_flushes),
	CHECK(b11_the_cache_mode_to_and_fro),
	CHECK(b12_two_queues_write_one_sector))
