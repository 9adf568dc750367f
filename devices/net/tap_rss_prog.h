/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that chooses a tap's queue for a frame to the guest, and the
 * memory it looks into. It reads the frame's headers and nothing else.
 */
#ifndef MIMSY_TAP_RSS_PROG_H
#define MIMSY_TAP_RSS_PROG_H

#include <stdint.h>

#include "net_rss.h"

#define TAP_RSS_PROG_MAX 1024u	/* instructions */

struct bpf_insn;

/* Parts begin at a line of the cache. */
struct tap_rss_table {
	uint32_t hash_types, mask, unclassified;
	uint32_t unused[13];
	uint16_t queue[NET_RSS_MAX_QUEUES];
	struct net_rss_toeplitz toeplitz;
};

/* A frame is steered by one of the tables from its beginning to its end. */
struct tap_rss_map {
	uint32_t current;		/* 0 or 1 */
	uint32_t unused[15];
	struct tap_rss_table table[2];
};

/*
 * insn: room for TAP_RSS_PROG_MAX. map_fd: of an array whose one value is a struct
 * tap_rss_map. Returns the number of instructions. The program returns the queue.
 */
unsigned int tap_rss_prog(struct bpf_insn *insn, int map_fd);

#endif
