/* SPDX-License-Identifier: Apache-2.0 */
/* Every test_<module>.c defines this one function; runner.c has main(). */
#ifndef MIMSY_TEST_RUNNER_H
#define MIMSY_TEST_RUNNER_H

#include <check.h>

Suite *test_suite(void);

#endif
