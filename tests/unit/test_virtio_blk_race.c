/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of one disk at the same sectors at the same time. */
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk_req.h"
#include "fake_transport.h"
#include "runner.h"
#include "util.h"
#include "virtio_blk.h"

#define DISK_LEN MIB(1)
#define RING 16u
#define ROUNDS 200u

static struct fake_transport *ft;
static int image;

static void setup_with(enum virtio_blk_aio aio)
{
	struct virtio_blk_cfg cfg = VIRTIO_BLK_CFG_DEFAULT;
	struct blk_backend *be;
	struct virtio_dev *dev;

	image = memfd_create("disk", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(image, DISK_LEN), 0);
	cfg.file.path = "memory";
	cfg.file.fd = dup(image);
	cfg.queue_size = RING;
	cfg.queues = 2;
	cfg.aio = aio;
	ck_assert_int_eq(blk_file_open(&be, &cfg.file, "blk0"), 0);
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, be, "blk0"), 0);
	ft = fake_transport_create(dev, RING);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
}

static void teardown(void)
{
	fake_transport_free(ft);
	close(image);
}

/* A write of one sector full of value; returns where its status will be. */
static uint8_t *add_write(unsigned int q, uint64_t sector, uint8_t value)
{
	struct virtio_blk_outhdr hdr = { .type = VIRTIO_BLK_T_OUT, .sector = sector };
	struct vdriver *d = fake_driver(ft, q);
	gpa_t at = vdriver_alloc(d, sizeof(hdr) + BLK_SECTOR + 1);
	struct vbuf buf[3] = { { at, sizeof(hdr), false },
			       { at + sizeof(hdr), BLK_SECTOR, false },
			       { at + sizeof(hdr) + BLK_SECTOR, 1, true } };
	uint8_t *p = vdriver_ptr(d, at);

	memcpy(p, &hdr, sizeof(hdr));
	memset(p + sizeof(hdr), value, BLK_SECTOR);
	vdriver_add(d, buf, 3);
	return p + sizeof(hdr) + BLK_SECTOR;
}

static void expect_one_of_both(uint64_t sector, uint8_t a, uint8_t b)
{
	uint8_t got[BLK_SECTOR];

	ck_assert_int_eq(pread(image, got, sizeof(got), (off_t)(sector * BLK_SECTOR)), BLK_SECTOR);
	ck_assert_msg(got[0] == a || got[0] == b, "%#x is neither's", got[0]);
	for (unsigned int i = 1; i < BLK_SECTOR; i++)
		ck_assert_msg(got[i] == got[0], "torn at byte %u: %#x, %#x", i, got[0], got[i]);
}

/* row B12 */
START_TEST(a_sector_that_two_queues_write_at_once_is_either_ones)
{
	setup_with(_i ? VIRTIO_BLK_AIO_IO_URING : VIRTIO_BLK_AIO_THREADS);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint8_t a = (uint8_t)(2 * i), b = (uint8_t)(2 * i + 1);
		uint8_t *status[2] = { add_write(0, i % 8, a), add_write(1, i % 8, b) };
		uint16_t head;
		uint32_t len;

		for (unsigned int q = 0; q < 2; q++)
			fake_kick(ft, q);
		for (unsigned int q = 0; q < 2; q++) {
			fake_wait_used(ft, q, &head, &len);
			ck_assert_uint_eq(len, 1);
			ck_assert_uint_eq(*status[q], VIRTIO_BLK_S_OK);
		}
		expect_one_of_both(i % 8, a, b);
	}
	teardown();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_blk race");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_sector_that_two_queues_write_at_once_is_either_ones, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
