/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUs and interrupts: IDT, local APIC, IOAPIC, a second CPU, time.
 *
 * Every interrupt counts in irq_count[cpu][vector], calls the hook of its
 * vector if there is one, and is acknowledged. An exception ends the guest.
 */
#ifndef BARE_CPU_H
#define BARE_CPU_H

#include "io.h"

#define MAX_CPUS	4
#define VEC_WAKE	0xf0	/* IPI that gets a CPU out of hlt */
#define VEC_SPURIOUS	0xff

extern volatile uint32_t irq_count[MAX_CPUS][256];	/* written by the CPU itself */

void cpu_init(void);		/* this CPU: IDT, APIC, interrupts on */
unsigned int cpu_id(void);	/* APIC id of the caller */

/* fn (NULL: none) runs on the interrupted CPU, before the end of interrupt. */
void irq_hook(uint8_t vector, void (*fn)(uint8_t vector));

/*
 * The instruction that causes a general protection fault is left out; it has
 * 2 bytes (rdmsr and wrmsr do). Counts them while it is on.
 */
extern volatile uint32_t faults_skipped;
void faults_skip(bool on);

/* Not while interrupts may still come in. */
void irq_counts_clear(void);

/* Interrupts taken by all CPUs on vectors first..last. */
uint32_t irq_sum(uint8_t first, uint8_t last);

/* Local APIC. Registers are named by their xAPIC offset in both modes. */
#define LAPIC_ID	0x020
#define LAPIC_EOI	0x0b0
#define LAPIC_SVR	0x0f0
#define LAPIC_IRR	0x200
#define LAPIC_ICR	0x300
#define LAPIC_ICR_HIGH	0x310
#define LAPIC_LVT_TIMER	0x320
#define LAPIC_TIMER_INIT 0x380
#define LAPIC_TIMER_NOW	0x390
#define LAPIC_TIMER_DIV	0x3e0

uint32_t lapic_read(uint32_t reg);
void lapic_write(uint32_t reg, uint32_t v);
void lapic_send(unsigned int cpu, uint32_t command);	/* ICR low half */
bool lapic_use_x2apic(void);				/* false: the CPU has none */

/* IOAPIC: routes a line to a CPU; edge, active high. */
void ioapic_route(unsigned int gsi, uint8_t vector, unsigned int cpu);
void ioapic_mask(unsigned int gsi);
uint32_t ioapic_read(uint32_t reg);

/*
 * The second CPU. cpu_start() returns once it waits for work; false: it never
 * came. cpu_run() hands it a function, cpu_join() waits for its end.
 */
bool cpu_start(unsigned int cpu);
void cpu_run(unsigned int cpu, void (*fn)(void *arg), void *arg);
bool cpu_join(unsigned int cpu, uint32_t ms);

/* Time since cpu_init() on the first CPU, in units of 16 ns; wraps after 68 s. */
uint32_t ticks_now(void);
#define TICKS_PER_MS	62500u
#define TICKS_PER_US	62u
bool time_is_up(uint32_t start, uint32_t ms);
void delay_ms(uint32_t ms);	/* interrupts go on */

/* Waits at most ms for the condition; its value at the end. First CPU only. */
#define WAIT(cond, ms) ({						\
	uint32_t wait_start = ticks_now();				\
	bool wait_ok;							\
	while (!(wait_ok = (cond)) && !time_is_up(wait_start, ms))	\
		cpu_relax();						\
	wait_ok || (cond);						\
})

/* The end, in the ways there are. None of them returns. */
void guest_exit(uint8_t code) __attribute__((noreturn));
void guest_halt(void) __attribute__((noreturn));
void guest_triple_fault(void) __attribute__((noreturn));

#endif
