/* SPDX-License-Identifier: Apache-2.0 */
/* Cache modes, errors of the host and limits of a disk, over a backend that records. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "blk_req.h"
#include "fake_transport.h"
#include "runner.h"
#include "util.h"
#include "virtio_blk.h"

#define DISK_LEN MIB(4)
#define RING 64u

static struct fake_transport *ft;
static struct virtio_dev *dev;
static struct virtio_blk_cfg cfg;
static uint32_t used_len;	/* what the last request was answered with */

/* A backend that records, for what cannot be seen in an image. */
static struct {
	struct blk_backend be;
	void (*on_write)(void);		/* called within a write */
	int nr_flushes, nr_writes, nr_volatile, result;	/* volatile: since the last flush */
} recorder;

static int record_read(struct blk_backend *b, struct iovec *iov, int n, uint64_t off)
{
	(void)b;
	(void)iov;
	(void)n;
	(void)off;
	return recorder.result;
}

static int record_write(struct blk_backend *b, struct iovec *iov, int n, uint64_t off)
{
	(void)b;
	(void)iov;
	(void)n;
	(void)off;
	recorder.nr_writes++;
	if (recorder.on_write)
		recorder.on_write();
	recorder.nr_volatile++;
	return recorder.result;
}

static int record_flush(struct blk_backend *b)
{
	(void)b;
	recorder.nr_flushes++;
	recorder.nr_volatile = 0;
	return recorder.result;
}

static int record_discard(struct blk_backend *b, uint64_t off, uint64_t len)
{
	(void)b;
	(void)off;
	(void)len;
	return recorder.result;
}

static int record_zeroes(struct blk_backend *b, uint64_t off, uint64_t len, bool unmap)
{
	(void)unmap;
	return record_discard(b, off, len);
}

static void record_free(struct blk_backend *b)
{
	(void)b;
}

static const struct blk_backend_ops recorder_ops = {
	.readv = record_read, .writev = record_write, .flush = record_flush,
	.discard = record_discard, .write_zeroes = record_zeroes, .free = record_free,
};

static uint8_t config_wce(void)
{
	uint8_t wce;

	dev->ops->read_config(dev, offsetof(struct virtio_blk_config, wce), &wce, 1);
	return wce;
}

static void create_recorded(enum virtio_blk_cache cache, bool readonly)
{
	memset(&recorder, 0, sizeof(recorder));
	recorder.be = (struct blk_backend){ .ops = &recorder_ops, .size = DISK_LEN,
		.block_size = 512, .physical_block_size = 512, .readonly = readonly, .fd = -1 };
	cfg = (struct virtio_blk_cfg)VIRTIO_BLK_CFG_DEFAULT;
	cfg.queue_size = RING;
	cfg.aio = VIRTIO_BLK_AIO_THREADS;
	cfg.cache = cache;
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, &recorder.be, "blk0"), 0);
	ft = fake_transport_create(dev, RING);
}

/* Sends one request with a sector of data, or none for a flush. Returns its status. */
static uint8_t run(uint32_t type)
{
	struct vdriver *d = fake_driver(ft, 0);
	struct virtio_blk_outhdr hdr = { .type = type };
	gpa_t at = vdriver_alloc(d, 16 + 512 + 1);
	struct vbuf buf[3] = { { at, 16, false },
			       { at + 16, 512, type == VIRTIO_BLK_T_IN },
			       { at + 16 + 512, 1, true } };
	uint16_t head;

	if (type == VIRTIO_BLK_T_FLUSH)
		buf[1] = buf[2];
	memcpy(vdriver_ptr(d, at), &hdr, sizeof(hdr));
	vdriver_add(d, buf, type == VIRTIO_BLK_T_FLUSH ? 2 : 3);
	fake_kick(ft, 0);
	fake_wait_used(ft, 0, &head, &used_len);
	return *((uint8_t *)vdriver_ptr(d, at) + 16 + 512);
}

static void run_recorded(uint64_t features, uint32_t type)
{
	ck_assert_int_eq(fake_start(ft, features), 0);
	run(type);
	fake_stop(ft);
}

static void one_stable_write(void)
{
	ck_assert_int_eq(recorder.nr_writes, 1);
	ck_assert_int_eq(recorder.nr_flushes, 1);
	ck_assert_int_eq(recorder.nr_volatile, 0);
}

#define FLUSH_BIT (1ull << VIRTIO_BLK_F_FLUSH)
#define WCE_BIT (1ull << VIRTIO_BLK_F_CONFIG_WCE)

/* rows D1, D5 */
START_TEST(a_writeback_disk_leaves_writes_to_the_next_flush)
{
	create_recorded(VIRTIO_BLK_WRITEBACK, false);
	run_recorded(dev->features, VIRTIO_BLK_T_OUT);
	ck_assert_int_eq(recorder.nr_volatile, 1);
	run_recorded(dev->features, VIRTIO_BLK_T_FLUSH);
	ck_assert_int_eq(recorder.nr_flushes, 1);
	fake_transport_free(ft);
}
END_TEST

/* row D5 */
START_TEST(without_the_flush_feature_writes_are_stable_when_they_complete)
{
	create_recorded(VIRTIO_BLK_WRITEBACK, false);
	run_recorded(dev->features & ~(FLUSH_BIT | WCE_BIT), VIRTIO_BLK_T_OUT);
	one_stable_write();
	fake_transport_free(ft);
}
END_TEST

/* row D5 */
START_TEST(a_writethrough_disk_offers_no_flush_and_writes_are_stable)
{
	create_recorded(VIRTIO_BLK_WRITETHROUGH, false);
	ck_assert_uint_eq(dev->features & (FLUSH_BIT | WCE_BIT), 0);
	ck_assert_uint_eq(config_wce(), 0);
	run_recorded(dev->features, VIRTIO_BLK_T_OUT);
	one_stable_write();
	fake_transport_free(ft);
}
END_TEST

static const uint32_t range_types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };

/* One range of a sector. Returns the request's status. */
static uint8_t run_range(uint32_t type)
{
	struct vdriver *d = fake_driver(ft, 0);
	struct virtio_blk_outhdr hdr = { .type = type };
	struct virtio_blk_discard_write_zeroes range = { 0, 1, 0 };
	gpa_t at = vdriver_alloc(d, 16 + 16 + 1);
	struct vbuf buf[2] = { { at, 32, false }, { at + 32, 1, true } };
	uint8_t *p = vdriver_ptr(d, at);
	uint16_t head;

	memcpy(p, &hdr, sizeof(hdr));
	memcpy(p + 16, &range, sizeof(range));
	p[32] = 0xee;
	vdriver_add(d, buf, 2);
	fake_kick(ft, 0);
	fake_wait_used(ft, 0, &head, &used_len);
	return p[32];
}

/* rows B8, D5 */
START_TEST(ranges_of_a_writethrough_disk_are_stable_too)
{
	create_recorded(VIRTIO_BLK_WRITETHROUGH, false);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	ck_assert_uint_eq(run_range(range_types[_i]), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(recorder.nr_flushes, 1);
	recorder.result = -EIO;
	ck_assert_uint_eq(run_range(range_types[_i]), VIRTIO_BLK_S_IOERR);
	fake_transport_free(ft);
	ck_assert_int_eq(recorder.nr_flushes, 1);	/* nothing to make stable */
}
END_TEST

/* row D5 */
START_TEST(an_unsafe_disk_ignores_flushes)
{
	create_recorded(VIRTIO_BLK_UNSAFE, false);
	run_recorded(dev->features, VIRTIO_BLK_T_OUT);
	run_recorded(dev->features, VIRTIO_BLK_T_FLUSH);
	ck_assert_int_eq(recorder.nr_volatile, 1);
	ck_assert_int_eq(recorder.nr_flushes, 0);
	fake_transport_free(ft);
}
END_TEST

/* rows D5, B11 */
START_TEST(switching_the_cache_off_flushes_and_makes_later_writes_stable)
{
	create_recorded(VIRTIO_BLK_WRITEBACK, false);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	dev->ops->write_config(dev, offsetof(struct virtio_blk_config, wce), "", 1);
	ck_assert_int_eq(recorder.nr_flushes, 1);
	run(VIRTIO_BLK_T_OUT);
	fake_transport_free(ft);
	ck_assert_int_eq(recorder.nr_flushes, 2);
	ck_assert_int_eq(recorder.nr_volatile, 0);
}
END_TEST

static void cache_off(void)
{
	dev->ops->write_config(dev, offsetof(struct virtio_blk_config, wce), "", 1);
}

/* rows D5, B11 */
START_TEST(a_write_is_stable_if_the_cache_is_switched_off_before_it_is_done)
{
	create_recorded(VIRTIO_BLK_WRITEBACK, false);
	recorder.on_write = cache_off;
	run_recorded(dev->features, VIRTIO_BLK_T_OUT);
	ck_assert_int_eq(recorder.nr_writes, 1);
	ck_assert_int_eq(recorder.nr_volatile, 0);
	fake_transport_free(ft);
}
END_TEST

/* row B6 */
START_TEST(a_read_only_disk_refuses_writes_before_the_backend)
{
	create_recorded(VIRTIO_BLK_WRITEBACK, true);
	ck_assert(dev->features & 1ull << VIRTIO_BLK_F_RO);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	ck_assert_uint_eq(run(VIRTIO_BLK_T_OUT), VIRTIO_BLK_S_IOERR);
	fake_transport_free(ft);
	ck_assert_int_eq(recorder.nr_writes, 0);
}
END_TEST

/* row H1 */
START_TEST(an_error_of_the_host_is_an_io_error_and_the_next_request_works)
{
	create_recorded(VIRTIO_BLK_WRITEBACK, false);
	recorder.result = -ENOSPC;
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	ck_assert_uint_eq(run(VIRTIO_BLK_T_OUT), VIRTIO_BLK_S_IOERR);
	fake_stop(ft);
	recorder.result = 0;
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	ck_assert_uint_eq(run(VIRTIO_BLK_T_OUT), VIRTIO_BLK_S_OK);
	fake_transport_free(ft);
}
END_TEST

/* row B9: what the host did not give must not be taken for data */
START_TEST(a_failed_read_tells_of_no_byte_before_its_status)
{
	create_recorded(VIRTIO_BLK_WRITEBACK, false);
	recorder.result = -EIO;
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	ck_assert_uint_eq(run(VIRTIO_BLK_T_IN), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(used_len, 0);
	fake_transport_free(ft);
}
END_TEST

/* rows D2, D8 */
START_TEST(what_is_left_behind_is_flushed_and_a_failure_is_told)
{
	create_recorded(VIRTIO_BLK_WRITEBACK, false);
	run_recorded(dev->features, VIRTIO_BLK_T_OUT);
	ck_assert_int_eq(recorder.nr_flushes, 0);
	ck_assert_int_eq(dev->ops->settle(dev), 0);
	ck_assert_int_eq(recorder.nr_flushes, 1);
	recorder.result = -EIO;
	ck_assert_int_eq(dev->ops->settle(dev), -EIO);
	fake_transport_free(ft);
}
END_TEST

/* It hangs until it is let go. */
static pthread_mutex_t host = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint nr_hanging;

static int hanging_flush(struct blk_backend *b)
{
	(void)b;
	atomic_fetch_add(&nr_hanging, 1);
	pthread_mutex_lock(&host);
	pthread_mutex_unlock(&host);
	return -EIO;
}

/* So a disk whose host hangs does not keep another from its last flush. rows D8, H3 */
START_TEST(the_end_of_a_disk_is_begun_without_waiting_for_it)
{
	struct blk_backend_ops hanging = recorder_ops;

	create_recorded(VIRTIO_BLK_WRITEBACK, false);
	hanging.flush = hanging_flush;
	recorder.be.ops = &hanging;
	if (_i)
		ck_assert_int_eq(fake_start(ft, dev->features), 0);
	pthread_mutex_lock(&host);
	dev->ops->end(dev);
	while (!atomic_load(&nr_hanging))
		usleep(100);
	pthread_mutex_unlock(&host);
	fake_stop(ft);
	ck_assert_int_eq(dev->ops->settle(dev), -EIO);
	ck_assert_uint_eq(atomic_load(&nr_hanging), 1);
	fake_transport_free(ft);
}
END_TEST

/* rows D2, D8 */
START_TEST(at_the_end_a_disk_is_flushed_once_after_its_last_request)
{
	create_recorded(VIRTIO_BLK_WRITEBACK, false);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	run(VIRTIO_BLK_T_OUT);
	dev->ops->end(dev);
	fake_stop(ft);
	ck_assert_int_eq(dev->ops->settle(dev), 0);
	ck_assert_int_eq(recorder.nr_volatile, 0);
	ck_assert_int_eq(recorder.nr_flushes, 1);
	fake_transport_free(ft);
}
END_TEST

/* row D8 */
START_TEST(a_read_only_disk_has_nothing_to_flush)
{
	create_recorded(VIRTIO_BLK_WRITEBACK, true);
	ck_assert_int_eq(dev->ops->settle(dev), 0);
	ck_assert_int_eq(recorder.nr_flushes, 0);
	fake_transport_free(ft);
}
END_TEST

static const struct {
	uint16_t queues, size;
} bad_numbers[] = { { 0, 64 }, { 65, 64 }, { 1, 0 }, { 1, 2 }, { 1, 48 }, { 1, 32769 } };

/* row K2 */
START_TEST(numbers_outside_their_range_are_refused)
{
	memset(&recorder, 0, sizeof(recorder));
	recorder.be = (struct blk_backend){ .ops = &recorder_ops, .size = 512 };
	cfg = (struct virtio_blk_cfg)VIRTIO_BLK_CFG_DEFAULT;
	cfg.queues = bad_numbers[_i].queues;
	cfg.queue_size = bad_numbers[_i].size;
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, &recorder.be, "blk0"), -EINVAL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_blk_cache");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_writeback_disk_leaves_writes_to_the_next_flush);
	tcase_add_test(tc, without_the_flush_feature_writes_are_stable_when_they_complete);
	tcase_add_test(tc, a_writethrough_disk_offers_no_flush_and_writes_are_stable);
	tcase_add_loop_test(tc, ranges_of_a_writethrough_disk_are_stable_too, 0,
			    ARRAY_SIZE(range_types));
	tcase_add_test(tc, an_unsafe_disk_ignores_flushes);
	tcase_add_test(tc, switching_the_cache_off_flushes_and_makes_later_writes_stable);
	tcase_add_test(tc, a_write_is_stable_if_the_cache_is_switched_off_before_it_is_done);
	tcase_add_test(tc, a_read_only_disk_refuses_writes_before_the_backend);
	tcase_add_test(tc, an_error_of_the_host_is_an_io_error_and_the_next_request_works);
	tcase_add_test(tc, a_failed_read_tells_of_no_byte_before_its_status);
	tcase_add_test(tc, what_is_left_behind_is_flushed_and_a_failure_is_told);
	tcase_add_loop_test(tc, the_end_of_a_disk_is_begun_without_waiting_for_it, 0, 2);
	tcase_add_test(tc, at_the_end_a_disk_is_flushed_once_after_its_last_request);
	tcase_add_test(tc, a_read_only_disk_has_nothing_to_flush);
	tcase_add_loop_test(tc, numbers_outside_their_range_are_refused, 0,
			    ARRAY_SIZE(bad_numbers));
	suite_add_tcase(s, tc);
	return s;
}
