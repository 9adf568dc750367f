/* SPDX-License-Identifier: Apache-2.0 */
#include "acpi_aml.h"

#include <assert.h>
#include <string.h>

enum {	/* ACPI 6.5, 20.3: opcodes */
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_QWORD = 0x0e,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_EXT = 0x5b,
	AML_NOTIFY = 0x86,
	AML_EXT_DEVICE = 0x82,
};

enum {	/* ACPI 6.5, 6.4: first bytes of descriptors, small ones with their length */
	RES_IO = 0x47,
	RES_END = 0x79,
	RES_MEMORY32_FIXED = 0x86,
	RES_INTERRUPT = 0x89,
};

#define INTERRUPT_CONSUMER 0x01
#define INTERRUPT_EDGE 0x02
#define INTERRUPT_SHARED 0x08
#define IO_DECODE_16 0x01
#define MEMORY_READ_WRITE 0x01

/*
 * The root prefix and up to one segment of exactly four characters: all that
 * we name.
 */
static void put_name(struct out *o, const char *name)
{
	size_t len = strlen(name);

	assert(len == 4 || (len == 5 && name[0] == '\\'));
	out_bytes(o, name, len);
}

static struct aml_block open_block(const struct out *o)
{
	return (struct aml_block){ .start = o->len };
}

struct aml_block aml_scope(struct out *o, const char *name)
{
	struct aml_block block;

	out_u8(o, AML_SCOPE);
	block = open_block(o);
	put_name(o, name);
	return block;
}

struct aml_block aml_device(struct out *o, const char *name)
{
	struct aml_block block;

	out_u8(o, AML_EXT);
	out_u8(o, AML_EXT_DEVICE);
	block = open_block(o);
	put_name(o, name);
	return block;
}

struct aml_block aml_method(struct out *o, const char *name, uint8_t nr_args)
{
	struct aml_block block;

	assert(nr_args <= 7);
	out_u8(o, AML_METHOD);
	block = open_block(o);
	put_name(o, name);
	out_u8(o, nr_args);		/* not serialized */
	return block;
}

void aml_notify(struct out *o, const char *name, uint8_t event)
{
	out_u8(o, AML_NOTIFY);
	put_name(o, name);
	aml_int(o, event);
}

struct aml_block aml_package(struct out *o, uint8_t nr_elements)
{
	struct aml_block block;

	out_u8(o, AML_PACKAGE);
	block = open_block(o);
	out_u8(o, nr_elements);
	return block;
}

/*
 * PkgLength, 20.2.4: one byte for up to 63; else the first byte holds the
 * number of bytes that follow and the low four bits. It counts itself.
 */
static unsigned int encode_length(uint8_t enc[4], size_t body)
{
	unsigned int extra = 0;
	size_t val;

	while (body + 1 + extra >= (extra ? 16u << 8 * extra : 64u))
		extra++;
	assert(extra <= 3);
	val = body + 1 + extra;
	enc[0] = (uint8_t)(extra ? extra << 6 | (val & 0xf) : val);
	for (unsigned int i = 1; i <= extra; i++)
		enc[i] = (uint8_t)(val >> (4 + 8 * (i - 1)));
	return extra + 1;
}

/* Moves the body up to make room for its length: bodies are small, and lengths minimal. */
void aml_close(struct out *o, struct aml_block block)
{
	size_t body = o->len - block.start;
	uint8_t enc[4];
	unsigned int n = encode_length(enc, body);

	if (!out_take(o, n))
		return;
	memmove(o->buf + block.start + n, o->buf + block.start, body);
	memcpy(o->buf + block.start, enc, n);
}

void aml_name(struct out *o, const char *name)
{
	out_u8(o, AML_NAME);
	put_name(o, name);
}

void aml_int(struct out *o, uint64_t val)
{
	if (val <= 1) {
		out_u8(o, val ? AML_ONE : AML_ZERO);
	} else if (val <= UINT8_MAX) {
		out_u8(o, AML_BYTE);
		out_u8(o, (uint8_t)val);
	} else if (val <= UINT16_MAX) {
		out_u8(o, AML_WORD);
		out_u16(o, (uint16_t)val);
	} else if (val <= UINT32_MAX) {
		out_u8(o, AML_DWORD);
		out_u32(o, (uint32_t)val);
	} else {
		out_u8(o, AML_QWORD);
		out_u64(o, val);
	}
}

void aml_string(struct out *o, const char *s)
{
	out_u8(o, AML_STRING);
	out_bytes(o, s, strlen(s) + 1);
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* 19.3.4: three letters of five bits and four digits, most significant byte first. */
void aml_eisaid(struct out *o, const char *id)
{
	uint32_t val = 0;

	assert(strlen(id) == 7);
	for (int i = 0; i < 3; i++)
		val = val << 5 | ((uint32_t)(id[i] - 'A' + 1) & 0x1f);
	for (int i = 3; i < 7; i++)
		val = val << 4 | hex_digit(id[i]);
	out_u8(o, AML_DWORD);
	out_u32(o, __builtin_bswap32(val));
}

/* The size is always a word, so that its place is known before its value. */
struct aml_resources aml_resources(struct out *o)
{
	struct aml_resources r;

	out_u8(o, AML_BUFFER);
	r.block = open_block(o);
	out_u8(o, AML_WORD);
	r.size_at = o->len;
	out_u16(o, 0);
	return r;
}

void aml_resources_close(struct out *o, struct aml_resources r)
{
	uint16_t size;

	out_u8(o, RES_END);
	out_u8(o, 0);		/* checksum: 0 means none */
	if (o->overflow)
		return;
	size = (uint16_t)(o->len - r.size_at - sizeof(size));
	memcpy(o->buf + r.size_at, &size, sizeof(size));
	aml_close(o, r.block);
}

void aml_memory32(struct out *o, uint32_t base, uint32_t len)
{
	out_u8(o, RES_MEMORY32_FIXED);
	out_u16(o, 9);
	out_u8(o, MEMORY_READ_WRITE);
	out_u32(o, base);
	out_u32(o, len);
}

void aml_io(struct out *o, uint16_t base, uint8_t len)
{
	out_u8(o, RES_IO);
	out_u8(o, IO_DECODE_16);
	out_u16(o, base);	/* lowest and highest base */
	out_u16(o, base);
	out_u8(o, 1);		/* alignment */
	out_u8(o, len);
}

void aml_interrupt(struct out *o, uint32_t gsi, bool shared)
{
	out_u8(o, RES_INTERRUPT);
	out_u16(o, 6);
	out_u8(o, INTERRUPT_CONSUMER | INTERRUPT_EDGE | (shared ? INTERRUPT_SHARED : 0));
	out_u8(o, 1);		/* one interrupt */
	out_u32(o, gsi);
}
