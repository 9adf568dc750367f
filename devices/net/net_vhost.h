/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's worker for a pair of queues (vhost-net): no thread of ours has
 * to do with a frame.
 *
 * Its signals go to an eventfd of ours (the relay), or straight to an
 * interrupt's while the transport says that this is the same.
 */
#ifndef MIMSY_NET_VHOST_H
#define MIMSY_NET_VHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio_dev.h"

struct net_vhost;

enum net_vhost_queue { NET_VHOST_RX, NET_VHOST_TX, NET_VHOST_NR };

/*
 * vhost_fd is a /dev/vhost-net that nobody has used, or the -errno for want of
 * one; both descriptors are borrowed. -errno, and nothing logged, if the host
 * has no vhost-net for us.
 */
int net_vhost_create(struct net_vhost **out, int vhost_fd, int tap_fd);
void net_vhost_free(struct net_vhost *v);	/* NULL is allowed */

/* Hands both queues over; no frame moves before net_vhost_run(v, true). */
int net_vhost_start(struct net_vhost *v, const struct virtio_queue *rx,
		    const struct virtio_queue *tx, uint64_t features);
int net_vhost_run(struct net_vhost *v, bool run);

/* The kernel touches neither queue nor guest memory once it returns. */
void net_vhost_stop(struct net_vhost *v);

/* Eventfds that never block: signals not sent to an interrupt; a broken ring. */
int net_vhost_relay_fd(const struct net_vhost *v, enum net_vhost_queue q);
int net_vhost_error_fd(const struct net_vhost *v);

/* Where signals of a queue go from now on; -1: to the relay. */
void net_vhost_set_call(struct net_vhost *v, enum net_vhost_queue q, int fd);

#endif
