/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"
#include "print.h"

#define COM1		0x3f8
#define COM1_LSR	(COM1 + 5)
#define LSR_THRE	0x20

static void put_char(char c)
{
	unsigned int tries = 1000;

	while (!(in8(COM1_LSR) & LSR_THRE) && --tries)
		cpu_relax();
	out8(COM1, (uint8_t)c);
}

static void put_string(const char *s)
{
	while (*s)
		put_char(*s++);
}

static void put_number(uint64_t v, unsigned int base)
{
	char digits[24];
	char *p = digits + sizeof(digits) - 1;

	*p = 0;
	do
		*--p = "0123456789abcdef"[v % base];
	while (v /= base);
	put_string(p);
}

static void put_signed(int64_t v)
{
	if (v < 0)
		put_char('-');
	put_number(v < 0 ? -(uint64_t)v : (uint64_t)v, 10);
}

void vprint(const char *fmt, va_list ap)
{
	bool wide;

	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put_char(*fmt);
			continue;
		}
		wide = *++fmt == 'l';
		fmt += wide;
		switch (*fmt) {
		case 's':	put_string(va_arg(ap, const char *));		break;
		case 'c':	put_char((char)va_arg(ap, int));		break;
		case 'd':	put_signed(va_arg(ap, int));			break;
		case 'u':
		case 'x':
			put_number(wide ? va_arg(ap, uint64_t) : va_arg(ap, uint32_t),
				   *fmt == 'u' ? 10 : 16);
			break;
		default:	put_char(*fmt);
		}
	}
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}

void *memset(void *dst, int c, size_t len)
{
	void *p = dst;

	__asm__ volatile("rep stosb" : "+D"(p), "+c"(len) : "a"(c) : "memory");
	return dst;
}

void *memcpy(void *dst, const void *src, size_t len)
{
	void *p = dst;

	__asm__ volatile("rep movsb" : "+D"(p), "+S"(src), "+c"(len) : : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t len)
{
	char *d = dst;
	const char *s = src;

	if (d <= s)
		return memcpy(dst, src, len);
	while (len--)
		d[len] = s[len];
	return dst;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const unsigned char *p = a, *q = b;

	for (; len; len--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

size_t strlen(const char *s)
{
	size_t len = 0;

	while (s[len])
		len++;
	return len;
}

int strncmp(const char *a, const char *b, size_t len)
{
	for (; len; len--, a++, b++)
		if (*a != *b || !*a)
			return *(const unsigned char *)a - *(const unsigned char *)b;
	return 0;
}
