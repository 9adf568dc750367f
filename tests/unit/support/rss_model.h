/* SPDX-License-Identifier: Apache-2.0 */
/* Receive-side scaling once more, the plain way: bit by bit, and headers by C. */
#ifndef MIMSY_TEST_RSS_MODEL_H
#define MIMSY_TEST_RSS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "net_rss.h"

#define RSS_NR_EXAMPLES 8

/* The examples by which makers of network cards verify theirs: one key, known hashes. */
struct rss_example {
	bool v6;
	uint8_t tuple[NET_RSS_MAX_INPUT];	/* source, destination, their ports */
	uint32_t hash, hash_with_ports;
};

extern const uint8_t rss_model_key[NET_RSS_MAX_KEY];
extern const struct rss_example rss_examples[RSS_NR_EXAMPLES];

uint32_t rss_model_hash(const uint8_t *key, const uint8_t *input, unsigned int len);

/* Where a frame belongs: virtio 1.2, 5.1.6.4.3. */
unsigned int rss_model_queue(const struct net_rss *r, const uint8_t *frame, unsigned int len);

#endif
