/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a driver may ask the host for something that others on the host
 * hear of: changed offloads are told to every listener, queues to udev. A
 * bucket of NET_LIMIT_BURST requests that fills by one each
 * NET_LIMIT_PERIOD_NS. The caller sees to it that one thread has it at a time.
 */
#ifndef MIMSY_NET_LIMIT_H
#define MIMSY_NET_LIMIT_H

#include <stdint.h>

#include "clock.h"
#include "util.h"

#define NET_LIMIT_BURST		256u
#define NET_LIMIT_PERIOD_NS	10000000u

struct net_limit {		/* all zeroes: full */
	uint64_t full_ns;	/* when it is full again */
};

/* 0: a request may be taken; else the time at which the next may. */
static inline uint64_t net_limit_due(const struct net_limit *l)
{
	const uint64_t room = (uint64_t)(NET_LIMIT_BURST - 1) * NET_LIMIT_PERIOD_NS;

	return l->full_ns > clock_now_ns() + room ? l->full_ns - room : 0;
}

static inline void net_limit_take(struct net_limit *l)
{
	l->full_ns = MAX(l->full_ns, clock_now_ns()) + NET_LIMIT_PERIOD_NS;
}

#endif
