/* SPDX-License-Identifier: Apache-2.0 */
#include "rss_model.h"

#include <linux/virtio_net.h>
#include <string.h>

#define NO_HASH ((uint64_t)1 << 32)

const uint8_t rss_model_key[NET_RSS_MAX_KEY] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

#define PORT(n) (n) >> 8, (n) & 255

const struct rss_example rss_examples[RSS_NR_EXAMPLES] = {
	{ false, { 66, 9, 149, 187, 161, 142, 100, 80, PORT(2794), PORT(1766) },
	  0x323e8fc2, 0x51ccc178 },
	{ false, { 199, 92, 111, 2, 65, 69, 140, 83, PORT(14230), PORT(4739) },
	  0xd718262a, 0xc626b0ea },
	{ false, { 24, 19, 198, 95, 12, 22, 207, 184, PORT(12898), PORT(38024) },
	  0xd2d0a5de, 0x5c2b394a },
	{ false, { 38, 27, 205, 30, 209, 142, 163, 6, PORT(48228), PORT(2217) },
	  0x82989176, 0xafc7327f },
	{ false, { 153, 39, 163, 191, 202, 188, 127, 2, PORT(44251), PORT(1303) },
	  0x5d1809c5, 0x10e828a2 },
	{ true, { 0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 7,
		  0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 1,
		  PORT(2794), PORT(1766) }, 0x2cc18cd5, 0x40207d3d },
	{ true, { 0x3f, 0xfe, 5, 1, 0, 8, 0, 0, 2, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef, 0xab,
		  0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		  PORT(14230), PORT(4739) }, 0x0f0c461c, 0xdde51bbf },
	{ true, { 0x3f, 0xfe, 0x19, 0, 0x45, 0x45, 0, 3, 2, 0, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf,
		  0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf,
		  PORT(44251), PORT(38024) }, 0x4b61e985, 0x02d1feef },
};

uint32_t rss_model_hash(const uint8_t *key, const uint8_t *input, unsigned int len)
{
	uint32_t hash = 0;

	for (unsigned int bit = 0; bit < 8 * len; bit++) {
		if (!(input[bit / 8] >> (7 - bit % 8) & 1))
			continue;
		for (unsigned int i = bit; i < bit + 32; i++)
			hash ^= (uint32_t)(key[i / 8] >> (7 - i % 8) & 1) << (31 - (i - bit));
	}
	return hash;
}

static unsigned int be16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

/* types: that of addresses alone; the next two bits are with TCP's and UDP's ports. */
static uint64_t hash_ip(const struct net_rss *r, uint32_t types, unsigned int protocol,
			const uint8_t *addresses, unsigned int len, const uint8_t *ports)
{
	uint32_t type = protocol == 6 ? types << 1 : protocol == 17 ? types << 2 : 0;
	uint8_t input[NET_RSS_MAX_INPUT];

	memcpy(input, addresses, len);
	if (ports && r->hash_types & type) {
		memcpy(input + len, ports, 4);
		return rss_model_hash(r->key, input, len + 4);
	}
	return r->hash_types & types ? rss_model_hash(r->key, input, len) : NO_HASH;
}

static uint64_t hash_ipv4(const struct net_rss *r, const uint8_t *p, unsigned int len)
{
	unsigned int header = len ? 4u * (p[0] & 15) : 0;
	bool has_ports;

	if (len < 20 || p[0] >> 4 != 4 || header < 20)
		return NO_HASH;
	has_ports = !(be16(p + 6) & 0x3fff) && len >= header + 4;
	return hash_ip(r, VIRTIO_NET_RSS_HASH_TYPE_IPv4, p[9], p + 12, 8,
		       has_ports ? p + header : NULL);
}

/* Length of the extension header at p, 0 if it is none or all behind it has no ports. */
static unsigned int extension_len(unsigned int kind, const uint8_t *p, unsigned int left)
{
	bool unit8 = kind == 0 || kind == 43 || kind == 60;

	if (left < 4 || (kind == 44 && be16(p + 2) & 0xfff9))
		return 0;
	return unit8 ? 8 * (p[1] + 1u) : kind == 44 ? 8 : kind == 51 ? 4 * (p[1] + 2u) : 0;
}

static uint64_t hash_ipv6(const struct net_rss *r, const uint8_t *p, unsigned int len)
{
	unsigned int kind, at = 40;
	bool has_ports;

	if (len < 40 || p[0] >> 4 != 6)
		return NO_HASH;
	kind = p[6];
	for (int i = 0; i < 6; i++) {
		unsigned int n = at < len ? extension_len(kind, p + at, len - at) : 0;

		if (!n)
			break;
		kind = p[at];
		at += n;
	}
	has_ports = at + 4 <= len;
	return hash_ip(r, VIRTIO_NET_RSS_HASH_TYPE_IPv6, kind, p + 8, 32,
		       has_ports ? p + at : NULL);
}

unsigned int rss_model_queue(const struct net_rss *r, const uint8_t *frame, unsigned int len)
{
	unsigned int at = 14, type;
	uint64_t hash = NO_HASH;

	for (int tags = 0; tags < 3 && at <= len; tags++, at += 4) {
		type = be16(frame + at - 2);
		if (type == 0x0800)
			hash = hash_ipv4(r, frame + at, len - at);
		else if (type == 0x86dd)
			hash = hash_ipv6(r, frame + at, len - at);
		if (type != 0x8100 && type != 0x88a8)
			break;
	}
	return hash == NO_HASH ? r->unclassified : r->queue[hash & r->mask];
}
