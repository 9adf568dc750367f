/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushes of a disk with several rings, whose host loses what it was to make
 * stable and tells one of those that asked at the time.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blk_req.h"
#include "fake_transport.h"
#include "fake_uring.h"
#include "runner.h"
#include "util.h"
#include "virtio_blk.h"

#define RING 64u
#define NR_QUEUES 3u
#define NR_EACH 4u

static struct fake_transport *ft;
static struct virtio_dev *dev;

static void open_disk(enum virtio_blk_cache cache, unsigned int queues, bool async_writes)
{
	struct virtio_blk_cfg cfg = VIRTIO_BLK_CFG_DEFAULT;
	const char *tmp = getenv("TMPDIR");
	struct blk_backend *be;
	char path[256];

	fake_uring_reset();
	snprintf(path, sizeof(path), "%s/blk-flush-XXXXXX", tmp ? tmp : "/tmp");
	cfg.file.fd = mkstemp(path);
	ck_assert_int_ge(cfg.file.fd, 0);
	unlink(path);
	ck_assert_int_eq(ftruncate(cfg.file.fd, FAKE_URING_DISK), 0);
	cfg.cache = cache;
	cfg.queues = (uint16_t)queues;
	cfg.queue_size = RING;
	ck_assert_int_eq(blk_file_open(&be, &cfg.file, "blk0"), 0);
	be->async_reads = true;
	be->async_writes = async_writes;
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, be, "blk0"), 0);
	ft = fake_transport_create(dev, RING);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	ck_assert_uint_eq(fake_stat(ft, "io_uring"), 1);
}

struct asked {
	uint8_t *data, *status;
	uint64_t sector;
};

/* A sector of the value, or a flush. */
static struct asked ask(unsigned int q, uint32_t type, uint64_t sector, uint8_t value)
{
	struct vdriver *v = fake_driver(ft, q);
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	gpa_t at = vdriver_alloc(v, BLK_SECTOR + 17);
	struct vbuf buf[3] = { { at + BLK_SECTOR, 16, false }, { at, BLK_SECTOR, false },
			       { at + BLK_SECTOR + 16, 1, true } };
	struct asked a = { vdriver_ptr(v, at), vdriver_ptr(v, at + BLK_SECTOR + 16), sector };

	memset(a.data, value, BLK_SECTOR);
	memcpy(a.data + BLK_SECTOR, &hdr, sizeof(hdr));
	*a.status = 0xee;
	if (type == VIRTIO_BLK_T_FLUSH)
		buf[1] = buf[2];
	vdriver_add(v, buf, type == VIRTIO_BLK_T_FLUSH ? 2 : 3);
	return a;
}

static void finish(unsigned int q, unsigned int n)
{
	uint16_t head;
	uint32_t len;

	while (n--)
		fake_wait_used(ft, q, &head, &len);
}

static void expect_durable_if_ok(const struct asked *a)
{
	if (*a->status != VIRTIO_BLK_S_OK)
		return;
	pthread_mutex_lock(&fake_uring.lock);
	ck_assert_mem_eq(fake_uring.durable + a->sector * BLK_SECTOR, a->data, BLK_SECTOR);
	pthread_mutex_unlock(&fake_uring.lock);
}

/* Rows of the loops: one queue or all, writes in the ring or on the thread, 10 orders. */
#define NR_VARIANTS 40

static void vary(int i, enum virtio_blk_cache cache, unsigned int *nr_queues)
{
	*nr_queues = i & 1 ? NR_QUEUES : 1;
	open_disk(cache, *nr_queues, i & 2);
	fake_uring_rules(1 + (unsigned int)i / 4, 0, 0, 0);
}

/* row D2 */
START_TEST(no_stable_write_is_answered_whose_data_was_lost_with_anothers)
{
	struct asked a[NR_QUEUES][NR_EACH];
	unsigned int nr_queues, failed = 0;

	vary(_i, VIRTIO_BLK_WRITETHROUGH, &nr_queues);
	fake_uring_lose();
	fake_uring_hold(true);
	for (unsigned int q = 0; q < nr_queues; q++) {
		for (unsigned int i = 0; i < NR_EACH; i++)
			a[q][i] = ask(q, VIRTIO_BLK_T_OUT, q * NR_EACH + i, (uint8_t)(1 + i));
		fake_kick(ft, q);
	}
	while (!fake_uring_pending())
		usleep(100);
	usleep(5000);
	fake_uring_hold(false);
	for (unsigned int q = 0; q < nr_queues; q++) {
		finish(q, NR_EACH);
		for (unsigned int i = 0; i < NR_EACH; i++) {
			expect_durable_if_ok(&a[q][i]);
			failed += *a[q][i].status == VIRTIO_BLK_S_IOERR;
		}
	}
	ck_assert_uint_eq(failed, nr_queues * NR_EACH);
	fake_transport_free(ft);
}
END_TEST

/* row D2 */
START_TEST(no_flush_is_answered_whose_data_was_lost_with_anothers)
{
	struct asked f[NR_QUEUES][2];
	unsigned int nr_queues;

	vary(_i, VIRTIO_BLK_WRITEBACK, &nr_queues);
	for (unsigned int q = 0; q < nr_queues; q++) {
		ask(q, VIRTIO_BLK_T_OUT, q, (uint8_t)(1 + q));
		fake_kick(ft, q);
		finish(q, 1);
	}
	fake_uring_lose();
	fake_uring_hold(true);
	for (unsigned int q = 0; q < nr_queues; q++) {
		for (unsigned int i = 0; i < 2; i++)
			f[q][i] = ask(q, VIRTIO_BLK_T_FLUSH, 0, 0);
		fake_kick(ft, q);
	}
	while (!fake_uring_pending())
		usleep(100);
	usleep(5000);
	fake_uring_hold(false);
	for (unsigned int q = 0; q < nr_queues; q++) {
		finish(q, 2);
		for (unsigned int i = 0; i < 2; i++)
			ck_assert_uint_eq(*f[q][i].status, VIRTIO_BLK_S_IOERR);
	}
	fake_transport_free(ft);
}
END_TEST

/* rows D1, D3 */
START_TEST(flushes_of_all_queues_are_done_one_at_a_time)
{
	unsigned int nr_queues, rounds = 20;

	vary(_i, VIRTIO_BLK_WRITEBACK, &nr_queues);
	while (rounds--) {
		struct asked w[NR_QUEUES], f;

		for (unsigned int q = 0; q < nr_queues; q++) {
			w[q] = ask(q, VIRTIO_BLK_T_OUT, q, (uint8_t)rounds);
			f = ask(q, VIRTIO_BLK_T_FLUSH, 0, 0);
			fake_kick(ft, q);
			finish(q, 2);
			ck_assert_uint_eq(*f.status, VIRTIO_BLK_S_OK);
			ask(q, VIRTIO_BLK_T_FLUSH, 0, 0);
			fake_kick(ft, q);	/* beside the next queue's */
		}
		for (unsigned int q = 0; q < nr_queues; q++) {
			finish(q, 1);
			expect_durable_if_ok(&w[q]);
		}
	}
	ck_assert_uint_eq(fake_uring.max_syncs, 1);
	fake_transport_free(ft);
}
END_TEST

/* rows D1, T13 */
START_TEST(a_stop_waits_for_a_flush_that_another_queue_has_begun)
{
	struct asked f[NR_QUEUES];
	unsigned int rounds = 20;

	open_disk(VIRTIO_BLK_WRITEBACK, NR_QUEUES, false);
	while (rounds--) {
		for (unsigned int q = 0; q < NR_QUEUES; q++) {
			f[q] = ask(q, VIRTIO_BLK_T_FLUSH, 0, 0);
			fake_kick(ft, q);
		}
		fake_stop(ft);
		for (unsigned int q = 0; q < NR_QUEUES; q++)
			ck_assert_uint_eq(*f[q].status, VIRTIO_BLK_S_OK);
		ck_assert_int_eq(fake_start(ft, dev->features), 0);
	}
	fake_transport_free(ft);
}
END_TEST

/* Group commit: those that wait for the same flush share it. row D1 */
START_TEST(stable_writes_that_come_together_share_a_flush)
{
	struct asked a[16];

	open_disk(VIRTIO_BLK_WRITETHROUGH, 1, _i);
	fake_uring_hold(true);
	for (unsigned int i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = ask(0, VIRTIO_BLK_T_OUT, i, (uint8_t)(1 + i));
	fake_kick(ft, 0);
	while (!fake_uring_pending())
		usleep(100);
	fake_uring_hold(false);
	finish(0, ARRAY_SIZE(a));
	for (unsigned int i = 0; i < ARRAY_SIZE(a); i++) {
		ck_assert_uint_eq(*a[i].status, VIRTIO_BLK_S_OK);
		expect_durable_if_ok(&a[i]);
	}
	ck_assert_uint_le(fake_uring.nr_flushes, _i ? ARRAY_SIZE(a) : 1);
	fake_transport_free(ft);
}
END_TEST

/* rows D5, B11 */
START_TEST(writes_in_flight_when_the_cache_is_switched_off_are_stable)
{
	struct asked a[NR_QUEUES];

	open_disk(VIRTIO_BLK_WRITEBACK, NR_QUEUES, true);
	fake_uring_hold(true);
	for (unsigned int q = 0; q < NR_QUEUES; q++) {
		a[q] = ask(q, VIRTIO_BLK_T_OUT, q, (uint8_t)(1 + q));
		fake_kick(ft, q);
	}
	while (fake_uring_pending() < NR_QUEUES)
		usleep(100);
	dev->ops->write_config(dev, offsetof(struct virtio_blk_config, wce), "", 1);
	fake_uring_hold(false);
	for (unsigned int q = 0; q < NR_QUEUES; q++) {
		finish(q, 1);
		ck_assert_uint_eq(*a[q].status, VIRTIO_BLK_S_OK);
		expect_durable_if_ok(&a[q]);
	}
	fake_transport_free(ft);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_uring_flush");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, no_stable_write_is_answered_whose_data_was_lost_with_anothers, 0,
			    NR_VARIANTS);
	tcase_add_loop_test(tc, no_flush_is_answered_whose_data_was_lost_with_anothers, 0,
			    NR_VARIANTS);
	tcase_add_loop_test(tc, flushes_of_all_queues_are_done_one_at_a_time, 0, 8);
	tcase_add_test(tc, a_stop_waits_for_a_flush_that_another_queue_has_begun);
	tcase_add_loop_test(tc, stable_writes_that_come_together_share_a_flush, 0, 2);
	tcase_add_test(tc, writes_in_flight_when_the_cache_is_switched_off_are_stable);
	suite_add_tcase(s, tc);
	return s;
}
