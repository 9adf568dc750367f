/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A statistics counter: one thread writes, any thread reads. Cheaper than an
 * atomic add, since nobody else writes.
 */
#ifndef MIMSY_COUNTER_H
#define MIMSY_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
	atomic_uint_fast64_t value;	/* written by its owner only */
};

static inline uint64_t counter_read(const struct counter *c)
{
	return atomic_load_explicit(&c->value, memory_order_relaxed);
}

static inline void counter_add(struct counter *c, uint64_t n)
{
	atomic_store_explicit(&c->value, counter_read(c) + n, memory_order_relaxed);
}

#endif
