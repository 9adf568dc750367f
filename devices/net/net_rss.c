/* SPDX-License-Identifier: Apache-2.0 */
#include "net_rss.h"

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "util.h"

/* Around the indirection table. struct virtio_net_rss_config has no room for one. */
struct head {
	uint32_t hash_types;
	uint16_t mask;
	uint16_t unclassified;
};

struct tail {
	uint16_t max_tx_vq;
	uint8_t key_len;
} __attribute__((packed));

/* Returns how many bytes it has taken; 0: malformed. */
static uint32_t parse_head(struct net_rss *r, const uint8_t *data, uint32_t len)
{
	uint32_t table_len;
	struct head h;

	if (len < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	r->hash_types = le32toh(h.hash_types);
	r->mask = le16toh(h.mask);
	r->unclassified = le16toh(h.unclassified);
	if (r->hash_types & ~NET_RSS_HASH_TYPES || r->mask >= NET_RSS_MAX_QUEUES ||
	    r->mask & (r->mask + 1))
		return 0;
	table_len = (r->mask + 1u) * (uint32_t)sizeof(r->queue[0]);
	if (len - sizeof(h) < table_len)
		return 0;
	memcpy(r->queue, data + sizeof(h), table_len);
	return (uint32_t)sizeof(h) + table_len;
}

/* Linux 6.12 sends the byte with which it pads its structure of the tail, too. */
static int parse_tail(struct net_rss *r, const uint8_t *data, uint32_t len)
{
	struct tail t;

	if (len < sizeof(t))
		return -EINVAL;
	memcpy(&t, data, sizeof(t));
	r->nr_pairs = le16toh(t.max_tx_vq);
	len -= (uint32_t)sizeof(t);
	if (t.key_len > NET_RSS_MAX_KEY || len < t.key_len || len > t.key_len + 1u)
		return -EINVAL;
	memset(r->key, 0, sizeof(r->key));
	memcpy(r->key, data + sizeof(t), t.key_len);
	return 0;
}

/* The driver may name more queues to receive from than it sends to. */
static int check_queues(struct net_rss *r, unsigned int max_pairs)
{
	unsigned int last = r->unclassified;

	for (unsigned int i = 0; i <= r->mask; i++) {
		r->queue[i] = le16toh(r->queue[i]);
		last = MAX(last, r->queue[i]);
	}
	if (!r->nr_pairs || r->nr_pairs > max_pairs || last >= max_pairs)
		return -EINVAL;
	r->nr_pairs = (uint16_t)MAX(r->nr_pairs, last + 1);
	return 0;
}

int net_rss_parse(struct net_rss *r, const uint8_t *data, uint32_t len, unsigned int max_pairs)
{
	uint32_t n = parse_head(r, data, len);

	if (!n || parse_tail(r, data + n, len - n))
		return -EINVAL;
	return check_queues(r, max_pairs);
}

/* The 32 bits of the key that begin at bit. */
static uint32_t window(const uint8_t *key, unsigned int bit)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < 5; i++)
		v = v << 8 | (bit / 8 + i < NET_RSS_MAX_KEY ? key[bit / 8 + i] : 0);
	return (uint32_t)(v >> (8 - bit % 8));
}

void net_rss_toeplitz(struct net_rss_toeplitz *t, const uint8_t key[NET_RSS_MAX_KEY])
{
	for (unsigned int i = 0; i < NET_RSS_NIBBLES; i++) {
		uint32_t *row = t->nibble[i];

		row[0] = 0;
		/* Each is that with a bit less, and the window of this bit. */
		for (unsigned int v = 1; v < 16; v++)
			row[v] = row[v & (v - 1)] ^
				 window(key, 4 * i + 3 - (unsigned int)__builtin_ctz(v));
	}
}
