/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIMSY_CLOCK_H
#define MIMSY_CLOCK_H

#include <stdint.h>

/* Time that passes evenly, from some moment in the past, in nanoseconds. */
uint64_t clock_now_ns(void);

#endif
