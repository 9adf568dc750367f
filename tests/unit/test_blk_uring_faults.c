/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring engine over a ring that completes in any order, cuts transfers
 * short, interrupts and fails them, and knows what is on stable storage.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdatomic.h>
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

#define LEN FAKE_URING_DISK
#define SECTORS (LEN / BLK_SECTOR)
#define RING 128u

static struct fake_transport *ft;
static struct virtio_dev *dev;
static int image;
static bool fits_in_pieces;		/* a request's list may be long */
static bool sqpoll;			/* set by the test */
static uint32_t poll_us;		/* the same */
static uint8_t model[LEN];		/* what the disk has to hold */

static void open_disk(enum virtio_blk_cache cache, uint16_t ring)
{
	struct virtio_blk_cfg cfg = VIRTIO_BLK_CFG_DEFAULT;
	const char *tmp = getenv("TMPDIR");
	struct blk_backend *be;
	char path[256];

	fake_uring_reset();
	memset(model, 0, sizeof(model));
	snprintf(path, sizeof(path), "%s/blk-faults-XXXXXX", tmp ? tmp : "/tmp");
	image = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(image, 0);
	ck_assert_int_eq(ftruncate(image, LEN), 0);
	cfg.file.path = path;
	cfg.cache = cache;
	cfg.queue_size = ring;
	cfg.sqpoll = sqpoll;
	cfg.poll_us = poll_us;
	fits_in_pieces = ring >= RING;
	ck_assert_int_eq(blk_file_open(&be, &cfg.file, "blk0"), 0);
	unlink(path);
	be->async_reads = be->async_writes = true;	/* all goes to the ring */
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, be, "blk0"), 0);
	ft = fake_transport_create(dev, ring);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	ck_assert_uint_eq(fake_stat(ft, "io_uring"), 1);
}

static void close_disk(void)
{
	fake_transport_free(ft);
	close(image);
}

struct asked {
	uint32_t type, len;
	uint64_t sector;
	gpa_t data;
};

/* Room for the data, then header and status; one descriptor of the ring for each. */
static struct asked ask(uint32_t type, uint64_t sector, uint32_t len, uint32_t piece)
{
	struct vdriver *v = fake_driver(ft, 0);
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	struct asked a = { type, len, sector, vdriver_alloc(v, len + 17) };
	struct vbuf buf[20];
	unsigned int n = 1;

	memcpy(vdriver_ptr(v, a.data + len), &hdr, sizeof(hdr));
	*((uint8_t *)vdriver_ptr(v, a.data + len) + 16) = 0xee;
	buf[0] = (struct vbuf){ a.data + len, 16, false };
	for (uint32_t off = 0; off < len; off += piece)
		buf[n++] = (struct vbuf){ a.data + off, MIN(piece, len - off),
					  type == VIRTIO_BLK_T_IN };
	buf[n++] = (struct vbuf){ a.data + len + 16, 1, true };
	vdriver_add_indirect(v, buf, n);
	return a;
}

static uint8_t status_of(const struct asked *a)
{
	return *((uint8_t *)vdriver_ptr(fake_driver(ft, 0), a->data + a->len) + 16);
}

static void finish(unsigned int n)
{
	uint16_t head;
	uint32_t len;

	fake_kick(ft, 0);
	while (n--)
		fake_wait_used(ft, 0, &head, &len);
}

static uint8_t ask_alone(uint32_t type, uint64_t sector, uint32_t len)
{
	struct asked a = ask(type, sector, len, 512);

	finish(1);
	return status_of(&a);
}

/* Writes to places of their own, noted in the model; n at once. */
static void write_some(struct asked *a, unsigned int n, unsigned int *seed)
{
	for (unsigned int i = 0; i < n; i++) {
		uint32_t len = (1 + (uint32_t)rand_r(seed) % 16) * 512;
		uint32_t piece = (1 + (uint32_t)rand_r(seed) % 6) * 512;
		uint64_t sector = i * 32 + (uint64_t)rand_r(seed) % 16;
		uint8_t *data;

		piece = fits_in_pieces ? MAX(piece, len / 16 + 1) : len;
		a[i] = ask(VIRTIO_BLK_T_OUT, sector, len, piece);
		data = vdriver_ptr(fake_driver(ft, 0), a[i].data);
		for (uint32_t j = 0; j < len; j++)
			data[j] = (uint8_t)rand_r(seed);
		memcpy(model + sector * BLK_SECTOR, data, len);
	}
}

static void all_are(const struct asked *a, unsigned int n, uint8_t status)
{
	for (unsigned int i = 0; i < n; i++)
		ck_assert_uint_eq(status_of(&a[i]), status);
}

static void read_back(const struct asked *a, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct asked r = ask(VIRTIO_BLK_T_IN, a[i].sector, a[i].len,
				     fits_in_pieces ? 1024 : a[i].len);

		finish(1);
		ck_assert_uint_eq(status_of(&r), VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(vdriver_ptr(fake_driver(ft, 0), r.data),
				 model + r.sector * BLK_SECTOR, r.len);
	}
}

/* rows H1, D6 */
START_TEST(parts_and_interruptions_of_transfers_are_made_up_for)
{
	struct asked a[60];
	unsigned int seed = 1 + (unsigned int)_i;

	open_disk(VIRTIO_BLK_WRITEBACK, RING);
	fake_uring_rules(seed, 50, 20, 0);
	for (unsigned int round = 0; round < 10; round++) {
		gpa_t mark = fake_driver(ft, 0)->next_gpa;

		write_some(a, 60, &seed);
		finish(60);
		all_are(a, 60, VIRTIO_BLK_S_OK);
		read_back(a, 60);
		fake_driver(ft, 0)->next_gpa = mark;
	}
	ck_assert_uint_eq(fake_queue_stat(ft, 0, "errors"), 0);
	ck_assert_uint_gt(fake_uring.max_pending, 8);
	close_disk();
}
END_TEST

/*
 * What was answered before a flush was asked for is on stable storage when the flush
 * is answered, whatever else is under way.
 */
/* rows D1, D3 */
START_TEST(an_answered_flush_covers_all_writes_answered_before)
{
	struct asked a[30], b[30], f;
	unsigned int seed = 7 + (unsigned int)_i;
	static uint8_t promised[LEN];

	open_disk(VIRTIO_BLK_WRITEBACK, RING);
	fake_uring_rules(seed, 30, 0, 0);
	for (unsigned int round = 0; round < 20; round++) {
		gpa_t mark = fake_driver(ft, 0)->next_gpa;

		write_some(a, 30, &seed);
		finish(30);
		memcpy(promised, model, sizeof(promised));
		f = ask(VIRTIO_BLK_T_FLUSH, 0, 0, 1);
		for (unsigned int i = 0; i < 30; i++)	/* elsewhere, at the same time */
			b[i] = ask(VIRTIO_BLK_T_OUT, 1024 + i * 8, 512, 512);
		finish(31);
		ck_assert_uint_eq(status_of(&f), VIRTIO_BLK_S_OK);
		all_are(b, 30, VIRTIO_BLK_S_OK);
		pthread_mutex_lock(&fake_uring.lock);
		ck_assert_mem_eq(fake_uring.durable, promised, 1024 * BLK_SECTOR);
		pthread_mutex_unlock(&fake_uring.lock);
		fake_driver(ft, 0)->next_gpa = mark;
	}
	ck_assert_uint_eq(fake_uring.nr_flushes, 20);
	close_disk();
}
END_TEST

/* row D1 */
START_TEST(a_flush_is_not_answered_while_the_host_flushes)
{
	struct asked f;

	open_disk(VIRTIO_BLK_WRITEBACK, RING);
	fake_uring_hold(true);
	f = ask(VIRTIO_BLK_T_FLUSH, 0, 0, 1);
	fake_kick(ft, 0);
	while (!fake_uring_pending())
		usleep(100);
	usleep(20000);
	ck_assert_uint_eq(status_of(&f), 0xee);
	fake_uring_hold(false);
	finish(1);
	ck_assert_uint_eq(status_of(&f), VIRTIO_BLK_S_OK);
	close_disk();
}
END_TEST

/* row D5 */
START_TEST(a_writethrough_disk_makes_every_write_stable)
{
	struct asked a[60];
	unsigned int seed = 3;

	open_disk(VIRTIO_BLK_WRITETHROUGH, RING);
	fake_uring_rules(seed, 30, 0, 0);
	for (unsigned int round = 0; round < 5; round++) {
		write_some(a, 60, &seed);
		finish(60);
		all_are(a, 60, VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(fake_uring.durable, model, sizeof(model));
	}
	ck_assert_uint_eq(fake_uring.nr_dsync, 0);
	close_disk();
}
END_TEST

static const int failures[] = { -EIO, -ENOSPC, -EDQUOT, 0 };

/* rows H1, H2 */
START_TEST(a_transfer_that_fails_is_an_error_and_the_next_one_works)
{
	const uint32_t type = _i & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;

	open_disk(VIRTIO_BLK_WRITEBACK, RING);
	fake_uring_fail(1, failures[_i / 2]);
	ck_assert_uint_eq(ask_alone(type, 8, 2048), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(ask_alone(type, 8, 2048), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_queue_stat(ft, 0, "errors"), 1);
	close_disk();
}
END_TEST

static const int not_done[] = { -ECANCELED, -EINTR, -EAGAIN };
static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH };

/* A host that has no thread for it, for a moment. */
/* rows H1, H4, D2 */
START_TEST(what_the_ring_has_not_done_is_done_on_the_queues_thread)
{
	const uint32_t type = types[_i % 3], len = type == VIRTIO_BLK_T_FLUSH ? 0 : 2048;

	open_disk(VIRTIO_BLK_WRITEBACK, RING);
	fake_uring_fail(1, not_done[_i / 3]);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_uint_eq(ask_alone(type, 8, len), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_queue_stat(ft, 0, "errors"), 0);
	close_disk();
}
END_TEST

/* row H4 */
START_TEST(an_interrupt_that_the_ring_could_not_send_is_sent)
{
	open_disk(VIRTIO_BLK_WRITEBACK, RING);
	for (unsigned int i = 0; i < 10; i++) {
		pthread_mutex_lock(&fake_uring.lock);
		fake_uring.fail_signals = i % 3;
		pthread_mutex_unlock(&fake_uring.lock);
		ask(VIRTIO_BLK_T_IN, 8, 512, 512);
		vdriver_want_irq_at(fake_driver(ft, 0), (uint16_t)i);
		fake_kick(ft, 0);
		ck_assert(fake_wait_irq(ft, 0, 5000));
		finish(1);
	}
	close_disk();
}
END_TEST

/* row D2 */
START_TEST(a_flush_that_failed_is_never_taken_back)
{
	open_disk(VIRTIO_BLK_WRITEBACK, RING);
	ck_assert_uint_eq(ask_alone(VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	fake_uring_fail(1, -EIO);
	for (unsigned int i = 0; i < 5; i++)
		ck_assert_uint_eq(ask_alone(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_IOERR);
	fake_stop(ft);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	ck_assert_uint_eq(ask_alone(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(ask_alone(VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fake_uring.nr_flushes, 0);
	close_disk();
}
END_TEST

/* row D2 */
START_TEST(a_stable_write_whose_flush_failed_is_the_last_stable_one)
{
	open_disk(VIRTIO_BLK_WRITETHROUGH, RING);
	ck_assert_uint_eq(ask_alone(VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	fake_uring_fail(2, -EIO);	/* the flush of it */
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_uint_eq(ask_alone(VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(ask_alone(VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	close_disk();
}
END_TEST

/* n at once, and in each round the same memory again. */
static void write_and_read_back(unsigned int n, unsigned int rounds, unsigned int seed)
{
	struct asked a[60];

	while (rounds--) {
		gpa_t mark = fake_driver(ft, 0)->next_gpa;

		write_some(a, n, &seed);
		finish(n);
		all_are(a, n, VIRTIO_BLK_S_OK);
		read_back(a, n);
		fake_driver(ft, 0)->next_gpa = mark;
	}
}

/* A host short of memory refuses submissions for a while. */
/* rows H1, H4 */
START_TEST(refused_submissions_are_made_again)
{
	const unsigned int seed = 5;

	open_disk(VIRTIO_BLK_WRITEBACK, _i ? RING : 4);
	fake_uring_rules(seed, 60, 0, 70);
	write_and_read_back(_i ? 60 : 4, _i ? 10 : 100, seed);
	close_disk();
}
END_TEST

/* So a request may be over, and its slot in use again, while its entry is still in the ring. */
START_TEST(entries_that_a_kernel_thread_gives_back_late_are_waited_for)
{
	sqpoll = true;
	open_disk(VIRTIO_BLK_WRITEBACK, _i ? RING : 4);
	write_and_read_back(_i ? 60 : 4, 100, 7);
	close_disk();
}
END_TEST

/* rows T13, D8, V4 */
START_TEST(stop_waits_for_all_that_is_in_flight)
{
	struct asked a[60];
	unsigned int seed = 9;

	open_disk(VIRTIO_BLK_WRITEBACK, RING);
	for (unsigned int round = 0; round < 20; round++) {
		write_some(a, 60, &seed);
		fake_kick(ft, 0);
		fake_stop(ft);
		ck_assert_uint_eq(fake_uring_pending(), 0);
		all_are(a, 60, VIRTIO_BLK_S_OK);
		ck_assert_int_eq(fake_start(ft, dev->features), 0);
		read_back(a, 10);
	}
	close_disk();
}
END_TEST

static unsigned int nr_calls(void)
{
	unsigned int n;

	pthread_mutex_lock(&fake_uring.lock);
	n = fake_uring.nr_calls;
	pthread_mutex_unlock(&fake_uring.lock);
	return n;
}

/* It may still be about to sleep when it is first asked. */
#define CALLS_TO_SLEEP 3u

/* row H3 */
START_TEST(a_thread_that_polls_looks_for_completions_in_memory)
{
	struct asked a;
	unsigned int before;

	poll_us = 50000;
	open_disk(VIRTIO_BLK_WRITEBACK, RING);
	for (unsigned int i = 0; i < 20; i++)	/* it learns that polling pays */
		ask_alone(VIRTIO_BLK_T_IN, 8, 512);
	fake_uring_hold(true);
	before = nr_calls();
	a = ask(VIRTIO_BLK_T_IN, 8, 512, 512);
	fake_kick(ft, 0);
	while (!fake_uring_pending())
		usleep(100);
	usleep(100000);		/* it polls, and then it sleeps */
	ck_assert_uint_le(nr_calls() - before, 2 + CALLS_TO_SLEEP);
	fake_uring_hold(false);
	finish(1);
	ck_assert_uint_eq(status_of(&a), VIRTIO_BLK_S_OK);
	close_disk();
}
END_TEST

/* If it does not, this waits for ever. row H3 */
START_TEST(a_thread_that_polls_sleeps_when_all_its_slots_wait_for_the_host)
{
	poll_us = 100000;
	open_disk(VIRTIO_BLK_WRITEBACK, 256);
	for (unsigned int i = 0; i < 20; i++)
		ask_alone(VIRTIO_BLK_T_IN, 8, 512);
	fake_uring_hold(true);
	for (unsigned int i = 0; i < 200; i++)
		ask(VIRTIO_BLK_T_IN, 8, 512, 512);
	fake_kick(ft, 0);
	while (fake_uring_pending() < 124)
		usleep(100);
	fake_uring_wait_asleep();
	fake_uring_hold(false);
	finish(200);
	close_disk();
}
END_TEST

static const uint16_t ring_sizes[] = { 4, 64, 128, 256, 512, 1024 };

/* rows D8, V4 */
START_TEST(a_stop_answers_a_whole_ring_of_requests)
{
	const uint16_t size = ring_sizes[_i];
	static struct asked a[1024];

	open_disk(VIRTIO_BLK_WRITEBACK, size);
	for (unsigned int i = 0; i < size; i++)
		a[i] = ask(i % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, i, 512, 512);
	vdriver_show(fake_driver(ft, 0));	/* and no doorbell */
	fake_stop(ft);
	all_are(a, size, VIRTIO_BLK_S_OK);
	close_disk();
}
END_TEST

/* A driver that adds a request while the device shows what it has done: without a doorbell. */
static atomic_bool armed, added;
static bool wanted_kick;

/* It is refused, so it does not go through the ring. */
static void ask_nonsense(void)
{
	struct vdriver *d = fake_driver(ft, 0);

	ask(0x777, 0, 0, 1);
	vdriver_want_irq_at(d, d->used_seen);
}

static void add_one_more(void *driver)
{
	if (!atomic_exchange(&armed, false))
		return;
	ask_nonsense();
	wanted_kick = vdriver_show(driver);
	atomic_store(&added, true);
}

START_TEST(a_request_that_comes_before_doorbells_are_on_is_seen)
{
	struct vdriver *d;

	open_disk(VIRTIO_BLK_WRITEBACK, RING);
	d = fake_driver(ft, 0);
	fake_stop(ft);
	fake_on_irq(ft, 0, add_one_more, d);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	ask_nonsense();
	finish(1);
	while (vdriver_kick_at(d) != 1)		/* now it waits for a doorbell */
		usleep(100);
	atomic_store(&armed, true);
	ask_nonsense();
	fake_kick(ft, 0);
	while (!atomic_load(&added))
		usleep(100);
	ck_assert(!wanted_kick);
	finish(2);
	close_disk();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_uring_faults");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, parts_and_interruptions_of_transfers_are_made_up_for, 0, 8);
	tcase_add_loop_test(tc, an_answered_flush_covers_all_writes_answered_before, 0, 8);
	tcase_add_test(tc, a_flush_is_not_answered_while_the_host_flushes);
	tcase_add_test(tc, a_writethrough_disk_makes_every_write_stable);
	tcase_add_loop_test(tc, a_transfer_that_fails_is_an_error_and_the_next_one_works, 0, 8);
	tcase_add_loop_test(tc, what_the_ring_has_not_done_is_done_on_the_queues_thread, 0, 9);
	tcase_add_test(tc, an_interrupt_that_the_ring_could_not_send_is_sent);
	tcase_add_test(tc, a_flush_that_failed_is_never_taken_back);
	tcase_add_test(tc, a_stable_write_whose_flush_failed_is_the_last_stable_one);
	tcase_add_loop_test(tc, refused_submissions_are_made_again, 0, 2);
	tcase_add_loop_test(tc, entries_that_a_kernel_thread_gives_back_late_are_waited_for, 0, 2);
	tcase_add_test(tc, stop_waits_for_all_that_is_in_flight);
	tcase_add_test(tc, a_thread_that_polls_looks_for_completions_in_memory);
	tcase_add_test(tc, a_thread_that_polls_sleeps_when_all_its_slots_wait_for_the_host);
	tcase_add_loop_test(tc, a_stop_answers_a_whole_ring_of_requests, 0,
			    ARRAY_SIZE(ring_sizes));
	tcase_add_test(tc, a_request_that_comes_before_doorbells_are_on_is_seen);
	suite_add_tcase(s, tc);
	return s;
}
