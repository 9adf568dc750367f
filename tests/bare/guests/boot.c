/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest finds when it starts: start info, memory map, interrupt controllers, time. */
#include "cpu.h"
#include "layout.h"
#include "print.h"
#include "pvh.h"
#include "vdev.h"

#define VEC_TEST 0x50

static void start_info_is_of_version_1(void)
{
	EXPECT(start_info);
	EXPECT(start_info->version >= 1);
	EXPECT(start_info->cmdline_paddr);
	EXPECT(start_info->memmap_entries);
}

/* The sum over the map is what the command line of the monitor said (option ram=, in MiB). */
static void memory_map_has_all_of_the_ram(void)
{
	const struct hvm_memmap_entry *e = (const void *)start_info->memmap_paddr;
	uint64_t ram = 0, end = 0;
	unsigned int i;

	for (i = 0; i < start_info->memmap_entries; i++) {
		EXPECT(e[i].addr >= end);
		end = e[i].addr + e[i].size;
		if (e[i].type == HVM_MEMMAP_RAM)
			ram += e[i].size;
	}
	EXPECT(ram <= option_number("ram", 16) << 20);
	EXPECT(ram >= (option_number("ram", 16) << 20) - (512 << 10));
}

static void rsdp_has_its_signature_and_checksum(void)
{
	const uint8_t *rsdp = (const uint8_t *)start_info->rsdp_paddr;
	uint8_t sum = 0;
	unsigned int i;

	EXPECT(rsdp);
	EXPECT(!memcmp(rsdp, "RSD PTR ", 8));
	for (i = 0; i < 36; i++)
		sum += rsdp[i];
	EXPECT_EQ(sum, 0);
}

static void an_ipi_to_itself_arrives(void)
{
	lapic_send(cpu_id(), 0x4000 | VEC_TEST);
	EXPECT(WAIT(irq_count[0][VEC_TEST] == 1, 500));
}

static void the_ioapic_has_24_pins(void)
{
	EXPECT_EQ(ioapic_read(1) >> 16 & 0xff, 23);
}

static void time_goes_on(void)
{
	uint32_t start = ticks_now();

	delay_ms(5);
	EXPECT(ticks_now() - start >= 5 * TICKS_PER_MS);
}

static void the_hypervisor_leaf_names_kvm(void)
{
	uint32_t regs[4];

	cpuid(0x40000000, 0, regs);
	SKIP_UNLESS(!option_is("accel", "tcg"), "not under KVM");
	EXPECT(!memcmp(&regs[1], "KVMKVMKVM\0\0\0", 12));
}

/* VMX, SVM and what SVM can do. */
static void there_is_no_virtualization_in_here(void)
{
	uint32_t regs[4];

	SKIP_UNLESS(!option_is("accel", "tcg"), "not under KVM");
	cpuid(1, 0, regs);
	EXPECT(!(regs[2] & 1u << 5));
	cpuid(0x80000001, 0, regs);
	EXPECT(!(regs[2] & 1u << 2));
	cpuid(0x80000000, 0, regs);
	if (regs[0] < 0x8000000a)
		return;
	cpuid(0x8000000a, 0, regs);
	EXPECT(!(regs[0] | regs[1] | regs[2] | regs[3]));
}

static void x2apic_works_like_xapic(void)
{
	uint32_t id = cpu_id();

	SKIP_UNLESS(lapic_use_x2apic(), "the CPU has no x2APIC");
	EXPECT_EQ(cpu_id(), id);
	irq_counts_clear();
	lapic_send(id, 0x4000 | VEC_TEST);
	EXPECT(WAIT(irq_count[0][VEC_TEST] == 1, 500));
}

CHECKS("boot",
	CHECK(start_info_is_of_version_1),
	CHECK(memory_map_has_all_of_the_ram),
	CHECK(rsdp_has_its_signature_and_checksum),
	CHECK(an_ipi_to_itself_arrives),
	CHECK(the_ioapic_has_24_pins),
	CHECK(time_goes_on),
	CHECK(the_hypervisor_leaf_names_kvm),
	CHECK(there_is_no_virtualization_in_here),
	CHECK(x2apic_works_like_xapic))
