/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel MultiProcessor Specification 1.4: CPUs and interrupt lines for kernels
 * without ACPI. All lines are on one ISA bus, whose interrupt n is pin n.
 */
#ifndef MIMSY_MPTABLE_H
#define MIMSY_MPTABLE_H

#include <stddef.h>

#include "fw_desc.h"

#define MPTABLE_MAX_CPUS 255u		/* APIC ids are bytes, and 255 means all */
#define MPTABLE_POINTER_LEN 16u

/*
 * The configuration table. Returns the bytes used; 0 if cap is too small or
 * the machine has more than MPTABLE_MAX_CPUS.
 */
size_t mptable_build(void *buf, size_t cap, const struct fw_desc *d);

/* The pointer that kernels search for: in the last KiB below 640 KiB, 16-byte aligned. */
void mptable_build_pointer(void *buf, uint32_t table_gpa);

#endif
