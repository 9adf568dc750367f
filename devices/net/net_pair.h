/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pair of queues and its worker thread: frames from the backend's
 * descriptor into the receive queue, frames of the transmit queue to the
 * descriptor. Pair 0 runs the control queue too and watches the link.
 *
 * With vhost the kernel does that; the thread then only passes on interrupts
 * that cannot be signalled directly, and does what pair 0 does besides.
 *
 * Created, started, stopped and freed by the device; the virtqueues belong to
 * the worker between start and stop. With inline kicks the vCPUs and the worker
 * share the transmit queue, behind a lock.
 */
#ifndef MIMSY_NET_PAIR_H
#define MIMSY_NET_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio_dev.h"

struct net_pair;
struct net_vhost;
struct worker_entry;

/* What a pair asks of its device, on the worker's thread. */
struct net_pair_ops {
	/* A control command: class, command and data (len bytes in all). Returns the answer. */
	uint8_t (*control)(void *ctx, const uint8_t *cmd, uint32_t len);
	/* The link may have changed (down: the backend's descriptor is no use any more). */
	void (*link_event)(void *ctx, bool down);
};

struct net_pair_cfg {
	int fd;				/* the backend's; borrowed */
	int link_fd;			/* -1: none to watch */
	struct net_vhost *vhost;	/* taken; the kernel moves the frames. NULL: we do */
	uint16_t max_size;		/* of a ring */
	struct guest_errors *errors;	/* borrowed */
	const struct net_pair_ops *ops;
	void *ctx;
	const struct worker_entry *entry;	/* for the thread; NULL: none */
	bool inline_kick;		/* net_pair_kick() will be called; without vhost only */
};

/* name is the thread's. cfg->vhost is taken also when this fails. */
int net_pair_create(struct net_pair **out, const struct net_pair_cfg *cfg, const char *name);
void net_pair_free(struct net_pair *p);		/* NULL is allowed */
int net_pair_pin(struct net_pair *p, int cpu);

struct net_pair_start {
	const struct virtio_queue *rx, *tx, *ctrl;	/* NULL: not there */
	struct virtio_transport *transport;
	uint64_t features;
	bool active;			/* the backend delivers frames to it */
};

/* Everything in s is borrowed until net_pair_stop() has returned. */
int net_pair_start(struct net_pair *p, const struct net_pair_start *s);
void net_pair_stop(struct net_pair *p);

/* While started: sends on this thread what the driver wants sent, a budget of it. */
void net_pair_kick(struct net_pair *p);

/* Any thread, while started. */
void net_pair_set_active(struct net_pair *p, bool active);

/* Where interrupts go may have changed. The transport's lock is held. */
void net_pair_irq_changed(struct net_pair *p);

enum net_pair_queue { NET_PAIR_RX, NET_PAIR_TX, NET_PAIR_CTRL };

/* Any thread, while started: how the driver wants interrupts of rx or tx coalesced. */
void net_pair_coalesce(struct net_pair *p, enum net_pair_queue which, uint32_t packets,
		       uint32_t usecs);

/* Any thread. */
void net_pair_stats(const struct net_pair *p, enum net_pair_queue which,
		    void (*emit)(void *ctx, const char *key, uint64_t value), void *ctx);

#endif
