/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor with an allocator that fails once: at the call that
 * MIMSY_FAIL_ALLOC names, 0: never. At the end it says how many there were.
 * The linker puts these functions in place of libc's (--wrap); what libc
 * allocates before main() is left alone: it ends the program.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
char *__real_strdup(const char *s);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
char *__wrap_strdup(const char *s);

int __real_main(int argc, char **argv);
int __wrap_main(int argc, char **argv);

static atomic_long nr_calls;
static bool in_main;		/* before: libc, which ends the program */

int __wrap_main(int argc, char **argv)
{
	char text[40];
	int status, len;
	ssize_t n;

	in_main = true;
	status = __real_main(argc, argv);
	len = snprintf(text, sizeof(text), "alloc: %ld calls\n", nr_calls);
	if (getenv("MIMSY_FAIL_ALLOC")) {
		n = write(STDOUT_FILENO, text, (size_t)len);	/* behind the jail's filter */
		(void)n;
	}
	return status;
}

static bool fails(void)
{
	static const char said[] = "alloc: fails now\n";
	const char *which = getenv("MIMSY_FAIL_ALLOC");
	ssize_t n;

	if (!in_main || !which || ++nr_calls != atol(which))
		return false;
	n = write(STDOUT_FILENO, said, sizeof(said) - 1);
	(void)n;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return fails() ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(align, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}
