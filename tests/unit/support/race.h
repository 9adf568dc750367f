/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads that hand over to each other thousands of times are done in no
 * time on free CPUs and take for ever on busy ones. So a race runs for its
 * number of rounds or until its time is up, whichever comes first.
 */
#ifndef MIMSY_TEST_RACE_H
#define MIMSY_TEST_RACE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct race {
	uint64_t end_ns;
};

static inline uint64_t race_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline struct race race_begin(unsigned int ms)
{
	return (struct race){ race_now_ns() + ms * 1000000ull };
}

static inline bool race_goes_on(const struct race *r)
{
	return race_now_ns() < r->end_ns;
}

#endif
