/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames through a virtio-net device. The peer is a kernel at the other end of
 * a tap: 192.168.77.1, which answers ARP and echo requests. We are .2.
 */
#ifndef BARE_NET_H
#define BARE_NET_H

#include "vdev.h"

#define NET_BUF		2048u
#define NET_HDR		((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define NET_MS		2000
#define RXQ(pair)	(2 * (pair))
#define TXQ(pair)	(2 * (pair) + 1)
#define ETH_HDR		14u
#define NET_FEATURES	(1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_STATUS |	\
			 1ull << VIRTIO_NET_F_CTRL_VQ | 1ull << VIRTIO_NET_F_MQ)

struct net {
	struct vdev *d;
	unsigned int nr_pairs;
	unsigned int ctrl;		/* number of the control queue */
	uint8_t mac[6], peer[6];	/* the peer's is learnt by net_arp() */
	uint8_t *rx[VDEV_MAX_QUEUES / 2];	/* 16 buffers of NET_BUF for each pair */
	uint8_t *tx;			/* one frame of up to 4096 bytes */
	struct virtio_net_hdr_v1 hdr;	/* for the next frame; all 0 */
	volatile uint8_t ack;		/* of the last command */
};

extern struct net net;

/* For CHECKS_WITH(): resets everything and finds the device. */
void net_setup(void);

/* Starts the device with all its queues; nr_rx buffers in each receive queue. */
void net_start(uint64_t features, enum irq_mode mode, unsigned int nr_rx);

/* Offers a receive buffer of len bytes. */
void net_offer(unsigned int pair, unsigned int buf, uint32_t len);

/* Sends what lies in net.tx behind net.hdr. false: the device did not give it back. */
bool net_send(unsigned int pair, uint32_t len);

/*
 * Waits for a frame of that Ethernet type on any queue; others are dropped.
 * Returns it (without its header) and gives the buffer back to the queue later,
 * with the next call.
 */
const uint8_t *net_receive(uint16_t type, uint32_t *len, unsigned int *pair, uint32_t ms);

/* ARP and echo requests through that pair, and their answers. */
bool net_arp(unsigned int pair);
bool net_ping(unsigned int pair, uint32_t data_len);
uint32_t net_build_ping(uint32_t data_len);	/* in net.tx; the frame's length */
bool net_ping_answered(uint32_t data_len, uint32_t ms);

/* A command of at most 510 bytes; its acknowledgement, or 0xee if there was none. */
uint8_t net_command(uint8_t class, uint8_t cmd, const void *data, uint32_t len);

#endif
