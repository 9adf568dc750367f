/* SPDX-License-Identifier: Apache-2.0 */
/* Files, entries and the initrd; malformed kernels are in test_loader_{elf,bzimage}.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel_image.h"
#include "layout.h"
#include "loader.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

static struct guest_mem *mem;
static struct kernel_image img;
static struct loaded_kernel k;
static struct loader_cfg cfg;

static void setup(void)
{
	ck_assert_int_eq(guest_mem_create(&mem, MIB(32), LAYOUT_HOLE_START, LAYOUT_HOLE_END,
					  GUEST_MEM_ANON), 0);
	elf_image_init(&img);
	cfg = (struct loader_cfg){ .kernel = "K", .kernel_fd = -1, .initrd_fd = -1 };
}

static void teardown(void)
{
	if (cfg.kernel_fd >= 0)
		close(cfg.kernel_fd);
	if (cfg.initrd_fd >= 0)
		close(cfg.initrd_fd);
	guest_mem_free(mem);
}

static int load(void)
{
	if (cfg.kernel_fd < 0)
		cfg.kernel_fd = image_fd(img.data, img.len);
	return loader_load(&k, mem, &cfg, LAYOUT_HIGH_RAM);
}

static void with_initrd(size_t len)
{
	cfg.initrd = "I";
	cfg.initrd_fd = image_fd("", 0);
	ck_assert_int_eq(ftruncate(cfg.initrd_fd, (off_t)len), 0);
	ck_assert_int_eq(pwrite(cfg.initrd_fd, "IN", 2, 0), 2);
	ck_assert_int_eq(pwrite(cfg.initrd_fd, "RD", 2, (off_t)len - 2), 2);
}

static void check_refused(int err, const char *text)
{
	struct log_capture c;
	int got;

	log_capture_begin(&c);
	got = loader_load(&k, mem, &cfg, LAYOUT_HIGH_RAM);
	log_capture_end(&c);
	ck_assert_int_eq(got, err);
	ck_assert_uint_eq(c.nr_lines, 1);
	ck_assert_msg(strstr(c.text, text), "%s", c.text);
}

START_TEST(an_elf_file_with_a_pvh_note_is_entered_there)
{
	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(k.entry, LOADER_ENTRY_PVH);
	ck_assert_uint_eq(k.entry_gpa, ELF_ENTRY_PVH);
	ck_assert_uint_eq(k.start, ELF_TEXT_GPA);
	ck_assert_uint_eq(k.end, ELF_END_GPA);
}
END_TEST

START_TEST(an_elf_file_without_a_pvh_note_is_entered_in_64_bit_mode)
{
	elf_image_phdr(&img, 2)->p_type = PT_NULL;
	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(k.entry, LOADER_ENTRY_LINUX64);
	ck_assert_uint_eq(k.entry_gpa, ELF_ENTRY_64);
}
END_TEST

START_TEST(the_64_bit_entry_can_be_asked_for)
{
	cfg.entry = LOADER_ENTRY_LINUX64;
	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(k.entry, LOADER_ENTRY_LINUX64);
	ck_assert_uint_eq(k.entry_gpa, ELF_ENTRY_64);
}
END_TEST

START_TEST(asking_for_a_pvh_entry_that_is_not_there_is_refused)
{
	elf_image_phdr(&img, 2)->p_type = PT_NULL;
	cfg.entry = LOADER_ENTRY_PVH;
	cfg.kernel_fd = image_fd(img.data, img.len);
	check_refused(-EINVAL, "K: has no PVH entry");
}
END_TEST

START_TEST(segments_are_in_memory_as_in_the_file)
{
	static const uint8_t zero[0x2800];

	ck_assert_int_eq(load(), 0);
	ck_assert_mem_eq(guest_mem_ptr(mem, ELF_TEXT_GPA, 0x1000), img.data + 0x1000, 0x1000);
	ck_assert_mem_eq(guest_mem_ptr(mem, ELF_DATA_GPA, 0x800), img.data + 0x2000, 0x800);
	ck_assert_mem_eq(guest_mem_ptr(mem, ELF_DATA_GPA + 0x800, 0x2800), zero, 0x2800);
}
END_TEST

START_TEST(a_bzimage_goes_to_its_preferred_address)
{
	bz_image_init(&img);
	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(k.entry, LOADER_ENTRY_LINUX64);
	ck_assert_uint_eq(k.entry_gpa, BZ_GPA + 0x200);
	ck_assert_uint_eq(k.start, BZ_GPA);
	ck_assert_uint_eq(k.end, BZ_GPA + BZ_INIT_SIZE);
	ck_assert_uint_eq(k.cmdline_max, 2048);
	ck_assert_mem_eq(guest_mem_ptr(mem, BZ_GPA, BZ_BODY_LEN), img.data + BZ_BODY, BZ_BODY_LEN);
}
END_TEST

START_TEST(a_bzimages_header_ends_where_its_jump_says)
{
	bz_image_init(&img);
	bz_image_header(&img)->jump = 0x62eb;	/* up to init_size: no handover_offset */
	bz_image_header(&img)->handover_offset = 0x12345678;
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(k.header.init_size, BZ_INIT_SIZE);
	ck_assert_uint_eq(k.header.handover_offset, 0);
}
END_TEST

START_TEST(a_bzimage_has_no_pvh_entry)
{
	bz_image_init(&img);
	cfg.entry = LOADER_ENTRY_PVH;
	cfg.kernel_fd = image_fd(img.data, img.len);
	check_refused(-EINVAL, "K: a bzImage has no PVH entry");
}
END_TEST

START_TEST(an_initrd_lies_page_aligned_at_the_top_of_ram)
{
	const char *p;

	with_initrd(5000);
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(k.initrd.base, MIB(32) - 8192);
	ck_assert_uint_eq(k.initrd.len, 5000);
	p = guest_mem_ptr(mem, k.initrd.base, 5000);
	ck_assert_mem_eq(p, "IN", 2);
	ck_assert_mem_eq(p + 4998, "RD", 2);
}
END_TEST

/* row L5 */
START_TEST(an_initrd_stays_below_the_kernels_limit)
{
	bz_image_init(&img);
	bz_image_header(&img)->initrd_addr_max = BZ_GPA + 0x8fff;
	with_initrd(4096);
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(k.initrd.base, BZ_GPA + 0x8000);
}
END_TEST

/* row L5 */
START_TEST(an_initrd_that_just_fits_is_taken_and_one_byte_more_refused)
{
	bz_image_init(&img);
	bz_image_header(&img)->initrd_addr_max = BZ_GPA + 0x7fff;
	with_initrd(0x4000);
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(k.initrd.base, k.end);
	ck_assert_int_eq(ftruncate(cfg.initrd_fd, 0x4001), 0);
	check_refused(-ENOSPC, "I: 16385 bytes do not fit");
}
END_TEST

static const uint32_t low_limits[] = { 0, 0xfff, 0xfffff, 0x100000, BZ_GPA, BZ_GPA + 0x3fff };

/* row L5 */
START_TEST(an_initrd_limit_below_the_kernels_end_is_refused)
{
	bz_image_init(&img);
	bz_image_header(&img)->initrd_addr_max = low_limits[_i];
	with_initrd(4096);
	cfg.kernel_fd = image_fd(img.data, img.len);
	check_refused(-ENOSPC, "I: 4096 bytes do not fit");
}
END_TEST

/* row L5 */
START_TEST(an_initrd_larger_than_ram_is_refused)
{
	with_initrd(MIB(4096));
	cfg.kernel_fd = image_fd(img.data, img.len);
	check_refused(-ENOSPC, "give the guest more memory");
}
END_TEST

/* row L5 */
START_TEST(an_empty_initrd_is_refused)
{
	cfg.initrd = "I";
	cfg.initrd_fd = image_fd("", 0);
	cfg.kernel_fd = image_fd(img.data, img.len);
	check_refused(-EINVAL, "I: empty file");
}
END_TEST

/* row K4 */
START_TEST(a_missing_file_is_refused)
{
	cfg.kernel = "/nonexistent/kernel";
	check_refused(-ENOENT, "/nonexistent/kernel: open: No such file");
}
END_TEST

static const struct {
	const char *path, *text;
	int err;
} odd_files[] = {
	{ "/dev/null", "/dev/null: not a regular file", -EINVAL },
	{ "/proc/self", "/proc/self: not a regular file", -EINVAL },
	{ "/proc/self/mem", "/proc/self/mem: empty file", -EINVAL },
};

/* row K4 */
START_TEST(what_is_not_a_regular_file_is_refused)
{
	cfg.kernel = odd_files[_i].path;
	check_refused(odd_files[_i].err, odd_files[_i].text);
}
END_TEST

/* row K4 */
START_TEST(a_fifo_is_refused_and_does_not_block)
{
	char dir[] = "/tmp/loader-XXXXXX", path[64];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	cfg.kernel = path;
	check_refused(-EINVAL, "not a regular file");
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_read_is_refused)
{
	char path[64];
	int fd = image_fd(img.data, img.len);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cfg.kernel_fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(cfg.kernel_fd, 0);
	check_refused(-EBADF, "K: read: Bad file descriptor");
	close(fd);
}
END_TEST

START_TEST(a_passed_descriptor_stays_open_and_where_it_was)
{
	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(lseek(cfg.kernel_fd, 0, SEEK_CUR), (off_t)img.len);
}
END_TEST

static const size_t junk_lens[] = { 1, 3, 4, 16, 512, 1024, 4096 };

/* row L2 */
START_TEST(what_is_no_kernel_is_refused)
{
	memset(img.data, 'x', sizeof(img.data));
	cfg.kernel_fd = image_fd(img.data, junk_lens[_i]);
	check_refused(-ENOEXEC, "K: neither an ELF file nor a bzImage");
}
END_TEST

static const struct {
	size_t at, len;
	const char *bytes, *text;
} foreign[] = {
	{ 0, 3, "\x1f\x8b\x08", "compressed with gzip: unpack it first" },
	{ 0, 6, "\xfd" "7zXZ\0", "compressed with xz: unpack it first" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first" },
	{ 0, 4, "BZh9", "compressed with bzip2: unpack it first" },
	{ 0, 4, "\x02\x21\x4c\x18", "compressed with lz4: unpack it first" },
	{ 0, 4, "\x04\x22\x4d\x18", "compressed with lz4: unpack it first" },
	{ 0, 5, "\x5d\0\0\x80\0", "compressed with lzma: unpack it first" },
	{ 0, 4, "\x89LZO", "compressed with lzop: unpack it first" },
	{ 56, 4, "ARM\x64", "a kernel for arm64" },
	{ 56, 4, "RSC\x05", "a kernel for RISC-V" },
	{ 0, 4, "\x27\x05\x19\x56", "U-Boot" },
	{ 0, 8, "MZ\0\0zimg", "a compressed kernel for EFI" },
	{ 0, 2, "MZ", "without a Linux kernel for x86" },
	{ 0, 6, "070701", "an initrd (cpio)" },
	{ 0, 20, "\x7f" "ELF\1\1\1\0\0\0\0\0\0\0\0\0\2\0\3\0", "a 32-bit ELF file" },
	{ 0, 20, "\x7f" "ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\xb7\0", "for arm64" },
	{ 0, 20, "\x7f" "ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\xf3\0", "for RISC-V" },
	{ 0, 20, "\x7f" "ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\x15\0", "another machine" },
};

/* row L2 */
START_TEST(a_kernel_that_cannot_be_booted_is_named)
{
	memset(img.data, 0, sizeof(img.data));
	memcpy(img.data + foreign[_i].at, foreign[_i].bytes, foreign[_i].len);
	cfg.kernel_fd = image_fd(img.data, 4096);
	check_refused(-ENOEXEC, foreign[_i].text);
}
END_TEST

/* row L5 */
START_TEST(ram_too_small_for_the_kernel_is_refused)
{
	guest_mem_free(mem);
	ck_assert_int_eq(guest_mem_create(&mem, ELF_END_GPA - 4096, LAYOUT_HOLE_START,
					  LAYOUT_HOLE_END, GUEST_MEM_ANON), 0);
	cfg.kernel_fd = image_fd(img.data, img.len);
	check_refused(-ENOSPC, "1M of memory are too small: this kernel needs at least 2M");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("loader");
	TCase *tc = tcase_create("load");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_elf_file_with_a_pvh_note_is_entered_there);
	tcase_add_test(tc, an_elf_file_without_a_pvh_note_is_entered_in_64_bit_mode);
	tcase_add_test(tc, the_64_bit_entry_can_be_asked_for);
	tcase_add_test(tc, asking_for_a_pvh_entry_that_is_not_there_is_refused);
	tcase_add_test(tc, segments_are_in_memory_as_in_the_file);
	tcase_add_test(tc, a_bzimage_goes_to_its_preferred_address);
	tcase_add_test(tc, a_bzimages_header_ends_where_its_jump_says);
	tcase_add_test(tc, a_bzimage_has_no_pvh_entry);
	tcase_add_test(tc, an_initrd_lies_page_aligned_at_the_top_of_ram);
	tcase_add_test(tc, an_initrd_stays_below_the_kernels_limit);
	tcase_add_test(tc, an_initrd_that_just_fits_is_taken_and_one_byte_more_refused);
	tcase_add_loop_test(tc, an_initrd_limit_below_the_kernels_end_is_refused, 0,
			    ARRAY_SIZE(low_limits));
	tcase_add_test(tc, an_initrd_larger_than_ram_is_refused);
	tcase_add_test(tc, an_empty_initrd_is_refused);
	tcase_add_test(tc, a_missing_file_is_refused);
	tcase_add_loop_test(tc, what_is_not_a_regular_file_is_refused, 0, ARRAY_SIZE(odd_files));
	tcase_add_test(tc, a_fifo_is_refused_and_does_not_block);
	tcase_add_test(tc, a_descriptor_that_cannot_be_read_is_refused);
	tcase_add_test(tc, a_passed_descriptor_stays_open_and_where_it_was);
	tcase_add_loop_test(tc, what_is_no_kernel_is_refused, 0, ARRAY_SIZE(junk_lens));
	tcase_add_loop_test(tc, a_kernel_that_cannot_be_booted_is_named, 0, ARRAY_SIZE(foreign));
	tcase_add_test(tc, ram_too_small_for_the_kernel_is_refused);
	suite_add_tcase(s, tc);
	return s;
}
