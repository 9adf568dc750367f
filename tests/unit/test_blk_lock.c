/* SPDX-License-Identifier: Apache-2.0 */
/* Who may have an image beside us, and what is no raw image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blk_backend.h"
#include "blk_file.h"
#include "blk_format.h"
#include "runner.h"
#include "util.h"

#define LEN KIB(256)

static char path[64];
static int image_fd;
static struct blk_file_cfg cfg;
static struct blk_backend *be;

static void setup(void)
{
	snprintf(path, sizeof(path), "/tmp/blk-lock-XXXXXX");
	image_fd = mkstemp(path);
	ck_assert_int_ge(image_fd, 0);
	ck_assert_int_eq(ftruncate(image_fd, LEN), 0);
	cfg = (struct blk_file_cfg){ .path = path, .fd = -1 };
	be = NULL;
}

static void teardown(void)
{
	if (be)
		be->ops->free(be);
	close(image_fd);
	unlink(path);
}

static int open_it(void)
{
	return blk_file_open(&be, &cfg, "blk0");
}

/* What another process gets that opens the same. */
static int open_elsewhere(const struct blk_file_cfg *c)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(-blk_file_open(&be, c, "blk1"));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

/* An OFD lock belongs to the description, which two processes may share. row K4 */
START_TEST(one_description_passed_to_two_processes_is_refused)
{
	struct blk_file_cfg passed = cfg;

	passed.fd = cfg.fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(open_elsewhere(&passed), -EBUSY);
	passed.readonly = true;
	ck_assert_int_eq(open_elsewhere(&passed), -EBUSY);
}
END_TEST

START_TEST(one_description_may_be_read_by_two_processes)
{
	struct blk_file_cfg passed = cfg;

	cfg.readonly = passed.readonly = true;
	passed.fd = cfg.fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(open_elsewhere(&passed), 0);
}
END_TEST

static void lock_byte(int at)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	ck_assert_int_eq(fcntl(image_fd, F_OFD_SETLK, &lock), 0);
}

static bool byte_is_locked(int at)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	ck_assert_int_eq(fcntl(image_fd, F_OFD_GETLK, &lock), 0);
	return lock.l_type != F_UNLCK;
}

/*
 * As QEMU: 100 + n, it does n; 200 + n, it bears nobody who does n. 0: reads,
 * 1: writes, 3: resizes.
 */
static const int as_writer[] = { 100, 101, 103, 201, 203 };
static const int as_reader[] = { 100, 201, 203 };

/* row D7 */
START_TEST(beside_a_qemu_that_writes_nobody_even_reads)
{
	for (size_t i = 0; i < ARRAY_SIZE(as_writer); i++)
		lock_byte(as_writer[i]);
	cfg.readonly = _i;
	ck_assert_int_eq(open_it(), -EBUSY);
}
END_TEST

START_TEST(beside_a_qemu_that_reads_one_may_read_but_not_write)
{
	for (size_t i = 0; i < ARRAY_SIZE(as_reader); i++)
		lock_byte(as_reader[i]);
	cfg.readonly = _i;
	ck_assert_int_eq(open_it(), _i ? 0 : -EBUSY);
}
END_TEST

/* QEMU looks at 200 + n for what it does, and at 100 + n for what it does not bear. */
START_TEST(a_qemu_sees_what_we_do_with_an_image)
{
	cfg.readonly = _i;
	ck_assert_int_eq(open_it(), 0);
	ck_assert(byte_is_locked(201));			/* it may not write */
	ck_assert_int_eq(byte_is_locked(200), !_i);	/* it may read if we only read */
	ck_assert_int_eq(byte_is_locked(101), !_i);	/* we write, or not */
}
END_TEST

START_TEST(without_a_lock_all_is_the_users_to_see_to)
{
	lock_byte(101);
	cfg.unlocked = true;
	ck_assert_int_eq(open_it(), 0);
	ck_assert(!byte_is_locked(300));
}
END_TEST

static const struct {
	const char *name, *bytes;
	int len, at;		/* at < 0: from the end */
} looks_like[] = {
	{ "qcow2", "QFI\xfb\0\0\0\3", 8, 0 },
	{ "qed", "QED\0", 4, 0 },
	{ "vmdk", "KDMV", 4, 0 },
	{ "vmdk", "COWD", 4, 0 },
	{ "vmdk", "# Disk DescriptorFile\nversion=1", 31, 0 },
	{ "vhdx", "vhdxfile", 8, 0 },
	{ "vhd", "conectix", 8, 0 },
	{ "vhd", "conectix", 8, -512 },
	{ "vdi", "\x7f\x10\xda\xbe", 4, 0x40 },
	{ "parallels", "WithoutFreeSpace", 16, 0 },
	{ "dmg", "koly", 4, -512 },
	{ "gzip", "\x1f\x8b\x08", 3, 0 },
	{ "xz", "\xfd" "7zXZ\0", 6, 0 },
	{ "zstd", "\x28\xb5\x2f\xfd", 4, 0 },
	{ "tar", "ustar", 5, 257 },
};

/* A guest that wrote to it would destroy it. rows B6, K4 */
START_TEST(an_image_of_another_format_is_refused_unless_it_is_said_to_be_raw)
{
	off_t at = looks_like[_i].at < 0 ? (off_t)LEN + looks_like[_i].at : looks_like[_i].at;

	ck_assert_int_eq(pwrite(image_fd, looks_like[_i].bytes, (size_t)looks_like[_i].len, at),
			 looks_like[_i].len);
	ck_assert_int_eq(open_it(), -EINVAL);
	cfg.format_raw = true;
	ck_assert_int_eq(open_it(), 0);
	ck_assert_uint_eq(be->size, LEN);
}
END_TEST

/* File systems, partition tables and encrypted disks are what guests make of raw images. */
START_TEST(what_guests_write_into_raw_images_is_taken)
{
	static const struct {
		const char *bytes;
		int len, at;
	} fine[] = {
		{ "LUKS\xba\xbe", 6, 0 }, { "\x55\xaa", 2, 510 }, { "XFSB", 4, 0 },
		{ "hsqs", 4, 0 }, { "\x53\xef", 2, 1080 }, { "CD001", 5, 32769 },
	};

	ck_assert_int_eq(pwrite(image_fd, fine[_i].bytes, (size_t)fine[_i].len, fine[_i].at),
			 fine[_i].len);
	ck_assert_int_eq(open_it(), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_lock");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_description_passed_to_two_processes_is_refused);
	tcase_add_test(tc, one_description_may_be_read_by_two_processes);
	tcase_add_loop_test(tc, beside_a_qemu_that_writes_nobody_even_reads, 0, 2);
	tcase_add_loop_test(tc, beside_a_qemu_that_reads_one_may_read_but_not_write, 0, 2);
	tcase_add_loop_test(tc, a_qemu_sees_what_we_do_with_an_image, 0, 2);
	tcase_add_test(tc, without_a_lock_all_is_the_users_to_see_to);
	tcase_add_loop_test(tc, an_image_of_another_format_is_refused_unless_it_is_said_to_be_raw,
			    0, ARRAY_SIZE(looks_like));
	tcase_add_loop_test(tc, what_guests_write_into_raw_images_is_taken, 0, 6);
	suite_add_tcase(s, tc);
	return s;
}
