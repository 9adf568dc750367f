/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86: what the CPUs say about themselves, and the machine's chips. kvm_ioctl()
 * is ours, so no KVM is needed. The first CPU's state is in test_arch_boot.c.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "layout.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

#define FD 77
#define MAX_ENTRIES 64

struct cpuid_room {			/* struct kvm_cpuid2, with room */
	uint32_t nent, padding;
	struct kvm_cpuid_entry2 room[MAX_ENTRIES];
};

static struct {
	struct kvm_cpuid_entry2 supported[MAX_ENTRIES];
	unsigned int nr_supported;
	struct cpuid_room set;		/* what the vCPU got */
	unsigned long fails;
	unsigned int nr_calls;
	unsigned long call[16];
	uint64_t tss;
	int tsc_khz;
} host;

/* In place of the one in kvm.c. */
int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	if (fd != FD)
		ck_abort_msg("descriptor %d", fd);
	host.call[host.nr_calls++ % ARRAY_SIZE(host.call)] = request;
	if (request == host.fails)
		return -EPERM;
	switch (request) {
	case KVM_GET_SUPPORTED_CPUID:
		((struct kvm_cpuid2 *)arg)->nent = host.nr_supported;
		memcpy(((struct kvm_cpuid2 *)arg)->entries, host.supported,
		       host.nr_supported * sizeof(host.supported[0]));
		return 0;
	case KVM_SET_CPUID2:
		if (((struct kvm_cpuid2 *)arg)->nent > MAX_ENTRIES)
			ck_abort_msg("too many CPUID entries");
		memcpy(&host.set, arg, sizeof(struct kvm_cpuid2) +
		       ((struct kvm_cpuid2 *)arg)->nent * sizeof(host.supported[0]));
		return 0;
	case KVM_SET_MSRS:
		return (int)((struct kvm_msrs *)arg)->nmsrs;
	case KVM_GET_TSC_KHZ:
		return host.tsc_khz;
	case KVM_SET_TSS_ADDR:
		host.tss = (uintptr_t)arg;
		return 0;
	}
	return 0;
}

static struct kvm kvm = { .sys_fd = FD, .vm_fd = FD, .tsc_deadline = true };
static struct log_capture cap;

static void support(uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx,
		    uint32_t edx)
{
	host.supported[host.nr_supported++] = (struct kvm_cpuid_entry2){
		.function = function, .index = index, .eax = eax, .ebx = ebx, .ecx = ecx,
		.edx = edx,
	};
}

static void setup_intel(void)
{
	memset(&host, 0, sizeof(host));
	support(0, 0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69);	/* GenuineIntel */
	support(1, 0, 0x000306c3, 0x07100800, 0, 1u << 28);	/* host CPU 7 of 16 threads */
	support(4, 0, 0x1c004121, 0x01c0003f, 0x3f, 0);		/* L1 data */
	support(4, 1, 0x1c004143, 0x03c0003f, 0x3ff, 0);	/* L2 */
	support(4, 2, 0x1c03c163, 0x03c0003f, 0x2fff, 6);	/* L3 */
	support(4, 3, 0, 0, 0, 0);
	support(0xb, 0, 1, 2, 0x100, 7);			/* the host's topology */
	support(0x1f, 0, 1, 2, 0x100, 7);
	support(0x80000008, 0, 0x3027, 0, 0, 0);
}

static void setup_amd(void)
{
	memset(&host, 0, sizeof(host));
	support(0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);	/* AuthenticAMD */
	support(1, 0, 0x00a20f10, 0x07100800, 0, 1u << 28);
	support(0xb, 0, 1, 2, 0x100, 7);
	support(0x80000001, 0, 0, 0, 0, 0);
	support(0x80000008, 0, 0x3030, 0, 0x700f, 0);
	support(0x8000001d, 0, 0x00004121, 0, 0, 0);		/* L1 data */
	support(0x8000001d, 3, 0x0003c163, 0, 0, 0);		/* L3 */
	support(0x8000001e, 0, 7, 0x0103, 0x0001, 0);
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < host.set.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &host.set.room[i];

		if (e->function == function && e->index == index)
			return e;
	}
	ck_abort_msg("no leaf %#x.%u", function, index);
	return NULL;
}

/* The features of vCPU id among nr_cpus, in host.set. */
static void init_cpu(unsigned int nr_cpus, unsigned int id)
{
	struct arch_cpu *cpu;

	if (arch_cpu_create(&cpu, &kvm, nr_cpus))
		ck_abort_msg("%u CPUs", nr_cpus);
	for (unsigned int i = id ? id - 1 : 0; i <= id; i++)	/* after another one, as it is */
		if (arch_vcpu_init(cpu, FD, i))
			ck_abort_msg("CPU %u", i);
	arch_cpu_free(cpu);
}

/* How many bits of an APIC id number n CPUs. */
static unsigned int bits(unsigned int n)
{
	unsigned int b = 0;

	while (1u << b < n)
		b++;
	return b;
}

/* Calls check for the first, the second, the middle and the last CPU of 1..254. */
static void for_all_sizes(void (*check)(unsigned int n, unsigned int id))
{
	for (unsigned int n = 1; n <= 254; n++) {
		const unsigned int ids[] = { 0, MIN(1, n - 1), n / 2, n - 1 };

		for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++) {
			init_cpu(n, ids[i]);
			check(n, ids[i]);
		}
	}
}

/* Asserts that cost nothing while they hold: there are thousands of them. */
static void require_eq(uint32_t got, uint32_t expected, const char *what, unsigned int n,
		       unsigned int id)
{
	if (got != expected)
		ck_abort_msg("CPU %u of %u: %s is %#x, not %#x", id, n, what, got, expected);
}

static void check_leaf_1(unsigned int n, unsigned int id)
{
	const struct kvm_cpuid_entry2 *e = leaf(1, 0);

	require_eq(e->ebx >> 24, id, "APIC id", n, id);
	require_eq(e->ebx >> 16 & 0xff, MIN(1u << bits(n), 255), "number of ids", n, id);
	require_eq(e->ebx & 0xffff, 0x0800, "rest", n, id);
	require_eq(e->edx >> 28 & 1, n > 1, "HTT", n, id);
}

START_TEST(leaf_1_has_the_apic_id_and_the_number_of_ids)
{
	for_all_sizes(check_leaf_1);
}
END_TEST

static void check_levels(uint32_t function, unsigned int n, unsigned int id)
{
	const struct kvm_cpuid_entry2 *thread = leaf(function, 0), *core = leaf(function, 1);

	require_eq(thread->eax, 0, "thread shift", n, id);
	require_eq(thread->ebx, 1, "threads", n, id);
	require_eq(thread->ecx, 1u << 8 | 0, "thread level", n, id);
	require_eq(core->eax, bits(n), "core shift", n, id);
	require_eq(core->ebx, n, "cores", n, id);
	require_eq(core->ecx, 2u << 8 | 1, "core level", n, id);
	require_eq(leaf(function, 2)->ecx >> 8, 0, "end", n, id);
	require_eq(thread->edx, id, "x2APIC id", n, id);
	require_eq(core->edx, id, "x2APIC id", n, id);
	require_eq(id >> core->eax, 0, "package", n, id);
}

static void check_topology(unsigned int n, unsigned int id)
{
	check_levels(0xb, n, id);
	check_levels(0x1f, n, id);	/* kernels look here first if the host has it */
}

START_TEST(the_topology_leaves_have_one_package_of_single_threaded_cores)
{
	for_all_sizes(check_topology);
}
END_TEST

static void check_caches(unsigned int n, unsigned int id)
{
	unsigned int ids = 1u << bits(n);

	for (uint32_t index = 0; index < 3; index++) {
		const struct kvm_cpuid_entry2 *e = leaf(4, index);

		require_eq(e->eax >> 14 & 0xfff, index == 2 ? ids - 1 : 0, "sharing", n, id);
		require_eq(e->eax >> 26, MIN(ids - 1, 63), "cores", n, id);
	}
	require_eq(leaf(4, 0)->eax & 0x3fff, 0x0121, "level and type", n, id);
	require_eq(leaf(4, 3)->eax, 0, "end", n, id);
}

START_TEST(leaf_4_has_private_caches_below_the_third_level)
{
	for_all_sizes(check_caches);
}
END_TEST

static void check_amd(unsigned int n, unsigned int id)
{
	require_eq(leaf(0x80000008, 0)->ecx & 0xff, n - 1, "cores - 1", n, id);
	require_eq(leaf(0x80000008, 0)->ecx >> 12 & 0xf, bits(n), "id bits", n, id);
	require_eq(leaf(0x80000001, 0)->ecx >> 1 & 1, n > 1, "CmpLegacy", n, id);
	require_eq(leaf(0x8000001d, 0)->eax >> 14 & 0xfff, 0, "L1 sharing", n, id);
	require_eq(leaf(0x8000001d, 3)->eax >> 14 & 0xfff, (1u << bits(n)) - 1, "L3", n, id);
	require_eq(leaf(0x8000001e, 0)->eax, id, "extended APIC id", n, id);
	require_eq(leaf(0x8000001e, 0)->ebx >> 8 & 0xff, 0, "threads - 1", n, id);
	check_leaf_1(n, id);
}

START_TEST(an_amd_guest_counts_its_cores)
{
	for_all_sizes(check_amd);
}
END_TEST

START_TEST(an_intel_guest_keeps_leaf_0x80000008)
{
	init_cpu(4, 1);
	ck_assert_uint_eq(leaf(0x80000008, 0)->ecx, 0);
	ck_assert_uint_eq(leaf(0x80000008, 0)->eax, 0x3027);
}
END_TEST

/* Where the host nests, KVM offers it. The rest of the leaves is left alone. */
START_TEST(a_guest_is_not_offered_to_have_guests)
{
	host.nr_supported = 0;
	support(1, 0, 0x000306c3, 0x07100800, UINT32_MAX, 1u << 28);
	support(0x80000001, 0, 0, 0, UINT32_MAX, UINT32_MAX);
	support(0x8000000a, 0, 1, 0x8000, 0, 0x119b9ff);
	for (unsigned int id = 0; id < 2; id++) {
		init_cpu(2, id);
		ck_assert_uint_eq(leaf(1, 0)->ecx, ~(1u << 5 | 1u << 6));
		ck_assert_uint_eq(leaf(0x80000001, 0)->ecx, ~(1u << 2 | 1u << 12));
		ck_assert_uint_eq(leaf(0x80000001, 0)->edx, UINT32_MAX);
		ck_assert_uint_eq(leaf(0x8000000a, 0)->eax | leaf(0x8000000a, 0)->ebx |
				  leaf(0x8000000a, 0)->edx, 0);
	}
}
END_TEST

START_TEST(the_guest_is_told_that_there_is_a_hypervisor)
{
	init_cpu(1, 0);
	ck_assert_uint_eq(leaf(1, 0)->ecx >> 31, 1);
}
END_TEST

START_TEST(the_deadline_timer_is_offered_if_kvm_has_it)
{
	struct arch_cpu *cpu;

	kvm.tsc_deadline = _i;
	init_cpu(1, 0);
	ck_assert_uint_eq(leaf(1, 0)->ecx >> 24 & 1, _i);
	ck_assert_int_eq(arch_cpu_create(&cpu, &kvm, 1), 0);
	ck_assert_int_eq(arch_cpu_has_timer(cpu), _i);
	arch_cpu_free(cpu);
	kvm.tsc_deadline = true;
}
END_TEST

START_TEST(a_host_without_topology_leaves_gets_none)
{
	host.nr_supported = 2;		/* leaves 0 and 1 */
	init_cpu(4, 3);
	ck_assert_uint_eq(host.set.nent, 2);
}
END_TEST

START_TEST(a_host_that_lists_all_subleaves_gets_no_double_ones)
{
	support(0xb, 1, 4, 16, 0x201, 7);
	support(0xb, 2, 0, 0, 2, 7);
	init_cpu(4, 3);
	for (uint32_t i = 0; i < host.set.nent; i++)
		for (uint32_t j = 0; j < i; j++)
			ck_assert(host.set.room[i].function != host.set.room[j].function ||
				  host.set.room[i].index != host.set.room[j].index);
}
END_TEST

static const unsigned long init_steps[] = {
	KVM_SET_TSS_ADDR, KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2,
};

static const int tsc_khz[] = { 1000000, 1999999, 2000000, 2596100, 2593907, 3400001, 4194304 };

/* Linux multiplies the crystal's kHz by EBX in 32 bits, and has the APIC's timer run by it. */
START_TEST(leaf_0x15_tells_the_rates_of_tsc_and_apic_timer)
{
	const struct kvm_cpuid_entry2 *e;
	uint32_t crystal_khz, told;

	setup_intel();
	support(0x15, 0, 0, 0, 0, 0);
	host.tsc_khz = tsc_khz[_i];
	init_cpu(2, 1);
	e = leaf(0x15, 0);
	crystal_khz = e->ecx / 1000;
	ck_assert_uint_eq(crystal_khz, 1000000);
	told = crystal_khz * e->ebx / e->eax;
	ck_assert_int_le(abs((int)told - tsc_khz[_i]), 2);
}
END_TEST

START_TEST(the_timing_leaf_tells_the_same)
{
	setup_amd();
	support(0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
	host.tsc_khz = 2596100;
	init_cpu(2, 1);
	ck_assert_uint_eq(leaf(0x40000000, 0)->eax, 0x40000010);
	ck_assert_uint_eq(leaf(0x40000010, 0)->eax, 2596100);
	ck_assert_uint_eq(leaf(0x40000010, 0)->ebx, 1000000);
	ck_assert_uint_eq(host.set.nent, host.nr_supported + 1 + 2);	/* and two of 0xb */
}
END_TEST

static const int no_khz[] = { 0, -EIO };

START_TEST(a_rate_that_kvm_does_not_know_is_not_told)
{
	setup_intel();
	support(0x15, 0, 0, 0, 0, 0);
	support(0x40000000, 0, 0x40000001, 0, 0, 0);
	host.tsc_khz = no_khz[_i];
	init_cpu(1, 0);
	ck_assert_uint_eq(leaf(0x15, 0)->ebx, 0);
	ck_assert_uint_eq(leaf(0x40000000, 0)->eax, 0x40000001);
}
END_TEST

START_TEST(the_machine_gets_its_chips)
{
	ck_assert_int_eq(arch_vm_init(&kvm, _i), 0);
	ck_assert_uint_eq(host.nr_calls, _i ? 3 : 2);
	for (unsigned int i = 0; i < host.nr_calls; i++)
		ck_assert_uint_eq(host.call[i], init_steps[i]);
	ck_assert_uint_eq(host.tss, LAYOUT_KVM_TSS);
}
END_TEST

START_TEST(a_chip_that_cannot_be_made_is_named)
{
	static const char *const name[] = { "TSS", "IRQCHIP", "PIT2" };
	int ret;

	host.fails = init_steps[_i];
	log_capture_begin(&cap);
	ret = arch_vm_init(&kvm, true);
	log_capture_end(&cap);
	ck_assert_int_eq(ret, -EPERM);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, name[_i]));
}
END_TEST

START_TEST(features_that_cannot_be_set_are_named)
{
	static const unsigned long step[] = {
		KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2, KVM_SET_MSRS,
	};
	struct arch_cpu *cpu = NULL;
	int ret;

	host.fails = step[_i];
	log_capture_begin(&cap);
	ret = arch_cpu_create(&cpu, &kvm, 2);
	if (!ret)
		ret = arch_vcpu_init(cpu, FD, 1);
	log_capture_end(&cap);
	ck_assert_int_eq(ret, -EPERM);
	ck_assert_uint_eq(cap.nr_lines, 1);
	if (_i)
		arch_cpu_free(cpu);
}
END_TEST

static TCase *amd(void)
{
	TCase *tc = tcase_create("amd");

	tcase_add_checked_fixture(tc, setup_amd, NULL);
	tcase_add_test(tc, an_amd_guest_counts_its_cores);
	return tc;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("arch x86_64");
	TCase *tc = tcase_create("cpuid");

	tcase_add_checked_fixture(tc, setup_intel, NULL);
	tcase_add_test(tc, leaf_1_has_the_apic_id_and_the_number_of_ids);
	tcase_add_test(tc, the_topology_leaves_have_one_package_of_single_threaded_cores);
	tcase_add_test(tc, leaf_4_has_private_caches_below_the_third_level);
	tcase_add_test(tc, an_intel_guest_keeps_leaf_0x80000008);
	tcase_add_test(tc, a_guest_is_not_offered_to_have_guests);
	tcase_add_test(tc, the_guest_is_told_that_there_is_a_hypervisor);
	tcase_add_loop_test(tc, the_deadline_timer_is_offered_if_kvm_has_it, 0, 2);
	tcase_add_test(tc, a_host_without_topology_leaves_gets_none);
	tcase_add_test(tc, a_host_that_lists_all_subleaves_gets_no_double_ones);
	tcase_add_loop_test(tc, leaf_0x15_tells_the_rates_of_tsc_and_apic_timer, 0,
			    ARRAY_SIZE(tsc_khz));
	tcase_add_test(tc, the_timing_leaf_tells_the_same);
	tcase_add_loop_test(tc, a_rate_that_kvm_does_not_know_is_not_told, 0, ARRAY_SIZE(no_khz));
	tcase_add_loop_test(tc, the_machine_gets_its_chips, 0, 2);
	tcase_add_loop_test(tc, a_chip_that_cannot_be_made_is_named, 0, ARRAY_SIZE(init_steps));
	tcase_add_loop_test(tc, features_that_cannot_be_set_are_named, 0, 3);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, amd());
	return s;
}
