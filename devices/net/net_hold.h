/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the interrupt for a frame that was sent alone may wait.
 *
 * A driver that takes in a frame also looks at what has been sent. So in a
 * conversation, where each frame is answered, nobody needs an interrupt for the
 * frame if it is asked for again after the answer: one interrupt a round and
 * not two. But the guest may be waiting for just that (TCP keeps small writes
 * back until it knows), so the wait is about as short as answers take, and it
 * is given up where it does not pay.
 *
 * Knows neither clock nor queue: the caller waits as long as it is told to and
 * reports what came first. One thread.
 */
#ifndef MIMSY_NET_HOLD_H
#define MIMSY_NET_HOLD_H

#include <stdbool.h>

enum net_hold_state {
	NET_HOLD_OFF,
	NET_HOLD_UNANSWERED,
	NET_HOLD_ANSWERED,
	NET_HOLD_EXPIRED,	/* the interrupt was sent; what comes next tells why */
};

struct net_hold {
	enum net_hold_state state;
	unsigned int limit_us;		/* for an answer */
	unsigned int nr_wakes;		/* while the interrupt waits */
	unsigned int credit;		/* 0: given up, but for ... */
	unsigned int gap, skipped;	/* ... one frame in so many */
	bool forbidden;
};

void net_hold_init(struct net_hold *h);

/* A frame was sent alone, and the driver wants to know. true: the interrupt waits. */
bool net_hold_begin(struct net_hold *h);

/* An interrupt waits; for this long, unless something comes. */
bool net_hold_is_on(const struct net_hold *h);
unsigned int net_hold_wait_us(const struct net_hold *h);

/*
 * The caller was woken, by whatever it was. false: an interrupt that waits has
 * been put off often enough.
 */
bool net_hold_goes_on(struct net_hold *h);

/* Frames have arrived. Nothing waits any more only after net_hold_end(). */
void net_hold_answered(struct net_hold *h);

/* The driver has been asked again: needed: it got its interrupt. expired: since nothing came. */
void net_hold_end(struct net_hold *h, bool needed, bool expired);

/* The guest has sent another frame while nothing waited. */
void net_hold_sent(struct net_hold *h);

/* This host cannot wait for so short a time. */
void net_hold_forbid(struct net_hold *h);

#endif
