/* SPDX-License-Identifier: Apache-2.0 */
/* Malformed bzImages: each is refused with one line that names file and defect. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel_image.h"
#include "layout.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

static struct guest_mem *mem;
static struct kernel_image img;
static struct loaded_kernel k;

static void setup(void)
{
	ck_assert_int_eq(guest_mem_create(&mem, MIB(32), LAYOUT_HOLE_START, LAYOUT_HOLE_END,
					  GUEST_MEM_ANON), 0);
	bz_image_init(&img);
}

static void teardown(void)
{
	guest_mem_free(mem);
}

static int load_fd(int fd)
{
	struct loader_cfg cfg = { .kernel = "K", .kernel_fd = fd, .initrd_fd = -1 };

	return loader_load(&k, mem, &cfg, LAYOUT_HIGH_RAM);
}

static int load(void)
{
	int fd = image_fd(img.data, img.len);
	int ret = load_fd(fd);

	close(fd);
	return ret;
}

static void check_refused(const char *text)
{
	struct log_capture c;
	int ret;

	log_capture_begin(&c);
	ret = load();
	log_capture_end(&c);
	ck_assert_msg(ret == -ENOEXEC || ret == -ENOSPC, "%d, wanted: %s", ret, text);
	ck_assert_msg(c.nr_lines == 1, "%s", c.text);
	ck_assert_msg(strstr(c.text, "K: "), "%s", c.text);
	ck_assert_msg(strstr(c.text, text), "'%s', wanted '%s'", c.text, text);
}

#define FIELD(name) offsetof(struct setup_header, name), sizeof(((struct setup_header *)0)->name)

static const struct {
	size_t off, len;
	uint64_t val;
	const char *text;
} bad_fields[] = {
	{ FIELD(boot_flag), 0, "neither an ELF file nor a bzImage" },
	{ FIELD(boot_flag), 0x55aa, "neither an ELF file nor a bzImage" },
	{ FIELD(header), 0, "neither an ELF file nor a bzImage" },
	{ FIELD(header), 0x48647253, "neither an ELF file nor a bzImage" },
	{ FIELD(version), 0, "older than 2.12" },
	{ FIELD(version), 0x0205, "older than 2.12" },
	{ FIELD(version), 0x020b, "older than 2.12" },
	{ FIELD(loadflags), 0, "not to be loaded above 1 MiB" },
	{ FIELD(xloadflags), 0, "no 64-bit entry" },
	{ FIELD(xloadflags), (uint16_t)~XLF_KERNEL_64, "no 64-bit entry" },
	{ FIELD(jump), 0x6a90, "too short for its version" },
	{ FIELD(jump), 0x00eb, "too short for its version" },
	{ FIELD(jump), 0x61eb, "too short for its version" },
	{ FIELD(setup_sects), 0, "shorter than its header says" },	/* means 4 */
	{ FIELD(setup_sects), 2, "shorter than its header says" },
	{ FIELD(setup_sects), 64, "shorter than its header says" },
	{ FIELD(setup_sects), 255, "shorter than its header says" },
	{ FIELD(syssize), BZ_BODY_LEN / 16 + 1, "shorter than its header says" },
	{ FIELD(syssize), 0x10000000, "shorter than its header says" },	/* 0 in 32 bits */
	{ FIELD(syssize), UINT32_MAX, "shorter than its header says" },
	{ FIELD(syssize), 0, "no 64-bit code" },
	{ FIELD(syssize), 32, "no 64-bit code" },
	{ FIELD(init_size), 0, "init_size is 0" },
	{ FIELD(init_size), BZ_BODY_LEN - 1, "longer than its init_size" },
	{ FIELD(init_size), MIB(16) + 1, "needs at least 33M" },
	{ FIELD(init_size), UINT32_MAX, "no guest RAM" },
	{ FIELD(pref_address), 0, "no guest RAM" },
	{ FIELD(pref_address), LAYOUT_ZERO_PAGE, "no guest RAM" },
	{ FIELD(pref_address), LAYOUT_MPTABLE, "no guest RAM" },
	{ FIELD(pref_address), LAYOUT_HIGH_RAM - 1, "no guest RAM" },
	{ FIELD(pref_address), MIB(32) - BZ_INIT_SIZE + 1, "needs at least 33M" },
	{ FIELD(pref_address), LAYOUT_HOLE_START, "no guest RAM" },
	{ FIELD(pref_address), LAYOUT_IOAPIC, "no guest RAM" },
	{ FIELD(pref_address), GIB(4), "no guest RAM" },
	{ FIELD(pref_address), UINT64_MAX, "no guest RAM" },
	{ FIELD(pref_address), UINT64_MAX - BZ_INIT_SIZE + 1, "no guest RAM" },
};

/* row L4 */
START_TEST(a_bad_header_field_is_refused)
{
	memcpy((uint8_t *)bz_image_header(&img) + bad_fields[_i].off, &bad_fields[_i].val,
	       bad_fields[_i].len);
	check_refused(bad_fields[_i].text);
}
END_TEST

/* row L4 */
START_TEST(a_file_cut_at_any_byte_is_refused)
{
	struct log_capture c;
	unsigned int taken = 0;
	int fd = image_fd(img.data, img.len);

	for (size_t len = img.len - 1; len; len--) {
		ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
		log_capture_begin(&c);
		taken += load_fd(fd) == 0;
		log_capture_end(&c);
		ck_assert_uint_eq(c.nr_lines, 1);
	}
	ck_assert_uint_eq(taken, 0);
	close(fd);
}
END_TEST

/* row L4 */
START_TEST(four_setup_sectors_are_meant_by_zero)
{
	bz_image_header(&img)->setup_sects = 0;
	bz_image_header(&img)->syssize = (BZ_BODY_LEN - 3 * 512) / 16;
	ck_assert_int_eq(load(), 0);
	ck_assert_mem_eq(guest_mem_ptr(mem, BZ_GPA, 512), img.data + 5 * 512, 512);
}
END_TEST

START_TEST(bytes_behind_the_body_do_no_harm)
{
	bz_image_header(&img)->syssize = 0x800 / 16;
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(k.end, BZ_GPA + BZ_INIT_SIZE);
}
END_TEST

/* row L4 */
START_TEST(init_size_may_reach_the_end_of_ram)
{
	bz_image_header(&img)->init_size = MIB(16);
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(k.end, MIB(32));
}
END_TEST

/* One that cannot move is right where we put it: at its preferred address. */
/* row L4 */
START_TEST(a_kernel_that_is_not_relocatable_is_taken)
{
	bz_image_header(&img)->relocatable_kernel = 0;
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(k.start, BZ_GPA);
}
END_TEST

/* row L4 */
START_TEST(the_limit_of_a_huge_command_line_does_not_wrap)
{
	bz_image_header(&img)->cmdline_size = UINT32_MAX;
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(k.cmdline_max, UINT32_MAX);
}
END_TEST

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* row L4 */
START_TEST(spoilt_headers_never_harm)
{
	uint32_t seed = (uint32_t)_i * 91u + 7u;
	struct log_capture c;

	memset(guest_mem_ptr(mem, 0, LAYOUT_HIGH_RAM), 0x77, LAYOUT_HIGH_RAM);
	for (int round = 0; round < 400; round++) {
		bz_image_init(&img);
		for (int i = 0; i < 3; i++)
			img.data[0x1f1 + next_random(&seed) % sizeof(struct setup_header)] =
				(uint8_t)next_random(&seed);
		log_capture_begin(&c);
		load();
		log_capture_end(&c);
		ck_assert_uint_le(c.nr_lines, 1);
	}
	for (uint32_t at = 0; at < LAYOUT_HIGH_RAM; at += 8)
		ck_assert_uint_eq(*(uint64_t *)guest_mem_ptr(mem, at, 8), 0x7777777777777777);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("loader_bzimage");
	TCase *tc = tcase_create("malformed");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_bad_header_field_is_refused, 0, ARRAY_SIZE(bad_fields));
	tcase_add_test(tc, a_file_cut_at_any_byte_is_refused);
	tcase_add_test(tc, four_setup_sectors_are_meant_by_zero);
	tcase_add_test(tc, bytes_behind_the_body_do_no_harm);
	tcase_add_test(tc, init_size_may_reach_the_end_of_ram);
	tcase_add_test(tc, a_kernel_that_is_not_relocatable_is_taken);
	tcase_add_test(tc, the_limit_of_a_huge_command_line_does_not_wrap);
	tcase_add_loop_test(tc, spoilt_headers_never_harm, 0, 8);
	suite_add_tcase(s, tc);
	return s;
}
