/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of the unit tests' library, whose assertions work in its own
 * runner only: what their fakes and readers assert ends a fuzz run.
 */
#ifndef MIMSY_FUZZ_CHECK_H
#define MIMSY_FUZZ_CHECK_H

#include "fuzz.h"

#define ck_assert(cond)			FUZZ_CHECK(cond)
#define ck_assert_msg(cond, ...)	FUZZ_CHECK(cond)
#define ck_assert_int_eq(a, b)		FUZZ_CHECK((a) == (b))
#define ck_assert_int_ge(a, b)		FUZZ_CHECK((a) >= (b))
#define ck_assert_uint_eq(a, b)		FUZZ_CHECK((a) == (b))
#define ck_assert_uint_le(a, b)		FUZZ_CHECK((a) <= (b))
#define ck_assert_uint_lt(a, b)		FUZZ_CHECK((a) < (b))
#define ck_assert_uint_ge(a, b)		FUZZ_CHECK((a) >= (b))
#define ck_assert_ptr_eq(a, b)		FUZZ_CHECK((a) == (b))
#define ck_assert_ptr_nonnull(a)	FUZZ_CHECK(a)
#define ck_abort_msg(...)		FUZZ_CHECK(!"reached")

#endif
