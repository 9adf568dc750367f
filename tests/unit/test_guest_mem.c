/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "guest_mem.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

#define PAGE GUEST_MEM_PAGE
#define LOW MIB(2)		/* a small machine whose hole begins at 2 MiB */
#define HOLE_END MIB(8)
#define SIZE (LOW + MIB(1))	/* 2 MiB below the hole, 1 MiB above */

static struct guest_mem *mem;

static void setup(void)
{
	ck_assert_int_eq(guest_mem_create(&mem, SIZE, LOW, HOLE_END, GUEST_MEM_ANON), 0);
}

static void teardown(void)
{
	guest_mem_free(mem);
}

START_TEST(memory_that_fits_below_the_hole_is_one_region)
{
	struct guest_mem *m;

	ck_assert_int_eq(guest_mem_create(&m, LOW, LOW, HOLE_END, GUEST_MEM_ANON), 0);
	ck_assert_uint_eq(m->nr_regions, 1);
	ck_assert_uint_eq(m->region[0].gpa, 0);
	ck_assert_uint_eq(m->region[0].len, LOW);
	guest_mem_free(m);
}
END_TEST

START_TEST(memory_beyond_the_hole_continues_behind_it)
{
	ck_assert_uint_eq(mem->nr_regions, 2);
	ck_assert_uint_eq(mem->region[1].gpa, HOLE_END);
	ck_assert_uint_eq(mem->region[1].len, SIZE - LOW);
	ck_assert_uint_eq(guest_mem_size(mem), SIZE);
}
END_TEST

static const struct {
	uint64_t size, hole_end;
} bad_size[] = {
	{ 0, HOLE_END },
	{ 1, HOLE_END },
	{ PAGE - 1, HOLE_END },
	{ PAGE + 1, HOLE_END },
	{ SIZE + 512, HOLE_END },
	{ UINT64_MAX, HOLE_END },
	{ UINT64_MAX & ~(uint64_t)(PAGE - 1), HOLE_END },	/* end wraps */
	{ SIZE, UINT64_MAX - PAGE },				/* so does this one */
};

/* row K1 */
START_TEST(a_size_that_makes_no_sense_is_refused_with_one_line)
{
	struct log_capture c;
	struct guest_mem *m = NULL;
	int ret;

	log_capture_begin(&c);
	ret = guest_mem_create(&m, bad_size[_i].size, LOW, bad_size[_i].hole_end, GUEST_MEM_ANON);
	log_capture_end(&c);
	ck_assert_int_eq(ret, -EINVAL);
	ck_assert_ptr_null(m);
	ck_assert_uint_eq(c.nr_lines, 1);
}
END_TEST

/* row K1 */
START_TEST(more_than_the_address_space_holds_is_refused_without_a_leak)
{
	struct log_capture c;
	struct guest_mem *m = NULL;
	int ret;

	log_capture_begin(&c);
	ret = guest_mem_create(&m, 1ull << 62, LOW, HOLE_END, GUEST_MEM_ANON);
	log_capture_end(&c);
	ck_assert_int_eq(ret, -ENOMEM);
	ck_assert_ptr_null(m);
	ck_assert_uint_eq(c.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(c.text, "guest memory"));
}
END_TEST

static const struct {
	gpa_t gpa;
	uint64_t len;
	int region;			/* -1: no RAM */
} range[] = {
	{ 0, 1, 0 },
	{ 0, LOW, 0 },
	{ LOW - 1, 1, 0 },
	{ HOLE_END, 1, 1 },
	{ HOLE_END, SIZE - LOW, 1 },
	{ HOLE_END + (SIZE - LOW) - 1, 1, 1 },
	{ 0, 0, -1 },
	{ 0, LOW + 1, -1 },
	{ LOW - 1, 2, -1 },
	{ LOW, 1, -1 },
	{ LOW - 8, HOLE_END, -1 },			/* from below the hole to above it */
	{ 0, HOLE_END + (SIZE - LOW), -1 },
	{ HOLE_END - 1, 2, -1 },
	{ HOLE_END - 1, 1, -1 },
	{ HOLE_END + (SIZE - LOW), 1, -1 },
	{ HOLE_END, SIZE - LOW + 1, -1 },
	{ HOLE_END + (SIZE - LOW) - 1, 2, -1 },
	{ UINT64_MAX, 1, -1 },
	{ UINT64_MAX, 2, -1 },				/* wraps to 0 */
	{ UINT64_MAX - 15, 16, -1 },
	{ UINT64_MAX - 15, 32, -1 },
	{ 16, UINT64_MAX, -1 },
	{ 16, UINT64_MAX - 15, -1 },			/* sum is 0 */
	{ 0, UINT64_MAX, -1 },
	{ HOLE_END + 16, UINT64_MAX - HOLE_END, -1 },
	{ 1ull << 63, 1, -1 },
};

/* row Q9 */
START_TEST(a_range_has_a_pointer_only_if_all_of_it_is_ram)
{
	const uint8_t *p = guest_mem_ptr(mem, range[_i].gpa, range[_i].len);
	const struct guest_mem_region *r = &mem->region[MAX(range[_i].region, 0)];

	if (range[_i].region < 0)
		ck_assert_ptr_null(p);
	else
		ck_assert_ptr_eq(p, r->host + (range[_i].gpa - r->gpa));
}
END_TEST

START_TEST(fresh_memory_is_zero)
{
	static const uint8_t zero[PAGE];

	for (gpa_t gpa = 0; gpa < LOW; gpa += PAGE)
		ck_assert_mem_eq(guest_mem_ptr(mem, gpa, PAGE), zero, PAGE);
}
END_TEST

START_TEST(what_was_written_is_read_back)
{
	uint32_t in = 0xdeadbeef, out = 0;

	ck_assert_int_eq(guest_mem_write(mem, HOLE_END + 5, &in, sizeof(in)), 0);
	ck_assert_int_eq(guest_mem_read(mem, HOLE_END + 5, &out, sizeof(out)), 0);
	ck_assert_uint_eq(out, in);
}
END_TEST

START_TEST(a_copy_that_leaves_ram_touches_nothing)
{
	uint64_t in = ~0ull, out = 7;
	uint32_t before = 0;

	ck_assert_int_eq(guest_mem_write(mem, LOW - 4, &in, sizeof(in)), -EFAULT);
	ck_assert_int_eq(guest_mem_read(mem, LOW - 4, &out, sizeof(out)), -EFAULT);
	ck_assert_uint_eq(out, 7);
	ck_assert_int_eq(guest_mem_read(mem, LOW - 4, &before, sizeof(before)), 0);
	ck_assert_uint_eq(before, 0);
}
END_TEST

/* Each of these tests ends in a signal, in a process of its own. */
static void expect_a_fault(void)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
	signal(SIGSEGV, SIG_DFL);	/* a sanitizer's handler would exit instead */
}

static void touch(volatile uint8_t *p)
{
	expect_a_fault();
	*p = 1;
}

START_TEST(the_byte_below_a_region_faults)
{
	touch(mem->region[_i].host - 1);
}
END_TEST

START_TEST(the_byte_behind_a_region_faults)
{
	touch(mem->region[_i].host + mem->region[_i].len);
}
END_TEST

START_TEST(two_mebibytes_behind_a_region_still_fault)
{
	touch(mem->region[_i].host + mem->region[_i].len + MIB(2) - 1);
}
END_TEST

START_TEST(two_mebibytes_on_either_side_are_the_regions_own)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct guest_mem_region *r = &mem->region[i];
		const uint8_t *space = r->space;

		ck_assert_uint_ge((uint64_t)(r->host - space), MIB(2));
		ck_assert_uint_ge((uint64_t)(space + r->space_len - (r->host + r->len)), MIB(2));
	}
}
END_TEST

START_TEST(the_first_byte_of_the_space_faults)
{
	touch(mem->region[_i].space);
}
END_TEST

START_TEST(the_last_byte_of_the_space_faults)
{
	touch((uint8_t *)mem->region[_i].space + mem->region[_i].space_len - 1);
}
END_TEST

START_TEST(regions_begin_on_a_huge_page)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++)
		ck_assert_uint_eq((uintptr_t)mem->region[i].host % MIB(2), 0);
}
END_TEST

START_TEST(memory_is_not_executable)
{
	uint8_t *code = mem->region[0].host;
	void (*run)(void);

	code[0] = 0xc3;		/* ret */
	expect_a_fault();
	memcpy(&run, &code, sizeof(run));
	run();
}
END_TEST

START_TEST(transparent_huge_pages_are_ordinary_memory)
{
	struct guest_mem *m;

	ck_assert_int_eq(guest_mem_create(&m, MIB(4), GIB(3), GIB(4), GUEST_MEM_THP), 0);
	ck_assert_int_eq(guest_mem_write(m, MIB(4) - 1, "x", 1), 0);
	guest_mem_free(m);
}
END_TEST

/* Bytes of this process's address space that are taken. */
static uint64_t space_taken(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages * (uint64_t)PAGE;
}

/* Without a reservation the guest's first access would end the monitor with SIGBUS. */
/* row K1 */
START_TEST(more_huge_pages_than_the_host_has_are_refused_at_once)
{
	uint64_t before = space_taken();

	for (int i = 0; i < 300; i++) {
		struct log_capture c;
		struct guest_mem *m = NULL;
		int ret;

		log_capture_begin(&c);
		ret = guest_mem_create(&m, GIB(1024), GIB(3), GIB(4), GUEST_MEM_HUGETLB);
		log_capture_end(&c);
		ck_assert_int_lt(ret, 0);
		ck_assert_ptr_null(m);
		ck_assert_uint_eq(c.nr_lines, 1);
		ck_assert_ptr_nonnull(strstr(c.text, "map"));
	}
	ck_assert_uint_lt(space_taken(), before + GIB(1));	/* 4 MiB each would be more */
}
END_TEST

START_TEST(terabytes_can_be_reserved_without_being_there)
{
	struct guest_mem *m;

	ck_assert_int_eq(guest_mem_create(&m, GIB(64), GIB(3), GIB(4), GUEST_MEM_ANON), 0);
	ck_assert_int_eq(guest_mem_write(m, GIB(65) - 1, "x", 1), 0);
	ck_assert_int_eq(guest_mem_write(m, GIB(65), "x", 1), -EFAULT);
	guest_mem_free(m);
}
END_TEST

START_TEST(creating_and_freeing_leaves_no_mapping)
{
	uint64_t before = space_taken();

	for (int i = 0; i < 300; i++) {
		struct guest_mem *m;

		ck_assert_int_eq(guest_mem_create(&m, GIB(60), GIB(3), GIB(4), GUEST_MEM_ANON), 0);
		guest_mem_free(m);
	}
	ck_assert_uint_lt(space_taken(), before + GIB(1));	/* 2 MiB each would be more */
}
END_TEST

/* Flags of the mapping that p lies in, as the kernel tells them. */
static void mapping_flags(const uint8_t *p, char flags[256])
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	bool inside = false;
	char line[512];

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (inside && sscanf(line, "VmFlags: %255[^\n]", flags) == 1)
			break;
	}
	fclose(f);
}

START_TEST(guest_memory_stays_out_of_core_dumps)
{
	char flags[256] = "";

	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		mapping_flags(mem->region[i].host, flags);
		ck_assert_msg(strstr(flags, " dd") || !strncmp(flags, "dd", 2), "flags: %s", flags);
	}
}
END_TEST

START_TEST(freeing_nothing_is_allowed)
{
	guest_mem_free(NULL);
}
END_TEST

static TCase *faults(void)
{
	TCase *tc = tcase_create("guards");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test_raise_signal(tc, the_byte_below_a_region_faults, SIGSEGV, 0, 2);
	tcase_add_loop_test_raise_signal(tc, the_byte_behind_a_region_faults, SIGSEGV, 0, 2);
	tcase_add_loop_test_raise_signal(tc, two_mebibytes_behind_a_region_still_fault, SIGSEGV,
					 0, 2);
	tcase_add_loop_test_raise_signal(tc, the_first_byte_of_the_space_faults, SIGSEGV, 0, 2);
	tcase_add_loop_test_raise_signal(tc, the_last_byte_of_the_space_faults, SIGSEGV, 0, 2);
	tcase_add_test_raise_signal(tc, memory_is_not_executable, SIGSEGV);
	return tc;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("guest_mem");
	TCase *tc = tcase_create("guest_mem");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, memory_that_fits_below_the_hole_is_one_region);
	tcase_add_test(tc, memory_beyond_the_hole_continues_behind_it);
	tcase_add_loop_test(tc, a_size_that_makes_no_sense_is_refused_with_one_line, 0,
			    ARRAY_SIZE(bad_size));
	tcase_add_test(tc, more_than_the_address_space_holds_is_refused_without_a_leak);
	tcase_add_loop_test(tc, a_range_has_a_pointer_only_if_all_of_it_is_ram, 0,
			    ARRAY_SIZE(range));
	tcase_add_test(tc, fresh_memory_is_zero);
	tcase_add_test(tc, what_was_written_is_read_back);
	tcase_add_test(tc, a_copy_that_leaves_ram_touches_nothing);
	tcase_add_test(tc, two_mebibytes_on_either_side_are_the_regions_own);
	tcase_add_test(tc, regions_begin_on_a_huge_page);
	tcase_add_test(tc, transparent_huge_pages_are_ordinary_memory);
	tcase_add_test(tc, more_huge_pages_than_the_host_has_are_refused_at_once);
	tcase_add_test(tc, terabytes_can_be_reserved_without_being_there);
	tcase_add_test(tc, creating_and_freeing_leaves_no_mapping);
	tcase_add_test(tc, guest_memory_stays_out_of_core_dumps);
	tcase_add_test(tc, freeing_nothing_is_allowed);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, faults());
	return s;
}
