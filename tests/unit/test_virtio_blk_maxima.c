/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As large as a guest can have it: rings of 1,024, RAM above 4 GiB, one range
 * named in a whole chain, lengths that add up to 4 GiB, the last sector of the
 * largest disk, over a backend that transfers nothing and adds up with care.
 */
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk_req.h"
#include "fake_transport.h"
#include "fake_uring.h"
#include "runner.h"
#include "util.h"
#include "virtio_blk.h"

#define RING 1024u
#define MAX_DATA (RING - 2)
#define NR_SECTORS (1ull << 54)	/* bytes: what off_t can tell */

static struct fake_transport *ft;
static struct virtio_dev *dev;
static struct vdriver *driver;
static gpa_t place;		/* of all data */
static struct {
	unsigned int nr_calls;
	int nr_iov;
	uint64_t off, len;	/* of the last call */
} asked;

static int note(struct iovec *iov, int n, uint64_t off)
{
	asked.nr_calls++;
	asked.nr_iov = n;
	asked.off = off;
	asked.len = 0;
	for (int i = 0; i < n; i++)
		asked.len += iov[i].iov_len;
	return 0;
}

static int transfer(struct blk_backend *b, struct iovec *iov, int n, uint64_t off)
{
	(void)b;
	return note(iov, n, off);
}

static int discard(struct blk_backend *b, uint64_t off, uint64_t len)
{
	struct iovec whole = { NULL, len };

	(void)b;
	return note(&whole, 1, off);
}

static void free_nothing(struct blk_backend *b)
{
	(void)b;
}

static const struct blk_backend_ops ops = {
	.readv = transfer, .writev = transfer, .discard = discard, .free = free_nothing,
};

static void setup(void)
{
	static struct blk_backend be;
	struct virtio_blk_cfg cfg = VIRTIO_BLK_CFG_DEFAULT;

	be = (struct blk_backend){ .ops = &ops, .size = NR_SECTORS * BLK_SECTOR, .block_size = 512,
				   .physical_block_size = 512, .fd = -1 };
	cfg.queue_size = RING;
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, &be, "blk0"), 0);
	ft = fake_transport_create_high(dev, RING);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	driver = fake_driver(ft, 0);
	ck_assert_uint_ge(driver->cfg.desc, GIB(4));
	place = vdriver_alloc(driver, MIB(8));
	memset(&asked, 0, sizeof(asked));
}

static void teardown(void)
{
	fake_transport_free(ft);
}

/* A request of n buffers of len bytes at the same place, by as many descriptors. */
static uint8_t *add(uint32_t type, uint64_t sector, unsigned int n, uint32_t len, bool indirect)
{
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	static struct vbuf buf[RING];
	gpa_t at = vdriver_alloc(driver, 17);
	uint8_t *p = vdriver_ptr(driver, at);

	memcpy(p, &hdr, sizeof(hdr));
	p[16] = 0xee;
	buf[0] = (struct vbuf){ at, 16, false };
	for (unsigned int i = 0; i < n; i++)
		buf[1 + i] = (struct vbuf){ place, len, type == VIRTIO_BLK_T_IN };
	buf[1 + n] = (struct vbuf){ at + 16, 1, true };
	if (indirect)
		vdriver_add_indirect(driver, buf, n + 2);
	else
		vdriver_add(driver, buf, n + 2);
	return p + 16;
}

static uint8_t run(uint32_t type, uint64_t sector, unsigned int n, uint32_t len, bool indirect)
{
	uint8_t *status = add(type, sector, n, len, indirect);
	uint32_t used_len;
	uint16_t head;

	fake_kick(ft, 0);
	fake_wait_used(ft, 0, &head, &used_len);
	if (*status == VIRTIO_BLK_S_OK)
		ck_assert_uint_eq(used_len, type == VIRTIO_BLK_T_IN ? n * len + 1 : 1);
	return *status;
}

/* As many of them as a chain has room for are just below 4 GiB. */
#define LARGEST 4194304u

/* rows B3, Q9 */
START_TEST(one_range_named_in_a_whole_chain_is_one_request)
{
	const uint32_t type = _i & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;

	for (unsigned int round = 0; round < 3; round++) {
		ck_assert_uint_eq(run(type, 7, MAX_DATA, LARGEST, _i & 2), VIRTIO_BLK_S_OK);
		ck_assert_int_eq(asked.nr_iov, MAX_DATA);
		ck_assert_uint_eq(asked.len, (uint64_t)MAX_DATA * LARGEST);
		ck_assert_uint_eq(asked.off, 7 * BLK_SECTOR);
	}
	ck_assert_uint_eq(fake_queue_stat(ft, 0, _i & 1 ? "bytes_written" : "bytes_read"),
			  3 * (uint64_t)MAX_DATA * LARGEST);
}
END_TEST

/* rows B3, Q9 */
START_TEST(a_chain_of_more_than_4_gib_breaks_its_queue)
{
	add(_i & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 0, MAX_DATA, MIB(8), _i & 2);
	fake_kick(ft, 0);
	ck_assert(fake_wait_reset(ft));
	ck_assert_uint_eq(asked.nr_calls, 0);
}
END_TEST

static const struct {
	uint64_t sector;
	uint32_t len;		/* of one buffer */
	uint8_t status;
} edges[] = {
	{ NR_SECTORS - 1, 512, VIRTIO_BLK_S_OK }, { NR_SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR },
	{ NR_SECTORS - 16384, MIB(8), VIRTIO_BLK_S_OK },
	{ NR_SECTORS - 16383, MIB(8), VIRTIO_BLK_S_IOERR },
	{ NR_SECTORS, 512, VIRTIO_BLK_S_IOERR }, { 1ull << 55, 512, VIRTIO_BLK_S_IOERR },
	{ (1ull << 55) + 1, 512, VIRTIO_BLK_S_IOERR }, { 1ull << 63, 512, VIRTIO_BLK_S_IOERR },
	{ UINT64_MAX, 512, VIRTIO_BLK_S_IOERR }, { UINT64_MAX, 1024, VIRTIO_BLK_S_IOERR },
	{ 0 - 16384ull, MIB(8), VIRTIO_BLK_S_IOERR },
};

/* rows B3, B4 */
START_TEST(no_sum_of_a_sector_and_a_length_wraps)
{
	const uint32_t type = _i & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	unsigned int i = (unsigned int)_i / 2;

	ck_assert_uint_eq(run(type, edges[i].sector, 1, edges[i].len, false), edges[i].status);
	ck_assert_uint_eq(asked.nr_calls, edges[i].status == VIRTIO_BLK_S_OK);
	if (asked.nr_calls)
		ck_assert_uint_eq(asked.off, edges[i].sector * BLK_SECTOR);
}
END_TEST

/* row B8 */
START_TEST(the_largest_ranges_of_a_discard_are_taken_whole)
{
	struct virtio_blk_discard_write_zeroes *range = vdriver_ptr(driver, place);

	for (unsigned int i = 0; i < BLK_MAX_RANGES; i++)
		range[i] = (struct virtio_blk_discard_write_zeroes){
			.sector = NR_SECTORS - BLK_MAX_DISCARD, .num_sectors = BLK_MAX_DISCARD };
	ck_assert_uint_eq(run(VIRTIO_BLK_T_DISCARD, 0, 1, BLK_MAX_RANGES * sizeof(*range), false),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(asked.nr_calls, BLK_MAX_RANGES);
	ck_assert_uint_eq(asked.len, (uint64_t)BLK_MAX_DISCARD * BLK_SECTOR);
	range[BLK_MAX_RANGES - 1].sector++;
	ck_assert_uint_eq(run(VIRTIO_BLK_T_DISCARD, 0, 1, BLK_MAX_RANGES * sizeof(*range), false),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(asked.nr_calls, BLK_MAX_RANGES);
}
END_TEST

/* The kernel transfers less than 2 GiB at once. rows B3, H1 */
START_TEST(io_uring_transfers_4_gib_in_parts)
{
	struct virtio_blk_cfg cfg = VIRTIO_BLK_CFG_DEFAULT;
	const uint32_t type = _i & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	struct blk_backend *be;

	fake_transport_free(ft);
	fake_uring_reset();
	fake_uring.pretend = true;
	cfg.file.fd = memfd_create("disk", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(cfg.file.fd, GIB(5)), 0);
	cfg.queue_size = RING;
	ck_assert_int_eq(blk_file_open(&be, &cfg.file, "blk0"), 0);
	be->async_reads = be->async_writes = true;
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, be, "blk0"), 0);
	ft = fake_transport_create_high(dev, RING);
	ck_assert_uint_eq(fake_stat(ft, "io_uring"), 1);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	driver = fake_driver(ft, 0);
	place = vdriver_alloc(driver, MIB(8));
	ck_assert_uint_eq(run(type, 7, MAX_DATA, LARGEST, _i & 2), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_uring.nr_transfers, 2);
	ck_assert_uint_eq(run(type, 7, MAX_DATA, LARGEST + 7680, _i & 2), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_uring.nr_transfers, 4);
	ck_assert_uint_eq(fake_queue_stat(ft, 0, "errors"), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_blk_maxima");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, one_range_named_in_a_whole_chain_is_one_request, 0, 4);
	tcase_add_loop_test(tc, a_chain_of_more_than_4_gib_breaks_its_queue, 0, 4);
	tcase_add_loop_test(tc, no_sum_of_a_sector_and_a_length_wraps, 0, 2 * ARRAY_SIZE(edges));
	tcase_add_test(tc, the_largest_ranges_of_a_discard_are_taken_whole);
	tcase_add_loop_test(tc, io_uring_transfers_4_gib_in_parts, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}
