/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the control queue. What the device is asked to do was
 * negotiated and in range. Row N9 of docs/hostile-cases.md.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net_ctrl.h"
#include "net_rss.h"
#include "util.h"

#define MAX_PAIRS	32u

struct model {
	struct net_ctrl ctrl;
	unsigned int nr_calls;
	int result;
};

static bool has(const struct model *m, unsigned int bit)
{
	return m->ctrl.features >> bit & 1;
}

static int set_pairs(void *ctx, unsigned int n)
{
	struct model *m = ctx;

	FUZZ_CHECK(has(m, VIRTIO_NET_F_MQ) && n >= 1 && n <= m->ctrl.max_pairs);
	m->nr_calls++;
	return m->result;
}

static int set_rss(void *ctx, const struct net_rss *r)
{
	struct model *m = ctx;

	FUZZ_CHECK(has(m, VIRTIO_NET_F_RSS));
	FUZZ_CHECK(!(r->hash_types & ~NET_RSS_HASH_TYPES) && r->mask < NET_RSS_MAX_QUEUES);
	FUZZ_CHECK(!(r->mask & (r->mask + 1)));
	FUZZ_CHECK(r->nr_pairs <= m->ctrl.max_pairs && r->unclassified < r->nr_pairs);
	for (unsigned int i = 0; i <= r->mask; i++)
		FUZZ_CHECK(r->queue[i] < r->nr_pairs);
	m->nr_calls++;
	return m->result;
}

static int set_mac(void *ctx, const uint8_t mac[6])
{
	struct model *m = ctx;
	uint8_t copy[6];

	FUZZ_CHECK(has(m, VIRTIO_NET_F_CTRL_MAC_ADDR));
	memcpy(copy, mac, sizeof(copy));
	m->nr_calls++;
	return m->result;
}

static int set_offloads(void *ctx, uint64_t bits)
{
	struct model *m = ctx;

	FUZZ_CHECK(has(m, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS));
	FUZZ_CHECK(!(bits & ~m->ctrl.features) && !(bits & ~net_ctrl_offload_bits()));
	m->nr_calls++;
	return m->result;
}

static int set_coalescing(void *ctx, bool tx, uint32_t packets, uint32_t usecs)
{
	struct model *m = ctx;

	(void)tx, (void)packets, (void)usecs;
	FUZZ_CHECK(has(m, VIRTIO_NET_F_NOTF_COAL));
	m->nr_calls++;
	return m->result;
}

/* Two tables of addresses, counted apart from the device. */
static bool is_mac_table(const uint8_t *p, uint64_t len)
{
	for (int i = 0; i < 2; i++) {
		uint32_t n;

		if (len < sizeof(n))
			return false;
		memcpy(&n, p, sizeof(n));
		if (len - sizeof(n) < 6ull * n)
			return false;
		p += sizeof(n) + 6ull * n;
		len -= sizeof(n) + 6ull * n;
	}
	return !len;
}

static const struct net_ctrl_ops ops = {
	.set_pairs = set_pairs,
	.set_rss = set_rss,
	.set_mac = set_mac,
	.set_offloads = set_offloads,
	.set_coalescing = set_coalescing,
};

void fuzz_setup(void)
{
}

void fuzz_one(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in), answer;
	struct model m = { .ctrl = { .ops = &ops, .max_pairs = 1 + how % MAX_PAIRS },
			   .result = how & 0x80 ? -EIO : 0 };
	uint32_t len;
	uint8_t *cmd;

	m.ctrl.features = fuzz_u64(in);
	m.ctrl.ctx = &m;
	len = (uint32_t)MIN(in->left, NET_CTRL_MAX_LEN);
	cmd = malloc(len + !len);	/* no byte more: the sanitizer sees a read behind */
	FUZZ_CHECK(cmd);
	fuzz_bytes(in, cmd, len);
	answer = net_ctrl_handle(&m.ctrl, cmd, len);
	if (answer == VIRTIO_NET_OK && cmd[0] == VIRTIO_NET_CTRL_MAC &&
	    cmd[1] == VIRTIO_NET_CTRL_MAC_TABLE_SET)
		FUZZ_CHECK(is_mac_table(cmd + 2, len - 2));
	free(cmd);
	FUZZ_CHECK(answer == VIRTIO_NET_OK || answer == VIRTIO_NET_ERR);
	FUZZ_CHECK(m.nr_calls <= 1);
	FUZZ_CHECK(!(m.nr_calls && m.result) || answer == VIRTIO_NET_ERR);
}
