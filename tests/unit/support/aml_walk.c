/* SPDX-License-Identifier: Apache-2.0 */
#include "aml_walk.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

struct cursor {
	const uint8_t *p, *end;
};

struct value {
	bool is_string, is_buffer, is_package;
	uint64_t num;
	const char *str;
	struct cursor body;
};

static const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	ck_assert_uint_le(n, (size_t)(c->end - c->p));
	c->p += n;
	return p;
}

static uint64_t number(struct cursor *c, size_t n)
{
	uint64_t val = 0;

	memcpy(&val, take(c, n), n);
	return val;
}

/* A PkgLength and what it covers. */
static struct cursor package(struct cursor *c)
{
	const uint8_t *start = c->p;
	uint8_t lead = *take(c, 1);
	unsigned int extra = lead >> 6;
	uint32_t len = extra ? lead & 0xf : lead & 0x3f;
	struct cursor body;

	if (extra)
		ck_assert_uint_eq(lead & 0x30, 0);
	for (unsigned int i = 0; i < extra; i++)
		len |= (uint32_t)*take(c, 1) << (4 + 8 * i);
	ck_assert_uint_ge(len, (size_t)(c->p - start));
	ck_assert_uint_le(len, (size_t)(c->end - start));
	body = (struct cursor){ .p = c->p, .end = start + len };
	c->p = body.end;
	return body;
}

static void name(struct cursor *c, char out[6])
{
	memset(out, 0, 6);
	if (*c->p == '\\')
		take(c, 1);
	memcpy(out, take(c, 4), 4);
	for (int i = 0; i < 4; i++)
		ck_assert_msg(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", out[i]) && out[i],
			      "bad name");
	ck_assert(out[0] < '0' || out[0] > '9');
}

static struct value value(struct cursor *c)
{
	struct value v = { .num = 0 };
	uint8_t op = *take(c, 1);

	switch (op) {
	case 0x00: case 0x01:
		v.num = op;
		break;
	case 0x0a:
		v.num = number(c, 1);
		break;
	case 0x0b:
		v.num = number(c, 2);
		break;
	case 0x0c:
		v.num = number(c, 4);
		break;
	case 0x0e:
		v.num = number(c, 8);
		break;
	case 0x0d:
		v.is_string = true;
		v.str = (const char *)c->p;
		take(c, strnlen(v.str, (size_t)(c->end - c->p)) + 1);
		break;
	case 0x11:
		v.is_buffer = true;
		v.body = package(c);
		break;
	case 0x12:
		v.is_package = true;
		v.body = package(c);
		break;
	default:
		ck_abort_msg("object 0x%02x", op);
	}
	return v;
}

static void interrupt(struct aml_seen_device *d, struct cursor *c)
{
	ck_assert_uint_eq(number(c, 2), 6);
	d->has_irq = true;
	d->irq_flags = (uint8_t)number(c, 1);
	d->shared = d->irq_flags & 8;
	ck_assert_uint_eq(number(c, 1), 1);
	d->irq = (uint32_t)number(c, 4);
}

static void memory32(struct aml_seen_device *d, struct cursor *c)
{
	ck_assert_uint_eq(number(c, 2), 9);
	d->has_memory = true;
	ck_assert_uint_eq(number(c, 1), 1);
	d->mem_base = (uint32_t)number(c, 4);
	d->mem_len = (uint32_t)number(c, 4);
}

static void io(struct aml_seen_device *d, struct cursor *c)
{
	d->has_io = true;
	ck_assert_uint_eq(number(c, 1), 1);
	d->io_base = (uint16_t)number(c, 2);
	ck_assert_uint_eq(number(c, 2), d->io_base);
	number(c, 1);
	d->io_len = (uint8_t)number(c, 1);
}

static void resources(struct aml_seen_device *d, struct value v)
{
	struct cursor c = v.body;

	ck_assert(v.is_buffer);
	ck_assert_uint_eq(value(&c).num, (size_t)(v.body.end - c.p));
	for (;;) {
		uint8_t tag = *take(&c, 1);

		if (tag == 0x79)
			break;
		if (tag == 0x86)
			memory32(d, &c);
		else if (tag == 0x89)
			interrupt(d, &c);
		else if (tag == 0x47)
			io(d, &c);
		else
			ck_abort_msg("resource 0x%02x", tag);
	}
	ck_assert_uint_eq(*take(&c, 1), 0);
	ck_assert_ptr_eq(c.p, c.end);
}

static void hid(struct aml_seen_device *d, struct value v)
{
	uint32_t id = __builtin_bswap32((uint32_t)v.num);

	if (v.is_string)
		snprintf(d->hid, sizeof(d->hid), "%s", v.str);
	else
		snprintf(d->hid, sizeof(d->hid), "%c%c%c%04X", (id >> 26 & 0x1f) + 'A' - 1,
			 (id >> 21 & 0x1f) + 'A' - 1, (id >> 16 & 0x1f) + 'A' - 1, id & 0xffff);
}

static void s5(struct aml_seen *seen, struct value v)
{
	unsigned int nr;

	ck_assert(v.is_package);
	nr = *take(&v.body, 1);
	ck_assert_uint_le(nr, 8);
	while (v.body.p < v.body.end)
		seen->s5[seen->nr_s5++] = value(&v.body).num;
	ck_assert_uint_eq(seen->nr_s5, nr);
}

static void named(struct aml_seen *seen, struct aml_seen_device *d, struct cursor *c)
{
	char n[6];
	struct value v;

	name(c, n);
	v = value(c);
	if (!strcmp(n, "_S5_"))
		s5(seen, v);
	ck_assert(d || !strcmp(n, "_S5_"));
	if (!strcmp(n, "_HID"))
		hid(d, v);
	else if (!strcmp(n, "_UID"))
		d->uid = v.num;
	else if (!strcmp(n, "_CRS"))
		resources(d, v);
}

/* A method of one Notify. */
static void method(struct aml_seen_device *d, struct cursor *c)
{
	struct cursor body = package(c);
	uint8_t flags;

	ck_assert_ptr_nonnull(d);
	name(&body, d->method);
	flags = *take(&body, 1);
	ck_assert_uint_eq(flags & ~7u, 0);
	d->nr_args = flags & 7;
	ck_assert_uint_eq(*take(&body, 1), 0x86);
	name(&body, d->notifies);
	d->event = value(&body).num;
	ck_assert_ptr_eq(body.p, body.end);
}

static void terms(struct aml_seen *seen, struct aml_seen_device *d, struct cursor c)
{
	while (c.p < c.end) {
		uint8_t op = *take(&c, 1);
		struct cursor body;
		char n[6];

		if (op == 0x08) {
			named(seen, d, &c);
			continue;
		}
		if (op == 0x14) {
			method(d, &c);
			continue;
		}
		if (op == 0x5b) {
			ck_assert_uint_eq(*take(&c, 1), 0x82);
			ck_assert_uint_lt(seen->nr_devs, 600);
			body = package(&c);
			name(&body, n);
			d = &seen->dev[seen->nr_devs++];
			snprintf(d->path, sizeof(d->path), "%s", n);
			terms(seen, d, body);
			d = NULL;
			continue;
		}
		ck_assert_uint_eq(op, 0x10);
		body = package(&c);
		name(&body, n);
		terms(seen, NULL, body);
	}
}

void aml_walk(struct aml_seen *seen, const uint8_t *p, size_t len)
{
	memset(seen, 0, sizeof(*seen));
	terms(seen, NULL, (struct cursor){ .p = p, .end = p + len });
}
