/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output and input without end (C1, C2, C5). The runner decides where the
 * output goes (a file, nowhere, a reader that stopped) and what comes in; the
 * guest has to get on in any case.
 */
#include "layout.h"
#include "neighbours.h"
#include "print.h"
#include "subject.h"

#define COM1 LAYOUT_PORT_COM1
#define LSR 5
#define LSR_DR 0x01
#define LINE 1024u
#define NR_LINES (uint32_t)option_number("lines", 32)
#define DEAF_MS 500u
#define NR_INPUT 2000u

static void setup(void)
{
	subject_setup();
	neighbours_start();
}

/* Comment lines: the runner skips them. */
static void c5_output_without_end(void)
{
	static char line[LINE];
	uint32_t start = ticks_now();
	unsigned int i;

	memset(line, '.', LINE);
	line[0] = '#';
	line[LINE - 1] = '\n';
	for (i = 0; i < NR_LINES && !check_failed(); i++) {
		const void *from = line;
		uint64_t count = LINE;

		__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"((uint16_t)COM1)
				 : "memory");
		if (i % 16 == 0)
			expect_neighbours_serve();
	}
	RETURN_IF_FAILED();
	EXPECT_MSG(!time_is_up(start, 40000), "the output took more than 40 s");
}

static bool read_byte(uint8_t *byte)
{
	if (!WAIT(in8(COM1 + LSR) & LSR_DR, 1000))
		return false;
	*byte = in8(COM1);
	return true;
}

/* The input is zeroes. For a while nobody reads; then they come, in order and whole. */
static void c1_input_without_end(void)
{
	unsigned int i;
	uint8_t byte;

	SKIP_UNLESS(option_number("input", 0), "nothing comes in in this run");
	vdev_start(dev, 1, 0, IRQ_NONE);
	for (i = 0; i < DEAF_MS / 20; i++) {
		delay_ms(20);
		EXPECT(blk_works(dev, 0));
	}
	for (i = 0; i < NR_INPUT; i++) {
		EXPECT_MSG(read_byte(&byte), "byte %u does not come", i);
		EXPECT_EQ(byte, 0);
	}
	expect_neighbours_serve();
}

CHECKS_WATCHED("flood", setup,
	CHECK(c5_output_without_end),
	CHECK(c1_input_without_end))
