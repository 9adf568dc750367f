/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"
#include "print.h"

#define TYPE_ARP	0x0806
#define TYPE_IPV4	0x0800
#define PROTO_ICMP	1
#define NR_BUFS		16u
#define TX_SIZE		8192u

struct net net;

static const uint8_t our_ip[4] = { 192, 168, 77, 2 }, peer_ip[4] = { 192, 168, 77, 1 };
static uint8_t command[512];
static struct { bool used; unsigned int pair, buf; } lent;

static unsigned int config_pairs(const struct vdev *d)
{
	if (!(vdev_offered(d) >> VIRTIO_NET_F_MQ & 1))
		return 1;
	return mmio_read16(d->base + VIRTIO_MMIO_CONFIG + 8);
}

static void allocate(void)
{
	unsigned int i;

	net.nr_pairs = config_pairs(net.d);
	for (i = 0; i < net.nr_pairs; i++)
		net.rx[i] = heap_alloc(NR_BUFS * NET_BUF, 64);
	net.tx = heap_alloc(TX_SIZE, 64);
	for (i = 0; i < 6; i++)
		net.mac[i] = mmio_read8(net.d->base + VIRTIO_MMIO_CONFIG + i);
}

void net_setup(void)
{
	vdev_reset_all();
	net.d = vdev_get(VIRTIO_ID_NET, 0);
	if (!net.d)
		check_abort("no network device");
	if (!net.tx)
		allocate();
	net.hdr = (struct virtio_net_hdr_v1){ 0 };
	lent.used = false;
}

void net_offer(unsigned int pair, unsigned int buf, uint32_t len)
{
	struct ring *r = &net.d->ring[RXQ(pair)];
	struct piece p = { net.rx[pair] + buf * NET_BUF, len, true };

	ring_offer(r, ring_chain(r, &p, 1));
	ring_publish(r);
	vdev_kick(net.d, RXQ(pair));
}

void net_start(uint64_t features, enum irq_mode mode, unsigned int nr_rx)
{
	bool mq;
	unsigned int i, j, nr_queues;

	lent.used = false;
	mq = vdev_offered(net.d) & features & 1ull << VIRTIO_NET_F_MQ;
	net.ctrl = mq ? 2 * net.nr_pairs : 2;
	nr_queues = (mq ? 2 * net.nr_pairs : 2) +
		    !!(vdev_offered(net.d) & features & 1ull << VIRTIO_NET_F_CTRL_VQ);
	vdev_start(net.d, nr_queues, features, mode);
	for (i = 0; i < (mq ? net.nr_pairs : 1) && !check_failed(); i++)
		for (j = 0; j < nr_rx; j++)
			net_offer(i, j, NET_BUF);
}

bool net_send(unsigned int pair, uint32_t len)
{
	struct ring *r = &net.d->ring[TXQ(pair)];
	struct piece p[] = { { &net.hdr, NET_HDR, false }, { net.tx, len, false } };

	ring_offer(r, ring_chain(r, p, 2));
	ring_publish(r);
	vdev_kick(net.d, TXQ(pair));
	return WAIT(ring_take(r, NULL, NULL), NET_MS);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void give_back(void)
{
	if (lent.used)
		net_offer(lent.pair, lent.buf, NET_BUF);
	lent.used = false;
}

/* A frame of any type, or NULL if there is none now. */
static const uint8_t *take_frame(uint32_t *len, unsigned int *pair)
{
	unsigned int p;
	uint32_t id;

	for (p = 0; p < net.nr_pairs; p++) {
		struct ring *r = &net.d->ring[RXQ(p)];

		if (!r->size || !ring_take(r, &id, len))
			continue;
		*len -= NET_HDR;
		*pair = p;
		lent.used = true;
		lent.pair = p;
		lent.buf = (unsigned int)(r->desc[id].addr - (uint64_t)net.rx[p]) / NET_BUF;
		return (const uint8_t *)r->desc[id].addr + NET_HDR;
	}
	return NULL;
}

const uint8_t *net_receive(uint16_t type, uint32_t *len, unsigned int *pair, uint32_t ms)
{
	const uint8_t *frame;
	uint32_t start = ticks_now();

	for (;;) {
		give_back();
		if (!WAIT((frame = take_frame(len, pair)), 1) && time_is_up(start, ms))
			return NULL;
		if (frame && get16(frame + 12) == type)
			return frame;
	}
}

static void put_eth(const uint8_t *dst, uint16_t type)
{
	memcpy(net.tx, dst, 6);
	memcpy(net.tx + 6, net.mac, 6);
	put16(net.tx + 12, type);
}

bool net_arp(unsigned int pair)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	uint8_t *arp = net.tx + ETH_HDR;
	const uint8_t *answer;
	unsigned int from;
	uint32_t len;

	put_eth(broadcast, TYPE_ARP);
	memcpy(arp, "\x00\x01\x08\x00\x06\x04\x00\x01", 8);
	memcpy(arp + 8, net.mac, 6);
	memcpy(arp + 14, our_ip, 4);
	memset(arp + 18, 0, 6);
	memcpy(arp + 24, peer_ip, 4);
	if (!net_send(pair, 42))
		return false;
	while ((answer = net_receive(TYPE_ARP, &len, &from, NET_MS))) {
		answer += ETH_HDR;
		if (get16(answer + 6) != 2 || memcmp(answer + 14, peer_ip, 4))
			continue;	/* not an answer */
		memcpy(net.peer, answer + 8, 6);
		return !memcmp(answer + 18, net.mac, 6);
	}
	return false;
}

static uint16_t checksum(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0, i;

	for (i = 0; i + 1 < len; i += 2)
		sum += get16(p + i);
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint32_t net_build_ping(uint32_t data_len)
{
	uint8_t *ip = net.tx + ETH_HDR, *icmp = ip + 20;
	uint32_t i;

	put_eth(net.peer, TYPE_IPV4);
	memset(ip, 0, 28);
	ip[0] = 0x45;
	put16(ip + 2, 28 + data_len);
	ip[8] = 64;
	ip[9] = PROTO_ICMP;
	memcpy(ip + 12, our_ip, 4);
	memcpy(ip + 16, peer_ip, 4);
	put16(ip + 10, checksum(ip, 20));
	icmp[0] = 8;
	put16(icmp + 4, 0x4d4d);
	for (i = 0; i < data_len; i++)
		icmp[8 + i] = (uint8_t)(i * 7 + data_len);
	put16(icmp + 2, checksum(icmp, 8 + data_len));
	return ETH_HDR + 28 + data_len;
}

bool net_ping_answered(uint32_t data_len, uint32_t ms)
{
	const uint8_t *answer;
	unsigned int from;
	uint32_t len;

	while ((answer = net_receive(TYPE_IPV4, &len, &from, ms))) {
		const uint8_t *icmp = answer + ETH_HDR + 20;

		if (answer[ETH_HDR + 9] != PROTO_ICMP || icmp[0] != 0)
			continue;
		return len >= ETH_HDR + 28 + data_len &&
		       !memcmp(icmp + 8, net.tx + ETH_HDR + 28, data_len);
	}
	return false;
}

bool net_ping(unsigned int pair, uint32_t data_len)
{
	return net_send(pair, net_build_ping(data_len)) && net_ping_answered(data_len, NET_MS);
}

uint8_t net_command(uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	struct ring *r = &net.d->ring[net.ctrl];
	struct piece p[] = { { command, 2 + len, false }, { &net.ack, 1, true } };

	command[0] = class;
	command[1] = cmd;
	memcpy(command + 2, data, len);
	net.ack = 0xee;
	ring_offer(r, ring_chain(r, p, 2));
	ring_publish(r);
	vdev_kick(net.d, net.ctrl);
	WAIT(ring_take(r, NULL, NULL) || vdev_status(net.d) & S_NEEDS_RESET, NET_MS);
	return net.ack;
}
