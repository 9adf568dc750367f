/* SPDX-License-Identifier: Apache-2.0 */
/* What a network device is to be: plain values, for the device and its backend. */
#ifndef MIMSY_VIRTIO_NET_CFG_H
#define MIMSY_VIRTIO_NET_CFG_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_NET_MAX_PAIRS	32u
/* Ring entries. Linux sends only while a frame in pieces fits, 2 + MAX_SKB_FRAGS entries. */
#define VIRTIO_NET_MIN_SIZE	32u

enum virtio_net_vhost {
	VIRTIO_NET_VHOST_AUTO,		/* the kernel's worker if the host has it */
	VIRTIO_NET_VHOST_ON,		/* ... or the device is refused */
	VIRTIO_NET_VHOST_OFF,
};

struct worker_entry;

struct virtio_net_cfg {
	const char *tap;		/* name of the interface */
	int fd[VIRTIO_NET_MAX_PAIRS];	/* nr_fds open tap queues used instead; taken */
	unsigned int nr_fds;
	uint16_t pairs;			/* 1..VIRTIO_NET_MAX_PAIRS */
	uint16_t queue_size;		/* power of two, VIRTIO_NET_MIN_SIZE..VIRTQ_MAX_SIZE */
	bool has_mac;			/* false: a random one, locally administered */
	uint8_t mac[6];
	uint16_t mtu;			/* told to the driver; 0: not told */
	enum virtio_net_vhost vhost;
	bool inline_kick;		/* frames are sent by the vCPU itself; no vhost then */
	bool rss;			/* the driver may choose queues by a hash */
	const int *cpus;		/* pair i's thread runs on CPU cpus[i % nr_cpus] */
	unsigned int nr_cpus;		/* 0: anywhere */
	const struct worker_entry *entry;	/* for the pairs' threads; NULL: none */
};

static inline bool virtio_net_may_use_vhost(const struct virtio_net_cfg *cfg)
{
	return cfg->vhost != VIRTIO_NET_VHOST_OFF && !cfg->inline_kick;
}

#define VIRTIO_NET_CFG_DEFAULT { .pairs = 1, .queue_size = 256 }

#endif
