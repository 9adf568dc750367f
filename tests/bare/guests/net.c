/* SPDX-License-Identifier: Apache-2.0 */
/* Network: frames both ways on every pair, the control queue, interrupts, offloads. */
#include "net.h"
#include "print.h"
#include "subject.h"

#define NR_RX 8u
#define F(bit) (1ull << (bit))
#define F_MRG F(VIRTIO_NET_F_MRG_RXBUF)
#define MQ_SET VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET

static enum irq_mode mode_there_is(void)
{
	return net.d->nr_vectors ? IRQ_MSI_UPDATE_FIRST : IRQ_LINE;
}

static void start(uint64_t features)
{
	net_start(features, IRQ_NONE, NR_RX);
}

static void set_pairs(uint16_t n)
{
	EXPECT_EQ(net_command(MQ_SET, &n, 2), VIRTIO_NET_OK);
}

static void configuration_is_what_was_asked_for(void)
{
	EXPECT(!memcmp(net.mac, "\x52\x54\x00\x00\x00\x01", 6));
	EXPECT_EQ(net.nr_pairs, 2);
	EXPECT_EQ(net.d->nr_queues, 5);
	start(NET_FEATURES);
	EXPECT_EQ(mmio_read16(net.d->base + VIRTIO_MMIO_CONFIG + 6), VIRTIO_NET_S_LINK_UP);
}

static void arp_is_answered(void)
{
	start(NET_FEATURES);
	EXPECT(net_arp(0));
}

static void pings_of_all_sizes_are_answered(void)
{
	const uint32_t len[] = { 0, 1, 18, 63, 64, 500, 1400 };
	unsigned int i;

	start(NET_FEATURES);
	EXPECT(net_arp(0));
	for (i = 0; i < ARRAY_SIZE(len); i++)
		EXPECT_MSG(net_ping(0, len[i]), "%u bytes", len[i]);
}

static void every_pair_sends(void)
{
	unsigned int i;

	start(NET_FEATURES);
	set_pairs((uint16_t)net.nr_pairs);
	RETURN_IF_FAILED();
	for (i = 0; i < 2 * net.nr_pairs; i++) {
		EXPECT(net_arp(i % net.nr_pairs));
		EXPECT(net_ping(i % net.nr_pairs, 100 + i));
	}
}

static void receive_and_transmit_have_their_own_vectors(void)
{
	SKIP_UNLESS(net.d->nr_vectors > 2, "no vector for each queue");
	net_start(NET_FEATURES, IRQ_MSI_UPDATE_FIRST, NR_RX);
	EXPECT(net_arp(0));
	delay_ms(QUIET_MS);	/* what the peer says by itself when its link comes up */
	irq_counts_clear();
	EXPECT(net_ping(0, 64));
	EXPECT(WAIT(irq_count[0][VEC_QUEUE(net.d, TXQ(0))] >= 1, ARRIVE_MS));
	EXPECT(WAIT(irq_count[0][VEC_QUEUE(net.d, RXQ(0))] >= 1, ARRIVE_MS));
	EXPECT_EQ(irq_count[0][VEC_CONFIG(net.d)], 0);
	EXPECT_EQ(irq_count[0][VEC_QUEUE(net.d, net.ctrl)], 0);
}

/* The interrupt for a frame sent alone may wait for an answer, but not for long. */
static void a_frame_without_an_answer_is_reported_too(void)
{
	struct ring *r = &net.d->ring[TXQ(0)];
	unsigned int i;

	SKIP_UNLESS(net.d->nr_vectors > 2, "no vector for each queue");
	SKIP_UNLESS(vdev_offered(net.d) & F_EVENT_IDX, "EVENT_IDX is not offered");
	net_start(NET_FEATURES | F_EVENT_IDX, IRQ_MSI_UPDATE_FIRST, NR_RX);
	RETURN_IF_FAILED();
	memset(net.tx, 0, 64);
	for (i = 0; i < 20 && !check_failed(); i++) {
		*ring_used_event(r) = (uint16_t)i;
		irq_counts_clear();
		EXPECT(net_send(0, 64));
		EXPECT(WAIT(irq_count[0][VEC_QUEUE(net.d, TXQ(0))] >= 1, ARRIVE_MS));
	}
}

static void the_control_queue_interrupts_too(void)
{
	uint8_t vector;

	net_start(NET_FEATURES, mode_there_is(), 0);
	RETURN_IF_FAILED();
	vector = net.d->nr_vectors ? VEC_QUEUE(net.d, net.ctrl) : VEC_LINE(net.d);
	irq_counts_clear();
	set_pairs(1);
	expect_irqs(0, vector, 1);
}

static void commands_are_checked(void)
{
	const uint16_t bad[] = { 0, 3, 0x8000, 0xffff };
	const uint8_t on = 1, two = 2;
	unsigned int i;

	start(~F(VIRTIO_F_RING_PACKED) & ~F_EVENT_IDX);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(net_command(MQ_SET, &bad[i], 2), VIRTIO_NET_ERR);
	set_pairs(2);
	set_pairs(1);
	EXPECT_EQ(net_command(MQ_SET, &on, 1), VIRTIO_NET_ERR);
	EXPECT_EQ(net_command(0x77, 0, &on, 1), VIRTIO_NET_ERR);
	EXPECT_EQ(net_command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1),
		  VIRTIO_NET_OK);
	EXPECT_EQ(net_command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &two, 1),
		  VIRTIO_NET_ERR);
	EXPECT_EQ(net_command(VIRTIO_NET_CTRL_RX, 99, &on, 1), VIRTIO_NET_ERR);
	EXPECT(net_arp(0));
}

/* A table of one queue, for IPv4, and the same for what has no hash. */
static void point_at(uint8_t pair)
{
	const uint8_t rss[] = { 1, 0, 0, 0, 0, 0, pair, 0, pair, 0, 2, 0, 4, 0x6d, 0x5a, 1, 2 };

	EXPECT_EQ(net_command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, rss, sizeof(rss)),
		  VIRTIO_NET_OK);
}

/* Sent by pair 0: by itself the tap would answer there. */
static void expect_answer_by(unsigned int pair)
{
	unsigned int from = 99;
	uint32_t len;

	EXPECT(net_send(0, net_build_ping(64)));
	EXPECT(net_receive(0x0800, &len, &from, NET_MS));
	EXPECT_EQ(from, pair);
}

/* The tap notes a flow's queue after it has passed its frame on, so an answer may be faster. */
static void expect_no_steering(void)
{
	set_pairs(2);
	EXPECT(net_ping(0, 64));
	expect_answer_by(0);
}

static void frames_come_by_the_queue_that_the_driver_chose(void)
{
	SKIP_UNLESS(vdev_offered(net.d) & F(VIRTIO_NET_F_RSS), "RSS is not offered");
	start(NET_FEATURES | F(VIRTIO_NET_F_RSS));
	EXPECT(net_arp(0));
	point_at(1);
	expect_answer_by(1);
	point_at(0);
	expect_answer_by(0);
	point_at(1);
	expect_answer_by(1);
	expect_no_steering();
	point_at(1);
	start(NET_FEATURES | F(VIRTIO_NET_F_RSS));
	expect_no_steering();
}

static void the_address_can_be_changed_until_reset(void)
{
	static const uint8_t other[6] = { 0x52, 0x54, 0, 0, 0, 0x99 };
	uint64_t config = net.d->base + VIRTIO_MMIO_CONFIG;

	start(NET_FEATURES | F(VIRTIO_NET_F_CTRL_MAC_ADDR));
	SKIP_UNLESS(net.d->features & F(VIRTIO_NET_F_CTRL_MAC_ADDR), "not offered");
	EXPECT_EQ(net_command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6),
		  VIRTIO_NET_OK);
	EXPECT_EQ(mmio_read8(config + 5), 0x99);
	EXPECT(vdev_reset(net.d));
	EXPECT_EQ(mmio_read8(config + 5), 0x01);
}

static void without_mq_the_control_queue_is_number_2(void)
{
	const uint8_t on = 1;

	start(F(VIRTIO_NET_F_CTRL_VQ) | F(VIRTIO_NET_F_CTRL_RX));
	EXPECT_EQ(net.ctrl, 2);
	EXPECT_EQ(net_command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1),
		  VIRTIO_NET_OK);
	EXPECT(net_arp(0));
}

static void frames_wait_for_buffers(void)
{
	unsigned int i;

	net_start(NET_FEATURES, IRQ_NONE, 1);
	EXPECT(net_arp(0));
	net_start(NET_FEATURES, IRQ_NONE, 0);
	for (i = 0; i < 5; i++)
		EXPECT(net_send(0, net_build_ping(64)));
	delay_ms(QUIET_MS);
	for (i = 0; i < NR_RX; i++)
		net_offer(0, i, NET_BUF);
	for (i = 0; i < 5; i++)
		EXPECT_MSG(net_ping_answered(64, NET_MS), "%u of 5 answers were kept", i);
	EXPECT(net_ping(0, 200));
}

/* Small buffers: the frame is spread over several, and the header says how many. */
static void a_frame_spans_mergeable_buffers(void)
{
	struct ring *r = &net.d->ring[RXQ(0)];
	struct virtio_net_hdr_v1 *hdr = (void *)net.rx[0];
	uint32_t id, len, total = 0, n = 0;
	unsigned int i;

	SKIP_UNLESS(vdev_offered(net.d) & F_MRG, "MRG_RXBUF is not offered");
	start(NET_FEATURES | F_MRG);
	EXPECT(net_arp(0));
	net_start(NET_FEATURES | F_MRG, IRQ_NONE, 0);
	for (i = 0; i < 10; i++)
		net_offer(0, i, 128);
	EXPECT(net_send(0, net_build_ping(600)));
	EXPECT(WAIT(ring_nr_used(r) >= 6, ARRIVE_MS));
	while (ring_take(r, &id, &len)) {
		total += len;
		n++;
	}
	EXPECT_EQ(hdr->num_buffers, n);
	EXPECT_EQ(total, NET_HDR + ETH_HDR + 28 + 600);
	EXPECT(!memcmp(net.rx[0] + NET_BUF, net.tx + 128 - NET_HDR, 128));
}

static void checksums_can_be_left_to_the_device(void)
{
	start(NET_FEATURES | F(VIRTIO_NET_F_CSUM));
	SKIP_UNLESS(net.d->features & F(VIRTIO_NET_F_CSUM), "CSUM is not offered");
	EXPECT(net_arp(0));
	net.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	net.hdr.csum_start = ETH_HDR + 20;
	net.hdr.csum_offset = 2;
	net_build_ping(100);
	net.tx[ETH_HDR + 22] = net.tx[ETH_HDR + 23] = 0;
	EXPECT(net_send(0, ETH_HDR + 128));
	EXPECT(net_ping_answered(100, NET_MS));
}

static void it_works_after_reset(void)
{
	unsigned int i;

	for (i = 0; i < 10 && !check_failed(); i++) {
		start(i & 1 ? NET_FEATURES : NET_FEATURES | F_MRG);
		EXPECT(net_arp(0));
	}
}

/* Buffers that were offered before the reset are not written to any more. */
static void no_frame_comes_late(void)
{
	start(NET_FEATURES);
	EXPECT(net_arp(0));
	EXPECT(net_send(0, net_build_ping(64)));
	EXPECT(vdev_reset(net.d));
	memset(net.rx[0], 0x33, 64);
	memset(net.rx[0] + NET_BUF, 0x33, 64);
	delay_ms(QUIET_MS);
	EXPECT_EQ(*(volatile uint32_t *)(void *)net.rx[0], 0x33333333);
	EXPECT_EQ(*(volatile uint32_t *)(void *)(net.rx[0] + NET_BUF), 0x33333333);
}

/* The runner takes the tap down and up again. */
/* rows T17, N8 */
static void a_link_change_is_a_configuration_change(void)
{
	uint64_t status = net.d->base + VIRTIO_MMIO_CONFIG + 6;
	volatile uint32_t *config_irqs;
	uint32_t generation;
	unsigned int i;

	SKIP_UNLESS(option_number("flap", 0), "the link stays up in this run");
	net_start(NET_FEATURES, mode_there_is(), NR_RX);
	RETURN_IF_FAILED();
	config_irqs = &irq_count[0][net.d->nr_vectors ? VEC_CONFIG(net.d) : VEC_LINE(net.d)];
	print("flap\n");
	for (i = 1; i <= 4; i++) {
		uint16_t before = mmio_read16(status);

		generation = vdev_read(net.d, VIRTIO_MMIO_CONFIG_GENERATION);
		irq_counts_clear();
		vdev_write(net.d, VIRTIO_MMIO_INTERRUPT_ACK, 3);
		if (before != mmio_read16(status))
			continue;
		EXPECT_MSG(WAIT(mmio_read16(status) != before, 5000), "change %u: the status", i);
		EXPECT_MSG(WAIT(*config_irqs, ARRIVE_MS), "change %u: no interrupt", i);
		EXPECT(vdev_read(net.d, VIRTIO_MMIO_CONFIG_GENERATION) != generation);
	}
	EXPECT(WAIT(mmio_read16(status) & VIRTIO_NET_S_LINK_UP, 5000));
	EXPECT(net_arp(0) || net_arp(0));
}

CHECKS_WITH("net", net_setup,
	CHECK(configuration_is_what_was_asked_for),
	CHECK(arp_is_answered),
	CHECK(pings_of_all_sizes_are_answered),
	CHECK(every_pair_sends),
	CHECK(receive_and_transmit_have_their_own_vectors),
	CHECK(a_frame_without_an_answer_is_reported_too),
	CHECK(the_control_queue_interrupts_too),
	CHECK(commands_are_checked),
	CHECK(frames_come_by_the_queue_that_the_driver_chose),
	CHECK(the_address_can_be_changed_until_reset),
	CHECK(without_mq_the_control_queue_is_number_2),
	CHECK(frames_wait_for_buffers),
	CHECK(a_frame_spans_mergeable_buffers),
	CHECK(checksums_can_be_left_to_the_device),
	CHECK(it_works_after_reset),
	CHECK(no_frame_comes_late),
	CHECK(a_link_change_is_a_configuration_change))
