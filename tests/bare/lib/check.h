/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest program is: a table of named checks. Each prints one line,
 * "ok name", "FAIL name: why" or "skip name: why"; the guest then exits
 * through the debug port with the number of failures.
 *
 *	static void a_thing_holds(void) { EXPECT_EQ(read_thing(), 1); }
 *	CHECKS("program", CHECK(a_thing_holds))
 */
#ifndef BARE_CHECK_H
#define BARE_CHECK_H

#include "io.h"

struct check {
	const char *name;
	void (*run)(void);
};

struct check_table {
	const char *program;
	void (*before)(void);		/* each check; NULL: nothing */
	void (*after)(void);		/* each check that has not failed; it still can */
	const struct check *check;
	unsigned int nr_checks;
};

extern const struct check_table check_table;	/* defined by the program */

#define CHECK(fn) { #fn, fn }
#define CHECKS_WITH(prog, setup, ...)						\
	static const struct check all_checks[] = { __VA_ARGS__ };		\
	const struct check_table check_table = {				\
		.program = prog, .before = setup, .check = all_checks,		\
		.nr_checks = ARRAY_SIZE(all_checks),				\
	};
#define CHECKS(prog, ...) CHECKS_WITH(prog, NULL, __VA_ARGS__)

/* Both mark the running check; the first message is the one that is printed. */
void check_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void check_skip(const char *why);
bool check_failed(void);

/* The guest cannot go on: fails the running check and exits. */
void check_abort(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* These return from the (void) function they stand in. */
#define EXPECT(cond) do {							\
	if (!(cond)) {								\
		check_fail("line %d: %s", __LINE__, #cond);			\
		return;								\
	}									\
} while (0)
#define EXPECT_EQ(a, b) do {							\
	uint64_t expect_a = (uint64_t)(a), expect_b = (uint64_t)(b);		\
	if (expect_a != expect_b) {						\
		check_fail("line %d: %s is 0x%lx, not %s (0x%lx)", __LINE__,	\
			   #a, expect_a, #b, expect_b);				\
		return;								\
	}									\
} while (0)
#define EXPECT_MSG(cond, ...) do {						\
	if (!(cond)) {								\
		check_fail(__VA_ARGS__);					\
		return;								\
	}									\
} while (0)
/* After a call to a helper that uses them. */
#define RETURN_IF_FAILED() do { if (check_failed()) return; } while (0)
#define SKIP_UNLESS(cond, why) do {						\
	if (!(cond)) {								\
		check_skip(why);						\
		return;								\
	}									\
} while (0)

/* "name=value" from the guest's command line; a number in C notation, or fallback. */
uint64_t option_number(const char *name, uint64_t fallback);
bool option_is(const char *name, const char *value);

/* What the monitor handed over; NULL if it was not a PVH start info. */
struct hvm_start_info;
extern const struct hvm_start_info *start_info;

/* Memory behind the image, zeroed once at start by whoever booted us; never freed. */
void *heap_alloc(size_t len, size_t align);

#endif
