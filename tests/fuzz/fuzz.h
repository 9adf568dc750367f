/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all fuzz targets share: an input that is eaten from the front, and
 * checks that end the run. A target defines fuzz_setup() and fuzz_one().
 *
 * An input that has run out gives zeroes, so a target's loop asks
 * fuzz_left() and each prefix of an input is an input.
 */
#ifndef MIMSY_FUZZ_H
#define MIMSY_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest_mem.h"

struct fuzz_input {
	const uint8_t *data;
	size_t left;
};

/* Once, before the first input. */
void fuzz_setup(void);
/* One input. Nothing of it may be left behind. */
void fuzz_one(struct fuzz_input *in);

static inline bool fuzz_left(const struct fuzz_input *in)
{
	return in->left;
}

/* Copies len bytes, zeroes behind the end. */
void fuzz_bytes(struct fuzz_input *in, void *dst, size_t len);
uint8_t fuzz_u8(struct fuzz_input *in);
uint16_t fuzz_u16(struct fuzz_input *in);
uint32_t fuzz_u32(struct fuzz_input *in);
uint64_t fuzz_u64(struct fuzz_input *in);

/* A number that likes to be small, round, or next to a limit. */
uint64_t fuzz_number(struct fuzz_input *in, uint64_t limit);

/* Says what failed and aborts, so that the engine keeps the input. */
_Noreturn void fuzz_fail(const char *file, int line, const char *what);

#define FUZZ_CHECK(cond)						\
	do {								\
		if (!(cond))						\
			fuzz_fail(__FILE__, __LINE__, #cond);		\
	} while (0)

/* A guest's RAM, the same for all inputs of a process. */
struct guest_mem *fuzz_guest(uint64_t size);

#endif
