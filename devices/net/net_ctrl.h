/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of the control queue. virtio 1.2, 5.1.6.5. Pure: checks, then calls. */
#ifndef MIMSY_NET_CTRL_H
#define MIMSY_NET_CTRL_H

#include <stdbool.h>
#include <stdint.h>

struct net_rss;

#define NET_CTRL_MAX_LEN 2048u	/* of a command: header and two tables of 128 addresses fit */

struct net_ctrl_ops {	/* 0 or -errno */
	int (*set_pairs)(void *ctx, unsigned int n);
	/* the same, and how frames are spread over them; set_pairs ends it */
	int (*set_rss)(void *ctx, const struct net_rss *r);
	int (*set_mac)(void *ctx, const uint8_t mac[6]);
	/* guest_features: the VIRTIO_NET_F_GUEST_* bits that are to be on */
	int (*set_offloads)(void *ctx, uint64_t guest_features);
	/* interrupts of one direction may wait for more packets, or for so long */
	int (*set_coalescing)(void *ctx, bool tx, uint32_t packets, uint32_t usecs);
};

struct net_ctrl {
	const struct net_ctrl_ops *ops;
	void *ctx;
	uint64_t features;	/* negotiated */
	unsigned int max_pairs;
};

/* The VIRTIO_NET_F_GUEST_* bits that are offloads. */
uint64_t net_ctrl_offload_bits(void);

/* cmd: class, command, data; len bytes. Returns VIRTIO_NET_OK or VIRTIO_NET_ERR. */
uint8_t net_ctrl_handle(const struct net_ctrl *c, const uint8_t *cmd, uint32_t len);

#endif
