/* SPDX-License-Identifier: Apache-2.0 */
/* A host that makes no io_uring: the disk works without, and the reason is told. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_transport.h"
#include "fake_uring.h"
#include "log.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"
#include "virtio_blk.h"

static struct log_capture said;

/* Returns what creating the disk did; if it was made it is freed again. */
static int make_disk(int no_ring, bool sqpoll, enum virtio_blk_aio aio)
{
	struct virtio_blk_cfg cfg = VIRTIO_BLK_CFG_DEFAULT;
	struct virtio_dev *dev;
	struct blk_backend *be;
	int ret;

	fake_uring_reset();
	fake_uring.no_ring = no_ring;
	cfg.file.fd = memfd_create("disk", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(cfg.file.fd, MIB(1)), 0);
	cfg.queues = 2;
	cfg.aio = aio;
	cfg.sqpoll = sqpoll;
	ck_assert_int_eq(blk_file_open(&be, &cfg.file, "blk0"), 0);
	log_set_level(LOG_LEVEL_INFO);
	log_capture_begin(&said);
	ret = virtio_blk_create(&dev, &cfg, be, "blk0");
	log_capture_end(&said);
	if (!ret)
		dev->ops->free(dev);
	return ret;
}

static const struct {
	int no_ring;
	const char *why;
} refusals[] = {
	{ -ENOMEM, "ulimit -l" }, { -EPERM, "io_uring_disabled" }, { -ENOSYS, "5.17" },
	{ -EINVAL, "5.17" }, { -EMFILE, "Too many open files" },
};

START_TEST(why_there_is_no_io_uring_is_said_once)
{
	const enum virtio_blk_aio aio = _i % 2 ? VIRTIO_BLK_AIO_AUTO : VIRTIO_BLK_AIO_IO_URING;

	ck_assert_int_eq(make_disk(refusals[_i / 2].no_ring, false, aio), 0);
	ck_assert_uint_eq(said.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(said.text, refusals[_i / 2].why));
}
END_TEST

START_TEST(sqpoll_that_cannot_be_had_is_an_error_with_its_reason)
{
	ck_assert_int_eq(make_disk(refusals[_i].no_ring, true, VIRTIO_BLK_AIO_IO_URING), -ENOTSUP);
	ck_assert_uint_eq(said.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(said.text, refusals[_i].why));
}
END_TEST

START_TEST(a_disk_without_io_uring_by_choice_says_nothing)
{
	ck_assert_int_eq(make_disk(-EPERM, false, VIRTIO_BLK_AIO_THREADS), 0);
	ck_assert_uint_eq(said.nr_lines, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_uring_refused");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(tc, why_there_is_no_io_uring_is_said_once, 0,
			    2 * ARRAY_SIZE(refusals));
	tcase_add_loop_test(tc, sqpoll_that_cannot_be_had_is_an_error_with_its_reason,
			    0, ARRAY_SIZE(refusals));
	tcase_add_test(tc, a_disk_without_io_uring_by_choice_says_nothing);
	suite_add_tcase(s, tc);
	return s;
}
