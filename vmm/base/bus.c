/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

int bus_add(struct bus *bus, uint64_t base, uint64_t len, const struct bus_ops *ops, void *ctx)
{
	unsigned int at = bus->nr_windows;
	uint64_t last;

	if (!len || __builtin_add_overflow(base, len - 1, &last))
		return -EINVAL;
	if (bus->nr_windows == BUS_MAX_WINDOWS)
		return -ENOSPC;
	for (unsigned int i = 0; i < bus->nr_windows; i++) {
		const struct bus_window *w = &bus->window[i];

		if (base <= w->base + (w->len - 1) && w->base <= last)
			return -EEXIST;
	}
	while (at && bus->window[at - 1].base > base) {
		bus->window[at] = bus->window[at - 1];
		at--;
	}
	bus->window[at] = (struct bus_window){ base, len, ops, ctx };
	bus->nr_windows++;
	return 0;
}

/* The window that holds all of [addr, addr + len); written so that no sum can wrap. */
static const struct bus_window *bus_find(const struct bus *bus, uint64_t addr, uint32_t len)
{
	unsigned int lo = 0, hi = bus->nr_windows;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		const struct bus_window *w = &bus->window[mid];

		if (addr < w->base)
			hi = mid;
		else if (addr - w->base >= w->len)
			lo = mid + 1;
		else
			return len <= w->len - (addr - w->base) ? w : NULL;
	}
	return NULL;
}

static bool bus_len_ok(uint32_t len)
{
	return len >= 1 && len <= 8;
}

bool bus_read(const struct bus *bus, uint64_t addr, void *buf, uint32_t len)
{
	const struct bus_window *w = bus_len_ok(len) ? bus_find(bus, addr, len) : NULL;

	memset(buf, w ? 0 : 0xff, len);
	if (w)
		w->ops->read(w->ctx, addr - w->base, buf, len);
	return w;
}

bool bus_write(const struct bus *bus, uint64_t addr, const void *buf, uint32_t len)
{
	const struct bus_window *w = bus_len_ok(len) ? bus_find(bus, addr, len) : NULL;

	if (w)
		w->ops->write(w->ctx, addr - w->base, buf, len);
	return w;
}
