/* SPDX-License-Identifier: Apache-2.0 */
/* x86: the state in which a kernel finds the first CPU. kvm_ioctl() is ours. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch.h"
#include "layout.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

#define FD 77

static struct {
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	unsigned long fails;
} host;

static struct log_capture cap;

/* In place of the one in kvm.c. */
int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	ck_assert_int_eq(fd, FD);
	if (request == host.fails)
		return -EPERM;
	if (request == KVM_GET_SREGS)
		memset(arg, 0x5a, sizeof(struct kvm_sregs));
	else if (request == KVM_SET_SREGS)
		memcpy(&host.sregs, arg, sizeof(host.sregs));
	else if (request == KVM_SET_REGS)
		memcpy(&host.regs, arg, sizeof(host.regs));
	return 0;
}

/* The first CPU at a kernel's entry. */
static struct guest_mem *mem;

static void setup_boot(void)
{
	memset(&host, 0, sizeof(host));
	ck_assert_int_eq(guest_mem_create(&mem, MIB(4), GIB(3), GIB(4), GUEST_MEM_ANON), 0);
}

static void teardown_boot(void)
{
	guest_mem_free(mem);
}

static void boot(enum loader_entry mode)
{
	struct boot_entry entry = { .mode = mode, .rip = 0x100200, .arg = 0x7000 };

	ck_assert_int_eq(arch_vcpu_boot(FD, mem, &entry), 0);
}

START_TEST(a_pvh_kernel_starts_in_flat_32_bit_mode)
{
	boot(LOADER_ENTRY_PVH);
	ck_assert_uint_eq(host.regs.rip, 0x100200);
	ck_assert_uint_eq(host.regs.rbx, 0x7000);
	ck_assert_uint_eq(host.regs.rflags, 2);
	ck_assert_uint_eq(host.sregs.cr0 & 0x80000001, 1);	/* PE, no PG */
	ck_assert_uint_eq(host.sregs.cr4, 0);
	ck_assert_uint_eq(host.sregs.efer, 0);
	ck_assert_uint_eq(host.sregs.cs.db, 1);
	ck_assert_uint_eq(host.sregs.cs.l, 0);
	ck_assert_uint_eq(host.sregs.cs.limit, 0xffffffff);
	ck_assert_uint_eq(host.sregs.ds.limit, 0xffffffff);
	ck_assert_uint_eq(host.sregs.tr.limit, 0x67);		/* Xen's text asks for it */
}
END_TEST

START_TEST(a_64_bit_kernel_starts_in_long_mode)
{
	boot(LOADER_ENTRY_LINUX64);
	ck_assert_uint_eq(host.regs.rip, 0x100200);
	ck_assert_uint_eq(host.regs.rsi, 0x7000);
	ck_assert_uint_eq(host.sregs.cr0 & 0x80000001, 0x80000001);
	ck_assert_uint_eq(host.sregs.cr4 & 1u << 5, 1u << 5);	/* PAE */
	ck_assert_uint_eq(host.sregs.efer & 0x500, 0x500);	/* LME and LMA */
	ck_assert_uint_eq(host.sregs.cs.l, 1);
	ck_assert_uint_eq(host.sregs.cs.db, 0);
	ck_assert_uint_eq(host.sregs.cs.selector, 0x10);	/* boot.rst: __BOOT_CS */
	ck_assert_uint_eq(host.sregs.ds.selector, 0x18);
	ck_assert_uint_eq(host.sregs.ss.selector, 0x18);
}
END_TEST

/* Translates as a CPU would, through the tables in guest memory. */
static uint64_t walk(uint64_t addr)
{
	uint64_t table = host.sregs.cr3;

	for (int shift = 39; shift >= 21; shift -= 9) {
		uint64_t entry;

		ck_assert_int_eq(guest_mem_read(mem, table + (addr >> shift & 511) * 8, &entry, 8),
				 0);
		if ((entry & 3) != 3)
			return ~0ull;		/* not present, or read-only */
		if (shift == 21) {
			ck_assert_uint_eq(entry & 0x80, 0x80);
			return (entry & ~0x1fffffull) | (addr & 0x1fffff);
		}
		table = entry & ~0xfffull;
	}
	return ~0ull;
}

START_TEST(four_gib_are_mapped_one_to_one_and_no_more)
{
	boot(LOADER_ENTRY_LINUX64);
	for (uint64_t addr = 0; addr < GIB(4); addr += MIB(2)) {
		if (walk(addr) != addr || walk(addr + 0x1fffff) != addr + 0x1fffff)
			ck_abort_msg("%#llx", (unsigned long long)addr);
	}
	ck_assert_uint_eq(walk(GIB(4)), ~0ull);
	ck_assert_uint_eq(walk(GIB(512)), ~0ull);
}
END_TEST

/* Intel SDM volume 3, 3.4.5 and 7.2.3: a descriptor taken apart. */
static void check_descriptor(const struct kvm_segment *seg)
{
	uint64_t d, limit;

	ck_assert_uint_le(seg->selector + 7u, host.sregs.gdt.limit);
	ck_assert_int_eq(guest_mem_read(mem, host.sregs.gdt.base + seg->selector, &d, 8), 0);
	limit = (d & 0xffff) | (d >> 32 & 0xf0000);
	if (d >> 55 & 1)
		limit = limit << 12 | 0xfff;
	ck_assert_uint_eq(limit, seg->limit);
	ck_assert_uint_eq((d >> 16 & 0xffffff) | (d >> 32 & 0xff000000), seg->base);
	ck_assert_uint_eq(d >> 40 & 0xf, seg->type);
	ck_assert_uint_eq(d >> 44 & 1, seg->s);
	ck_assert_uint_eq(d >> 45 & 3, seg->dpl);
	ck_assert_uint_eq(d >> 47 & 1, 1);
	ck_assert_uint_eq(seg->present, 1);
	ck_assert_uint_eq(d >> 53 & 1, seg->l);
	ck_assert_uint_eq(d >> 54 & 1, seg->db);
}

START_TEST(the_gdt_in_memory_agrees_with_the_segments)
{
	boot(_i ? LOADER_ENTRY_LINUX64 : LOADER_ENTRY_PVH);
	check_descriptor(&host.sregs.cs);
	check_descriptor(&host.sregs.ds);
	check_descriptor(&host.sregs.es);
	check_descriptor(&host.sregs.ss);
	check_descriptor(&host.sregs.tr);
}
END_TEST

START_TEST(memory_too_small_for_page_tables_is_refused)
{
	struct boot_entry entry = { .mode = LOADER_ENTRY_LINUX64 };
	struct guest_mem *tiny;
	int ret;

	ck_assert_int_eq(guest_mem_create(&tiny, 0x4000, GIB(3), GIB(4), GUEST_MEM_ANON), 0);
	log_capture_begin(&cap);
	ret = arch_vcpu_boot(FD, tiny, &entry);
	log_capture_end(&cap);
	ck_assert_int_eq(ret, -EFAULT);
	ck_assert_uint_eq(cap.nr_lines, 1);
	guest_mem_free(tiny);
}
END_TEST

START_TEST(registers_that_cannot_be_set_are_named)
{
	static const unsigned long step[] = { KVM_GET_SREGS, KVM_SET_SREGS, KVM_SET_REGS };
	struct boot_entry entry = { .mode = LOADER_ENTRY_PVH };
	int ret;

	host.fails = step[_i];
	log_capture_begin(&cap);
	ret = arch_vcpu_boot(FD, mem, &entry);
	log_capture_end(&cap);
	ck_assert_int_eq(ret, -EPERM);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "REGS"));
}
END_TEST

static TCase *boots(void)
{
	TCase *tc = tcase_create("boot");

	tcase_add_checked_fixture(tc, setup_boot, teardown_boot);
	tcase_add_test(tc, a_pvh_kernel_starts_in_flat_32_bit_mode);
	tcase_add_test(tc, a_64_bit_kernel_starts_in_long_mode);
	tcase_add_test(tc, four_gib_are_mapped_one_to_one_and_no_more);
	tcase_add_loop_test(tc, the_gdt_in_memory_agrees_with_the_segments, 0, 2);
	tcase_add_test(tc, memory_too_small_for_page_tables_is_refused);
	tcase_add_loop_test(tc, registers_that_cannot_be_set_are_named, 0, 3);
	return tc;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("arch boot");

	suite_add_tcase(s, boots());
	return s;
}
