/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts are taken on the stack of whatever runs; there is no user mode,
 * so no TSS is needed. The local APIC's timer, of which KVM and QEMU alike
 * make 1 GHz, serves as the clock.
 */
#include "check.h"
#include "cpu.h"
#include "layout.h"
#include "print.h"

#define MSR_APIC_BASE	0x1b
#define APIC_BASE_ENABLE	0x800
#define APIC_BASE_X2APIC	0x400
#define MSR_X2APIC	0x800
#define CPUID_1_ECX_X2APIC	(1u << 21)

#define SVR_ENABLE	0x100
#define LVT_MASKED	0x10000
#define TIMER_PERIODIC	0x20000
#define TIMER_DIV_16	0x3
#define ICR_INIT	0x4500
#define ICR_STARTUP	0x4600
#define ICR_FIXED	0x4000

#define SEL_CODE64	0x08
#define IDT_INTERRUPT_GATE 0x8e00
#define NR_EXCEPTIONS	32
#define GENERAL_PROTECTION 13
#define AP_PAGE		0x10000u
#define PORT_DEBUG_EXIT	LAYOUT_PORT_DEBUG_EXIT

struct idt_gate {
	uint16_t offset_lo, selector, flags, offset_mid;
	uint32_t offset_hi, zero;
};

struct table_ptr {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern const char isr_stubs[], ap_trampoline[], ap_trampoline_end[];
void isr_dispatch(uint64_t vector, uint64_t *frame);
void bare_ap_main(void);

volatile uint32_t irq_count[MAX_CPUS][256];

static struct idt_gate idt[256];
static void (*hooks[256])(uint8_t vector);
static volatile bool skip_faults;
volatile uint32_t faults_skipped;
static bool x2apic;

static struct {
	volatile bool up;
	void (*volatile fn)(void *arg);		/* NULL: idle */
	void *volatile arg;
} mailbox[MAX_CPUS];

uint32_t lapic_read(uint32_t reg)
{
	return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + (reg >> 4)) : mmio_read32(LAYOUT_LAPIC + reg);
}

void lapic_write(uint32_t reg, uint32_t v)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + (reg >> 4), v);
	else
		mmio_write32(LAYOUT_LAPIC + reg, v);
}

void lapic_send(unsigned int cpu, uint32_t command)
{
	if (x2apic) {
		wrmsr(MSR_X2APIC + (LAPIC_ICR >> 4), (uint64_t)cpu << 32 | command);
		return;
	}
	mmio_write32(LAYOUT_LAPIC + LAPIC_ICR_HIGH, cpu << 24);
	mmio_write32(LAYOUT_LAPIC + LAPIC_ICR, command);
}

bool lapic_use_x2apic(void)
{
	uint32_t regs[4];

	cpuid(1, 0, regs);
	if (!(regs[2] & CPUID_1_ECX_X2APIC))
		return false;
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	x2apic = true;
	return true;
}

unsigned int cpu_id(void)
{
	return x2apic ? lapic_read(LAPIC_ID) : lapic_read(LAPIC_ID) >> 24;
}

static void report_exception(uint64_t vector, const uint64_t *frame)
{
	check_abort("exception %lu, code %lx, at %lx", vector, frame[0], frame[1]);
}

void faults_skip(bool on)
{
	faults_skipped = 0;
	skip_faults = on;
}

void isr_dispatch(uint64_t vector, uint64_t *frame)
{
	unsigned int cpu;

	if (vector == GENERAL_PROTECTION && skip_faults) {
		frame[1] += 2;
		faults_skipped++;
		return;
	}
	if (vector < NR_EXCEPTIONS && !hooks[vector])
		report_exception(vector, frame);
	cpu = cpu_id();
	if (cpu < MAX_CPUS)
		irq_count[cpu][vector]++;
	if (hooks[vector])
		hooks[vector]((uint8_t)vector);
	if (vector != VEC_SPURIOUS)
		lapic_write(LAPIC_EOI, 0);
}

void irq_hook(uint8_t vector, void (*fn)(uint8_t vector))
{
	hooks[vector] = fn;
	barrier();
}

void irq_counts_clear(void)
{
	unsigned int cpu, vector;

	for (cpu = 0; cpu < MAX_CPUS; cpu++)
		for (vector = 0x10; vector < 0xf0; vector++)
			irq_count[cpu][vector] = 0;
}

uint32_t irq_sum(uint8_t first, uint8_t last)
{
	uint32_t sum = 0;
	unsigned int cpu, vector;

	for (cpu = 0; cpu < MAX_CPUS; cpu++)
		for (vector = first; vector <= last; vector++)
			sum += irq_count[cpu][vector];
	return sum;
}

static void idt_fill(void)
{
	uint64_t stub = (uint64_t)isr_stubs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(idt); i++, stub += 16) {
		idt[i].offset_lo = (uint16_t)stub;
		idt[i].selector = SEL_CODE64;
		idt[i].flags = IDT_INTERRUPT_GATE;
		idt[i].offset_mid = (uint16_t)(stub >> 16);
	}
}

static void cpu_init_local(void)
{
	struct table_ptr ptr = { .limit = sizeof(idt) - 1, .base = (uint64_t)idt };

	__asm__ volatile("lidt %0" : : "m"(ptr));
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE);
	if (option_number("x2apic", 0) && !lapic_use_x2apic())
		check_abort("there is no x2APIC");
	lapic_write(LAPIC_SVR, SVR_ENABLE | VEC_SPURIOUS);
	lapic_write(LAPIC_TIMER_DIV, TIMER_DIV_16);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | TIMER_PERIODIC);
	lapic_write(LAPIC_TIMER_INIT, 0xffffffff);
	irqs_on();
}

void cpu_init(void)
{
	idt_fill();
	out8(0x21, 0xff);	/* both 8259s: all lines off */
	out8(0xa1, 0xff);
	cpu_init_local();
}

uint32_t ioapic_read(uint32_t reg)
{
	mmio_write32(LAYOUT_IOAPIC, reg);
	return mmio_read32(LAYOUT_IOAPIC + 0x10);
}

static void ioapic_write(uint32_t reg, uint32_t v)
{
	mmio_write32(LAYOUT_IOAPIC, reg);
	mmio_write32(LAYOUT_IOAPIC + 0x10, v);
}

void ioapic_route(unsigned int gsi, uint8_t vector, unsigned int cpu)
{
	ioapic_write(0x11 + 2 * gsi, cpu << 24);
	ioapic_write(0x10 + 2 * gsi, vector);
}

void ioapic_mask(unsigned int gsi)
{
	ioapic_write(0x10 + 2 * gsi, LVT_MASKED);
}

/* Runs on the new CPU for good. */
void bare_ap_main(void)
{
	unsigned int cpu;

	cpu_init_local();
	cpu = cpu_id();
	mailbox[cpu].up = true;
	for (;;) {
		irqs_off();
		if (!mailbox[cpu].fn) {
			irqs_on_and_halt();
			continue;
		}
		irqs_on();
		mailbox[cpu].fn(mailbox[cpu].arg);
		barrier();
		mailbox[cpu].fn = NULL;
	}
}

bool cpu_start(unsigned int cpu)
{
	if (mailbox[cpu].up)
		return true;
	memcpy((void *)(uint64_t)AP_PAGE, ap_trampoline,
	       (size_t)(ap_trampoline_end - ap_trampoline));
	lapic_send(cpu, ICR_INIT);
	delay_ms(10);
	lapic_send(cpu, ICR_STARTUP | AP_PAGE >> 12);
	return WAIT(mailbox[cpu].up, 2000);
}

void cpu_run(unsigned int cpu, void (*fn)(void *arg), void *arg)
{
	mailbox[cpu].arg = arg;
	barrier();
	mailbox[cpu].fn = fn;
	full_barrier();
	lapic_send(cpu, ICR_FIXED | VEC_WAKE);
}

bool cpu_join(unsigned int cpu, uint32_t ms)
{
	return WAIT(!mailbox[cpu].fn, ms);
}

uint32_t ticks_now(void)
{
	return 0xffffffff - lapic_read(LAPIC_TIMER_NOW);
}

bool time_is_up(uint32_t start, uint32_t ms)
{
	return ticks_now() - start >= ms * TICKS_PER_MS;
}

void delay_ms(uint32_t ms)
{
	uint32_t start = ticks_now();

	while (!time_is_up(start, ms))
		cpu_relax();
}

void guest_exit(uint8_t code)
{
	out8(PORT_DEBUG_EXIT, code);
	guest_halt();
}

void guest_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void guest_triple_fault(void)
{
	struct table_ptr none = { 0, 0 };

	__asm__ volatile("lidt %0; int3" : : "m"(none));
	guest_halt();
}
