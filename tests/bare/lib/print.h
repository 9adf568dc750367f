/* SPDX-License-Identifier: Apache-2.0 */
/* Text to COM1, and the string functions that gcc expects of a freestanding program. */
#ifndef BARE_PRINT_H
#define BARE_PRINT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* Knows %s %c %d %u %x %% and %lu %lx. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void vprint(const char *fmt, va_list ap);

void *memset(void *dst, int c, size_t len);
void *memcpy(void *dst, const void *src, size_t len);
void *memmove(void *dst, const void *src, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *s);
int strncmp(const char *a, const char *b, size_t len);

#endif
