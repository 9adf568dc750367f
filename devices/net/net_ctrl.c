/* SPDX-License-Identifier: Apache-2.0 */
#include "net_ctrl.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <string.h>

#include "net_hdr.h"
#include "net_rss.h"

static bool has(const struct net_ctrl *c, unsigned int bit)
{
	return c->features >> bit & 1;
}

uint64_t net_ctrl_offload_bits(void)
{
	return 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |
	       1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN |
	       1ull << NET_F_GUEST_USO4 | 1ull << NET_F_GUEST_USO6;
}

/*
 * A tap delivers what the host's bridge or routes send to it; nothing is
 * filtered here, which 5.1.6.5.1 allows ("best effort"). The values are checked
 * all the same.
 */
static int handle_rx_mode(const struct net_ctrl *c, uint8_t cmd, const uint8_t *data, uint32_t len)
{
	unsigned int last = has(c, VIRTIO_NET_F_CTRL_RX_EXTRA) ? VIRTIO_NET_CTRL_RX_NOBCAST
							       : VIRTIO_NET_CTRL_RX_ALLMULTI;

	if (!has(c, VIRTIO_NET_F_CTRL_RX) || cmd > last || len != 1 || data[0] > 1)
		return -EINVAL;
	return 0;
}

/* A count of addresses, then the addresses. Returns the bytes it takes, 0: too short. */
static uint32_t table_len(const uint8_t *data, uint32_t len)
{
	uint32_t n;

	if (len < sizeof(n))
		return 0;
	memcpy(&n, data, sizeof(n));
	n = le32toh(n);
	if (n > (len - sizeof(n)) / 6)
		return 0;
	return (uint32_t)sizeof(n) + 6 * n;
}

static int handle_mac_table(const uint8_t *data, uint32_t len)
{
	uint32_t unicast = table_len(data, len), multicast;

	if (!unicast)
		return -EINVAL;
	multicast = table_len(data + unicast, len - unicast);
	return multicast && unicast + multicast == len ? 0 : -EINVAL;
}

static int handle_mac(const struct net_ctrl *c, uint8_t cmd, const uint8_t *data, uint32_t len)
{
	if (cmd == VIRTIO_NET_CTRL_MAC_TABLE_SET && has(c, VIRTIO_NET_F_CTRL_RX))
		return handle_mac_table(data, len);
	if (cmd != VIRTIO_NET_CTRL_MAC_ADDR_SET || !has(c, VIRTIO_NET_F_CTRL_MAC_ADDR) || len != 6)
		return -EINVAL;
	return c->ops->set_mac(c->ctx, data);
}

static int handle_rss(const struct net_ctrl *c, const uint8_t *data, uint32_t len)
{
	struct net_rss r;

	if (!has(c, VIRTIO_NET_F_RSS) || net_rss_parse(&r, data, len, c->max_pairs))
		return -EINVAL;
	return c->ops->set_rss(c->ctx, &r);
}

static int handle_mq(const struct net_ctrl *c, uint8_t cmd, const uint8_t *data, uint32_t len)
{
	uint16_t n;

	if (cmd == VIRTIO_NET_CTRL_MQ_RSS_CONFIG)
		return handle_rss(c, data, len);
	if (!has(c, VIRTIO_NET_F_MQ) || cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || len != sizeof(n))
		return -EINVAL;
	memcpy(&n, data, sizeof(n));
	n = le16toh(n);
	if (n < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || n > c->max_pairs)
		return -EINVAL;
	return c->ops->set_pairs(c->ctx, n);
}

static int handle_offloads(const struct net_ctrl *c, uint8_t cmd, const uint8_t *data,
			   uint32_t len)
{
	uint64_t bits;

	if (!has(c, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || len != sizeof(bits) ||
	    cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET)
		return -EINVAL;
	memcpy(&bits, data, sizeof(bits));
	bits = le64toh(bits);
	if (bits & ~(c->features & net_ctrl_offload_bits()))
		return -EINVAL;
	return c->ops->set_offloads(c->ctx, bits);
}

/* Both directions have the same two numbers. */
static int handle_coalescing(const struct net_ctrl *c, uint8_t cmd, const uint8_t *data,
			     uint32_t len)
{
	struct virtio_net_ctrl_coal_rx v;

	if (!has(c, VIRTIO_NET_F_NOTF_COAL) || len != sizeof(v) ||
	    cmd > VIRTIO_NET_CTRL_NOTF_COAL_RX_SET)
		return -EINVAL;
	memcpy(&v, data, sizeof(v));
	return c->ops->set_coalescing(c->ctx, cmd == VIRTIO_NET_CTRL_NOTF_COAL_TX_SET,
				      le32toh(v.rx_max_packets), le32toh(v.rx_usecs));
}

static int dispatch(const struct net_ctrl *c, const uint8_t *cmd, uint32_t len)
{
	switch (cmd[0]) {
	case VIRTIO_NET_CTRL_RX:
		return handle_rx_mode(c, cmd[1], cmd + 2, len - 2);
	case VIRTIO_NET_CTRL_MAC:
		return handle_mac(c, cmd[1], cmd + 2, len - 2);
	case VIRTIO_NET_CTRL_MQ:
		return handle_mq(c, cmd[1], cmd + 2, len - 2);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return handle_offloads(c, cmd[1], cmd + 2, len - 2);
	case VIRTIO_NET_CTRL_NOTF_COAL:
		return handle_coalescing(c, cmd[1], cmd + 2, len - 2);
	default:
		return -EINVAL;
	}
}

uint8_t net_ctrl_handle(const struct net_ctrl *c, const uint8_t *cmd, uint32_t len)
{
	if (len < 2 || dispatch(c, cmd, len))
		return VIRTIO_NET_ERR;
	return VIRTIO_NET_OK;
}
