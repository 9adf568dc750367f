/* SPDX-License-Identifier: Apache-2.0 */
#include "net_hold.h"

#include "util.h"

#define MIN_US		50u
#define MAX_US		5000u
#define FIRST_US	100u
#define ANSWERED_US	50000u
#define MAX_WAKES	8u
#define MAX_CREDIT	8u
#define PENALTY		4u	/* credits; a success earns one */
#define MIN_GAP		16u
#define MAX_GAP		4096u

void net_hold_init(struct net_hold *h)
{
	*h = (struct net_hold){ .limit_us = FIRST_US, .credit = MAX_CREDIT, .gap = MIN_GAP };
}

bool net_hold_begin(struct net_hold *h)
{
	if (h->forbidden)
		return false;
	if (!h->credit && ++h->skipped < h->gap)
		return false;
	h->skipped = h->nr_wakes = 0;
	h->state = NET_HOLD_UNANSWERED;
	return true;
}

bool net_hold_is_on(const struct net_hold *h)
{
	return h->state == NET_HOLD_UNANSWERED || h->state == NET_HOLD_ANSWERED;
}

/* The answer interrupts the driver, which then looks at what was sent too, if not at once. */
unsigned int net_hold_wait_us(const struct net_hold *h)
{
	return h->state == NET_HOLD_ANSWERED ? ANSWERED_US : h->limit_us;
}

/* Each wake begins the wait anew: frames that keep coming would hold it for ever. */
bool net_hold_goes_on(struct net_hold *h)
{
	return !net_hold_is_on(h) || ++h->nr_wakes <= MAX_WAKES;
}

static void earn(struct net_hold *h)
{
	h->credit = MIN(h->credit + 1, MAX_CREDIT);
	h->gap = MIN_GAP;
	h->limit_us = MAX(h->limit_us - h->limit_us / 32, MIN_US);
}

static void pay(struct net_hold *h)
{
	if (!h->credit)
		h->gap = MIN(2 * h->gap, MAX_GAP);
	h->credit -= MIN(h->credit, PENALTY);
	h->limit_us = MAX(h->limit_us / 2, MIN_US);
}

/* An answer right after the limit: it was too short. */
void net_hold_answered(struct net_hold *h)
{
	if (h->state == NET_HOLD_UNANSWERED)
		h->state = NET_HOLD_ANSWERED;
	if (h->state != NET_HOLD_EXPIRED)
		return;
	h->state = NET_HOLD_OFF;
	h->limit_us = MIN(2 * h->limit_us, MAX_US);
	h->credit = MAX(h->credit, 1u);
}

/*
 * If the driver took in the answer and wants its interrupt all the same, it is
 * one that does not look. A second frame without an answer to the first is
 * neither good nor bad: both share an interrupt.
 */
void net_hold_end(struct net_hold *h, bool needed, bool expired)
{
	enum net_hold_state was = h->state;

	h->state = NET_HOLD_OFF;
	if (!needed)
		earn(h);
	else if (was == NET_HOLD_ANSWERED)
		pay(h);
	else if (expired)
		h->state = NET_HOLD_EXPIRED;
}

/* After the limit the guest sent, not the host: it was waiting for the interrupt. */
void net_hold_sent(struct net_hold *h)
{
	if (h->state != NET_HOLD_EXPIRED)
		return;
	h->state = NET_HOLD_OFF;
	pay(h);
}

void net_hold_forbid(struct net_hold *h)
{
	h->forbidden = true;
}
