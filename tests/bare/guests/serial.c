/* SPDX-License-Identifier: Apache-2.0 */
/* Group C of the hostile cases, as far as a guest alone can see it: the serial port. */
#include "cpu.h"
#include "check.h"
#include "layout.h"
#include "print.h"

#define COM1 LAYOUT_PORT_COM1
#define RBR 0
#define IER 1
#define FCR 2
#define IIR 2
#define LCR 3
#define MCR 4
#define LSR 5
#define MSR 6
#define SCR 7
#define LCR_DLAB 0x80
#define MCR_LOOP 0x10
#define LSR_DR 0x01
#define LSR_THRE 0x20
#define VEC_SERIAL 0x60

static uint8_t get(unsigned int reg) { return in8((uint16_t)(COM1 + reg)); }
static void set(unsigned int reg, uint8_t v) { out8((uint16_t)(COM1 + reg), v); }

/* As the rest of the program expects the port. */
static void restore(void)
{
	set(LCR, 3);
	set(IER, 0);
	set(FCR, 7);
	set(MCR, 3);
	ioapic_mask(LAYOUT_GSI_SERIAL);
}

static void setup(void)
{
	restore();
	irq_counts_clear();
}

static void scratch_holds_every_value(void)
{
	unsigned int v;

	for (v = 0; v < 256; v++) {
		set(SCR, (uint8_t)v);
		EXPECT_EQ(get(SCR), v);
	}
}

static void the_transmitter_is_ready(void)
{
	EXPECT(WAIT(get(LSR) & LSR_THRE, 500));
	EXPECT(!(get(LSR) & LSR_DR));
}

static void divisor_and_data_are_different_registers(void)
{
	uint8_t lo, hi;

	set(LCR, LCR_DLAB | 3);
	set(0, 0x12);
	set(1, 0x34);
	lo = get(0);
	hi = get(1);
	set(LCR, 3);
	EXPECT_EQ(lo, 0x12);
	EXPECT_EQ(hi, 0x34);
	EXPECT_EQ(get(IER), 0);
}

static void c3_loopback_gives_back_what_was_sent(void)
{
	unsigned int v;

	set(MCR, MCR_LOOP);
	for (v = 0; v < 256; v++) {
		set(0, (uint8_t)v);
		EXPECT(WAIT(get(LSR) & LSR_DR, 500));
		EXPECT_EQ(get(RBR), v);
	}
	restore();
}

static void c3_loopback_beyond_the_fifo_ends(void)
{
	unsigned int i;

	set(MCR, MCR_LOOP);
	for (i = 0; i < 2000; i++)
		set(0, (uint8_t)i);
	for (i = 0; i < 3000 && get(LSR) & LSR_DR; i++)
		get(RBR);
	EXPECT(!(get(LSR) & LSR_DR));
	restore();
}

static void an_empty_transmitter_interrupts(void)
{
	ioapic_route(LAYOUT_GSI_SERIAL, VEC_SERIAL, 0);
	set(MCR, 0x0b);
	set(IER, 2);
	EXPECT(WAIT(irq_count[0][VEC_SERIAL] >= 1, 1000));
	restore();
}

/* Every value in every register but the data register, in loopback, so that nothing is sent. */
static void c3_every_register_takes_every_value(void)
{
	unsigned int reg, v;

	for (reg = 1; reg < 8; reg++)
		for (v = 0; v < 256; v++) {
			set(reg, (uint8_t)(reg == MCR ? v | MCR_LOOP : v));
			get(reg);
			get(LSR);
			if (reg == LCR || reg == MCR)
				restore();
		}
	restore();
	EXPECT(WAIT(get(LSR) & LSR_THRE, 500));
}

static void c3_wide_accesses_are_harmless(void)
{
	unsigned int reg;

	set(MCR, MCR_LOOP);
	for (reg = 0; reg < 8; reg++) {
		in16((uint16_t)(COM1 + reg));
		in32((uint16_t)(COM1 + reg));
	}
	out16(COM1 + SCR, 0x1234);
	out32(COM1 + MSR, 0xffffffff);
	restore();
	EXPECT(WAIT(get(LSR) & LSR_THRE, 500));
}

/* Comment lines: the runner skips them. */
static void c3_a_long_string_instruction(void)
{
	static char line[1500];
	const void *from = line;
	uint64_t count = sizeof(line);

	memset(line, '.', sizeof(line));
	line[0] = '#';
	line[sizeof(line) - 1] = '\n';
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"((uint16_t)COM1) : "memory");
	EXPECT_EQ(count, 0);
	EXPECT(WAIT(get(LSR) & LSR_THRE, 500));
}

static void c4_control_characters_are_only_output(void)
{
	unsigned int c;

	print("# ");
	for (c = 0; c < 32; c++)
		if (c != '\n')
			set(0, (uint8_t)c);
	print("\x1b[2J\x1b]0;title\x07\n");
	EXPECT(WAIT(get(LSR) & LSR_THRE, 500));
}

CHECKS_WITH("serial", setup,
	CHECK(scratch_holds_every_value),
	CHECK(the_transmitter_is_ready),
	CHECK(divisor_and_data_are_different_registers),
	CHECK(c3_loopback_gives_back_what_was_sent),
	CHECK(c3_loopback_beyond_the_fifo_ends),
	CHECK(an_empty_transmitter_interrupts),
	CHECK(c3_every_register_takes_every_value),
	CHECK(c3_wide_accesses_are_harmless),
	CHECK(c3_a_long_string_instruction),
	CHECK(c4_control_characters_are_only_output))
