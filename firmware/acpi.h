/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI 6.5 tables of a hardware-reduced machine: RSDP, XSDT, FADT, MADT and
 * DSDT. They hold all that a stock kernel needs to find CPUs, interrupts,
 * virtio-mmio devices and the serial port, and to power off and reset.
 */
#ifndef MIMSY_ACPI_H
#define MIMSY_ACPI_H

#include <stddef.h>

#include "fw_desc.h"

/*
 * Writes the tables to buf, which is at gpa (below 4 GiB, 16-byte aligned) in
 * the guest; the RSDP is first. Returns the bytes used, 0 if cap is too small.
 */
size_t acpi_build(void *buf, size_t cap, uint64_t gpa, const struct fw_desc *d);

#endif
