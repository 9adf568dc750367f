/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of a pair: what net_rx.c, net_tx.c and net_pair.c have in common. */
#ifndef MIMSY_NET_QUEUE_H
#define MIMSY_NET_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "counter.h"
#include "virtio_dev.h"

/*
 * Coalescing as the driver set it: its interrupt may wait for more packets, or
 * for so long after the first.
 */
struct net_coal {
	atomic_uint_fast64_t setting;		/* any thread: usecs << 32 | packets */
	atomic_uint nr;				/* worker sets: packets that wait */
	atomic_uint_fast64_t since_ns;		/* worker sets: since then; 0: none waits */
};

struct net_queue {
	struct virtq *vq;			/* start to stop; NULL: not there */
	struct virtio_irq *irq;			/* start to stop */
	struct virtio_transport *transport;	/* start to stop */
	struct guest_errors *errors;		/* set once */
	int fd;					/* set once: the backend's */
	uint64_t features;			/* start to stop */
	bool broken;				/* worker: the driver broke the ring */
	struct net_coal coal;
	struct {				/* worker */
		struct counter frames, bytes, dropped, kicks, interrupts;
	} stats;
};

enum net_more {
	NET_IDLE,		/* nothing more now */
	NET_MORE,		/* the budget is used up, come again */
	NET_NO_BUFFERS,		/* receive: a frame may wait, the driver has to add buffers */
	NET_LINK_LOST,		/* the descriptor is no use any more */
};

/* virtq_pop() that takes note of a broken ring. false: nothing there. */
bool net_queue_pop(struct net_queue *q, struct virtq_chain *c, struct iovec *iov, int max_iov);

/* The driver broke the protocol: the queue stops, the driver is told. */
void net_queue_break(struct net_queue *q, const char *why);

/* Shows the driver what was used, with an interrupt if it wants one. Returns whether it did. */
bool net_queue_publish(struct net_queue *q);

/* When an interrupt that waits is due, as set now; 0: none does. Any thread. */
uint64_t net_queue_due(const struct net_queue *q);

/* net_queue_publish() for nr packets, unless the driver wants to hear of more at once. */
void net_queue_publish_soon(struct net_queue *q, uint32_t nr);

/* Forgets what the driver set; or sets it: usecs 0: every packet counts, packets 0: any number. */
void net_queue_coalesce(struct net_queue *q, uint32_t packets, uint32_t usecs);

#endif
