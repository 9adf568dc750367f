/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Malformed ELF kernels: each is refused with one line that names file and
 * defect, and nothing below the lowest allowed address is touched.
 */
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
	ck_assert_int_eq(guest_mem_create(&mem, MIB(8), LAYOUT_HOLE_START, LAYOUT_HOLE_END,
					  GUEST_MEM_ANON), 0);
	memset(guest_mem_ptr(mem, 0, LAYOUT_HIGH_RAM), 0x77, LAYOUT_HIGH_RAM);
	elf_image_init(&img);
}

static void teardown(void)
{
	guest_mem_free(mem);
}

static int load_fd(int fd, enum loader_entry entry)
{
	struct loader_cfg cfg = { .kernel = "K", .kernel_fd = fd, .initrd_fd = -1,
				  .entry = entry };

	return loader_load(&k, mem, &cfg, LAYOUT_HIGH_RAM);
}

static int load(enum loader_entry entry)
{
	int fd = image_fd(img.data, img.len);
	int ret = load_fd(fd, entry);

	close(fd);
	return ret;
}

static void check_low_memory(void)
{
	const uint8_t *p = guest_mem_ptr(mem, 0, LAYOUT_HIGH_RAM);

	ck_assert_uint_eq(p[0], 0x77);
	ck_assert_int_eq(memcmp(p, p + 1, LAYOUT_HIGH_RAM - 1), 0);
}

static void check_refused(enum loader_entry entry, const char *text)
{
	struct log_capture c;
	int ret;

	log_capture_begin(&c);
	ret = load(entry);
	log_capture_end(&c);
	ck_assert_msg(ret == -ENOEXEC || ret == -ENOSPC, "%d, wanted: %s", ret, text);
	ck_assert_msg(c.nr_lines == 1, "%s", c.text);
	ck_assert_msg(strstr(c.text, "K: "), "%s", c.text);
	ck_assert_msg(strstr(c.text, text), "'%s', wanted '%s'", c.text, text);
	check_low_memory();
}

/* Field of the ELF header or of a program header, and the value to write there. */
enum place { EHDR, PHDR0, PHDR1, PHDR2 };

#define FIELD(place, type, field) place, offsetof(type, field), sizeof(((type *)0)->field)
#define EH(field) FIELD(EHDR, Elf64_Ehdr, field)
#define P0(field) FIELD(PHDR0, Elf64_Phdr, field)
#define P1(field) FIELD(PHDR1, Elf64_Phdr, field)
#define P2(field) FIELD(PHDR2, Elf64_Phdr, field)

static const struct {
	enum place place;
	size_t off, len;
	uint64_t val;
	const char *text;
} bad_fields[] = {
	{ EHDR, EI_CLASS, 1, ELFCLASS32, "a 32-bit ELF file" },
	{ EHDR, EI_CLASS, 1, 0, "not 64-bit" },
	{ EHDR, EI_DATA, 1, ELFDATA2MSB, "not little-endian" },
	{ EHDR, EI_VERSION, 1, 0, "unknown version" },
	{ EH(e_version), 2, "unknown version" },
	{ EH(e_machine), EM_386, "for another machine" },
	{ EH(e_machine), EM_AARCH64, "for arm64" },
	{ EH(e_type), ET_DYN, "not an executable" },
	{ EH(e_type), ET_REL, "not an executable" },
	{ EH(e_type), ET_CORE, "not an executable" },
	{ EH(e_phentsize), 0, "wrong size of a program header" },
	{ EH(e_phentsize), 55, "wrong size of a program header" },
	{ EH(e_phentsize), 0xffff, "wrong size of a program header" },
	{ EH(e_phnum), 0, "no program headers" },
	{ EH(e_phnum), 65, "no program headers or more" },
	{ EH(e_phnum), PN_XNUM, "no program headers or more" },
	{ EH(e_phoff), 0x2800, "program headers beyond the end" },
	{ EH(e_phoff), 0x2800 - 3 * 56 + 1, "program headers beyond the end" },
	{ EH(e_phoff), UINT64_MAX, "program headers beyond the end" },
	{ EH(e_phoff), UINT64_MAX - 3 * 56 + 1, "program headers beyond the end" },
	{ P0(p_offset), 0x1801, "segment beyond the end" },
	{ P0(p_offset), UINT64_MAX, "segment beyond the end" },
	{ P0(p_offset), UINT64_MAX - 0xfff, "segment beyond the end" },
	{ P0(p_offset), INT64_MAX, "segment beyond the end" },
	{ P0(p_filesz), 0x1001, "more bytes in the file than in memory" },
	{ P0(p_filesz), UINT64_MAX, "more bytes in the file than in memory" },
	{ P0(p_memsz), 0, "more bytes in the file than in memory" },
	{ P0(p_memsz), 0xfff, "more bytes in the file than in memory" },
	{ P0(p_memsz), UINT64_MAX, "no guest RAM" },
	{ P0(p_memsz), MIB(7) + 1, "this kernel needs at least 9M" },
	{ P0(p_memsz), UINT64_MAX - ELF_TEXT_GPA + 1, "no guest RAM" },
	{ P1(p_memsz), MIB(7), "this kernel needs at least 9M" },
	{ P0(p_paddr), 0, "no guest RAM" },
	{ P0(p_paddr), LAYOUT_ZERO_PAGE, "no guest RAM" },
	{ P0(p_paddr), LAYOUT_CMDLINE, "no guest RAM" },
	{ P0(p_paddr), LAYOUT_MPTABLE, "no guest RAM" },
	{ P0(p_paddr), LAYOUT_ACPI, "no guest RAM" },
	{ P0(p_paddr), LAYOUT_HIGH_RAM - 1, "no guest RAM" },
	{ P0(p_paddr), MIB(8) - 0xfff, "this kernel needs at least 9M" },
	{ P0(p_paddr), MIB(8), "this kernel needs at least 9M" },
	{ P0(p_paddr), LAYOUT_HOLE_START, "no guest RAM" },
	{ P0(p_paddr), GIB(4), "no guest RAM" },
	{ P0(p_paddr), UINT64_MAX, "no guest RAM" },
	{ P0(p_paddr), UINT64_MAX - 0xfff, "no guest RAM" },
	{ P0(p_paddr), 0xffffffff81000000, "no guest RAM" },
	{ P1(p_paddr), ELF_TEXT_GPA, "overlaps another" },
	{ P1(p_paddr), ELF_TEXT_GPA + 0xfff, "overlaps another" },
	{ P0(p_paddr), ELF_DATA_GPA - 0xfff, "overlaps another" },
	{ P0(p_paddr), ELF_END_GPA - 1, "overlaps another" },
	{ P0(p_memsz), 0x2001, "overlaps another" },
	{ P0(p_type), PT_NULL, "PVH entry outside" },
	{ P2(p_offset), 0x2800, "notes beyond the end" },
	{ P2(p_offset), UINT64_MAX, "notes beyond the end" },
	{ P2(p_filesz), 0x902, "notes beyond the end" },
	{ P2(p_filesz), UINT64_MAX, "notes beyond the end" },
};

/* A Multiboot header of either version at this place; sum: what its words add up to. */
static void put_multiboot(size_t at, bool second, uint32_t sum)
{
	uint32_t v1[] = { 0x1badb002, 3, 0 }, v2[] = { 0xe85250d6, 0, 24, 0 };

	v1[2] = sum - v1[0] - v1[1];
	v2[3] = sum - v2[0] - v2[2];
	memcpy(img.data + at, second ? v2 : v1, second ? sizeof(v2) : sizeof(v1));
}

/* row L2 */
START_TEST(a_multiboot_kernel_is_named)
{
	elf_image_phdr(&img, 2)->p_type = PT_NULL;
	put_multiboot(_i & 2 ? 4096 - 16 : 0x800, _i & 1, 0);
	check_refused(LOADER_ENTRY_AUTO, "Multiboot");
	ck_assert_int_eq(load(LOADER_ENTRY_LINUX64), 0);
}
END_TEST

START_TEST(a_multiboot_kernel_with_a_pvh_note_is_entered_there)
{
	put_multiboot(0x800, _i, 0);
	ck_assert_int_eq(load(LOADER_ENTRY_AUTO), 0);
	ck_assert_int_eq(k.entry, LOADER_ENTRY_PVH);
}
END_TEST

START_TEST(a_word_like_multiboots_is_no_header)
{
	elf_image_phdr(&img, 2)->p_type = PT_NULL;
	put_multiboot(0x800, _i, 1);
	ck_assert_int_eq(load(LOADER_ENTRY_AUTO), 0);
}
END_TEST

static uint8_t *field(enum place place)
{
	return place == EHDR ? img.data : (uint8_t *)elf_image_phdr(&img, place - PHDR0);
}

/* row L2 */
START_TEST(a_bad_header_field_is_refused)
{
	memcpy(field(bad_fields[_i].place) + bad_fields[_i].off, &bad_fields[_i].val,
	       bad_fields[_i].len);
	check_refused(LOADER_ENTRY_AUTO, bad_fields[_i].text);
}
END_TEST

/* row L1 */
START_TEST(a_file_cut_at_any_byte_is_refused)
{
	struct log_capture c;
	unsigned int taken = 0;
	int fd = image_fd(img.data, img.len);

	for (size_t len = img.len - 1; len; len--) {
		ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
		log_capture_begin(&c);
		taken += load_fd(fd, LOADER_ENTRY_AUTO) == 0;
		log_capture_end(&c);
		ck_assert_uint_eq(c.nr_lines, 1);
	}
	ck_assert_uint_eq(taken, 0);
	check_low_memory();
	close(fd);
}
END_TEST

/* There is RAM, but not on the map that the kernel is entered with. */
/* row L2 */
START_TEST(a_kernel_above_4_gib_is_refused)
{
	guest_mem_free(mem);
	ck_assert_int_eq(guest_mem_create(&mem, MIB(16), MIB(8), LAYOUT_HOLE_END, GUEST_MEM_ANON),
			 0);
	memset(guest_mem_ptr(mem, 0, LAYOUT_HIGH_RAM), 0x77, LAYOUT_HIGH_RAM);
	elf_image_phdr(&img, 0)->p_paddr = LAYOUT_HOLE_END;
	check_refused(LOADER_ENTRY_AUTO, "no guest RAM");
}
END_TEST

/* row L2 */
START_TEST(no_segment_to_load_is_refused)
{
	elf_image_phdr(&img, 0)->p_type = PT_NULL;
	elf_image_phdr(&img, 1)->p_type = PT_NULL;
	check_refused(LOADER_ENTRY_AUTO, "nothing to load");
}
END_TEST

/* row L2 */
START_TEST(an_empty_segment_is_passed_over)
{
	Elf64_Phdr *p = elf_image_phdr(&img, 1);

	*p = (Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = UINT64_MAX, .p_offset = UINT64_MAX };
	ck_assert_int_eq(load(LOADER_ENTRY_AUTO), 0);
	ck_assert_uint_eq(k.end, ELF_TEXT_GPA + 0x1000);
}
END_TEST

/* row L2 */
START_TEST(segments_that_touch_are_taken)
{
	elf_image_phdr(&img, 1)->p_paddr = ELF_TEXT_GPA + 0x1000;
	ck_assert_int_eq(load(LOADER_ENTRY_AUTO), 0);
}
END_TEST

static const uint64_t bad_entries[] = {
	0, 1, ELF_TEXT_GPA - 1, ELF_TEXT_GPA + 0x1000, ELF_DATA_GPA + 0x800, UINT64_MAX,
	0xffffffff81000000,
};

/* row L2 */
START_TEST(a_64_bit_entry_outside_of_the_files_bytes_is_refused)
{
	elf_image_ehdr(&img)->e_entry = bad_entries[_i];
	check_refused(LOADER_ENTRY_LINUX64, "entry outside");
}
END_TEST

START_TEST(a_64_bit_entry_nobody_uses_does_not_matter)
{
	elf_image_ehdr(&img)->e_entry = 0xffffffff81000000;
	ck_assert_int_eq(load(LOADER_ENTRY_AUTO), 0);
	ck_assert_int_eq(k.entry, LOADER_ENTRY_PVH);
}
END_TEST

static const struct {
	uint64_t entry;
	const char *text;
} bad_pvh[] = {
	{ 0, "0 or not below 4 GiB" },
	{ GIB(4), "0 or not below 4 GiB" },
	{ GIB(4) + ELF_ENTRY_PVH, "0 or not below 4 GiB" },
	{ UINT64_MAX, "0 or not below 4 GiB" },
	{ 1, "PVH entry outside" },
	{ ELF_TEXT_GPA - 1, "PVH entry outside" },
	{ ELF_TEXT_GPA + 0x1000, "PVH entry outside" },
	{ ELF_DATA_GPA + 0x800, "PVH entry outside" },
	{ UINT32_MAX, "PVH entry outside" },
};

/* row L3 */
START_TEST(a_pvh_entry_outside_of_the_files_bytes_is_refused)
{
	memcpy((uint8_t *)elf_image_pvh_note(&img) + 16, &bad_pvh[_i].entry, 8);
	check_refused(LOADER_ENTRY_AUTO, bad_pvh[_i].text);
}
END_TEST

static const struct {
	uint32_t namesz, descsz;
	const char *text;
} bad_notes[] = {
	{ 4, 0, "neither 4 nor 8" },
	{ 4, 1, "neither 4 nor 8" },
	{ 4, 7, "neither 4 nor 8" },
	{ 4, 9, "reaches beyond" },
	{ 4, UINT32_MAX, "reaches beyond" },
	{ 13, 8, "reaches beyond" },
	{ 16, 8, "reaches beyond" },
	{ UINT32_MAX, 8, "reaches beyond" },
	{ UINT32_MAX, UINT32_MAX, "reaches beyond" },
	{ UINT32_MAX - 3, 0, "reaches beyond" },
};

/* row L3 */
START_TEST(a_pvh_note_of_a_wrong_size_is_refused)
{
	elf_image_pvh_note(&img)->n_namesz = bad_notes[_i].namesz;
	elf_image_pvh_note(&img)->n_descsz = bad_notes[_i].descsz;
	check_refused(LOADER_ENTRY_AUTO, bad_notes[_i].text);
}
END_TEST

/* row L3 */
START_TEST(a_pvh_note_of_4_bytes_is_taken)
{
	static const uint32_t entry = ELF_ENTRY_PVH + 4;

	elf_image_pvh_note(&img)->n_type = 1;
	elf_image_add_note(&img, "Xen", 18, &entry, sizeof(entry));
	ck_assert_int_eq(load(LOADER_ENTRY_AUTO), 0);
	ck_assert_uint_eq(k.entry_gpa, ELF_ENTRY_PVH + 4);
}
END_TEST

/* row L3 */
START_TEST(two_pvh_notes_are_refused)
{
	static const uint64_t entry = ELF_ENTRY_PVH;

	elf_image_add_note(&img, "Xen", 18, &entry, sizeof(entry));
	check_refused(LOADER_ENTRY_AUTO, "two PVH entries");
}
END_TEST

/* row L3 */
START_TEST(two_notes_segments_are_both_read)
{
	*elf_image_phdr(&img, 1) = *elf_image_phdr(&img, 2);
	check_refused(LOADER_ENTRY_AUTO, "two PVH entries");
}
END_TEST

static const struct {
	uint32_t type;
	const char *name;
} other_notes[] = { { 17, "Xen" }, { 0, "Xen" }, { 18, "xen" }, { 18, "Xe\0" } };

/* row L3 */
START_TEST(a_note_of_another_kind_is_no_pvh_entry)
{
	Elf64_Nhdr *n = elf_image_pvh_note(&img);

	n->n_type = other_notes[_i].type;
	memcpy(n + 1, other_notes[_i].name, 4);
	ck_assert_int_eq(load(LOADER_ENTRY_AUTO), 0);
	ck_assert_int_eq(k.entry, LOADER_ENTRY_LINUX64);
}
END_TEST

/* What is too short for a header is padding. */
/* row L3 */
START_TEST(notes_cut_inside_a_header_end_there)
{
	elf_image_phdr(&img, 2)->p_filesz = 24 + (uint64_t)_i;
	ck_assert_int_eq(load(LOADER_ENTRY_AUTO), 0);
	ck_assert_int_eq(k.entry, LOADER_ENTRY_LINUX64);
}
END_TEST

/* row L3 */
START_TEST(notes_cut_behind_a_header_are_refused)
{
	elf_image_phdr(&img, 2)->p_filesz = 24 + (uint64_t)_i;
	check_refused(LOADER_ENTRY_AUTO, "reaches beyond");
}
END_TEST

/* row L3 */
START_TEST(notes_of_more_than_64_kib_are_refused)
{
	int fd = image_fd(img.data, img.len);
	struct log_capture c;
	int ret;

	elf_image_phdr(&img, 2)->p_filesz = KIB(64) + 1;
	ck_assert_int_eq(pwrite(fd, img.data, img.len, 0), (ssize_t)img.len);
	ck_assert_int_eq(ftruncate(fd, MIB(1)), 0);
	log_capture_begin(&c);
	ret = load_fd(fd, LOADER_ENTRY_AUTO);
	log_capture_end(&c);
	close(fd);
	ck_assert_int_eq(ret, -ENOEXEC);
	ck_assert_msg(strstr(c.text, "more than 64 KiB"), "%s", c.text);
}
END_TEST

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Whatever a few spoilt bytes make of the headers: no crash, and not a byte in low memory. */
/* rows L2, L3 */
START_TEST(spoilt_headers_never_harm)
{
	uint32_t seed = (uint32_t)_i * 77u + 1u;
	struct log_capture c;

	for (int round = 0; round < 400; round++) {
		elf_image_init(&img);
		for (int i = 0; i < 3; i++) {
			size_t at = next_random(&seed) % (64 + 3 * 56 + 80);

			at = at < 64 + 3 * 56 ? at : ELF_NOTES + at - (64 + 3 * 56);
			img.data[at] = (uint8_t)next_random(&seed);
		}
		log_capture_begin(&c);
		load((enum loader_entry)(round % 3));
		log_capture_end(&c);
		ck_assert_uint_le(c.nr_lines, 1);
	}
	check_low_memory();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("loader_elf");
	TCase *tc = tcase_create("malformed");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_multiboot_kernel_is_named, 0, 4);
	tcase_add_loop_test(tc, a_multiboot_kernel_with_a_pvh_note_is_entered_there, 0, 2);
	tcase_add_loop_test(tc, a_word_like_multiboots_is_no_header, 0, 2);
	tcase_add_loop_test(tc, a_bad_header_field_is_refused, 0, ARRAY_SIZE(bad_fields));
	tcase_add_test(tc, a_file_cut_at_any_byte_is_refused);
	tcase_add_test(tc, a_kernel_above_4_gib_is_refused);
	tcase_add_test(tc, no_segment_to_load_is_refused);
	tcase_add_test(tc, an_empty_segment_is_passed_over);
	tcase_add_test(tc, segments_that_touch_are_taken);
	tcase_add_loop_test(tc, a_64_bit_entry_outside_of_the_files_bytes_is_refused, 0,
			    ARRAY_SIZE(bad_entries));
	tcase_add_test(tc, a_64_bit_entry_nobody_uses_does_not_matter);
	tcase_add_loop_test(tc, a_pvh_entry_outside_of_the_files_bytes_is_refused, 0,
			    ARRAY_SIZE(bad_pvh));
	tcase_add_loop_test(tc, a_pvh_note_of_a_wrong_size_is_refused, 0, ARRAY_SIZE(bad_notes));
	tcase_add_test(tc, a_pvh_note_of_4_bytes_is_taken);
	tcase_add_test(tc, two_pvh_notes_are_refused);
	tcase_add_test(tc, two_notes_segments_are_both_read);
	tcase_add_loop_test(tc, a_note_of_another_kind_is_no_pvh_entry, 0,
			    ARRAY_SIZE(other_notes));
	tcase_add_loop_test(tc, notes_cut_inside_a_header_end_there, 0, 12);
	tcase_add_loop_test(tc, notes_cut_behind_a_header_are_refused, 12, 24);
	tcase_add_test(tc, notes_of_more_than_64_kib_are_refused);
	tcase_add_loop_test(tc, spoilt_headers_never_harm, 0, 8);
	suite_add_tcase(s, tc);
	return s;
}
