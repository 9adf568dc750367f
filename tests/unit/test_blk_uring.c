/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring engine beside the plain one: the same traffic has the same
 * answers and leaves the same image. And what only an engine with many
 * requests in flight can get wrong.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blk_req.h"
#include "fake_transport.h"
#include "runner.h"
#include "util.h"
#include "virtio_blk.h"
#include "worker.h"

#define DISK_LEN MIB(2)
#define RING 256u
#define SECTORS (DISK_LEN / BLK_SECTOR)
#define SKIP 77

struct disk {
	struct virtio_dev *dev;
	struct fake_transport *ft;
	int image;
};

static bool use_direct, use_sqpoll;
static uint32_t poll_us;
static unsigned int odd;	/* where in a page data begins */
static enum virtio_blk_cache cache;

static int temporary_file(void)
{
	const char *tmp = getenv("TMPDIR");
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/blk-uring-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	unlink(path);
	return fd;
}

/* false: this file system has no O_DIRECT. */
static bool disk_open(struct disk *d, enum virtio_blk_aio aio)
{
	struct virtio_blk_cfg cfg = VIRTIO_BLK_CFG_DEFAULT;
	struct blk_backend *be;
	char path[32];

	d->image = temporary_file();
	ck_assert_int_ge(d->image, 0);
	ck_assert_int_eq(ftruncate(d->image, DISK_LEN), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", d->image);
	cfg.file.path = path;
	cfg.file.direct = use_direct;
	cfg.aio = aio;
	cfg.sqpoll = use_sqpoll && aio != VIRTIO_BLK_AIO_THREADS;
	cfg.cache = cache;
	cfg.poll_us = poll_us;
	cfg.queue_size = RING;
	if (blk_file_open(&be, &cfg.file, "blk0"))
		return false;
	ck_assert_int_eq(virtio_blk_create(&d->dev, &cfg, be, "blk0"), 0);
	d->ft = fake_transport_create(d->dev, RING);
	ck_assert_int_eq(fake_start(d->ft, d->dev->features), 0);
	return true;
}

static void disk_close(struct disk *d)
{
	fake_transport_free(d->ft);
	close(d->image);
}

/* A request whose data is cut into pieces of 512 bytes times a small number. */
static gpa_t add(struct disk *d, uint32_t type, uint64_t sector, uint32_t len, uint32_t piece)
{
	struct vdriver *v = fake_driver(d->ft, 0);
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	gpa_t at = align_up(v->next_gpa, 4096), hdr_at;
	struct vbuf buf[40];
	unsigned int n = 1;

	v->next_gpa = at;
	vdriver_alloc(v, (len ? len : 1) + odd);
	at += odd;
	hdr_at = vdriver_alloc(v, 17);
	memcpy(vdriver_ptr(v, hdr_at), &hdr, sizeof(hdr));
	*((uint8_t *)vdriver_ptr(v, hdr_at) + 16) = 0xee;
	buf[0] = (struct vbuf){ hdr_at, sizeof(hdr), false };
	for (uint32_t off = 0; off < len; off += piece)
		buf[n++] = (struct vbuf){ at + off, MIN(piece, len - off),
					  type == VIRTIO_BLK_T_IN };
	buf[n++] = (struct vbuf){ hdr_at + 16, 1, true };
	vdriver_add_indirect(v, buf, n);
	return at;
}

static void finish_all(struct disk *d, unsigned int n)
{
	uint16_t head;
	uint32_t len;

	fake_kick(d->ft, 0);
	while (n--)
		fake_wait_used(d->ft, 0, &head, &len);
}

/* A round of random requests, each in a place of its own; the same for the same seed. */
static void random_round(struct disk *d, unsigned int seed)
{
	struct vdriver *v = fake_driver(d->ft, 0);
	unsigned int align = use_direct ? 8 : 1, n = 0;
	gpa_t mark = v->next_gpa;
	unsigned int state = seed;

	for (uint64_t sector = 0; sector + 64 <= SECTORS && n < 60; sector += 64, n++) {
		uint32_t type = rand_r(&state) % 3 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
		uint32_t len = (1 + (uint32_t)rand_r(&state) % 32 / align * align) * 512;
		uint32_t piece = (1 + (uint32_t)rand_r(&state) % 8 / align * align) * 512;
		gpa_t at;

		if (use_direct) {
			len = (uint32_t)align_up(len, 4096);
			piece = (uint32_t)align_up(piece, 4096);
		}
		at = add(d, type, sector, len, piece);
		if (type == VIRTIO_BLK_T_OUT)
			memset(vdriver_ptr(v, at), rand_r(&state), len);
		if (rand_r(&state) % 16 == 0) {
			add(d, VIRTIO_BLK_T_FLUSH, 0, 0, 1);
			finish_all(d, 1);
			fake_kick(d->ft, 0);
		}
	}
	finish_all(d, (unsigned int)(v->size - v->nr_free));
	v->next_gpa = mark;
}

static void expect_same_images(const struct disk *a, const struct disk *b)
{
	static uint8_t x[DISK_LEN], y[DISK_LEN];

	ck_assert_int_eq(pread(a->image, x, sizeof(x), 0), sizeof(x));
	ck_assert_int_eq(pread(b->image, y, sizeof(y), 0), sizeof(y));
	ck_assert_mem_eq(x, y, sizeof(x));
}

static void compare_engines(void)
{
	struct disk plain, ring;

	if (!disk_open(&plain, VIRTIO_BLK_AIO_THREADS))
		return;
	ck_assert(disk_open(&ring, VIRTIO_BLK_AIO_IO_URING));
	for (unsigned int seed = 1; seed <= 40; seed++) {
		random_round(&plain, seed);
		random_round(&ring, seed);
	}
	expect_same_images(&plain, &ring);
	ck_assert_uint_eq(fake_queue_stat(ring.ft, 0, "bytes_read"),
			  fake_queue_stat(plain.ft, 0, "bytes_read"));
	ck_assert_uint_eq(fake_queue_stat(ring.ft, 0, "bytes_written"),
			  fake_queue_stat(plain.ft, 0, "bytes_written"));
	ck_assert_uint_eq(fake_queue_stat(ring.ft, 0, "errors"), 0);
	disk_close(&plain);
	disk_close(&ring);
}

START_TEST(random_traffic_leaves_the_same_image_as_the_plain_engine)
{
	compare_engines();
}
END_TEST

START_TEST(random_direct_traffic_leaves_the_same_image_as_the_plain_engine)
{
	use_direct = true;
	compare_engines();
}
END_TEST

START_TEST(direct_traffic_of_buffers_anywhere_leaves_the_same_image)
{
	use_direct = true;
	odd = _i ? 256 : 3;
	compare_engines();
}
END_TEST

START_TEST(a_kernel_thread_that_submits_leaves_the_same_image)
{
	use_sqpoll = true;
	use_direct = true;
	compare_engines();
}
END_TEST

START_TEST(a_thread_that_polls_leaves_the_same_image)
{
	use_direct = true;
	poll_us = 1000;
	compare_engines();
}
END_TEST

START_TEST(random_writethrough_traffic_leaves_the_same_image_as_the_plain_engine)
{
	cache = VIRTIO_BLK_WRITETHROUGH;
	compare_engines();
}
END_TEST

START_TEST(a_full_ring_of_requests_is_answered)
{
	struct disk d;

	use_direct = _i & 1;
	use_sqpoll = _i & 2;
	if (!disk_open(&d, VIRTIO_BLK_AIO_IO_URING))
		return;
	for (int round = 0; round < 5; round++) {
		gpa_t mark = fake_driver(d.ft, 0)->next_gpa;

		for (unsigned int i = 0; i < RING; i++)
			add(&d, VIRTIO_BLK_T_IN, i * 8 % SECTORS, 4096, 4096);
		finish_all(&d, RING);
		fake_driver(d.ft, 0)->next_gpa = mark;
	}
	ck_assert_uint_eq(fake_queue_stat(d.ft, 0, "reads"), 5 * RING);
	disk_close(&d);
}
END_TEST

/* A reset must not return while the kernel may still write to guest memory. */
/* rows T13, B10 */
START_TEST(no_byte_lands_after_stop)
{
	struct disk d;
	struct vdriver *v;
	static uint8_t ones[DISK_LEN];

	use_direct = _i & 1;
	if (!disk_open(&d, VIRTIO_BLK_AIO_IO_URING))
		return;
	v = fake_driver(d.ft, 0);
	memset(ones, 0xff, sizeof(ones));
	ck_assert_int_eq(pwrite(d.image, ones, sizeof(ones), 0), sizeof(ones));
	for (int round = 0; round < 100; round++) {
		gpa_t first = 0, at;

		for (unsigned int i = 0; i < 100; i++) {
			at = add(&d, VIRTIO_BLK_T_IN, i * 8, 4096, 4096);
			first = first ? first : at;
		}
		fake_kick(d.ft, 0);
		fake_stop(d.ft);
		memset(vdriver_ptr(v, first), 0, at + 4096 - first);
		usleep(500);
		for (gpa_t p = first; p < at; p += 4096)
			ck_assert_uint_eq(*(uint8_t *)vdriver_ptr(v, p), 0);
		ck_assert_int_eq(fake_start(d.ft, d.dev->features), 0);
	}
	disk_close(&d);
}
END_TEST

/* row H2 */
START_TEST(reading_a_truncated_image_is_an_error)
{
	struct disk d;
	gpa_t at;

	ck_assert(disk_open(&d, VIRTIO_BLK_AIO_IO_URING));
	ck_assert_int_eq(ftruncate(d.image, 8192), 0);
	at = add(&d, VIRTIO_BLK_T_IN, 8, 8192, 4096);
	finish_all(&d, 1);
	ck_assert_uint_eq(*((uint8_t *)vdriver_ptr(fake_driver(d.ft, 0), at) + 8192 + 16),
			  VIRTIO_BLK_S_IOERR);
	add(&d, VIRTIO_BLK_T_IN, 0, 4096, 4096);
	finish_all(&d, 1);
	ck_assert_uint_eq(fake_queue_stat(d.ft, 0, "reads"), 1);
	ck_assert_uint_eq(fake_queue_stat(d.ft, 0, "errors"), 1);
	disk_close(&d);
}
END_TEST

START_TEST(every_request_is_answered_with_one_interrupt_at_depth_one)
{
	struct disk d;
	uint16_t head;
	uint32_t len;

	ck_assert(disk_open(&d, VIRTIO_BLK_AIO_IO_URING));
	for (unsigned int i = 0; i < 2000; i++) {
		gpa_t mark = fake_driver(d.ft, 0)->next_gpa;

		add(&d, VIRTIO_BLK_T_IN, i % SECTORS, 512, 512);
		vdriver_want_irq_at(fake_driver(d.ft, 0), (uint16_t)i);
		fake_kick(d.ft, 0);
		ck_assert(fake_wait_irq(d.ft, 0, 5000));
		fake_wait_used(d.ft, 0, &head, &len);
		fake_driver(d.ft, 0)->next_gpa = mark;
	}
	ck_assert_uint_eq(fake_nr_irqs(d.ft, 0), 2000);
	ck_assert_uint_eq(fake_stat(d.ft, "io_uring"), 1);
	disk_close(&d);
}
END_TEST

/* The device would fall back, and the tests prove nothing. */
static void skip_without_uring(void)
{
	FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "r");
	int disabled = 0;

	if (f && fscanf(f, "%d", &disabled) == 1 && disabled == 2) {
		puts("io_uring is switched off: skipped");
		exit(SKIP);
	}
	if (f)
		fclose(f);
}

static void note_uring(void *ctx, const char *key, uint64_t value)
{
	if (!strcmp(key, "io_uring"))
		*(bool *)ctx = value;
}

/* Each engine's threads give up what it does not use. */
static unsigned int nr_entered[2];

static int enter_plain(const struct worker_entry *e)
{
	(void)e;
	return (int)(nr_entered[0]++, 0);
}

static int enter_uring(const struct worker_entry *e)
{
	(void)e;
	return (int)(nr_entered[1]++, 0);
}

START_TEST(a_thread_enters_as_what_its_engine_is)
{
	static const struct worker_entry plain = { enter_plain }, uring = { enter_uring };
	struct virtio_blk_cfg cfg = VIRTIO_BLK_CFG_DEFAULT;
	struct virtio_dev *dev;
	struct blk_backend *be;
	bool has_uring = false;

	cfg.file.fd = temporary_file();
	ck_assert_int_eq(ftruncate(cfg.file.fd, DISK_LEN), 0);
	cfg.aio = _i ? VIRTIO_BLK_AIO_IO_URING : VIRTIO_BLK_AIO_THREADS;
	cfg.entry = &plain;
	cfg.uring_entry = &uring;
	ck_assert_int_eq(blk_file_open(&be, &cfg.file, "blk0"), 0);
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, be, "blk0"), 0);
	dev->ops->stats(dev, note_uring, &has_uring);
	dev->ops->free(dev);
	ck_assert_uint_eq(nr_entered[has_uring], 1);
	ck_assert_uint_eq(nr_entered[!has_uring], 0);
}
END_TEST

/* The kernel's threads that look for submissions, each of which may take a CPU. */
static unsigned int nr_pollers(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int n = 0;

	for (struct dirent *e; (e = readdir(dir));) {
		char path[300], name[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		n += f && fgets(name, sizeof(name), f) && !strncmp(name, "iou-sqp", 7);
		if (f)
			fclose(f);
	}
	closedir(dir);
	return n;
}

START_TEST(all_queues_of_a_disk_share_one_thread_that_submits)
{
	struct virtio_blk_cfg cfg = VIRTIO_BLK_CFG_DEFAULT;
	struct virtio_dev *dev;
	struct blk_backend *be;

	cfg.file.fd = temporary_file();
	ck_assert_int_eq(ftruncate(cfg.file.fd, DISK_LEN), 0);
	cfg.aio = VIRTIO_BLK_AIO_IO_URING;
	cfg.sqpoll = true;
	cfg.queues = 4;
	ck_assert_int_eq(blk_file_open(&be, &cfg.file, "blk0"), 0);
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, be, "blk0"), 0);
	while (!nr_pollers())	/* each takes its name when it first runs */
		usleep(1000);
	usleep(100000);
	ck_assert_uint_eq(nr_pollers(), 1);
	dev->ops->free(dev);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_uring");
	TCase *tc = tcase_create("all");

	skip_without_uring();
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, random_traffic_leaves_the_same_image_as_the_plain_engine);
	tcase_add_test(tc, random_direct_traffic_leaves_the_same_image_as_the_plain_engine);
	tcase_add_loop_test(tc, direct_traffic_of_buffers_anywhere_leaves_the_same_image, 0, 2);
	tcase_add_test(tc, a_kernel_thread_that_submits_leaves_the_same_image);
	tcase_add_test(tc, a_thread_that_polls_leaves_the_same_image);
	tcase_add_test(tc, random_writethrough_traffic_leaves_the_same_image_as_the_plain_engine);
	tcase_add_loop_test(tc, a_full_ring_of_requests_is_answered, 0, 4);
	tcase_add_loop_test(tc, no_byte_lands_after_stop, 0, 2);
	tcase_add_test(tc, reading_a_truncated_image_is_an_error);
	tcase_add_test(tc, every_request_is_answered_with_one_interrupt_at_depth_one);
	tcase_add_loop_test(tc, a_thread_enters_as_what_its_engine_is, 0, 2);
	tcase_add_test(tc, all_queues_of_a_disk_share_one_thread_that_submits);
	suite_add_tcase(s, tc);
	return s;
}
