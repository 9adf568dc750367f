/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes written one after the other into a caller's buffer, little-endian.
 * What does not fit is dropped and remembered, so callers check once, at the
 * end, and a builder reads like the table it builds.
 */
#ifndef MIMSY_OUT_H
#define MIMSY_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct out {
	uint8_t *buf;		/* borrowed */
	size_t cap, len;
	bool overflow;		/* something did not fit; len stays where it was */
};

void out_init(struct out *o, void *buf, size_t cap);

/* Room for len bytes, zeroed; NULL if there is none. */
void *out_take(struct out *o, size_t len);

void out_bytes(struct out *o, const void *src, size_t len);
void out_u8(struct out *o, uint8_t val);
void out_u16(struct out *o, uint16_t val);
void out_u32(struct out *o, uint32_t val);
void out_u64(struct out *o, uint64_t val);

/* Zeroes up to the next multiple of align, a power of two. */
void out_align(struct out *o, size_t align);

/* What has to stand in a byte so that all len bytes add up to 0, that byte being 0 now. */
uint8_t out_checksum(const void *p, size_t len);

#endif
