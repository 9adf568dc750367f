/* SPDX-License-Identifier: Apache-2.0 */
#include "out.h"

#include <string.h>

#include "util.h"

void out_init(struct out *o, void *buf, size_t cap)
{
	*o = (struct out){ .buf = buf, .cap = cap };
}

void *out_take(struct out *o, size_t len)
{
	uint8_t *p = o->buf + o->len;

	if (o->overflow || len > o->cap - o->len) {
		o->overflow = true;
		return NULL;
	}
	memset(p, 0, len);
	o->len += len;
	return p;
}

void out_bytes(struct out *o, const void *src, size_t len)
{
	void *p = out_take(o, len);

	if (p)
		memcpy(p, src, len);
}

/* The hosts we run on are little-endian as well, as every table is. */
void out_u8(struct out *o, uint8_t val)
{
	out_bytes(o, &val, sizeof(val));
}

void out_u16(struct out *o, uint16_t val)
{
	out_bytes(o, &val, sizeof(val));
}

void out_u32(struct out *o, uint32_t val)
{
	out_bytes(o, &val, sizeof(val));
}

void out_u64(struct out *o, uint64_t val)
{
	out_bytes(o, &val, sizeof(val));
}

void out_align(struct out *o, size_t align)
{
	out_take(o, align_up(o->len, align) - o->len);
}

uint8_t out_checksum(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *b++);
	return (uint8_t)-sum;
}
