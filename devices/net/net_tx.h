/* SPDX-License-Identifier: Apache-2.0 */
/* Transmit queue: frames straight from guest memory to the backend. */
#ifndef MIMSY_NET_TX_H
#define MIMSY_NET_TX_H

#include "net_queue.h"

struct net_tx;

int net_tx_create(struct net_tx **out, int fd, struct guest_errors *errors, uint16_t max_size);
void net_tx_free(struct net_tx *tx);	/* NULL is allowed */
struct net_queue *net_tx_queue(struct net_tx *tx);

/* Sends up to budget frames. *nr_done were completed; the caller publishes them. */
enum net_more net_tx_run(struct net_tx *tx, unsigned int budget, unsigned int *nr_done);

#endif
