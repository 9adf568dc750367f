/* SPDX-License-Identifier: Apache-2.0 */
/* Receive queue: frames from the backend straight into guest memory. */
#ifndef MIMSY_NET_RX_H
#define MIMSY_NET_RX_H

#include "net_queue.h"

struct net_rx;

int net_rx_create(struct net_rx **out, int fd, struct guest_errors *errors, uint16_t max_size);
void net_rx_free(struct net_rx *rx);	/* NULL is allowed */
struct net_queue *net_rx_queue(struct net_rx *rx);

/* The queue has just been started: forgets buffers of earlier times. */
void net_rx_reset(struct net_rx *rx);

/* Receives up to budget frames and publishes them together. */
enum net_more net_rx_run(struct net_rx *rx, unsigned int budget);

#endif
