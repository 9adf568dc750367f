/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the proofs share. Each tries every case of a finite model on the
 * monitor's own code and compares with a statement of the rule that is as
 * plain as can be; README.md says what is left out of each model.
 */
#ifndef MIMSY_PROOF_H
#define MIMSY_PROOF_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* Ends the program at the first counterexample; what follows the condition describes it. */
#define PROVE(condition, ...)							\
	do {									\
		if (!(condition)) {						\
			printf("FAIL %s:%d: %s: ", __FILE__, __LINE__,		\
			       #condition);					\
			printf(__VA_ARGS__);					\
			printf("\n");						\
			exit(1);						\
		}								\
	} while (0)

/* One line for each claim. */
static inline void proved(const char *claim, uint64_t nr_cases)
{
	printf("ok %" PRIu64 " cases: %s\n", nr_cases, claim);
	fflush(stdout);
}

/* --full: cases that take minutes, too. */
static inline bool proof_is_full(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "--full");
}

/* Sums that cannot wrap. Not ISO C, but gcc and clang have it. */
__extension__ typedef unsigned __int128 proof_wide;

#endif
