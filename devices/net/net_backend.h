/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where frames go to and come from: a non-blocking descriptor for each pair
 * of queues. A read(2) or write(2) is one frame, with a struct
 * virtio_net_hdr_v1 (12 bytes, little-endian) in front.
 *
 * The ops are for control and may come from the transport's thread and from
 * one of the device's, never from both at once.
 */
#ifndef MIMSY_NET_BACKEND_H
#define MIMSY_NET_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#define NET_BACKEND_MAX_PAIRS 32u

/* What the guest may be handed, and what it may hand us (HOST). */
enum net_offload {
	NET_OFFLOAD_CSUM = 1 << 0,	/* frames without a checksum */
	NET_OFFLOAD_TSO4 = 1 << 1,
	NET_OFFLOAD_TSO6 = 1 << 2,
	NET_OFFLOAD_ECN = 1 << 3,	/* TSO with ECN */
	NET_OFFLOAD_USO4 = 1 << 4,
	NET_OFFLOAD_USO6 = 1 << 5,
};

struct net_backend;
struct net_rss;

struct net_backend_ops {
	/* Which offloads frames to the guest may use. NULL: none, or fixed. */
	int (*set_offloads)(struct net_backend *b, unsigned int offloads);
	/* The first n pairs take part, the others get no frames. NULL: all always do. */
	int (*set_pairs)(struct net_backend *b, unsigned int n);
	/* Frames to the guest are steered so; r NULL: as it likes. NULL unless has_rss. */
	int (*set_rss)(struct net_backend *b, const struct net_rss *r);
	bool (*link_is_up)(struct net_backend *b);
	/* Call it when link_fd is readable, then ask. NULL: link_is_up does it. */
	void (*link_take_news)(struct net_backend *b);
	void (*free)(struct net_backend *b);
};

struct net_backend {
	const struct net_backend_ops *ops;
	unsigned int nr_pairs;		/* set once */
	unsigned int offloads;		/* set once: supported */
	int fd[NET_BACKEND_MAX_PAIRS];	/* set once */
	bool is_tap;			/* set once: fd is what vhost-net takes */
	int vhost_fd[NET_BACKEND_MAX_PAIRS];	/* set once if is_tap: for fd, or -errno */
	bool has_rss;			/* set once */
	int link_fd;			/* set once; -1: the link is always up */
};

#endif
