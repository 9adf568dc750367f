/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an x86 kernel jumps to in real mode when it wants the BIOS to reboot:
 * f000:fff0. Linux does it where the platform offers no reset that it trusts,
 * and thus on any hardware-reduced ACPI without EFI (arch/x86/kernel/reboot.c).
 * Without code there a vCPU runs through zeros for ever.
 */
#ifndef MIMSY_RESET_VECTOR_H
#define MIMSY_RESET_VECTOR_H

#include <stdint.h>

#define RESET_VECTOR_LEN 16

/* Code that writes 1 to the reset port and, should it come back, halts. */
void reset_vector_build(uint8_t code[RESET_VECTOR_LEN], uint16_t reset_port);

#endif
