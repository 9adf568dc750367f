/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "cpu.h"
#include "print.h"
#include "pvh.h"

enum verdict { VERDICT_OK, VERDICT_SKIP, VERDICT_FAIL };

extern char heap_start[];
void bare_main(const struct hvm_start_info *info);

const struct hvm_start_info *start_info;

static const char *cmdline = "";
static const struct check *running;
static enum verdict verdict;
static uint8_t nr_failed;
static uint64_t heap_next;

static void report(enum verdict v)
{
	static const char *const word[] = { "ok", "skip", "FAIL" };

	verdict = v;
	print("%s %s.%s", word[v], check_table.program, running ? running->name : "start");
	if (v == VERDICT_FAIL && nr_failed < 0x7f)
		nr_failed++;
}

void check_fail(const char *fmt, ...)
{
	va_list ap;

	if (verdict != VERDICT_OK)
		return;
	report(VERDICT_FAIL);
	va_start(ap, fmt);
	print(": ");
	vprint(fmt, ap);
	print("\n");
	va_end(ap);
}

void check_skip(const char *why)
{
	if (verdict != VERDICT_OK)
		return;
	report(VERDICT_SKIP);
	print(": %s\n", why);
}

bool check_failed(void)
{
	return verdict != VERDICT_OK;
}

void check_abort(const char *fmt, ...)
{
	va_list ap;

	report(VERDICT_FAIL);
	va_start(ap, fmt);
	print(": ");
	vprint(fmt, ap);
	print("\n");
	va_end(ap);
	guest_exit(nr_failed);
}

/* The text behind the last "name=" in the command line, or NULL. */
static const char *option(const char *name)
{
	size_t len = strlen(name);
	const char *found = NULL, *p = cmdline;

	while (*p) {
		if (!strncmp(p, name, len) && p[len] == '=')
			found = p + len + 1;
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return found;
}

static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	return 16;
}

uint64_t option_number(const char *name, uint64_t fallback)
{
	const char *p = option(name);
	unsigned int base = 10;
	uint64_t v = 0;

	if (!p)
		return fallback;
	if (p[0] == '0' && p[1] == 'x') {
		base = 16;
		p += 2;
	}
	for (; digit(*p) < base; p++)
		v = v * base + digit(*p);
	return v;
}

bool option_is(const char *name, const char *value)
{
	const char *p = option(name);
	size_t len = strlen(value);

	return p && !strncmp(p, value, len) && (!p[len] || p[len] == ' ');
}

void *heap_alloc(size_t len, size_t align)
{
	uint64_t p = (heap_next + align - 1) & ~(uint64_t)(align - 1);

	heap_next = p + len;
	return (void *)p;
}

static void run_all(void)
{
	unsigned int i;

	for (i = 0; i < check_table.nr_checks; i++) {
		running = &check_table.check[i];
		if (option("check") && !option_is("check", running->name))
			continue;
		verdict = VERDICT_OK;
		if (check_table.before)
			check_table.before();
		if (verdict == VERDICT_OK)
			running->run();
		if (verdict == VERDICT_OK && check_table.after)
			check_table.after();
		if (verdict == VERDICT_OK)
			print("ok %s.%s\n", check_table.program, running->name);
	}
}

void bare_main(const struct hvm_start_info *info)
{
	heap_next = (uint64_t)heap_start;
	if (info && info->magic == HVM_START_MAGIC) {
		start_info = info;
		if (info->cmdline_paddr)
			cmdline = (const char *)info->cmdline_paddr;
	}
	cpu_init();
	print("plan %s %u\n", check_table.program, check_table.nr_checks);
	run_all();
	print("done %s\n", check_table.program);
	guest_exit(nr_failed);
}
