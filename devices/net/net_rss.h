/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receive-side scaling: which queue a frame goes to, by a hash of its addresses
 * and ports. virtio 1.2, 5.1.6.4.3 and 5.1.6.5.7. Pure: the command's checks, and
 * the hash as tables that can be looked up without a loop over bits.
 */
#ifndef MIMSY_NET_RSS_H
#define MIMSY_NET_RSS_H

#include <stdint.h>

#define NET_RSS_MAX_KEY		40u	/* bytes: 32 bits more than the longest input */
#define NET_RSS_MAX_QUEUES	128u	/* entries of the indirection table */
#define NET_RSS_MAX_INPUT	36u	/* bytes: two IPv6 addresses and two ports */
#define NET_RSS_NIBBLES		(2 * NET_RSS_MAX_INPUT)

/* VIRTIO_NET_RSS_HASH_TYPE_* that are supported: all without _EX. */
#define NET_RSS_HASH_TYPES	0x3fu

/* What a driver asked for; checked. */
struct net_rss {
	uint32_t hash_types;
	uint16_t mask;			/* entries of queue, less one */
	uint16_t unclassified;		/* queue of frames that have no hash */
	uint16_t queue[NET_RSS_MAX_QUEUES];
	uint16_t nr_pairs;		/* that are in use from then on */
	uint8_t key[NET_RSS_MAX_KEY];	/* zeroes behind what was given */
};

/*
 * data: the command's, len bytes. -EINVAL if it is not well-formed in every
 * field; *r may be changed all the same.
 */
int net_rss_parse(struct net_rss *r, const uint8_t *data, uint32_t len, unsigned int max_pairs);

/*
 * The hash of input is the exclusive or of, for nibble i with value v (the high
 * half of a byte is first), t->nibble[i][v]. A row is a line of the cache.
 */
struct net_rss_toeplitz {
	uint32_t nibble[NET_RSS_NIBBLES][16];
};

void net_rss_toeplitz(struct net_rss_toeplitz *t, const uint8_t key[NET_RSS_MAX_KEY]);

#endif
