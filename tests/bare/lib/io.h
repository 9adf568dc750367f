/* SPDX-License-Identifier: Apache-2.0 */
/* Port and memory-mapped I/O, and the few instructions C has no word for. */
#ifndef BARE_IO_H
#define BARE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define DEFINE_PIO(bits, suffix, reg)							\
static inline void out##bits(uint16_t port, uint##bits##_t v)				\
{											\
	__asm__ volatile("out" suffix " %" reg "0, %w1" : : "a"(v), "Nd"(port));	\
}											\
static inline uint##bits##_t in##bits(uint16_t port)					\
{											\
	uint##bits##_t v;								\
	__asm__ volatile("in" suffix " %w1, %" reg "0" : "=a"(v) : "Nd"(port));		\
	return v;									\
}
DEFINE_PIO(8, "b", "b")
DEFINE_PIO(16, "w", "w")
DEFINE_PIO(32, "l", "k")

/* One plain mov each: an address in a register, so that KVM decodes the simplest form. */
#define DEFINE_MMIO(bits, suffix, reg)							\
static inline void mmio_write##bits(uint64_t addr, uint##bits##_t v)			\
{											\
	__asm__ volatile("mov" suffix " %" reg "0, (%1)" : : "r"(v), "r"(addr) : "memory"); \
}											\
static inline uint##bits##_t mmio_read##bits(uint64_t addr)				\
{											\
	uint##bits##_t v;								\
	__asm__ volatile("mov" suffix " (%1), %" reg "0" : "=r"(v) : "r"(addr) : "memory"); \
	return v;									\
}
DEFINE_MMIO(8, "b", "b")
DEFINE_MMIO(16, "w", "w")
DEFINE_MMIO(32, "l", "k")
DEFINE_MMIO(64, "q", "q")

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t regs[4])
{
	__asm__ volatile("cpuid" : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
			 : "a"(leaf), "c"(sub));
}

static inline void irqs_on(void) { __asm__ volatile("sti" : : : "memory"); }
static inline void irqs_off(void) { __asm__ volatile("cli" : : : "memory"); }
static inline void cpu_relax(void) { __asm__ volatile("pause" : : : "memory"); }

/* Nothing can interrupt between the two instructions. */
static inline void irqs_on_and_halt(void) { __asm__ volatile("sti; hlt" : : : "memory"); }

/* x86 keeps stores in order and loads in order; the compiler has to as well. */
static inline void barrier(void) { __asm__ volatile("" : : : "memory"); }
/* A store before, a load behind: the one pair that needs a fence. */
static inline void full_barrier(void)
{
	__asm__ volatile("lock; addl $0, -4(%%rsp)" : : : "memory");
}

#endif
