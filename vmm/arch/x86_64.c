/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ways into a kernel: PVH (32-bit protected mode without paging; Xen's
 * public/arch-x86/hvm/start_info.h) and Linux's 64-bit protocol
 * (Documentation/arch/x86/boot.rst), which wants a flat GDT and one-to-one
 * page tables. Both leave the other vCPUs waiting for INIT and SIPI, which
 * KVM's local APICs handle.
 */
#include "arch.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "log.h"
#include "util.h"
#include "x86_64_tsc.h"
#include "zalloc.h"

#define MAX_CPUID_ENTRIES 256u

/* Intel SDM volume 3, 2.5 and 3.4.5 */
#define CR0_PE		(1u << 0)
#define CR0_ET		(1u << 4)
#define CR0_PG		(1u << 31)
#define CR4_PAE		(1u << 5)
#define EFER_LME	(1u << 8)
#define EFER_LMA	(1u << 10)
#define PTE_PRESENT	(1u << 0)
#define PTE_WRITE	(1u << 1)
#define PTE_LARGE	(1u << 7)
#define RFLAGS_FIXED	(1u << 1)

#define SEG_CODE	0xb	/* execute, read, accessed */
#define SEG_DATA	0x3	/* read, write, accessed */
#define SEG_TSS		0xb	/* busy TSS */

/* boot.rst: __BOOT_CS and __BOOT_DS */
#define SELECTOR_CODE	0x10
#define SELECTOR_DATA	0x18
#define SELECTOR_TSS	0x20

#define MSR_MISC_ENABLE		0x1a0
#define MISC_ENABLE_FAST_STRING	1u
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MTRR_ENABLE_WRITEBACK	(1u << 11 | 6)

struct arch_cpu {
	unsigned int nr_cpus;
	unsigned int id_bits;		/* APIC id bits that number the cores */
	bool tsc_deadline;
	bool amd;
	struct kvm_cpuid2 *template;
};

/* The identity map lies where KVM puts it unasked: LAYOUT_KVM_IDENTITY_MAP. */
int arch_vm_init(struct kvm *kvm, bool pit)
{
	struct kvm_pit_config pit_cfg = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int ret;

	ret = kvm_ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, (void *)(uintptr_t)LAYOUT_KVM_TSS);
	if (ret)
		return log_fail(ret, "KVM_SET_TSS_ADDR: %s", strerror(-ret));
	ret = kvm_ioctl(kvm->vm_fd, KVM_CREATE_IRQCHIP, NULL);
	if (ret)
		return log_fail(ret, "KVM_CREATE_IRQCHIP: %s", strerror(-ret));
	if (!pit)
		return 0;
	ret = kvm_ioctl(kvm->vm_fd, KVM_CREATE_PIT2, &pit_cfg);
	return ret ? log_fail(ret, "KVM_CREATE_PIT2: %s", strerror(-ret)) : 0;
}

bool arch_pin_is_heard(const struct kvm *kvm, unsigned int pin)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	if (kvm_ioctl(kvm->vm_fd, KVM_GET_IRQCHIP, &chip))
		return false;
	return !chip.chip.ioapic.redirtbl[pin].fields.mask;
}

static unsigned int bits_for(unsigned int n)
{
	unsigned int bits = 0;

	while (1u << bits < n)
		bits++;
	return bits;
}

static bool cpuid_is_amd(const struct kvm_cpuid2 *c)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == 0)
			return !memcmp(&c->entries[i].ebx, "Auth", 4) ||
			       !memcmp(&c->entries[i].ebx, "Hygo", 4);
	return false;
}

int arch_cpu_create(struct arch_cpu **out, const struct kvm *kvm, unsigned int nr_cpus)
{
	struct arch_cpu *cpu = zalloc(1, sizeof(*cpu));
	int ret;

	if (!cpu)
		return -ENOMEM;
	cpu->nr_cpus = nr_cpus;
	cpu->id_bits = bits_for(nr_cpus);
	cpu->tsc_deadline = kvm->tsc_deadline;
	cpu->template = zalloc(1, sizeof(*cpu->template) +
			       MAX_CPUID_ENTRIES * sizeof(cpu->template->entries[0]));
	if (!cpu->template) {
		arch_cpu_free(cpu);
		return -ENOMEM;
	}
	cpu->template->nent = MAX_CPUID_ENTRIES;
	ret = kvm_ioctl(kvm->sys_fd, KVM_GET_SUPPORTED_CPUID, cpu->template);
	if (ret) {
		arch_cpu_free(cpu);
		return log_fail(ret, "KVM_GET_SUPPORTED_CPUID: %s", strerror(-ret));
	}
	cpu->amd = cpuid_is_amd(cpu->template);
	*out = cpu;
	return 0;
}

void arch_cpu_free(struct arch_cpu *cpu)
{
	if (!cpu)
		return;
	free(cpu->template);
	free(cpu);
}

bool arch_cpu_has_timer(const struct arch_cpu *cpu)
{
	return cpu->tsc_deadline;
}

/* One package of nr_cpus cores with one thread each; APIC id = core number. */
static void cpuid_topology_level(const struct arch_cpu *cpu, struct kvm_cpuid_entry2 *e)
{
	switch (e->index) {
	case 0:			/* threads of a core */
		e->eax = 0;
		e->ebx = 1;
		e->ecx = 1u << 8;
		break;
	case 1:			/* cores of the package */
		e->eax = cpu->id_bits;
		e->ebx = cpu->nr_cpus;
		e->ecx = 2u << 8 | 1;
		break;
	default:
		e->eax = e->ebx = 0;
		e->ecx = e->index;
	}
}

/* Deterministic cache parameters: caches below the third level are private. */
static void cpuid_cache_sharing(const struct arch_cpu *cpu, struct kvm_cpuid_entry2 *e)
{
	uint32_t level = e->eax >> 5 & 7;
	uint32_t sharing = level >= 3 ? (1u << cpu->id_bits) - 1 : 0;

	if (!(e->eax & 0x1f))
		return;		/* no such cache */
	e->eax &= e->function == 4 ? 0x3fffu : 0xfc003fffu;
	e->eax |= (sharing & 0xfff) << 14;
	if (e->function == 4)
		e->eax |= ((1u << cpu->id_bits) - 1) << 26;
}

/*
 * No guests in the guest: where the host nests, KVM offers VMX or SVM, and with
 * them the largest part of its code to who wants to get out.
 */
static void cpuid_hide_virtualization(struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 0x1:
		e->ecx &= ~(1u << 5 | 1u << 6);			/* VMX, SMX */
		break;
	case 0x80000001:
		e->ecx &= ~(1u << 2 | 1u << 12);		/* SVM, SKINIT */
		break;
	case 0x8000000a:
		e->eax = e->ebx = e->ecx = e->edx = 0;		/* of SVM */
		break;
	}
}

static void cpuid_fix(const struct arch_cpu *cpu, struct kvm_cpuid_entry2 *e, unsigned int id)
{
	cpuid_hide_virtualization(e);
	switch (e->function) {
	case 0x1:
		e->ebx = (e->ebx & 0xffff) | id << 24 | MIN(1u << cpu->id_bits, 0xffu) << 16;
		e->ecx |= 1u << 31;				/* a hypervisor is there */
		if (cpu->tsc_deadline)
			e->ecx |= 1u << 24;
		if (cpu->nr_cpus > 1)
			e->edx |= 1u << 28;			/* EBX 23:16 is valid */
		else
			e->edx &= ~(1u << 28);
		break;
	case 0x4:
	case 0x8000001d:
		cpuid_cache_sharing(cpu, e);
		break;
	case 0xb:
	case 0x1f:
		cpuid_topology_level(cpu, e);
		e->edx = id;
		break;
	case 0x80000001:
		if (cpu->amd && cpu->nr_cpus > 1)
			e->ecx |= 1u << 1;			/* cores, not threads */
		break;
	case 0x80000008:
		if (cpu->amd)
			e->ecx = cpu->id_bits << 12 | (cpu->nr_cpus - 1);
		break;
	case 0x8000001e:
		e->eax = id;
		e->ebx = id & 0xff;
		e->ecx = 0;
		break;
	}
}

static bool cpuid_has(const struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == function && c->entries[i].index == index)
			return true;
	return false;
}

/* KVM reports one subleaf of a topology leaf on some hosts; the guest needs three. */
static void cpuid_complete_topology(struct kvm_cpuid2 *c, uint32_t function)
{
	for (uint32_t index = 0; index < 3; index++) {
		if (!cpuid_has(c, function, 0) || cpuid_has(c, function, index))
			continue;
		if (c->nent == MAX_CPUID_ENTRIES)
			return;
		c->entries[c->nent++] = (struct kvm_cpuid_entry2){
			.function = function,
			.index = index,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
	}
}

int arch_vcpu_init(const struct arch_cpu *cpu, int vcpu_fd, unsigned int id)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + 2 * sizeof(struct kvm_msr_entry)];
	} msrs = { .head.nmsrs = 2 };
	int ret, khz;

	msrs.head.entries[0] = (struct kvm_msr_entry){
		.index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING,
	};
	msrs.head.entries[1] = (struct kvm_msr_entry){
		.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE_WRITEBACK,
	};

	cpuid_complete_topology(cpu->template, 0xb);
	cpuid_complete_topology(cpu->template, 0x1f);
	khz = id ? 0 : kvm_ioctl(vcpu_fd, KVM_GET_TSC_KHZ, NULL);
	cpuid_tell_tsc(cpu->template, MAX_CPUID_ENTRIES, khz > 0 ? (uint32_t)khz : 0);
	for (uint32_t i = 0; i < cpu->template->nent; i++)
		cpuid_fix(cpu, &cpu->template->entries[i], id);
	ret = kvm_ioctl(vcpu_fd, KVM_SET_CPUID2, cpu->template);
	if (ret)
		return log_fail(ret, "KVM_SET_CPUID2 for vCPU %u: %s", id, strerror(-ret));
	ret = kvm_ioctl(vcpu_fd, KVM_SET_MSRS, &msrs);
	if (ret < 0)
		return log_fail(ret, "KVM_SET_MSRS for vCPU %u: %s", id, strerror(-ret));
	return 0;
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool code64)
{
	bool system = selector == SELECTOR_TSS;

	return (struct kvm_segment){
		.base = 0,
		.limit = system ? 0x67 : 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = !system && !code64,
		.s = !system,
		.l = code64,
		.g = !system,
	};
}

/* The descriptor that would load as seg. */
static uint64_t descriptor(const struct kvm_segment *seg)
{
	uint64_t limit = seg->g ? seg->limit >> 12 : seg->limit;

	return (limit & 0xffff) | (limit >> 16 & 0xf) << 48 |
	       (uint64_t)seg->type << 40 | (uint64_t)seg->s << 44 |
	       (uint64_t)seg->dpl << 45 | (uint64_t)seg->present << 47 |
	       (uint64_t)seg->l << 53 | (uint64_t)seg->db << 54 | (uint64_t)seg->g << 55;
}

static int place_gdt(const struct guest_mem *mem, struct kvm_sregs *s)
{
	uint64_t gdt[6] = {
		[SELECTOR_CODE / 8] = descriptor(&s->cs),
		[SELECTOR_DATA / 8] = descriptor(&s->ds),
		[SELECTOR_TSS / 8] = descriptor(&s->tr),
	};

	s->gdt.base = LAYOUT_GDT;
	s->gdt.limit = sizeof(gdt) - 1;
	return guest_mem_write(mem, LAYOUT_GDT, gdt, sizeof(gdt));
}

/* 4 GiB one to one with 2 MiB pages: a PML4, a PDPT and four page directories. */
static int place_page_tables(const struct guest_mem *mem)
{
	uint64_t *table = guest_mem_ptr(mem, LAYOUT_PAGE_TABLES, 6 * GUEST_MEM_PAGE);
	uint64_t pdpt = LAYOUT_PAGE_TABLES + GUEST_MEM_PAGE;

	if (!table)
		return -EFAULT;
	memset(table, 0, 2 * GUEST_MEM_PAGE);
	table[0] = pdpt | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < 4; i++)
		table[512 + i] = (pdpt + (i + 1) * GUEST_MEM_PAGE) | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < 4 * 512; i++)
		table[1024 + i] = i << 21 | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
	return 0;
}

static int set_sregs(int vcpu_fd, const struct guest_mem *mem, bool long_mode)
{
	struct kvm_sregs s;
	int ret = kvm_ioctl(vcpu_fd, KVM_GET_SREGS, &s);

	if (ret)
		return log_fail(ret, "KVM_GET_SREGS: %s", strerror(-ret));
	s.cs = segment(SELECTOR_CODE, SEG_CODE, long_mode);
	s.ds = s.es = s.fs = s.gs = s.ss = segment(SELECTOR_DATA, SEG_DATA, false);
	s.tr = segment(SELECTOR_TSS, SEG_TSS, false);
	s.cr0 = CR0_PE | CR0_ET;
	s.cr4 = 0;
	s.efer = 0;
	if (place_gdt(mem, &s))
		return log_fail(-EFAULT, "guest memory is too small for the boot GDT");
	if (long_mode) {
		if (place_page_tables(mem))
			return log_fail(-EFAULT, "guest memory is too small for page tables");
		s.cr0 |= CR0_PG;
		s.cr3 = LAYOUT_PAGE_TABLES;
		s.cr4 = CR4_PAE;
		s.efer = EFER_LME | EFER_LMA;
	}
	ret = kvm_ioctl(vcpu_fd, KVM_SET_SREGS, &s);
	return ret ? log_fail(ret, "KVM_SET_SREGS: %s", strerror(-ret)) : 0;
}

int arch_vcpu_boot(int vcpu_fd, const struct guest_mem *mem, const struct boot_entry *entry)
{
	bool long_mode = entry->mode == LOADER_ENTRY_LINUX64;
	struct kvm_regs regs = { .rip = entry->rip, .rflags = RFLAGS_FIXED };
	int ret = set_sregs(vcpu_fd, mem, long_mode);

	if (ret)
		return ret;
	if (long_mode)
		regs.rsi = entry->arg;
	else
		regs.rbx = entry->arg;
	ret = kvm_ioctl(vcpu_fd, KVM_SET_REGS, &regs);
	return ret ? log_fail(ret, "KVM_SET_REGS: %s", strerror(-ret)) : 0;
}
