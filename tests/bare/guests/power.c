/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways in which a virtual machine ends, one per run: option how=. The
 * runner looks at the monitor's exit code. What comes back here has failed.
 */
#include "cpu.h"
#include "check.h"
#include "layout.h"
#include "print.h"

#define SLP_EN (1u << 5)
#define SLP_TYP_S5 (5u << 2)
#define I8042_PULSE_RESET 0xfe
#define PVPANIC_PANICKED 1
#define PVPANIC_CRASH_LOADED 2
#define PC_RESET_HARD 2
#define PC_RESET_NOW 4
#define END_MS 500	/* other CPUs and threads have to end too */

#define VEC_BUTTON 0x40
#define UNCLAIMED 0xd0000000u
#define ICR_INIT 0x4500
#define ICR_STARTUP 0x4600
#define REAL_MODE_PAGE 0x11000u

/* KVM emulates what is not in memory, and finds no instruction there. */
static void run_what_is_no_memory(void)
{
	((void (*)(void))(uint64_t)UNCLAIMED)();
}

/* As a kernel does that wants the BIOS to reboot. Any CPU may; one after SIPI is in real mode. */
static void jump_to_the_bios(void)
{
	static const uint8_t ljmp_f000_fff0[] = { 0xea, 0xf0, 0xff, 0x00, 0xf0 };

	memcpy((void *)(uint64_t)REAL_MODE_PAGE, ljmp_f000_fff0, sizeof(ljmp_f000_fff0));
	lapic_send(1, ICR_INIT);
	delay_ms(10);
	lapic_send(1, ICR_STARTUP | REAL_MODE_PAGE >> 12);
}

/* Powers off when the power button is pressed, and never if it is not. */
static void wait_for_the_button(void)
{
	ioapic_route(LAYOUT_GSI_BUTTON, VEC_BUTTON, 0);
	print("listening\n");
	while (!irq_count[0][VEC_BUTTON])
		cpu_relax();
	EXPECT_EQ(irq_count[0][VEC_BUTTON], 1);
	out8(LAYOUT_PORT_SLEEP, SLP_EN | SLP_TYP_S5);
}

static void the_machine_ends(void)
{
	if (option_is("how", "sleep")) {
		out8(LAYOUT_PORT_SLEEP, SLP_EN | SLP_TYP_S5);
	} else if (option_is("how", "reset")) {
		out8(LAYOUT_PORT_RESET, 1);
	} else if (option_is("how", "i8042")) {
		out8(LAYOUT_PORT_I8042, I8042_PULSE_RESET);
	} else if (option_is("how", "chipset")) {
		out8(LAYOUT_PORT_PC_RESET, PC_RESET_HARD);
		out8(LAYOUT_PORT_PC_RESET, PC_RESET_HARD | PC_RESET_NOW);
	} else if (option_is("how", "panic")) {
		out8(LAYOUT_PORT_PVPANIC, PVPANIC_PANICKED);
	} else if (option_is("how", "panic-text")) {
		print("Kernel panic - not syncing: no \033[2J room\n");
		out8(LAYOUT_PORT_RESET, 1);
	} else if (option_is("how", "button")) {
		wait_for_the_button();
	} else if (option_is("how", "bios")) {
		jump_to_the_bios();
	} else if (option_is("how", "triple")) {
		guest_triple_fault();
	} else if (option_is("how", "nowhere")) {
		run_what_is_no_memory();
	} else if (option_is("how", "init")) {
		lapic_send(cpu_id(), ICR_INIT);
	} else if (option_is("how", "halt")) {
		print("halted\n");
		guest_halt();
	} else if (option_is("how", "spin")) {
		print("spinning\n");
		for (;;)
			cpu_relax();
	} else if (option_is("how", "debug")) {
		guest_exit(7);
	}
	delay_ms(END_MS);
	check_fail("still alive");
}

/* Near misses of the above must not end anything. */
static void other_values_end_nothing(void)
{
	out8(LAYOUT_PORT_SLEEP, 0);
	out8(LAYOUT_PORT_SLEEP, SLP_TYP_S5);
	out8(LAYOUT_PORT_SLEEP, SLP_EN | 1u << 2);
	out8(LAYOUT_PORT_RESET, 0);
	out8(LAYOUT_PORT_I8042, 0xaa);
	out8(LAYOUT_PORT_PC_RESET, PC_RESET_HARD);
	EXPECT_EQ(in8(LAYOUT_PORT_PC_RESET), 0);
	out8(LAYOUT_PORT_PVPANIC, PVPANIC_CRASH_LOADED);
	EXPECT_EQ(in8(LAYOUT_PORT_PVPANIC), PVPANIC_PANICKED | PVPANIC_CRASH_LOADED);
	EXPECT_EQ(in8(LAYOUT_PORT_I8042) & 2, 0);
}

CHECKS("power",
	CHECK(other_values_end_nothing),
	CHECK(the_machine_ends))
