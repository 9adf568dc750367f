/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network device over socket pairs, started by a fake transport, and what
 * a test does on either side of it.
 *
 * One device for each test process; these functions end the test if something
 * does not come within 5 s.
 */
#ifndef MIMSY_TEST_NET_FIXTURE_H
#define MIMSY_TEST_NET_FIXTURE_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "fake_transport.h"
#include "net_rss.h"
#include "virtio_net.h"

#define NET_RING	64u
#define NET_RX		0u	/* queues of pair 0 */
#define NET_TX		1u

struct net_fixture {
	struct fake_transport *ft;
	struct virtio_dev *dev;
	/* The host's side: what is written to peer[i] comes in at pair i. */
	struct net_backend be;
	int peer[NET_BACKEND_MAX_PAIRS];
	bool link_up;			/* ring be.link_fd after a change */
	unsigned int offloads, pairs;	/* as the device set them */
	unsigned int nr_offload_calls;
	int host_result;		/* of whatever the device asks its backend for */
	bool rss_on;			/* likewise */
	struct net_rss rss;
	int rss_result;			/* of setting it */
};

/* Not started. The MAC is 52:54:00:12:34:56, the MTU 1400. */
struct net_fixture *net_fixture_create(unsigned int pairs);
/* The same with inline kicks. */
struct net_fixture *net_fixture_create_inline(unsigned int pairs);
/* The same with RSS. */
struct net_fixture *net_fixture_create_rss(unsigned int pairs);
/* With rings of that size, VDRIVER_MAX_SIZE at the most. */
struct net_fixture *net_fixture_create_ring(unsigned int pairs, uint16_t ring);
void net_fixture_free(struct net_fixture *f);

/* Sends a control command on queue q; returns the answer. */
uint8_t net_control(struct net_fixture *f, unsigned int q, uint8_t class, uint8_t cmd,
		    const void *data, uint32_t len);

/* Adds a buffer of len bytes to a receive queue, filled with 0xee. */
gpa_t net_add_rx(struct net_fixture *f, unsigned int q, uint32_t len);

/* A frame of frame_len bytes fill arrives at a pair. */
void net_host_sends(struct net_fixture *f, unsigned int pair, uint32_t frame_len, uint8_t fill);

/* Waits for it, whole, in the buffer at gpa. */
void net_expect_rx(struct net_fixture *f, unsigned int q, gpa_t gpa, uint32_t frame_len,
		   uint8_t fill);

/* Adds a frame to send, its header in a buffer of its own. Returns the chain's head. */
uint16_t net_add_tx(struct net_fixture *f, unsigned int q, const struct virtio_net_hdr_v1 *hdr,
		    uint32_t frame_len, uint8_t fill);
void net_expect_sent(struct net_fixture *f, unsigned int pair, uint32_t frame_len, uint8_t fill);
void net_expect_completed(struct net_fixture *f, unsigned int q, uint16_t head);

/* Sends a frame over pair 0, and sees it arrive. */
void net_send_one(struct net_fixture *f, uint32_t frame_len, uint8_t fill);
/* A frame in a queue's direction, until the driver could see it. */
void net_move_frame(struct net_fixture *f, uint32_t frame_len, unsigned int q);
/* As a driver does that takes in what was used and wants to hear of the next. */
void net_take_used(struct net_fixture *f, unsigned int q);

/* CPU time this process has used. */
uint64_t net_cpu_ms(void);

#endif
