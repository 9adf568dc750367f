/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command of the control queue: any bytes, any length up to the bound, any
 * features. What reaches the device's operations is within what it has.
 *
 * cbmc: --unwind 9 --unwindset check_queues.0:5 --unsigned-overflow-check --conversion-check
 * catches: 067-pairs-out-of-range 068-mac-table-wraps 154-rss-tail-unchecked
 */
#include "harness.h"

#define MAX_LEN		64u	/* of a command */
#define MAX_MASK	3u	/* of an indirection table */

static void *bounded_copy(void *to, const void *from, size_t n);
static void *bounded_set(void *to, int byte, size_t n);

#define memcpy(to, from, n) bounded_copy(to, from, n)
#define memset(to, byte, n) bounded_set(to, byte, n)

#include "net_rss.c"
#include "net_ctrl.c"

#undef memcpy
#undef memset

/* The same bytes, checked as one range. */
static void *bounded_copy(void *to, const void *from, size_t n)
{
	PROVE(__CPROVER_r_ok(from, n), "a read of a command stays inside it");
	PROVE(__CPROVER_w_ok(to, n), "what is read has room");
	for (size_t i = 0; i < 8 && i < n; i++)
		((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}

static void *bounded_set(void *to, int byte, size_t n)
{
	PROVE(__CPROVER_w_ok(to, n), "what is cleared is there");
	(void)byte;
	return to;
}

static unsigned int max_pairs;
static uint64_t features;

static int set_pairs(void *ctx, unsigned int n)
{
	(void)ctx;
	PROVE(n && n <= max_pairs, "as many pairs as there are");
	return nondet_int();
}

static int set_rss(void *ctx, const struct net_rss *r)
{
	(void)ctx;
	PROVE(features >> VIRTIO_NET_F_RSS & 1, "RSS is negotiated");
	PROVE(r->nr_pairs && r->nr_pairs <= max_pairs, "as many pairs as there are");
	PROVE(r->mask < NET_RSS_MAX_QUEUES && r->unclassified < r->nr_pairs,
	      "queues that are there");
	for (unsigned int i = 0; i <= MAX_MASK && i <= r->mask; i++)
		PROVE(r->queue[i] < r->nr_pairs, "the table's queues are there");
	return nondet_int();
}

static int set_mac(void *ctx, const uint8_t mac[6])
{
	(void)ctx;
	PROVE(__CPROVER_r_ok(mac, 6), "an address has six bytes");
	return nondet_int();
}

static int set_offloads(void *ctx, uint64_t bits)
{
	(void)ctx;
	PROVE(!(bits & ~features), "offloads are negotiated");
	return nondet_int();
}

static int set_coalescing(void *ctx, bool tx, uint32_t packets, uint32_t usecs)
{
	(void)ctx;
	(void)tx;
	(void)packets;
	(void)usecs;
	return nondet_int();
}

static const struct net_ctrl_ops ops = { set_pairs, set_rss, set_mac, set_offloads,
					 set_coalescing };

void a_command_is_read_inside_its_bytes_and_checked(void)
{
	uint32_t len = nondet_u32();
	struct net_ctrl c = { &ops, NULL, nondet_u64(), nondet_u32() };
	uint8_t *cmd;

	ASSUME(len <= MAX_LEN && c.max_pairs <= 32768);
	cmd = any_memory(len);
	features = c.features;
	max_pairs = c.max_pairs;
	if (len >= 8)		/* a longer table is the same loop */
		ASSUME(cmd[0] != VIRTIO_NET_CTRL_MQ || cmd[1] != VIRTIO_NET_CTRL_MQ_RSS_CONFIG ||
		       (cmd[6] <= MAX_MASK && !cmd[7]));
	PROVE(net_ctrl_handle(&c, cmd, len) <= VIRTIO_NET_ERR, "a known answer");
}

void a_table_of_addresses_has_the_bytes_it_says(void)
{
	uint32_t len = nondet_u32(), taken, n;
	uint8_t data[4];

	ASSUME(len >= 4);
	taken = table_len(data, len);
	n = data[0] | data[1] << 8 | data[2] << 16 | (uint32_t)data[3] << 24;
	PROVE(taken <= len, "no more than there are");
	PROVE(!taken || taken == 4 + 6ull * n, "four for the count, six for each");
	PROVE(taken || 4 + 6ull * n > len, "refused only if it is too short");
}
