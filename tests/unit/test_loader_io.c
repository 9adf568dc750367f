/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading that goes wrong or comes in pieces. pread() here takes the place of
 * libc's in this program, so that each call can be the one that fails.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_image.h"
#include "layout.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

enum fault { FAULT_NONE, FAULT_EINTR, FAULT_SHORT, FAULT_EIO, FAULT_SHRINK };

static enum fault fault;
static unsigned int fault_at, calls;	/* the call that gets it; 1 is the first */

static struct guest_mem *mem;
static struct kernel_image img;
static struct loaded_kernel k;

ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	bool now = ++calls == fault_at;

	if (now && fault == FAULT_SHRINK)
		return 0;
	if (now && (fault == FAULT_EINTR || fault == FAULT_EIO)) {
		errno = fault == FAULT_EIO ? EIO : EINTR;
		return -1;
	}
	return syscall(SYS_pread64, fd, buf, fault == FAULT_SHORT ? MIN(len, 7u) : len, off);
}

static void setup(void)
{
	ck_assert_int_eq(guest_mem_create(&mem, MIB(32), LAYOUT_HOLE_START, LAYOUT_HOLE_END,
					  GUEST_MEM_ANON), 0);
}

static void teardown(void)
{
	guest_mem_free(mem);
}

static int load(enum fault f, unsigned int at)
{
	struct loader_cfg cfg = {
		.kernel = "K", .kernel_fd = image_fd(img.data, img.len),
		.initrd = "I", .initrd_fd = image_fd("0123456789", 10),
	};
	int ret;

	fault = f;
	fault_at = at;
	calls = 0;
	ret = loader_load(&k, mem, &cfg, LAYOUT_HIGH_RAM);
	fault = FAULT_NONE;
	close(cfg.kernel_fd);
	close(cfg.initrd_fd);
	return ret;
}

static void image_init(int kind)
{
	if (kind)
		bz_image_init(&img);
	else
		elf_image_init(&img);
}

static void check_initrd(void)
{
	ck_assert_mem_eq(guest_mem_ptr(mem, k.initrd.base, 10), "0123456789", 10);
}

/* row L7 */
START_TEST(an_interrupted_read_is_repeated)
{
	unsigned int nr;

	image_init(_i);
	ck_assert_int_eq(load(FAULT_NONE, 0), 0);
	nr = calls;
	for (unsigned int at = 1; at <= nr; at++) {
		ck_assert_int_eq(load(FAULT_EINTR, at), 0);
		check_initrd();
	}
}
END_TEST

/* row L7 */
START_TEST(short_reads_are_continued)
{
	image_init(_i);
	ck_assert_int_eq(load(FAULT_SHORT, 0), 0);
	check_initrd();
	ck_assert_mem_eq(guest_mem_ptr(mem, k.start, 0x1000),
			 img.data + (_i ? BZ_BODY : 0x1000), 0x1000);
}
END_TEST

/* Each read of either file fails once: one line, and the error of that read. */
static void check_fault_anywhere(enum fault f, int err, const char *text)
{
	struct log_capture c;
	unsigned int nr;
	int ret;

	ck_assert_int_eq(load(FAULT_NONE, 0), 0);
	nr = calls;
	for (unsigned int at = 1; at <= nr; at++) {
		log_capture_begin(&c);
		ret = load(f, at);
		log_capture_end(&c);
		ck_assert_int_eq(ret, err);
		ck_assert_uint_eq(c.nr_lines, 1);
		ck_assert_msg(strstr(c.text, text), "%s", c.text);
		ck_assert_msg(strstr(c.text, at == nr ? "I: " : "K: "), "%s", c.text);
	}
}

/* row L7 */
START_TEST(an_error_of_any_read_is_reported)
{
	image_init(_i);
	check_fault_anywhere(FAULT_EIO, -EIO, "read: Input/output error");
}
END_TEST

/* row L7 */
START_TEST(a_file_that_shrinks_meanwhile_is_refused)
{
	image_init(_i);
	check_fault_anywhere(FAULT_SHRINK, -EIO, "became shorter");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("loader_io");
	TCase *tc = tcase_create("read");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, an_interrupted_read_is_repeated, 0, 2);
	tcase_add_loop_test(tc, short_reads_are_continued, 0, 2);
	tcase_add_loop_test(tc, an_error_of_any_read_is_reported, 0, 2);
	tcase_add_loop_test(tc, a_file_that_shrinks_meanwhile_is_refused, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
