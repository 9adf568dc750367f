/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between devtree.c and the architectures' parts. The functions append to the
 * tree; the first error sticks, so it is looked at once, at the end.
 *
 * An arm64 part has "arm,psci-0.2" and the GIC's and timer's nodes in
 * add_platform, "arm,armv8" and "psci" in add_cpu, and three cells
 * (SPI, number, flags) in add_interrupt.
 */
#ifndef MIMSY_DEVTREE_ARCH_H
#define MIMSY_DEVTREE_ARCH_H

#include "fw_desc.h"

struct devtree {
	void *fdt;
	int err;		/* 0 or libfdt's, negative */
};

#define DEVTREE_INTC 1u		/* phandle of the controller that devices' lines end at */

struct devtree_arch {
	const char *compatible;	/* of the root */
	const char *stdout_path;

	/* The properties of a CPU's node but for device_type. */
	void (*add_cpu)(struct devtree *t, uint32_t idx);

	/* Interrupt controllers, timers, serial port: nodes of the root. */
	void (*add_platform)(struct devtree *t, const struct fw_desc *d);

	/* The property that names a device's line: edge, active high. */
	void (*add_interrupt)(struct devtree *t, uint32_t gsi);
};

void devtree_begin(struct devtree *t, const char *name);
void devtree_begin_at(struct devtree *t, const char *name, uint64_t unit_address);
void devtree_end(struct devtree *t);

void devtree_flag(struct devtree *t, const char *name);
void devtree_string(struct devtree *t, const char *name, const char *val);
void devtree_u32(struct devtree *t, const char *name, uint32_t val);
void devtree_u64(struct devtree *t, const char *name, uint64_t val);

/* nr cells of 32 bits, at most 16. */
void devtree_cells(struct devtree *t, const char *name, const uint32_t *cells, unsigned int nr);

/* "reg" of a node whose parent has two cells of address and of size. */
void devtree_reg(struct devtree *t, uint64_t base, uint64_t len);

#endif
