/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the harnesses share. Each includes the .c under test and drives it from
 * any state that its invariant allows, with values that CBMC chooses. README.md
 * one level up says what is bounded.
 */
#ifndef MIMSY_HARNESS_H
#define MIMSY_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Functions without a body return any value. */
bool nondet_bool(void);
int nondet_int(void);
long nondet_long(void);
uint8_t nondet_u8(void);
uint16_t nondet_u16(void);
uint32_t nondet_u32(void);
uint64_t nondet_u64(void);

#define ASSUME(condition)	__CPROVER_assume(condition)
#define PROVE(condition, what)	__CPROVER_assert(condition, what)

/* Memory of len bytes, any contents. */
static inline void *any_memory(size_t len)
{
	void *p = malloc(len);

	ASSUME(p);
	return p;
}

#endif
