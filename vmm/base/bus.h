/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address space (MMIO or port I/O): address -> device window.
 *
 * Built before the first vCPU runs, then constant, so look-ups take no lock.
 * An access that lies wholly inside one window is passed on with its offset;
 * all else is unclaimed: reads give all ones, writes vanish.
 */
#ifndef MIMSY_BUS_H
#define MIMSY_BUS_H

#include <stdbool.h>
#include <stdint.h>

#define BUS_MAX_WINDOWS 160

/* off is relative to the window; len is what the CPU asked for, 1..8; buf is little-endian. */
struct bus_ops {
	void (*read)(void *ctx, uint64_t off, void *buf, uint32_t len);
	void (*write)(void *ctx, uint64_t off, const void *buf, uint32_t len);
};

struct bus_window {
	uint64_t base, len;
	const struct bus_ops *ops;
	void *ctx;
};

struct bus {
	struct bus_window window[BUS_MAX_WINDOWS];	/* sorted by base */
	unsigned int nr_windows;
};

/* -EEXIST: overlaps a window; -ENOSPC: the table is full; -EINVAL: empty or wrapping. */
int bus_add(struct bus *bus, uint64_t base, uint64_t len, const struct bus_ops *ops, void *ctx);

/* false: nobody claims the access (buf is then all ones for a read). */
bool bus_read(const struct bus *bus, uint64_t addr, void *buf, uint32_t len);
bool bus_write(const struct bus *bus, uint64_t addr, const void *buf, uint32_t len);

#endif
