/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk_req.h"
#include "fake_transport.h"
#include "runner.h"
#include "util.h"
#include "virtio_blk.h"

#define DISK_LEN MIB(4)
#define RING 64u
#define SECTORS (DISK_LEN / BLK_SECTOR)

static struct fake_transport *ft;
static struct virtio_dev *dev;
static int image;		/* our own descriptor of the disk's file */
static struct virtio_blk_cfg cfg;

/* The engines differ in what they do with an image in memory and with one on a disk. */
static enum { PLAIN, URING_IN_MEMORY, URING_ON_DISK } engine;

static int make_image(void)
{
	const char *tmp = getenv("TMPDIR");
	char path[256];
	int fd;

	if (engine != URING_ON_DISK)
		return memfd_create("disk", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "%s/virtio-blk-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	unlink(path);
	return fd;
}

static void open_image(void)
{
	image = make_image();
	ck_assert_int_ge(image, 0);
	ck_assert_int_eq(ftruncate(image, DISK_LEN), 0);
	cfg = (struct virtio_blk_cfg)VIRTIO_BLK_CFG_DEFAULT;
	cfg.file.path = "memory";
	cfg.file.fd = dup(image);
	cfg.queue_size = RING;
	cfg.aio = engine == PLAIN ? VIRTIO_BLK_AIO_THREADS : VIRTIO_BLK_AIO_IO_URING;
	strcpy(cfg.serial, "serial-0");
}

static void create_device(void)
{
	struct blk_backend *be;

	ck_assert_int_eq(blk_file_open(&be, &cfg.file, "blk0"), 0);
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, be, "blk0"), 0);
	ft = fake_transport_create(dev, RING);
}

static void setup(void)
{
	open_image();
	create_device();
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
}

static void setup_stopped(void)
{
	open_image();
	create_device();
}

static void teardown(void)
{
	fake_transport_free(ft);
	close(image);
}

struct request {
	gpa_t hdr, data, status;
	uint32_t len;
	uint16_t head;
};

/* Adds a request with one data buffer; shows it, but does not kick. */
static struct request add(unsigned int q, uint32_t type, uint64_t sector, uint32_t len)
{
	struct vdriver *d = fake_driver(ft, q);
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	struct request r = { .len = len };
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;

	r.hdr = vdriver_alloc(d, sizeof(hdr));
	r.data = vdriver_alloc(d, MAX(len, 1u));
	r.status = vdriver_alloc(d, 1);
	memcpy(vdriver_ptr(d, r.hdr), &hdr, sizeof(hdr));
	*(uint8_t *)vdriver_ptr(d, r.status) = 0xee;
	struct vbuf buf[3] = { { r.hdr, sizeof(hdr), false }, { r.data, len, in },
			       { r.status, 1, true } };
	r.head = len ? vdriver_add(d, buf, 3) : (buf[1] = buf[2], vdriver_add(d, buf, 2));
	return r;
}

static uint8_t *data_of(unsigned int q, const struct request *r)
{
	return vdriver_ptr(fake_driver(ft, q), r->data);
}

static uint8_t status_of(unsigned int q, const struct request *r)
{
	return *(uint8_t *)vdriver_ptr(fake_driver(ft, q), r->status);
}

/* Waits for the answer and returns its length. */
static uint32_t finish(unsigned int q, const struct request *r)
{
	uint16_t head;
	uint32_t len;

	fake_wait_used(ft, q, &head, &len);
	ck_assert_uint_eq(head, r->head);
	return len;
}

static uint32_t run(unsigned int q, const struct request *r)
{
	fake_kick(ft, q);
	return finish(q, r);
}

START_TEST(a_read_returns_what_is_in_the_image)
{
	uint8_t expect[4096];
	struct request r = add(0, VIRTIO_BLK_T_IN, 8, sizeof(expect));

	memset(expect, 0xa5, sizeof(expect));
	ck_assert_int_eq(pwrite(image, expect, sizeof(expect), 4096), sizeof(expect));
	ck_assert_uint_eq(run(0, &r), sizeof(expect) + 1);
	ck_assert_uint_eq(status_of(0, &r), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(data_of(0, &r), expect, sizeof(expect));
}
END_TEST

START_TEST(a_write_lands_in_the_image)
{
	struct request r = add(0, VIRTIO_BLK_T_OUT, SECTORS - 1, 512);
	uint8_t got[512];

	memset(data_of(0, &r), 0x3c, 512);
	ck_assert_uint_eq(run(0, &r), 1);
	ck_assert_uint_eq(status_of(0, &r), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(pread(image, got, 512, DISK_LEN - 512), 512);
	ck_assert_mem_eq(got, data_of(0, &r), 512);
}
END_TEST

/* row B4 */
START_TEST(a_write_past_the_end_leaves_the_size_alone)
{
	struct request r = add(0, VIRTIO_BLK_T_OUT, SECTORS - 1, 1024);

	ck_assert_uint_eq(run(0, &r), 1);
	ck_assert_uint_eq(status_of(0, &r), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(lseek(image, 0, SEEK_END), DISK_LEN);
}
END_TEST

START_TEST(a_flush_succeeds)
{
	struct request r = add(0, VIRTIO_BLK_T_FLUSH, 0, 0);

	ck_assert_uint_eq(run(0, &r), 1);
	ck_assert_uint_eq(status_of(0, &r), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_queue_stat(ft, 0, "flushes"), 1);
}
END_TEST

START_TEST(get_id_answers_the_serial_padded_with_nul)
{
	struct request r = add(0, VIRTIO_BLK_T_GET_ID, 0, 20);
	char expect[20] = "serial-0";

	ck_assert_uint_eq(run(0, &r), 21);
	ck_assert_mem_eq(data_of(0, &r), expect, 20);
}
END_TEST

/* row B7 */
START_TEST(get_id_fills_no_more_than_its_20_bytes)
{
	struct request r = add(0, VIRTIO_BLK_T_GET_ID, 0, 64);

	memset(data_of(0, &r), 0x77, 64);
	ck_assert_uint_eq(run(0, &r), 20);
	ck_assert_uint_eq(data_of(0, &r)[19], 0);
	ck_assert_uint_eq(data_of(0, &r)[20], 0x77);
}
END_TEST

/* row B5 */
START_TEST(an_unknown_type_is_unsupported)
{
	struct request r = add(0, 0x777, 0, 512);

	ck_assert_uint_eq(run(0, &r), 1);
	ck_assert_uint_eq(status_of(0, &r), VIRTIO_BLK_S_UNSUPP);
}
END_TEST

static struct request add_range(uint32_t type, uint64_t sector, uint32_t nr, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = { sector, nr, flags };
	struct request r = add(0, type, 0, sizeof(range));

	memcpy(data_of(0, &r), &range, sizeof(range));
	return r;
}

static void fill_image(void)
{
	uint8_t block[4096];

	memset(block, 0xff, sizeof(block));
	for (off_t off = 0; off < (off_t)MIB(1); off += sizeof(block))
		ck_assert_int_eq(pwrite(image, block, sizeof(block), off), sizeof(block));
}

START_TEST(write_zeroes_clears_exactly_the_range)
{
	struct request r = add_range(VIRTIO_BLK_T_WRITE_ZEROES, 3, 2, _i);
	uint8_t got[4 * 512], expect[4 * 512];

	fill_image();
	memset(expect, 0xff, sizeof(expect));
	memset(expect + 512, 0, 1024);
	ck_assert_uint_eq(run(0, &r), 1);
	ck_assert_uint_eq(status_of(0, &r), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(pread(image, got, sizeof(got), 2 * 512), sizeof(got));
	ck_assert_mem_eq(got, expect, sizeof(got));
}
END_TEST

START_TEST(discard_gives_space_back)
{
	struct request r = add_range(VIRTIO_BLK_T_DISCARD, 0, MIB(1) / 512, 0);

	fill_image();
	ck_assert_uint_eq(run(0, &r), 1);
	ck_assert_uint_eq(status_of(0, &r), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(lseek(image, 0, SEEK_DATA), -1);
}
END_TEST

START_TEST(many_requests_at_once_are_all_answered_with_few_interrupts)
{
	enum { N = 20 };
	struct request r[N];

	fake_mask(ft, 0, true);
	for (int i = 0; i < N; i++)
		r[i] = add(0, VIRTIO_BLK_T_IN, (uint64_t)i, 512);
	fake_mask(ft, 0, false);
	vdriver_want_irq_at(fake_driver(ft, 0), N - 1);
	fake_kick(ft, 0);
	for (int i = 0; i < N; i++)
		finish(0, &r[i]);
	ck_assert(fake_wait_irq(ft, 0, 1000));
	ck_assert_uint_eq(fake_nr_irqs(ft, 0), 1);
}
END_TEST

START_TEST(ten_thousand_requests_wrap_the_ring_and_lose_no_interrupt)
{
	struct vdriver *d = fake_driver(ft, 0);

	for (unsigned int i = 0; i < 10000; i++) {
		gpa_t mark = d->next_gpa;
		struct request r = add(0, VIRTIO_BLK_T_IN, i % SECTORS, 512);

		vdriver_want_irq_at(d, (uint16_t)i);
		fake_kick(ft, 0);
		ck_assert_msg(fake_wait_irq(ft, 0, 5000), "no interrupt for request %u", i);
		ck_assert_uint_eq(finish(0, &r), 513);
		d->next_gpa = mark;
	}
	ck_assert_uint_eq(fake_queue_stat(ft, 0, "reads"), 10000);
}
END_TEST

START_TEST(a_request_may_come_through_an_indirect_table)
{
	struct vdriver *d = fake_driver(ft, 0);
	struct virtio_blk_outhdr hdr = { .type = VIRTIO_BLK_T_IN };
	struct request r = { .hdr = vdriver_alloc(d, 16), .data = vdriver_alloc(d, 512),
			     .status = vdriver_alloc(d, 1) };
	struct vbuf buf[] = { { r.hdr, 7, false }, { r.hdr + 7, 9, false }, { r.data, 100, true },
			      { r.data + 100, 412, true }, { r.status, 1, true } };

	memcpy(vdriver_ptr(d, r.hdr), &hdr, sizeof(hdr));
	fill_image();
	r.head = vdriver_add_indirect(d, buf, 5);
	ck_assert_uint_eq(run(0, &r), 513);
	ck_assert_uint_eq(data_of(0, &r)[511], 0xff);
}
END_TEST

START_TEST(a_masked_queue_gets_no_signal)
{
	struct request r = add(0, VIRTIO_BLK_T_IN, 0, 512);

	fake_mask(ft, 0, true);
	run(0, &r);
	ck_assert_uint_eq(fake_nr_irqs(ft, 0), 0);
}
END_TEST

/* row Q3 */
START_TEST(a_broken_ring_asks_for_a_reset_and_stops_that_queue_only)
{
	struct vdriver *d = fake_driver(ft, 0);
	struct request r;

	d->avail[2] = RING;	/* a head outside the ring */
	d->avail_idx = 1;
	fake_kick(ft, 0);
	ck_assert(fake_wait_reset(ft));
	r = add(1, VIRTIO_BLK_T_IN, 0, 512);
	ck_assert_uint_eq(run(1, &r), 513);
}
END_TEST

/* row B2 */
START_TEST(a_request_without_status_byte_asks_for_a_reset)
{
	struct vdriver *d = fake_driver(ft, 0);
	struct vbuf buf = { vdriver_alloc(d, 16), 16, false };

	vdriver_add(d, &buf, 1);
	fake_kick(ft, 0);
	ck_assert(fake_wait_reset(ft));
}
END_TEST

START_TEST(a_device_works_again_after_a_broken_ring_and_a_reset)
{
	struct request r;

	fake_driver(ft, 0)->avail_idx = RING + 1;
	fake_kick(ft, 0);
	ck_assert(fake_wait_reset(ft));
	fake_stop(ft);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	r = add(0, VIRTIO_BLK_T_IN, 0, 512);
	ck_assert_uint_eq(run(0, &r), 513);
}
END_TEST

START_TEST(stop_answers_what_was_made_available_before)
{
	struct request r[8];
	uint16_t head;
	uint32_t len;

	for (int i = 0; i < 8; i++)
		r[i] = add(0, VIRTIO_BLK_T_OUT, (uint64_t)i, 512);
	vdriver_show(fake_driver(ft, 0));	/* no doorbell */
	fake_stop(ft);
	for (int i = 0; i < 8; i++) {
		ck_assert(vdriver_take(fake_driver(ft, 0), &head, &len));
		ck_assert_uint_eq(status_of(0, &r[i]), VIRTIO_BLK_S_OK);
	}
}
END_TEST

/* row B10 */
START_TEST(a_thousand_stops_and_starts_with_requests_in_flight_work)
{
	for (int i = 0; i < 1000; i++) {
		for (int k = 0; k < 4; k++)
			add(0, VIRTIO_BLK_T_IN, 0, 4096);
		fake_kick(ft, 0);
		fake_stop(ft);
		ck_assert_int_eq(fake_start(ft, dev->features), 0);
	}
}
END_TEST

START_TEST(queues_work_independently)
{
	struct request r[2];

	for (unsigned int q = 0; q < 2; q++)
		r[q] = add(q, VIRTIO_BLK_T_IN, q, 512);
	for (unsigned int q = 0; q < 2; q++)
		run(q, &r[q]);
	for (unsigned int q = 0; q < 2; q++)
		ck_assert_uint_eq(fake_queue_stat(ft, q, "reads"), 1);
}
END_TEST

START_TEST(a_queue_the_driver_left_out_is_not_run)
{
	struct request r;

	fake_leave_out(ft, 1);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	r = add(0, VIRTIO_BLK_T_IN, 0, 512);
	ck_assert_uint_eq(run(0, &r), 513);
}
END_TEST

static struct virtio_blk_config read_config(void)
{
	struct virtio_blk_config c;

	memset(&c, 0, sizeof(c));
	dev->ops->read_config(dev, 0, &c, sizeof(c));
	return c;
}

START_TEST(the_configuration_space_describes_the_disk)
{
	struct virtio_blk_config c = read_config();

	ck_assert_uint_eq(c.capacity, SECTORS);
	ck_assert_uint_eq(c.seg_max, RING - 2);
	ck_assert_uint_eq(c.blk_size, 512);
	ck_assert_uint_eq(c.physical_block_exp, 3);
	ck_assert_uint_eq(c.num_queues, 2);
	ck_assert_uint_eq(c.wce, 1);
	ck_assert_uint_eq(c.max_discard_seg, BLK_MAX_RANGES);
	ck_assert_uint_eq(c.max_write_zeroes_sectors, BLK_MAX_WRITE_ZEROES);
}
END_TEST

START_TEST(only_the_cache_mode_of_the_configuration_can_be_written)
{
	uint8_t zeroes[8] = { 0 };

	dev->ops->write_config(dev, 0, zeroes, 8);
	dev->ops->write_config(dev, offsetof(struct virtio_blk_config, wce), zeroes, 2);
	ck_assert_uint_eq(read_config().capacity, SECTORS);
	ck_assert_uint_eq(read_config().wce, 1);
	dev->ops->write_config(dev, offsetof(struct virtio_blk_config, wce), zeroes, 1);
	ck_assert_uint_eq(read_config().wce, 0);
}
END_TEST

/* row B11 */
START_TEST(a_reset_restores_the_cache_mode)
{
	dev->ops->write_config(dev, offsetof(struct virtio_blk_config, wce), "", 1);
	fake_stop(ft);
	ck_assert_uint_eq(read_config().wce, 1);
}
END_TEST

START_TEST(a_polling_queue_answers_without_kicks)
{
	struct request r;
	uint64_t kicks;

	for (int i = 0; i < 200; i++) {
		r = add(0, VIRTIO_BLK_T_IN, 0, 512);
		run(0, &r);
	}
	kicks = fake_queue_stat(ft, 0, "kicks");
	ck_assert_uint_eq(fake_queue_stat(ft, 0, "reads"), 200);
	ck_assert_uint_lt(kicks, 150);
}
END_TEST

static void setup_two_queues(void)
{
	open_image();
	cfg.queues = 2;
	create_device();
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
}

static void setup_two_stopped(void)
{
	open_image();
	cfg.queues = 2;
	create_device();
}

static void setup_polling(void)
{
	open_image();
	cfg.poll_us = 100000;
	create_device();
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
}

static const uint64_t ring_features[] = {
	0, 1ull << VIRTIO_RING_F_EVENT_IDX, 1ull << VIRTIO_RING_F_INDIRECT_DESC,
};

START_TEST(reads_work_with_and_without_each_ring_feature)
{
	struct request r;

	ck_assert_int_eq(fake_start(ft, 1ull << VIRTIO_BLK_F_FLUSH | ring_features[_i]), 0);
	for (int i = 0; i < 100; i++) {
		r = add(0, VIRTIO_BLK_T_IN, 0, 512);
		ck_assert_uint_eq(run(0, &r), 513);
	}
}
END_TEST

static void choose_plain(void)
{
	engine = PLAIN;
}

static void choose_uring_in_memory(void)
{
	engine = URING_IN_MEMORY;
}

static void choose_uring_on_disk(void)
{
	engine = URING_ON_DISK;
}

static void (*const choose[])(void) = { choose_plain, choose_uring_in_memory,
					choose_uring_on_disk };

static TCase *tcase(Suite *s, const char *name, unsigned int which, void (*before)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, choose[which], NULL);
	if (before)
		tcase_add_checked_fixture(tc, before, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return tc;
}

static void add_requests(Suite *s, unsigned int which)
{
	TCase *tc = tcase(s, "requests", which, setup);

	tcase_add_test(tc, a_read_returns_what_is_in_the_image);
	tcase_add_test(tc, a_write_lands_in_the_image);
	tcase_add_test(tc, a_write_past_the_end_leaves_the_size_alone);
	tcase_add_test(tc, a_flush_succeeds);
	tcase_add_test(tc, get_id_answers_the_serial_padded_with_nul);
	tcase_add_test(tc, get_id_fills_no_more_than_its_20_bytes);
	tcase_add_test(tc, an_unknown_type_is_unsupported);
	tcase_add_loop_test(tc, write_zeroes_clears_exactly_the_range, 0, 2);
	tcase_add_test(tc, discard_gives_space_back);
	tcase_add_test(tc, many_requests_at_once_are_all_answered_with_few_interrupts);
	tcase_add_test(tc, ten_thousand_requests_wrap_the_ring_and_lose_no_interrupt);
	tcase_add_test(tc, a_request_may_come_through_an_indirect_table);
	tcase_add_test(tc, a_masked_queue_gets_no_signal);
}

static void add_life(Suite *s, unsigned int which)
{
	TCase *tc = tcase(s, "life", which, setup);

	tcase_add_test(tc, a_request_without_status_byte_asks_for_a_reset);
	tcase_add_test(tc, a_device_works_again_after_a_broken_ring_and_a_reset);
	tcase_add_test(tc, stop_answers_what_was_made_available_before);
	tcase_add_test(tc, a_thousand_stops_and_starts_with_requests_in_flight_work);
	tcase_add_test(tc, a_reset_restores_the_cache_mode);
	tc = tcase(s, "two queues", which, setup_two_queues);
	tcase_add_test(tc, queues_work_independently);
	tcase_add_test(tc, a_broken_ring_asks_for_a_reset_and_stops_that_queue_only);
	tc = tcase(s, "two queues, stopped", which, setup_two_stopped);
	tcase_add_test(tc, a_queue_the_driver_left_out_is_not_run);
	tcase_add_test(tc, the_configuration_space_describes_the_disk);
	tc = tcase(s, "stopped", which, setup_stopped);
	tcase_add_test(tc, only_the_cache_mode_of_the_configuration_can_be_written);
	tcase_add_loop_test(tc, reads_work_with_and_without_each_ring_feature, 0, 3);
	tc = tcase(s, "polling", which, setup_polling);
	tcase_add_test(tc, a_polling_queue_answers_without_kicks);
}

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_blk");

	for (unsigned int i = 0; i < ARRAY_SIZE(choose); i++) {
		add_requests(s, i);
		add_life(s, i);
	}
	return s;
}
