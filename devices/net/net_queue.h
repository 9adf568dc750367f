/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of a pair: what net_rx.c, net_tx.c and net_pair.c have in common. */
#ifndef MIMSY_NET_QUEUE_H
#define MIMSY_NET_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "counter.h"
#include "virtio_dev.h"

struct net_queue {
	struct virtq *vq;			/* start to stop; NULL: not there */
	struct virtio_irq *irq;			/* start to stop */
	struct virtio_transport *transport;	/* start to stop */
	struct guest_errors *errors;		/* set once */
	int fd;					/* set once: the backend's */
	uint64_t features;			/* start to stop */
	bool broken;				/* worker: the driver broke the ring */
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

#endif
