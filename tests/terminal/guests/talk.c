/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest at a terminal: prints lines=N numbered lines, then does what end=
 * says: off, halt, or echo, which gives back each byte that comes in. It looks
 * at nothing by itself; tests/terminal does.
 */
#include "cpu.h"
#include "check.h"
#include "layout.h"
#include "print.h"

#define COM1 LAYOUT_PORT_COM1
#define LSR 5
#define LSR_DR 0x01
#define S5 (1u << 5 | 5u << 2)	/* SLP_EN, SLP_TYP */

static void talks(void)
{
	uint32_t i, lines = (uint32_t)option_number("lines", 0);

	for (i = 0; i < lines; i++)
		print("line %u of what this guest has to say, long enough to fill a pipe\n", i);
	if (option_is("end", "off"))
		out8(LAYOUT_PORT_SLEEP, S5);
	print("ready\n");
	while (option_is("end", "echo")) {
		if (in8(COM1 + LSR) & LSR_DR)
			print("<%c>\n", in8(COM1));
		cpu_relax();
	}
	guest_halt();
}

CHECKS("talk", CHECK(talks))
