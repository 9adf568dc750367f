/* SPDX-License-Identifier: Apache-2.0 */
/* Disks on the host's block devices, whose answers are given here. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blk_backend.h"
#include "blk_file.h"
#include "fake_ioctl.h"
#include "runner.h"
#include "util.h"

#define LEN MIB(1)

static int disk;		/* a file in memory that says it is a device */
static bool stat_fails;
static unsigned long refused;	/* the request that fails */
static int eno;
static uint64_t discarded[2];
static struct blk_backend *be;
static struct blk_file_cfg cfg;

/* Stands in front of the C library's. */
int fstat(int fd, struct stat *st)
{
	int ret = (int)syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);

	if (fd != disk)
		return ret;
	if (stat_fails) {
		errno = EIO;
		return -1;
	}
	st->st_mode = S_IFBLK | 0600;
	st->st_size = 0;
	return ret;
}

static int answer(int fd, unsigned long request, void *arg)
{
	if (fd != disk)
		return FAKE_IOCTL_PASS;
	if (request == refused)
		return -eno;
	switch (request) {
	case BLKGETSIZE64:	*(uint64_t *)arg = LEN;				return 0;
	case BLKSSZGET:		*(int *)arg = 4096;				return 0;
	case BLKPBSZGET:	*(unsigned int *)arg = 512;			return 0;
	case BLKIOOPT:		*(unsigned int *)arg = 65536;			return 0;
	case BLKDISCARD:	memcpy(discarded, arg, sizeof(discarded));	return 0;
	default:		return -ENOTTY;
	}
}

static void setup(void)
{
	disk = memfd_create("device", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(disk, LEN), 0);
	cfg = (struct blk_file_cfg){ .path = "device", .fd = disk };
	refused = 0;
	eno = EIO;
	be = NULL;
	fake_ioctl_set(answer);
}

static void teardown(void)
{
	if (be)
		be->ops->free(be);
}

static int open_it(void)
{
	return blk_file_open(&be, &cfg, "blk0");
}

START_TEST(a_device_tells_its_size_and_its_blocks)
{
	ck_assert_int_eq(open_it(), 0);
	ck_assert_uint_eq(be->size, LEN);
	ck_assert_uint_eq(be->block_size, 4096);
	ck_assert_uint_eq(be->physical_block_size, 4096);
	ck_assert_uint_eq(be->optimal_io_size, 65536);
}
END_TEST

static const unsigned long questions[] = { BLKGETSIZE64, BLKSSZGET, BLKPBSZGET, BLKIOOPT };

START_TEST(a_device_that_does_not_answer_is_refused)
{
	refused = questions[_i];
	ck_assert_int_eq(open_it(), -EIO);
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_looked_at_is_refused)
{
	stat_fails = true;
	ck_assert_int_eq(open_it(), -EIO);
}
END_TEST

START_TEST(a_discard_goes_to_the_device_as_it_is)
{
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(be->ops->discard(be, 4096, 8192), 0);
	ck_assert_uint_eq(discarded[0], 4096);
	ck_assert_uint_eq(discarded[1], 8192);
}
END_TEST

/* A hint: what cannot be done is no error, what failed is. */
static const struct {
	int eno, expect;
} discards[] = {
	{ EOPNOTSUPP, 0 }, { ENOTTY, 0 }, { EINVAL, 0 }, { EIO, -EIO }, { EROFS, -EROFS },
};

START_TEST(a_device_without_discard_leaves_the_data)
{
	ck_assert_int_eq(open_it(), 0);
	refused = BLKDISCARD;
	eno = discards[_i].eno;
	ck_assert_int_eq(be->ops->discard(be, 0, 4096), discards[_i].expect);
}
END_TEST

START_TEST(a_device_is_read_and_written_like_a_file)
{
	uint8_t out[512] = { 1, 2, 3 }, in[512] = { 0 };
	struct iovec w = { out, sizeof(out) }, r = { in, sizeof(in) };

	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(be->ops->writev(be, &w, 1, LEN - 512), 0);
	ck_assert_int_eq(be->ops->readv(be, &r, 1, LEN - 512), 0);
	ck_assert_mem_eq(in, out, sizeof(in));
	ck_assert_int_eq(be->ops->flush(be), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_device");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_device_tells_its_size_and_its_blocks);
	tcase_add_loop_test(tc, a_device_that_does_not_answer_is_refused, 0,
			    ARRAY_SIZE(questions));
	tcase_add_test(tc, a_descriptor_that_cannot_be_looked_at_is_refused);
	tcase_add_test(tc, a_discard_goes_to_the_device_as_it_is);
	tcase_add_loop_test(tc, a_device_without_discard_leaves_the_data, 0,
			    ARRAY_SIZE(discards));
	tcase_add_test(tc, a_device_is_read_and_written_like_a_file);
	suite_add_tcase(s, tc);
	return s;
}
