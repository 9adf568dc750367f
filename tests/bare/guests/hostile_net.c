/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group N of the hostile cases. A frame that is none is dropped and given
 * back; a broken queue stops this device until its reset, and no other.
 */
#include "net.h"
#include "neighbours.h"
#include "print.h"
#include "subject.h"

#define NR_RX 8u
#define HUGE_LEN 70000u
#define F(bit) (1ull << (bit))

static struct vdev *other;
static uint8_t *huge;

static void setup(void)
{
	net_setup();
	dev = net.d;
	neighbours_start();
	other = bystander();
	net.d->queue_size = 128;
	net_start(NET_FEATURES | F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_HOST_TSO4), IRQ_NONE, NR_RX);
	if (!check_failed() && !net_arp(0))
		check_fail("the peer does not answer");
	if (!huge)
		huge = heap_alloc(HUGE_LEN, 64);
}

static void expect_alive_after_reset(void)
{
	RETURN_IF_FAILED();
	net.hdr = (struct virtio_net_hdr_v1){ 0 };
	expect_bystander_works(other);
	net_start(NET_FEATURES | F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_HOST_TSO4), IRQ_NONE, NR_RX);
	EXPECT_MSG(net_arp(0), "the device no longer works after a reset");
	expect_bystander_works(other);
}

/*
 * Given back or given up: not kept. A kernel's vhost-net tries some of them
 * again for ever; then the queue waits for the reset, which has to work.
 */
static void expect_taken(const struct piece *p, unsigned int nr)
{
	struct ring *r = &net.d->ring[TXQ(0)];
	bool taken;

	RETURN_IF_FAILED();
	ring_offer(r, ring_chain(r, p, nr));
	ring_publish(r);
	vdev_kick(net.d, TXQ(0));
	taken = WAIT(ring_take(r, NULL, NULL) || vdev_status(net.d) & S_NEEDS_RESET,
		     option_number("vhost", 0) ? 100 : ARRIVE_MS);
	if (!taken && option_number("vhost", 0))
		expect_alive_after_reset();
	else
		EXPECT(taken);
}

static void expect_alive(void)
{
	RETURN_IF_FAILED();
	EXPECT(!(vdev_status(net.d) & S_NEEDS_RESET));
	EXPECT_MSG(net_ping(0, 64), "the device no longer works");
	expect_bystander_works(other);
}

static void n1_frames_of_0_to_13_bytes(void)
{
	uint32_t len;

	for (len = 0; len < 14; len++) {
		struct piece p[] = { { &net.hdr, NET_HDR, false }, { net.tx, len, false } };

		expect_taken(p, 2);
	}
	expect_alive();
}

static void n1_less_than_a_header(void)
{
	uint32_t len;

	for (len = 1; len <= NET_HDR; len++) {
		struct piece p[] = { { &net.hdr, len, false } };

		expect_taken(p, 1);
	}
	expect_alive();
}

static void n1_header_byte_by_byte(void)
{
	uint32_t len = net_build_ping(64);
	struct piece p[NET_HDR + 2];
	unsigned int i;

	for (i = 0; i < NET_HDR; i++)
		p[i] = (struct piece){ (char *)&net.hdr + i, 1, false };
	p[NET_HDR] = (struct piece){ net.tx, 3, false };
	p[NET_HDR + 1] = (struct piece){ net.tx + 3, len - 3, false };
	expect_taken(p, NET_HDR + 2);
	EXPECT(net_ping_answered(64, NET_MS));
}

static void n2_frames_that_are_too_long(void)
{
	const uint32_t len[] = { 65536, 65563, HUGE_LEN };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(len); i++) {
		struct piece p[] = { { &net.hdr, NET_HDR, false }, { huge, len[i], false } };

		expect_taken(p, 2);
	}
	expect_alive();
}

static void n2_a_hundred_descriptors(void)
{
	uint32_t len = net_build_ping(600);
	struct piece p[100];
	unsigned int i;

	p[0] = (struct piece){ &net.hdr, NET_HDR, false };
	for (i = 1; i < 100; i++)
		p[i] = (struct piece){ net.tx + 6 * (i - 1), i < 99 ? 6 : len - 6 * 98, false };
	expect_taken(p, 100);
	EXPECT(net_ping_answered(600, NET_MS));
}

/* As many as an indirect table may have, and more than one system call takes. */
static void n2_a_thousand_descriptors(void)
{
	static struct vring_desc table[1025] __attribute__((aligned(16)));
	static struct piece p[1025];
	const unsigned int nr[] = { 128, 129, 512, 1023, 1024, 1025 };
	unsigned int i;

	p[0] = (struct piece){ &net.hdr, NET_HDR, false };
	for (i = 1; i < ARRAY_SIZE(p); i++)
		p[i] = (struct piece){ huge + 60 * i, 60, false };
	for (i = 0; i < ARRAY_SIZE(nr) && !check_failed(); i++) {
		struct ring *r = &net.d->ring[TXQ(0)];

		net_start(NET_FEATURES | F_INDIRECT, IRQ_NONE, NR_RX);
		RETURN_IF_FAILED();
		ring_offer(r, ring_chain_indirect(r, table, p, nr[i]));
		ring_publish(r);
		vdev_kick(net.d, TXQ(0));
		EXPECT(WAIT(ring_take(r, NULL, NULL) || vdev_status(net.d) & S_NEEDS_RESET,
			    ARRIVE_MS));
		expect_alive_after_reset();
	}
}

static void n3_headers_that_lie(void)
{
	const struct virtio_net_hdr_v1 hdr[] = {
		{ .gso_type = 2, .gso_size = 100 }, { .gso_type = 0x7f, .gso_size = 100 },
		{ .gso_type = 0xff }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1, .flags = 1,
		  .csum_start = 34, .csum_offset = 16 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 100 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 100 },
		{ .hdr_len = 0xffff }, { .num_buffers = 0xffff },
		{ .flags = 1, .csum_start = 0xffff }, { .flags = 1, .csum_offset = 0xffff },
		{ .flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff },
		{ .flags = 1, .csum_start = 100, .csum_offset = 100 }, { .flags = 0xfe },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hdr) && !check_failed(); i++) {
		struct piece p[] = { { &net.hdr, NET_HDR, false }, { net.tx, 100, false } };

		net_build_ping(60);
		net.hdr = hdr[i];
		expect_taken(p, 2);
	}
	net.hdr = (struct virtio_net_hdr_v1){ 0 };
	while (net_ping_answered(60, QUIET_MS))
		;
	expect_alive();
}

static void tx_writable(void)
{
	struct piece p[] = { { &net.hdr, NET_HDR, false }, { net.tx, 64, true } };

	net_build_ping(22);
	expect_taken(p, 2);
	expect_alive_after_reset();
}

static void tx_that_is_not_memory(void)
{
	struct piece p[] = {
		{ &net.hdr, NET_HDR, false }, { (void *)net.d->base, 64, false },
	};

	expect_taken(p, 2);
	EXPECT(vdev_status(net.d) & S_NEEDS_RESET);
	expect_alive_after_reset();
}

static void n4_no_receive_buffers(void)
{
	unsigned int i;

	net_start(NET_FEATURES, IRQ_NONE, 0);
	for (i = 0; i < 30; i++)
		EXPECT(net_send(0, net_build_ping(64)));
	expect_bystander_works(other);
	for (i = 0; i < NR_RX; i++)
		net_offer(0, i, NET_BUF);
	while (net_ping_answered(64, QUIET_MS))
		;
	expect_alive();
}

static void offer_bad(const struct piece *p, unsigned int nr)
{
	struct ring *r = &net.d->ring[RXQ(0)];

	net_start(NET_FEATURES, IRQ_NONE, 0);
	RETURN_IF_FAILED();
	ring_offer(r, ring_chain(r, p, nr));
	ring_publish(r);
	vdev_kick(net.d, RXQ(0));
	net_send(0, net_build_ping(64));
	delay_ms(5);
	expect_alive_after_reset();
}

static void n4_receive_buffers_that_are_none(void)
{
	const uint32_t len[] = { 0, 1, NET_HDR - 1, NET_HDR, NET_HDR + 1, 40 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(len) && !check_failed(); i++) {
		struct piece p = { net.rx[0], len[i], true };

		offer_bad(&p, 1);
	}
}

static void n4_receive_buffers_that_are_readable(void)
{
	struct piece p[] = {
		{ net.rx[0], NET_BUF, false }, { net.rx[0] + NET_BUF, NET_BUF, true },
	};

	offer_bad(p, 1);
	offer_bad(p, 2);
}

static void n4_receive_buffers_outside_of_ram(void)
{
	const uint64_t at[] = { net.d->base, 0xfee00000, (option_number("ram", 16) << 20) - 4,
				1ull << 52, ~0ull - 100 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at) && !check_failed(); i++) {
		struct piece p = { (void *)at[i], NET_BUF, true };

		offer_bad(&p, 1);
	}
}

static void n5_mergeable_buffers_of_one_byte(void)
{
	struct ring *r = &net.d->ring[RXQ(0)];
	unsigned int i;

	net_start(NET_FEATURES | F(VIRTIO_NET_F_MRG_RXBUF), IRQ_NONE, 0);
	RETURN_IF_FAILED();
	for (i = 0; i < 100; i++) {
		struct piece p = { net.rx[0] + i, 1, true };

		ring_offer(r, ring_chain(r, &p, 1));
	}
	ring_publish(r);
	vdev_kick(net.d, RXQ(0));
	net_send(0, net_build_ping(0));
	delay_ms(QUIET_MS);
	expect_alive_after_reset();
}

static volatile bool stop_flipping;
static volatile uint32_t flips;

/* Lengths, addresses and links of the receive buffers, and back again. */
static void flip_receive_buffers(void *arg)
{
	struct ring *r = arg;
	uint32_t random = 1;

	while (!stop_flipping) {
		volatile struct vring_desc *d;
		uint64_t addr;
		uint32_t len;
		uint16_t flags;

		random = random * 1664525 + 1013904223;
		d = &r->desc[(random >> 16) % r->size];
		addr = d->addr;
		len = d->len;
		flags = d->flags;
		d->len = random & 1 ? 0 : random >> 8 & 15;
		d->addr = random & 2 ? 0xc0000000 : addr;
		d->flags = (uint16_t)(random >> 4 & 7);
		d->flags = flags;
		d->addr = addr;
		d->len = len;
		flips++;
	}
}

/* Frames arrive in buffers that another CPU changes all the time; what they hold is lost. */
static void receive_under_flips(void)
{
	struct ring *rx = &net.d->ring[RXQ(0)], *tx = &net.d->ring[TXQ(0)];
	unsigned int i;

	stop_flipping = false;
	flips = 0;
	cpu_run(1, flip_receive_buffers, rx);
	if (!WAIT(flips, ARRIVE_MS))
		check_fail("the second CPU does nothing");
	for (i = 0; i < 15 && !(vdev_status(net.d) & S_NEEDS_RESET); i++) {
		const struct piece p[] = { { &net.hdr, NET_HDR, false },
					   { net.tx, net_build_ping(600), false } };

		ring_offer(tx, ring_chain(tx, p, 2));
		ring_publish(tx);
		vdev_kick(net.d, TXQ(0));
		WAIT(ring_take(tx, NULL, NULL) || vdev_status(net.d) & S_NEEDS_RESET, NET_MS);
		while (WAIT(ring_take(rx, NULL, NULL), 1))
			net_offer(0, i % NR_RX, NET_BUF);
	}
	stop_flipping = true;
	if (!cpu_join(1, 15000))
		check_abort("the second CPU hangs");
}

static void n5_receive_buffers_change_amid_frames(void)
{
	unsigned int i;

	SKIP_UNLESS(option_number("cpus", 1) > 1, "there is one CPU in this run");
	EXPECT(cpu_start(1));
	for (i = 0; i < 4 && !check_failed(); i++) {
		net_start(NET_FEATURES | F(VIRTIO_NET_F_MRG_RXBUF), IRQ_NONE, NR_RX);
		receive_under_flips();
	}
	expect_alive_after_reset();
}

static void n6_a_source_address_that_is_not_ours(void)
{
	net_build_ping(64);
	memset(net.tx + 6, 0x5e, 6);
	EXPECT(net_send(0, ETH_HDR + 28 + 64));
	mmio_write32(net.d->base + VIRTIO_MMIO_CONFIG, 0xffffffff);
	while (net_ping_answered(64, QUIET_MS))
		;
	expect_alive();
}

static void control(const struct piece *p, unsigned int nr)
{
	struct ring *r = &net.d->ring[net.ctrl];

	net.ack = 0xee;
	ring_offer(r, ring_chain(r, p, nr));
	ring_publish(r);
	vdev_kick(net.d, net.ctrl);
	EXPECT(WAIT(ring_take(r, NULL, NULL) || vdev_status(net.d) & S_NEEDS_RESET, ARRIVE_MS));
	EXPECT(net.ack != VIRTIO_NET_OK);
}

static void n9_commands_that_are_none(void)
{
	static uint8_t cmd[2] = { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET };
	const struct piece one[] = { { cmd, 1, false }, { &net.ack, 1, true } };
	const struct piece bare[] = { { cmd, 2, false }, { &net.ack, 1, true } };
	const struct piece empty[] = { { cmd, 0, false }, { &net.ack, 1, true } };
	const struct piece no_ack[] = { { cmd, 2, false } };
	const struct piece only_ack[] = { { &net.ack, 1, true } };
	const struct piece long_one[] = { { huge, HUGE_LEN, false }, { &net.ack, 1, true } };
	const struct { const struct piece *p; unsigned int nr; } all[] = {
		{ one, 2 }, { bare, 2 }, { empty, 2 }, { no_ack, 1 }, { only_ack, 1 },
		{ long_one, 2 },
	};
	unsigned int i;

	huge[0] = 0xff;
	for (i = 0; i < ARRAY_SIZE(all) && !check_failed(); i++) {
		net_start(NET_FEATURES, IRQ_NONE, NR_RX);
		control(all[i].p, all[i].nr);
		expect_alive_after_reset();
	}
}

static void n9_a_mac_table_that_lies_about_its_length(void)
{
	const uint32_t entries[] = { 1, 0xffffffff, 0x2aaaaaab, 0x80000000 };
	uint8_t data[16];
	unsigned int i;

	net_start(NET_FEATURES | F(VIRTIO_NET_F_CTRL_RX), IRQ_NONE, NR_RX);
	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		memset(data, 0, sizeof(data));
		memcpy(data, &entries[i], 4);
		EXPECT_EQ(net_command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, 8),
			  VIRTIO_NET_ERR);
	}
	expect_alive();
}

/* Hash types, mask, unclassified queue, one entry, pairs to send on, length of the key. */
static void n9_a_table_of_queues_that_are_not_there(void)
{
	static const uint8_t bad[][13] = {
		{ 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 0 },
		{ 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 2, 0, 0 },
		{ 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 2, 0, 0 },
		{ 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0 },
		{ 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0 },
		{ 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
		{ 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 41 },
		{ 1, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 2, 0, 0 },
		{ 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0 },
	};
	unsigned int i;

	SKIP_UNLESS(vdev_offered(net.d) & F(VIRTIO_NET_F_RSS), "RSS is not offered");
	net_start(NET_FEATURES | F(VIRTIO_NET_F_RSS), IRQ_NONE, NR_RX);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(net_command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, bad[i],
				      sizeof(bad[i])), VIRTIO_NET_ERR);
	for (i = 0; i < sizeof(bad[0]); i++)
		EXPECT_EQ(net_command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, bad[0], i),
			  VIRTIO_NET_ERR);
	expect_alive();
}

static uint16_t link_status(void)
{
	return mmio_read16(net.d->base + VIRTIO_MMIO_CONFIG + 6);
}

static bool link_becomes(uint16_t status)
{
	return WAIT((link_status() & VIRTIO_NET_S_LINK_UP) == status, 5000);
}

/* Row N7: the tap says EIO while it is down. Every frame comes back, none is kept. */
static void n7_frames_while_the_link_is_down(void)
{
	unsigned int i;

	SKIP_UNLESS(option_number("flap", 0), "the link stays up in this run");
	EXPECT(link_becomes(0));
	for (i = 0; i < 200; i++)
		EXPECT_MSG(net_send(0, net_build_ping(64)), "frame %u is not given back", i);
	expect_neighbours_serve();
	EXPECT(link_becomes(VIRTIO_NET_S_LINK_UP));
	EXPECT(net_arp(0) || net_arp(0));
	expect_alive();
}

/* Row N8: once deleted, it is a link that is down for good; the rest goes on. */
static void n8_the_interface_is_deleted(void)
{
	unsigned int i;

	SKIP_UNLESS(option_number("gone", 0), "the interface stays in this run");
	EXPECT(link_becomes(0));
	for (i = 0; i < 50; i++) {
		EXPECT_MSG(net_send(0, net_build_ping(64)), "frame %u is not given back", i);
		expect_neighbours_serve();
		RETURN_IF_FAILED();
	}
	net_start(NET_FEATURES, IRQ_NONE, NR_RX);
	EXPECT(!(link_status() & VIRTIO_NET_S_LINK_UP));
	EXPECT(net_send(0, net_build_ping(64)));
	EXPECT(!(vdev_status(net.d) & S_NEEDS_RESET));
}

/* Row N10: frames come faster than anybody takes them, and first there is no buffer at all. */
static void n10_frames_without_end(void)
{
	uint32_t start, len, seen = 0;
	unsigned int i, pair;

	SKIP_UNLESS(option_number("flood", 0), "nobody floods in this run");
	net_start(NET_FEATURES, IRQ_NONE, 0);
	for (start = ticks_now(); !time_is_up(start, 2500) && !check_failed();)
		expect_neighbours_serve();
	for (i = 0; i < NR_RX; i++)
		net_offer(0, i, NET_BUF);
	for (start = ticks_now(); !time_is_up(start, 1000) && !check_failed();)
		if (net_receive(0x0800, &len, &pair, 100))
			seen += len == ETH_HDR + 28 + 1400;
	EXPECT_MSG(seen > 50, "%u frames came", seen);
	expect_neighbours_serve();
	delay_ms(3000);
	while (net_receive(0x0800, &len, &pair, QUIET_MS))
		;
	expect_alive();
}

static void break_ring(unsigned int q)
{
	struct ring *r = &net.d->ring[q];

	net_start(NET_FEATURES, IRQ_NONE, q == RXQ(0) ? 0 : NR_RX);
	RETURN_IF_FAILED();
	ring_offer(r, r->size);
	ring_publish(r);
	vdev_kick(net.d, q);
	if (q == RXQ(0))		/* a frame that needs a buffer */
		net_send(0, net_build_ping(64));
	EXPECT_MSG(WAIT(vdev_status(net.d) & S_NEEDS_RESET, ARRIVE_MS), "queue %u", q);
	expect_alive_after_reset();
}

static void a_broken_queue_stops_this_device_only(void)
{
	break_ring(RXQ(0));
	break_ring(TXQ(0));
	break_ring(net.ctrl);
}

/* Row N11: rings that the kernel's vhost-net cannot use, before it runs and while it does. */
static void n11_rings_that_vhost_cannot_use(void)
{
	const uint64_t at[] = { 0, 0xc0000000, (option_number("ram", 16) << 20) - 16, 1ull << 52,
				~0ull - 15 };
	unsigned int i, q;

	SKIP_UNLESS(option_number("vhost", 0), "no vhost-net in this run");
	for (i = 0; i < 2 * ARRAY_SIZE(at) && !check_failed(); i++) {
		q = i & 1 ? TXQ(0) : RXQ(0);
		vdev_prepare(net.d, 2, 0);
		vdev_write(net.d, VIRTIO_MMIO_QUEUE_SEL, q);
		vdev_write(net.d, VIRTIO_MMIO_QUEUE_READY, 0);
		vdev_write_queue(net.d, q, 128, at[i / 2], at[i / 2] + 4096, at[i / 2] + 8192);
		vdev_set_status(net.d, S_DRIVER_OK);
		vdev_kick(net.d, q);
		expect_alive_after_reset();
	}
	break_ring(RXQ(0));
	break_ring(TXQ(0));
}

static void reset_under_traffic(void)
{
	unsigned int i, j;

	for (i = 0; i < 20 && !check_failed(); i++) {
		net_start(NET_FEATURES, IRQ_NONE, NR_RX);
		for (j = 0; j < 4; j++)
			net_send(0, net_build_ping(64));
	}
	expect_alive_after_reset();
}

CHECKS_WATCHED("hostile_net", setup,
	CHECK(n1_frames_of_0_to_13_bytes),
	CHECK(n1_less_than_a_header),
	CHECK(n1_header_byte_by_byte),
	CHECK(n2_frames_that_are_too_long),
	CHECK(n2_a_hundred_descriptors),
	CHECK(n2_a_thousand_descriptors),
	CHECK(n3_headers_that_lie),
	CHECK(tx_writable),
	CHECK(tx_that_is_not_memory),
	CHECK(n4_no_receive_buffers),
	CHECK(n4_receive_buffers_that_are_none),
	CHECK(n4_receive_buffers_that_are_readable),
	CHECK(n4_receive_buffers_outside_of_ram),
	CHECK(n5_mergeable_buffers_of_one_byte),
	CHECK(n5_receive_buffers_change_amid_frames),
	CHECK(n6_a_source_address_that_is_not_ours),
	CHECK(n9_commands_that_are_none),
	CHECK(n9_a_mac_table_that_lies_about_its_length),
	CHECK(n9_a_table_of_queues_that_are_not_there),
	CHECK(a_broken_queue_stops_this_device_only),
	CHECK(n11_rings_that_vhost_cannot_use),
	CHECK(n7_frames_while_the_link_is_down),
	CHECK(n8_the_interface_is_deleted),
	CHECK(n10_frames_without_end),
	CHECK(reset_under_traffic))
