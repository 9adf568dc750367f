/* SPDX-License-Identifier: Apache-2.0 */
/* The control queue: takes commands off the ring and answers them. virtio 1.2, 5.1.6.5. */
#ifndef MIMSY_NET_CTRLQ_H
#define MIMSY_NET_CTRLQ_H

#include "net_queue.h"

struct net_ctrlq;

/* A command: class, command and data (len bytes in all). Returns the answer. */
typedef uint8_t net_ctrlq_fn(void *ctx, const uint8_t *cmd, uint32_t len);

int net_ctrlq_create(struct net_ctrlq **out, struct guest_errors *errors, uint16_t max_size,
		     net_ctrlq_fn *control, void *ctx);
void net_ctrlq_free(struct net_ctrlq *c);	/* NULL is allowed */
struct net_queue *net_ctrlq_queue(struct net_ctrlq *c);

/* Carries out up to budget commands, and tells the driver. Those beyond the limit wait. */
void net_ctrlq_run(struct net_ctrlq *c, unsigned int budget);

/* When the next command may be carried out (net_limit.h); 0: now. */
uint64_t net_ctrlq_due(const struct net_ctrlq *c);

#endif
