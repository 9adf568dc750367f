/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "blk_backend.h"
#include "blk_file.h"
#include "runner.h"
#include "util.h"

#define LEN KIB(256)

static char dir[64], path[96];
static struct blk_file_cfg cfg;
static struct blk_backend *be;

static void make_image(off_t len)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, len), 0);
	close(fd);
}

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%.40s/blk-file-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/disk", dir);
	make_image(LEN);
	cfg = (struct blk_file_cfg){ .path = path, .fd = -1 };
	be = NULL;
}

static void teardown(void)
{
	if (be)
		be->ops->free(be);
	unlink(path);
	rmdir(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static int open_it(void)
{
	return blk_file_open(&be, &cfg, "blk0");
}

static uint8_t buf[8192] __attribute__((aligned(4096)));

static int transfer(bool write, uint64_t off, size_t len)
{
	struct iovec iov[2] = { { buf, len / 2 }, { buf + 4096, len - len / 2 } };

	return write ? be->ops->writev(be, iov, 2, off) : be->ops->readv(be, iov, 2, off);
}

START_TEST(what_is_written_is_read_back)
{
	ck_assert_int_eq(open_it(), 0);
	ck_assert_uint_eq(be->size, LEN);
	ck_assert_uint_eq(be->block_size, 512);
	memset(buf, 0x5a, sizeof(buf));
	ck_assert_int_eq(transfer(true, LEN - 8192, 8192), 0);
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(transfer(false, LEN - 8192, 8192), 0);
	for (unsigned int i = 0; i < sizeof(buf); i++)
		ck_assert_uint_eq(buf[i], 0x5a);
}
END_TEST

START_TEST(a_flush_succeeds)
{
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(transfer(true, 0, 512), 0);
	ck_assert_int_eq(be->ops->flush(be), 0);
}
END_TEST

/* row H2 */
START_TEST(reading_a_truncated_image_is_an_error)
{
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(truncate(path, 4096), 0);
	ck_assert_int_eq(transfer(false, 8192, 512), -EIO);
	ck_assert_int_eq(transfer(false, 2048, 4096), -EIO);
	ck_assert_int_eq(transfer(false, 0, 4096), 0);
}
END_TEST

/* row H1 */
START_TEST(a_full_disk_is_an_error_and_no_signal)
{
	struct rlimit limit = { 4096, 4096 };

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(transfer(true, 8192, 512), -EFBIG);
	ck_assert_int_eq(transfer(true, 0, 512), 0);
}
END_TEST

/* row H1 */
START_TEST(a_short_write_goes_on_and_meets_what_stopped_it)
{
	struct rlimit limit = { 12288, 12288 };

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(transfer(true, 8192, 8192), -EFBIG);
	ck_assert_int_eq(transfer(true, 4096, 8192), 0);
}
END_TEST

START_TEST(write_zeroes_clears_the_range)
{
	ck_assert_int_eq(open_it(), 0);
	memset(buf, 0xff, sizeof(buf));
	ck_assert_int_eq(transfer(true, 0, 8192), 0);
	ck_assert_int_eq(be->ops->write_zeroes(be, 512, 1024, _i), 0);
	ck_assert_int_eq(transfer(false, 0, 2048), 0);
	ck_assert_uint_eq(buf[511], 0xff);
	ck_assert_uint_eq(buf[512], 0);
	ck_assert_uint_eq(buf[1023], 0);
	ck_assert_uint_eq(buf[4096 + 511], 0);
	ck_assert_uint_eq(buf[4096 + 512], 0xff);
}
END_TEST

START_TEST(discard_makes_a_hole)
{
	struct stat before, after;

	ck_assert_int_eq(open_it(), 0);
	for (unsigned int off = 0; off < LEN; off += sizeof(buf))
		ck_assert_int_eq(transfer(true, off, sizeof(buf)), 0);
	ck_assert_int_eq(be->ops->flush(be), 0);
	ck_assert_int_eq(stat(path, &before), 0);
	ck_assert_int_eq(be->ops->discard(be, 0, LEN), 0);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_int_eq(after.st_size, LEN);
	ck_assert_int_lt(after.st_blocks, before.st_blocks);
}
END_TEST

static const off_t bad_sizes[] = { 0, 1, 511, 513, 1000 };

/* row K4 */
START_TEST(a_size_that_is_no_whole_number_of_sectors_is_refused)
{
	make_image(bad_sizes[_i]);
	ck_assert_int_eq(open_it(), -EINVAL);
	ck_assert_ptr_null(be);
}
END_TEST

/* row K4 */
START_TEST(a_directory_is_refused)
{
	cfg.path = dir;
	ck_assert_int_lt(open_it(), 0);
	cfg.readonly = true;
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

/* row K4 */
START_TEST(a_fifo_is_refused_without_waiting_for_its_other_end)
{
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

/* row K4 */
START_TEST(a_character_device_is_refused)
{
	cfg.path = "/dev/zero";
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

/* row K4 */
START_TEST(a_missing_file_is_refused)
{
	cfg.path = "/nonexistent/disk";
	ck_assert_int_eq(open_it(), -ENOENT);
}
END_TEST

/* row D7 */
START_TEST(two_writers_of_one_image_are_refused)
{
	struct blk_backend *other = NULL;

	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(blk_file_open(&other, &cfg, "blk1"), -EBUSY);
	cfg.readonly = true;
	ck_assert_int_eq(blk_file_open(&other, &cfg, "blk1"), -EBUSY);
	ck_assert_ptr_null(other);
}
END_TEST

/* row D7 */
START_TEST(any_number_of_readers_share_an_image)
{
	struct blk_backend *other = NULL;

	cfg.readonly = true;
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(blk_file_open(&other, &cfg, "blk1"), 0);
	other->ops->free(other);
	cfg.readonly = false;
	ck_assert_int_eq(blk_file_open(&other, &cfg, "blk1"), -EBUSY);
}
END_TEST

START_TEST(a_passed_descriptor_is_used_and_taken)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	cfg.fd = fd;
	cfg.path = NULL;
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(be->fd, fd);
	be->ops->free(be);
	be = NULL;
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

/* row K4 */
START_TEST(a_read_only_descriptor_for_a_writable_disk_is_refused)
{
	cfg.fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(open_it(), -EACCES);
}
END_TEST

START_TEST(the_image_stays_blocking)
{
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(fcntl(be->fd, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

START_TEST(direct_io_transfers_whole_blocks)
{
	cfg.direct = true;
	if (open_it())
		return;		/* the file system has no O_DIRECT; that message is the answer */
	ck_assert(be->direct);
	ck_assert(fcntl(be->fd, F_GETFL) & O_DIRECT);
	memset(buf, 0x11, sizeof(buf));
	ck_assert_int_eq(transfer(true, 4096, 8192), 0);
	ck_assert_int_eq(transfer(false, 4096, 8192), 0);
	ck_assert_int_eq(be->ops->write_zeroes(be, 4096, 4096, false), 0);
}
END_TEST

/* Where in a page a buffer begins, and how long its pieces are. */
static const struct {
	unsigned int at, piece;
} places[] = {
	{ 0, 512 }, { 512, 4096 }, { 256, 4096 }, { 64, 4096 }, { 16, 512 }, { 4, 512 },
	{ 1, 4096 }, { 0, 100 }, { 0, 5 }, { 3, 77 },
};

static uint8_t guest[161 * 1024] __attribute__((aligned(4096)));

static int scattered(bool write, unsigned int at, unsigned int piece, size_t len)
{
	static struct iovec iov[1024];
	int n = 0;

	for (size_t off = 0; off < len; off += piece)
		iov[n++] = (struct iovec){ guest + at + off, MIN(piece, len - off) };
	return write ? be->ops->writev(be, iov, n, 4096) : be->ops->readv(be, iov, n, 4096);
}

/* row B3 */
START_TEST(direct_io_takes_the_buffers_of_a_guest_wherever_they_are)
{
	const unsigned int at = places[_i].at, piece = places[_i].piece;
	const size_t len = MIN(160u * 1024, piece * 1000u & ~4095u);
	static uint8_t expect[160 * 1024];

	cfg.direct = true;
	if (open_it())
		return;		/* the file system has no O_DIRECT */
	for (size_t i = 0; i < len; i++)
		expect[i] = (uint8_t)(i * 7 + i / 251);
	memcpy(guest + at, expect, len);
	ck_assert_int_eq(scattered(true, at, piece, len), 0);
	memset(guest, 0, sizeof(guest));
	ck_assert_int_eq(scattered(false, at, piece, len), 0);
	ck_assert_mem_eq(guest + at, expect, len);
	ck_assert_uint_eq(guest[at + len], 0);
	be->ops->free(be);
	cfg.direct = false;
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(scattered(false, 0, 4096, len), 0);
	ck_assert_mem_eq(guest, expect, len);
}
END_TEST

/* An error that has to do with anything else stays one. */
START_TEST(direct_io_beyond_a_truncated_image_is_an_error)
{
	cfg.direct = true;
	if (open_it())
		return;
	ck_assert_int_eq(truncate(path, 8192), 0);
	ck_assert_int_eq(scattered(false, 1, 4096, 16384), -EIO);
	ck_assert_int_eq(scattered(false, 1, 4096, 4096), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_file");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_written_is_read_back);
	tcase_add_test(tc, a_flush_succeeds);
	tcase_add_test(tc, reading_a_truncated_image_is_an_error);
	tcase_add_test(tc, a_full_disk_is_an_error_and_no_signal);
	tcase_add_test(tc, a_short_write_goes_on_and_meets_what_stopped_it);
	tcase_add_loop_test(tc, write_zeroes_clears_the_range, 0, 2);
	tcase_add_test(tc, discard_makes_a_hole);
	tcase_add_loop_test(tc, a_size_that_is_no_whole_number_of_sectors_is_refused, 0,
			    ARRAY_SIZE(bad_sizes));
	tcase_add_test(tc, a_directory_is_refused);
	tcase_add_test(tc, a_fifo_is_refused_without_waiting_for_its_other_end);
	tcase_add_test(tc, a_character_device_is_refused);
	tcase_add_test(tc, a_missing_file_is_refused);
	tcase_add_test(tc, two_writers_of_one_image_are_refused);
	tcase_add_test(tc, any_number_of_readers_share_an_image);
	tcase_add_test(tc, a_passed_descriptor_is_used_and_taken);
	tcase_add_test(tc, a_read_only_descriptor_for_a_writable_disk_is_refused);
	tcase_add_test(tc, the_image_stays_blocking);
	tcase_add_test(tc, direct_io_transfers_whole_blocks);
	tcase_add_loop_test(tc, direct_io_takes_the_buffers_of_a_guest_wherever_they_are, 0,
			    ARRAY_SIZE(places));
	tcase_add_test(tc, direct_io_beyond_a_truncated_image_is_an_error);
	suite_add_tcase(s, tc);
	return s;
}
