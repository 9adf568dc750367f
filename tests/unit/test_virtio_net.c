/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fake_transport.h"
#include "net_ctrl.h"
#include "net_hdr.h"
#include "runner.h"
#include "util.h"
#include "virtio_net.h"

#define RING 64u
#define FRAME 100u
#define BIT(n) (1ull << (n))
#define MRG BIT(VIRTIO_NET_F_MRG_RXBUF)
#define RX 0u
#define TX 1u

/* A backend of socket pairs: what is written to peer[i] comes in at pair i. */
static struct {
	struct net_backend be;
	int peer[NET_BACKEND_MAX_PAIRS];
	int link_bell;
	bool link_up;
	unsigned int offloads, pairs;
} host;

static struct fake_transport *ft;
static struct virtio_dev *dev;

static int host_set_offloads(struct net_backend *b, unsigned int offloads)
{
	(void)b;
	host.offloads = offloads;
	return 0;
}

static int host_set_pairs(struct net_backend *b, unsigned int n)
{
	(void)b;
	host.pairs = n;
	return 0;
}

static bool host_link_is_up(struct net_backend *b)
{
	eventfd_t v;

	eventfd_read(b->link_fd, &v);
	return host.link_up;
}

static void host_free(struct net_backend *b)
{
	for (unsigned int i = 0; i < b->nr_pairs; i++) {
		close(b->fd[i]);
		close(host.peer[i]);
	}
	close(b->link_fd);
}

static const struct net_backend_ops host_ops = {
	.set_offloads = host_set_offloads,
	.set_pairs = host_set_pairs,
	.link_is_up = host_link_is_up,
	.free = host_free,
};

static void create(unsigned int pairs)
{
	struct virtio_net_cfg cfg = VIRTIO_NET_CFG_DEFAULT;
	int big = 1 << 20;

	memset(&host, 0, sizeof(host));
	host.link_up = true;
	host.be = (struct net_backend){ .ops = &host_ops, .nr_pairs = pairs, .offloads = ~0u,
					.link_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	for (unsigned int i = 0; i < pairs; i++) {
		int fd[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
					    0, fd), 0);
		setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
		host.be.fd[i] = fd[0];
		host.peer[i] = fd[1];
	}
	cfg.pairs = (uint16_t)pairs;
	cfg.queue_size = RING;
	cfg.has_mac = true;
	cfg.mtu = 1400;
	memcpy(cfg.mac, "\x52\x54\x00\x12\x34\x56", 6);
	ck_assert_int_eq(virtio_net_create(&dev, &cfg, &host.be, "net0"), 0);
	ft = fake_transport_create(dev, RING);
}

static void setup(void)
{
	create(1);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
}

static void setup_without_merging(void)
{
	create(1);
	ck_assert_int_eq(fake_start(ft, dev->features & ~MRG), 0);
}

static void setup_two_pairs(void)
{
	create(2);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
}

static void setup_stopped(void)
{
	create(2);
}

static void teardown(void)
{
	fake_transport_free(ft);
}

/* Adds a buffer of len bytes to a receive queue, filled with 0xee. */
static gpa_t add_rx(unsigned int q, uint32_t len)
{
	struct vdriver *d = fake_driver(ft, q);
	struct vbuf buf = { vdriver_alloc(d, len), len, true };

	memset(vdriver_ptr(d, buf.gpa), 0xee, len);
	vdriver_add(d, &buf, 1);
	return buf.gpa;
}

static void host_sends(unsigned int pair, uint32_t frame_len, uint8_t fill)
{
	static uint8_t frame[NET_HDR_LEN + 70000];

	memset(frame, 0, NET_HDR_LEN);
	memset(frame + NET_HDR_LEN, fill, frame_len);
	ck_assert_int_eq(write(host.peer[pair], frame, NET_HDR_LEN + frame_len),
			 (ssize_t)(NET_HDR_LEN + frame_len));
}

static void expect_rx(unsigned int q, gpa_t gpa, uint32_t frame_len, uint8_t fill)
{
	const uint8_t *p = vdriver_ptr(fake_driver(ft, q), gpa);
	uint16_t head;
	uint32_t len;

	fake_wait_used(ft, q, &head, &len);
	ck_assert_uint_eq(len, NET_HDR_LEN + frame_len);
	ck_assert_uint_eq(((const struct virtio_net_hdr_v1 *)p)->num_buffers, 1);
	for (uint32_t i = 0; i < frame_len; i++)
		ck_assert_uint_eq(p[NET_HDR_LEN + i], fill);
}

START_TEST(a_frame_from_the_host_lands_in_a_buffer)
{
	gpa_t gpa = add_rx(RX, 2048);

	fake_kick(ft, RX);
	host_sends(0, FRAME, 0x5a);
	expect_rx(RX, gpa, FRAME, 0x5a);
	ck_assert_uint_eq(((uint8_t *)vdriver_ptr(fake_driver(ft, RX), gpa))[NET_HDR_LEN + FRAME],
			  0xee);
	ck_assert(fake_wait_irq(ft, RX, 1000));
	ck_assert_uint_eq(fake_queue_stat(ft, RX, "bytes"), FRAME);
}
END_TEST

START_TEST(a_frame_that_waits_is_taken_when_the_driver_adds_a_buffer)
{
	gpa_t gpa;

	host_sends(0, FRAME, 0x11);
	ck_assert(!fake_wait_irq(ft, RX, 50));
	gpa = add_rx(RX, 2048);
	fake_kick(ft, RX);
	expect_rx(RX, gpa, FRAME, 0x11);
}
END_TEST

static uint64_t cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

START_TEST(a_frame_without_buffers_does_not_keep_the_thread_busy)
{
	uint64_t before;

	host_sends(0, FRAME, 0x11);
	fake_wait_irq(ft, RX, 50);
	before = cpu_ms();
	fake_wait_irq(ft, RX, 500);
	ck_assert_uint_lt(cpu_ms() - before, 50);
}
END_TEST

START_TEST(a_long_frame_is_spread_over_merged_buffers)
{
	enum { BUFS = 10, LEN = 1000, TOTAL = 4 * LEN - 12 };
	struct vdriver *d = fake_driver(ft, RX);
	gpa_t gpa[BUFS];
	uint16_t head;
	uint32_t len;

	for (int i = 0; i < BUFS; i++)
		gpa[i] = add_rx(RX, LEN);
	fake_kick(ft, RX);
	for (int round = 0; round < 2; round++) {
		const struct virtio_net_hdr_v1 *hdr = vdriver_ptr(d, gpa[4 * round]);

		host_sends(0, TOTAL, (uint8_t)(0x70 + round));
		for (int i = 0; i < 4; i++) {
			const uint8_t *p = vdriver_ptr(d, gpa[4 * round + i]);

			fake_wait_used(ft, RX, &head, &len);
			ck_assert_uint_eq(len, LEN);
			ck_assert_uint_eq(p[LEN - 1], 0x70 + round);
			ck_assert_uint_eq(p[i ? 0 : 12], 0x70 + round);
		}
		ck_assert_uint_eq(hdr->num_buffers, 4);
	}
}
END_TEST

/* The read gathers for small frames first, so the rest comes through the spill. */
START_TEST(a_64_kib_frame_arrives_whole)
{
	enum { LEN = 2048, TOTAL = 65000, BUFS = 32 };
	gpa_t gpa[BUFS];
	uint32_t got = 0, len;
	uint16_t head;

	for (int i = 0; i < BUFS; i++)
		gpa[i] = add_rx(RX, LEN);
	fake_kick(ft, RX);
	host_sends(0, TOTAL, 0xab);
	for (int i = 0; got < TOTAL + NET_HDR_LEN; i++) {
		const uint8_t *p = vdriver_ptr(fake_driver(ft, RX), gpa[i]);

		fake_wait_used(ft, RX, &head, &len);
		for (uint32_t k = i ? 0 : NET_HDR_LEN; k < len; k++)
			ck_assert_uint_eq(p[k], 0xab);
		got += len;
	}
	ck_assert_uint_eq(got, TOTAL + NET_HDR_LEN);
}
END_TEST

START_TEST(a_frame_longer_than_all_buffers_waits_for_more_of_them)
{
	uint16_t head;
	uint32_t len, got = 0;

	add_rx(RX, 1500);
	fake_kick(ft, RX);
	host_sends(0, 4000, 0x22);
	ck_assert(!fake_wait_irq(ft, RX, 50));
	for (int i = 0; i < 2; i++)
		add_rx(RX, 1500);
	fake_kick(ft, RX);
	for (int i = 0; i < 3; i++) {
		fake_wait_used(ft, RX, &head, &len);
		got += len;
	}
	ck_assert_uint_eq(got, 4000 + NET_HDR_LEN);
}
END_TEST

START_TEST(a_frame_that_no_ring_can_hold_is_dropped_and_the_next_one_arrives)
{
	gpa_t first = 0;

	for (unsigned int i = 0; i < RING; i++) {
		gpa_t gpa = add_rx(RX, 100);

		first = first ? first : gpa;
	}
	fake_kick(ft, RX);
	host_sends(0, 60000, 0x33);
	host_sends(0, 50, 0x44);
	expect_rx(RX, first, 50, 0x44);
	ck_assert_uint_eq(fake_queue_stat(ft, RX, "dropped"), 1);
}
END_TEST

START_TEST(without_merging_a_frame_has_one_chain_to_itself)
{
	struct vdriver *d = fake_driver(ft, RX);
	gpa_t gpa = vdriver_alloc(d, 4096);
	struct vbuf buf[] = { { gpa, 5, true }, { gpa + 5, 7, true }, { gpa + 12, 500, true },
			      { gpa + 512, 1500, true } };

	memset(vdriver_ptr(d, gpa), 0xee, 4096);
	vdriver_add(d, buf, 4);
	fake_kick(ft, RX);
	host_sends(0, 600, 0x66);
	expect_rx(RX, gpa, 600, 0x66);
}
END_TEST

START_TEST(without_merging_a_frame_too_long_for_its_chain_is_dropped)
{
	gpa_t gpa = add_rx(RX, 300);

	add_rx(RX, 3000);
	fake_kick(ft, RX);
	host_sends(0, 1000, 0x66);
	host_sends(0, FRAME, 0x77);
	expect_rx(RX, gpa, FRAME, 0x77);
	ck_assert_uint_eq(fake_queue_stat(ft, RX, "dropped"), 1);
}
END_TEST

START_TEST(a_receive_buffer_shorter_than_a_header_asks_for_a_reset)
{
	add_rx(RX, 11);
	fake_kick(ft, RX);
	host_sends(0, FRAME, 1);
	ck_assert(fake_wait_reset(ft));
}
END_TEST

START_TEST(a_readable_receive_buffer_asks_for_a_reset)
{
	struct vdriver *d = fake_driver(ft, RX);
	struct vbuf buf = { vdriver_alloc(d, 2048), 2048, false };

	vdriver_add(d, &buf, 1);
	fake_kick(ft, RX);
	host_sends(0, FRAME, 1);
	ck_assert(fake_wait_reset(ft));
}
END_TEST

START_TEST(many_frames_are_received_in_order)
{
	enum { N = 3000 };
	struct vdriver *d = fake_driver(ft, RX);
	gpa_t start = d->next_gpa;

	for (int i = 0; i < N; i++) {
		gpa_t gpa;

		d->next_gpa = start;
		gpa = add_rx(RX, 2048);
		fake_kick(ft, RX);
		host_sends(0, FRAME, (uint8_t)i);
		expect_rx(RX, gpa, FRAME, (uint8_t)i);
	}
	ck_assert_uint_eq(fake_queue_stat(ft, RX, "frames"), N);
}
END_TEST

START_TEST(a_burst_is_received_with_few_interrupts)
{
	uint16_t head;
	uint32_t len;

	for (int i = 0; i < 32; i++) {
		host_sends(0, FRAME, (uint8_t)i);
		add_rx(RX, 2048);
	}
	vdriver_want_irq_at(fake_driver(ft, RX), 31);
	fake_kick(ft, RX);
	for (int i = 0; i < 32; i++)
		fake_wait_used(ft, RX, &head, &len);
	ck_assert(fake_wait_irq(ft, RX, 1000));
	ck_assert_uint_eq(fake_nr_irqs(ft, RX), 1);
}
END_TEST

/* A frame to send: header, then payload in one or two buffers. */
static uint16_t add_tx(unsigned int q, const struct virtio_net_hdr_v1 *hdr, uint32_t frame_len,
		       uint8_t fill)
{
	struct vdriver *d = fake_driver(ft, q);
	gpa_t gpa = vdriver_alloc(d, NET_HDR_LEN + MAX(frame_len, 1u));
	struct vbuf buf[2] = { { gpa, NET_HDR_LEN, false },
			       { gpa + NET_HDR_LEN, frame_len, false } };

	memcpy(vdriver_ptr(d, gpa), hdr, sizeof(*hdr));
	memset((uint8_t *)vdriver_ptr(d, gpa) + NET_HDR_LEN, fill, frame_len);
	return vdriver_add(d, buf, frame_len ? 2 : 1);
}

static void expect_sent(unsigned int pair, uint32_t frame_len, uint8_t fill)
{
	static uint8_t got[NET_HDR_LEN + 70000];
	struct pollfd p = { .fd = host.peer[pair], .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	ck_assert_int_eq(read(p.fd, got, sizeof(got)), (ssize_t)(NET_HDR_LEN + frame_len));
	for (uint32_t i = 0; i < frame_len; i++)
		ck_assert_uint_eq(got[NET_HDR_LEN + i], fill);
}

static void expect_completed(unsigned int q, uint16_t expect_head)
{
	uint16_t head;
	uint32_t len;

	fake_wait_used(ft, q, &head, &len);
	ck_assert_uint_eq(head, expect_head);
	ck_assert_uint_eq(len, 0);
}

static const struct virtio_net_hdr_v1 plain = { 0 };

START_TEST(a_frame_of_the_guest_reaches_the_host)
{
	uint16_t head = add_tx(TX, &plain, FRAME, 0x99);

	fake_kick(ft, TX);
	expect_sent(0, FRAME, 0x99);
	expect_completed(TX, head);
	ck_assert_uint_eq(fake_queue_stat(ft, TX, "bytes"), FRAME);
}
END_TEST

START_TEST(header_and_frame_may_be_cut_anywhere)	/* at byte _i */
{
	struct vdriver *d = fake_driver(ft, TX);
	gpa_t gpa = vdriver_alloc(d, NET_HDR_LEN + FRAME);
	struct vbuf buf[2] = { { gpa, (uint32_t)_i, false },
			       { gpa + (gpa_t)_i, NET_HDR_LEN + FRAME - (uint32_t)_i, false } };

	memset(vdriver_ptr(d, gpa), 0, NET_HDR_LEN);
	memset((uint8_t *)vdriver_ptr(d, gpa) + NET_HDR_LEN, 0x21, FRAME);
	vdriver_add(d, buf, 2);
	fake_kick(ft, TX);
	expect_sent(0, FRAME, 0x21);
}
END_TEST

START_TEST(a_single_buffer_with_header_and_frame_is_sent)
{
	struct vdriver *d = fake_driver(ft, TX);
	gpa_t gpa = vdriver_alloc(d, NET_HDR_LEN + FRAME);
	struct vbuf buf = { gpa, NET_HDR_LEN + FRAME, false };

	memset(vdriver_ptr(d, gpa), 0, NET_HDR_LEN + FRAME);
	vdriver_add(d, &buf, 1);
	fake_kick(ft, TX);
	expect_sent(0, FRAME, 0);
}
END_TEST

static const uint32_t bad_frames[] = { 0, 1, 13, NET_MAX_FRAME + 1, 65000 + 1000 };

START_TEST(frames_too_short_or_too_long_are_dropped_and_completed)
{
	uint16_t head = add_tx(TX, &plain, bad_frames[_i], 1);

	fake_kick(ft, TX);
	expect_completed(TX, head);
	head = add_tx(TX, &plain, FRAME, 2);
	fake_kick(ft, TX);
	expect_sent(0, FRAME, 2);
	ck_assert_uint_eq(fake_queue_stat(ft, TX, "dropped"), 1);
}
END_TEST

START_TEST(a_frame_with_a_writable_buffer_is_dropped)
{
	struct vdriver *d = fake_driver(ft, TX);
	gpa_t gpa = vdriver_alloc(d, 200);
	struct vbuf buf[] = { { gpa, 100, false }, { gpa + 100, 100, true } };
	uint16_t head = vdriver_add(d, buf, 2);

	fake_kick(ft, TX);
	expect_completed(TX, head);
	ck_assert_uint_eq(fake_queue_stat(ft, TX, "dropped"), 1);
}
END_TEST

START_TEST(a_host_that_takes_nothing_costs_frames_but_does_not_block)
{
	for (int i = 0; i < 2000; i++) {
		uint16_t head;

		fake_driver(ft, TX)->next_gpa = MIB(10);
		head = add_tx(TX, &plain, 1500, 1);
		fake_kick(ft, TX);
		expect_completed(TX, head);
	}
	ck_assert_uint_gt(fake_queue_stat(ft, TX, "dropped"), 0);
	ck_assert_uint_eq(fake_queue_stat(ft, TX, "dropped") + fake_queue_stat(ft, TX, "frames"),
			  2000);
}
END_TEST

START_TEST(stop_sends_what_was_made_available_before)
{
	for (int i = 0; i < 8; i++)
		add_tx(TX, &plain, FRAME, (uint8_t)i);
	vdriver_show(fake_driver(ft, TX));	/* no doorbell */
	fake_stop(ft);
	for (int i = 0; i < 8; i++)
		expect_sent(0, FRAME, (uint8_t)i);
}
END_TEST

START_TEST(a_broken_transmit_ring_asks_for_a_reset_and_receiving_goes_on)
{
	struct vdriver *d = fake_driver(ft, TX);
	gpa_t gpa;

	d->avail[2] = RING;
	d->avail_idx = 1;
	fake_kick(ft, TX);
	ck_assert(fake_wait_reset(ft));
	gpa = add_rx(RX, 2048);
	fake_kick(ft, RX);
	host_sends(0, FRAME, 3);
	expect_rx(RX, gpa, FRAME, 3);
}
END_TEST

START_TEST(many_stops_and_starts_with_traffic_work)
{
	gpa_t gpa;

	for (int i = 0; i < 300; i++) {
		for (int k = 0; k < 4; k++) {
			add_rx(RX, 2048);
			add_tx(TX, &plain, FRAME, 1);
		}
		fake_kick(ft, RX);
		fake_kick(ft, TX);
		host_sends(0, FRAME, 1);
		fake_stop(ft);
		ck_assert_int_eq(fake_start(ft, dev->features), 0);
		while (read(host.peer[0], (char[256]){ 0 }, 256) > 0)
			;
	}
	while (recv(host.be.fd[0], (char[256]){ 0 }, 256, MSG_DONTWAIT) > 0)
		;
	gpa = add_rx(RX, 2048);
	fake_kick(ft, RX);
	host_sends(0, FRAME, 9);
	expect_rx(RX, gpa, FRAME, 9);
}
END_TEST

/* Sends a control command on queue q; returns the answer. */
static uint8_t control(unsigned int q, uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	struct vdriver *d = fake_driver(ft, q);
	gpa_t gpa = vdriver_alloc(d, 2 + len + 1);
	struct vbuf buf[3] = { { gpa, 2, false }, { gpa + 2, len, false },
			       { gpa + 2 + len, 1, true } };
	uint8_t *p = vdriver_ptr(d, gpa);
	uint16_t head;
	uint32_t used;

	p[0] = class;
	p[1] = cmd;
	memcpy(p + 2, data, len);
	p[2 + len] = 0xee;
	vdriver_add(d, buf, 3);
	fake_kick(ft, q);
	fake_wait_used(ft, q, &head, &used);
	ck_assert_uint_eq(used, 1);
	return p[2 + len];
}

START_TEST(the_driver_can_turn_on_more_pairs)
{
	uint16_t two = 2;
	gpa_t gpa;

	ck_assert_uint_eq(host.pairs, 1);
	ck_assert_uint_eq(control(4, VIRTIO_NET_CTRL_MQ, 0, &two, 2), VIRTIO_NET_OK);
	ck_assert_uint_eq(host.pairs, 2);
	gpa = add_rx(2, 2048);
	fake_kick(ft, 2);
	host_sends(1, FRAME, 7);
	expect_rx(2, gpa, FRAME, 7);
}
END_TEST

START_TEST(a_pair_that_is_not_in_use_receives_nothing)
{
	add_rx(2, 2048);
	fake_kick(ft, 2);
	host_sends(1, FRAME, 7);
	ck_assert(!fake_wait_irq(ft, 2, 100));
}
END_TEST

static const uint16_t bad_pairs[] = { 0, 3, 0x8000, 65535 };

START_TEST(a_number_of_pairs_out_of_range_is_refused)
{
	ck_assert_uint_eq(control(4, VIRTIO_NET_CTRL_MQ, 0, &bad_pairs[_i], 2), VIRTIO_NET_ERR);
	ck_assert_uint_eq(host.pairs, 1);
}
END_TEST

START_TEST(without_mq_the_control_queue_is_number_two)
{
	ck_assert_int_eq(fake_start(ft, dev->features & ~BIT(VIRTIO_NET_F_MQ)), 0);
	ck_assert_uint_eq(control(2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "\1", 1),
			  VIRTIO_NET_OK);
}
END_TEST

START_TEST(the_driver_can_change_the_mac_until_reset)
{
	uint8_t mac[6] = { 2, 3, 4, 5, 6, 7 }, got[6];

	ck_assert_uint_eq(control(2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6),
			  VIRTIO_NET_OK);
	dev->ops->read_config(dev, 0, got, 6);
	ck_assert_mem_eq(got, mac, 6);
	fake_stop(ft);
	dev->ops->read_config(dev, 0, got, 6);
	ck_assert_mem_eq(got, "\x52\x54\x00\x12\x34\x56", 6);
}
END_TEST

START_TEST(the_driver_can_change_offloads_within_what_it_took)
{
	uint64_t some = BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4), bad = 1;

	ck_assert_uint_eq(host.offloads, 0x3f);
	ck_assert_uint_eq(control(2, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &some, 8), VIRTIO_NET_OK);
	ck_assert_uint_eq(host.offloads, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4);
	ck_assert_uint_eq(control(2, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &bad, 8), VIRTIO_NET_ERR);
}
END_TEST

static const struct {
	uint8_t class, cmd;
	uint32_t len;
	uint8_t data[20];
	uint8_t expect;
} commands[] = {
	{ 0, 0, 1, { 1 }, VIRTIO_NET_OK },
	{ 0, 1, 1, { 0 }, VIRTIO_NET_OK },
	{ 0, 0, 1, { 2 }, VIRTIO_NET_ERR },
	{ 0, 0, 2, { 1 }, VIRTIO_NET_ERR },
	{ 0, 2, 1, { 1 }, VIRTIO_NET_ERR },
	{ 1, 0, 8, { 0 }, VIRTIO_NET_OK },
	{ 1, 0, 14, { 1, 0, 0, 0, 2, 3, 4, 5, 6, 7 }, VIRTIO_NET_OK },
	{ 1, 0, 7, { 0 }, VIRTIO_NET_ERR },
	{ 1, 0, 9, { 0 }, VIRTIO_NET_ERR },
	{ 1, 0, 8, { 255, 255, 255, 255 }, VIRTIO_NET_ERR },
	{ 1, 0, 8, { 1 }, VIRTIO_NET_ERR },
	{ 1, 1, 5, { 2 }, VIRTIO_NET_ERR },
	{ 1, 2, 6, { 2 }, VIRTIO_NET_ERR },
	{ 2, 0, 2, { 1 }, VIRTIO_NET_ERR },
	{ 4, 0, 1, { 1 }, VIRTIO_NET_ERR },
	{ 5, 0, 7, { 0 }, VIRTIO_NET_ERR },
	{ 5, 1, 8, { 0 }, VIRTIO_NET_ERR },
	{ 255, 255, 20, { 0 }, VIRTIO_NET_ERR },
};

START_TEST(control_commands_are_checked)
{
	ck_assert_uint_eq(control(2, commands[_i].class, commands[_i].cmd, commands[_i].data,
				  commands[_i].len), commands[_i].expect);
}
END_TEST

START_TEST(a_command_longer_than_any_is_refused)
{
	static uint8_t zeroes[NET_CTRL_MAX_LEN];

	ck_assert_uint_eq(control(2, 0, 0, zeroes, sizeof(zeroes)), VIRTIO_NET_ERR);
}
END_TEST

START_TEST(a_command_without_room_for_the_answer_asks_for_a_reset)
{
	struct vdriver *d = fake_driver(ft, 2);
	struct vbuf buf = { vdriver_alloc(d, 3), 3, false };

	vdriver_add(d, &buf, 1);
	fake_kick(ft, 2);
	ck_assert(fake_wait_reset(ft));
}
END_TEST

static uint16_t link_status(void)
{
	uint16_t status;

	dev->ops->read_config(dev, offsetof(struct virtio_net_config, status), &status, 2);
	return status;
}

static void wait_config_change(unsigned int nr)
{
	for (int ms = 0; ms < 5000 && fake_nr_config_changes(ft) < nr; ms++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	ck_assert_uint_eq(fake_nr_config_changes(ft), nr);
}

START_TEST(the_driver_sees_the_link_go_down_and_up)
{
	ck_assert_uint_eq(link_status(), VIRTIO_NET_S_LINK_UP);
	host.link_up = false;
	eventfd_write(host.be.link_fd, 1);
	wait_config_change(1);
	ck_assert_uint_eq(link_status(), 0);
	host.link_up = true;
	eventfd_write(host.be.link_fd, 1);
	wait_config_change(2);
	ck_assert_uint_eq(link_status(), VIRTIO_NET_S_LINK_UP);
}
END_TEST

START_TEST(a_backend_that_goes_away_is_a_link_that_is_down)
{
	uint64_t before;

	add_rx(RX, 2048);
	fake_kick(ft, RX);
	shutdown(host.peer[0], SHUT_RDWR);
	wait_config_change(1);
	ck_assert_uint_eq(link_status(), 0);
	before = cpu_ms();
	fake_wait_irq(ft, RX, 300);
	ck_assert_uint_lt(cpu_ms() - before, 50);
}
END_TEST

START_TEST(the_configuration_space_describes_the_device)
{
	struct virtio_net_config c;

	memset(&c, 0, sizeof(c));
	ck_assert_uint_le(dev->config_len, sizeof(c));
	dev->ops->read_config(dev, 0, &c, dev->config_len);
	ck_assert_mem_eq(c.mac, "\x52\x54\x00\x12\x34\x56", 6);
	ck_assert_uint_eq(c.max_virtqueue_pairs, 2);
	ck_assert_uint_eq(c.mtu, 1400);
	ck_assert_uint_eq(dev->nr_queues, 5);
}
END_TEST

START_TEST(a_random_mac_is_unicast_and_locally_administered)
{
	struct virtio_net_cfg cfg = VIRTIO_NET_CFG_DEFAULT;
	struct virtio_dev *other;
	struct net_backend be = host.be;
	uint8_t mac[6];

	be.link_fd = -1;
	be.nr_pairs = 1;
	be.fd[0] = dup(host.be.fd[0]);
	host.peer[0] = dup(host.peer[0]);	/* host_free() closes it twice */
	ck_assert_int_eq(virtio_net_create(&other, &cfg, &be, "net1"), 0);
	other->ops->read_config(other, 0, mac, 6);
	ck_assert_uint_eq(mac[0] & 3, 2);
	other->ops->free(other);
}
END_TEST

/* The header check alone: features, frame length, header, verdict. */
#define CSUM BIT(VIRTIO_NET_F_CSUM)
#define TSO4 BIT(VIRTIO_NET_F_HOST_TSO4)
static const struct {
	uint64_t features;
	uint32_t frame_len;
	struct virtio_net_hdr_v1 hdr;
	int expect;
} hdrs[] = {
	{ 0, 14, { 0 }, 0 },
	{ 0, 13, { 0 }, -EINVAL },
	{ 0, NET_MAX_FRAME, { 0 }, 0 },
	{ 0, NET_MAX_FRAME + 1, { 0 }, -EINVAL },
	{ 0, 100, { .flags = 1 }, -EINVAL },
	{ CSUM, 100, { .flags = 1, .csum_start = 34, .csum_offset = 16 }, 0 },
	{ CSUM, 52, { .flags = 1, .csum_start = 34, .csum_offset = 16 }, 0 },
	{ CSUM, 51, { .flags = 1, .csum_start = 34, .csum_offset = 16 }, -EINVAL },
	{ CSUM, 100, { .flags = 1, .csum_start = 65535, .csum_offset = 65535 }, -EINVAL },
	{ CSUM, 100, { .hdr_len = 101 }, -EINVAL },
	{ CSUM, 100, { .gso_type = 1, .gso_size = 10 }, -EINVAL },
	{ CSUM | TSO4, 100, { .gso_type = 1, .gso_size = 10 }, -EINVAL },
	{ CSUM | TSO4, 100, { .flags = 1, .gso_type = 1, .gso_size = 10 }, 0 },
	{ CSUM | TSO4, 100, { .flags = 1, .gso_type = 1, .gso_size = 0 }, -EINVAL },
	{ CSUM | TSO4, 100, { .flags = 1, .gso_type = 4, .gso_size = 10 }, -EINVAL },
	{ CSUM | TSO4, 100, { .flags = 1, .gso_type = 0x81, .gso_size = 10 }, -EINVAL },
	{ CSUM | TSO4 | BIT(VIRTIO_NET_F_HOST_ECN), 100,
	  { .flags = 1, .gso_type = 0x81, .gso_size = 10 }, 0 },
	{ ~0ull, 100, { .flags = 1, .gso_type = 2, .gso_size = 10 }, -EINVAL },
	{ ~0ull, 100, { .flags = 1, .gso_type = 3, .gso_size = 10 }, -EINVAL },
	{ ~0ull, 100, { .flags = 1, .gso_type = 5, .gso_size = 10 }, 0 },
	{ ~0ull, 100, { .flags = 1, .gso_type = 0x80, .gso_size = 10 }, -EINVAL },
	{ ~0ull, 100, { .flags = 1, .gso_type = 0xff, .gso_size = 10 }, -EINVAL },
};

START_TEST(headers_are_checked)
{
	struct virtio_net_hdr_v1 hdr = hdrs[_i].hdr;

	ck_assert_int_eq(net_hdr_check(&hdr, hdrs[_i].frame_len, hdrs[_i].features),
			 hdrs[_i].expect);
}
END_TEST

START_TEST(bits_that_a_device_ignores_do_not_reach_the_host)
{
	struct virtio_net_hdr_v1 hdr = { .flags = 0xfe, .gso_size = 7, .num_buffers = 9 };

	ck_assert_int_eq(net_hdr_check(&hdr, 100, ~0ull), 0);
	ck_assert_uint_eq(hdr.flags, 0);
	ck_assert_uint_eq(hdr.gso_size, 0);
	ck_assert_uint_eq(hdr.num_buffers, 0);
}
END_TEST

static TCase *tcase(Suite *s, const char *name, void (*before)(void))
{
	TCase *tc = tcase_create(name);

	if (before)
		tcase_add_checked_fixture(tc, before, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return tc;
}

static void add_receive(Suite *s)
{
	TCase *tc = tcase(s, "receive", setup);

	tcase_add_test(tc, a_frame_from_the_host_lands_in_a_buffer);
	tcase_add_test(tc, a_frame_that_waits_is_taken_when_the_driver_adds_a_buffer);
	tcase_add_test(tc, a_frame_without_buffers_does_not_keep_the_thread_busy);
	tcase_add_test(tc, a_long_frame_is_spread_over_merged_buffers);
	tcase_add_test(tc, a_64_kib_frame_arrives_whole);
	tcase_add_test(tc, a_frame_longer_than_all_buffers_waits_for_more_of_them);
	tcase_add_test(tc, a_frame_that_no_ring_can_hold_is_dropped_and_the_next_one_arrives);
	tcase_add_test(tc, a_receive_buffer_shorter_than_a_header_asks_for_a_reset);
	tcase_add_test(tc, a_readable_receive_buffer_asks_for_a_reset);
	tcase_add_test(tc, many_frames_are_received_in_order);
	tcase_add_test(tc, a_burst_is_received_with_few_interrupts);
	tc = tcase(s, "receive without merging", setup_without_merging);
	tcase_add_test(tc, without_merging_a_frame_has_one_chain_to_itself);
	tcase_add_test(tc, without_merging_a_frame_too_long_for_its_chain_is_dropped);
}

static void add_transmit(Suite *s)
{
	TCase *tc = tcase(s, "transmit", setup);

	tcase_add_test(tc, a_frame_of_the_guest_reaches_the_host);
	tcase_add_loop_test(tc, header_and_frame_may_be_cut_anywhere, 1, 30);
	tcase_add_test(tc, a_single_buffer_with_header_and_frame_is_sent);
	tcase_add_loop_test(tc, frames_too_short_or_too_long_are_dropped_and_completed, 0,
			    ARRAY_SIZE(bad_frames));
	tcase_add_test(tc, a_frame_with_a_writable_buffer_is_dropped);
	tcase_add_test(tc, a_host_that_takes_nothing_costs_frames_but_does_not_block);
	tcase_add_test(tc, stop_sends_what_was_made_available_before);
	tcase_add_test(tc, a_broken_transmit_ring_asks_for_a_reset_and_receiving_goes_on);
	tcase_add_test(tc, many_stops_and_starts_with_traffic_work);
	tc = tcase(s, "headers", NULL);
	tcase_add_loop_test(tc, headers_are_checked, 0, ARRAY_SIZE(hdrs));
	tcase_add_test(tc, bits_that_a_device_ignores_do_not_reach_the_host);
}

static void add_control(Suite *s)
{
	TCase *tc = tcase(s, "control, two pairs", setup_two_pairs);

	tcase_add_test(tc, the_driver_can_turn_on_more_pairs);
	tcase_add_test(tc, a_pair_that_is_not_in_use_receives_nothing);
	tcase_add_loop_test(tc, a_number_of_pairs_out_of_range_is_refused, 0,
			    ARRAY_SIZE(bad_pairs));
	tc = tcase(s, "control", setup);
	tcase_add_test(tc, the_driver_can_change_the_mac_until_reset);
	tcase_add_test(tc, the_driver_can_change_offloads_within_what_it_took);
	tcase_add_loop_test(tc, control_commands_are_checked, 0, ARRAY_SIZE(commands));
	tcase_add_test(tc, a_command_longer_than_any_is_refused);
	tcase_add_test(tc, a_command_without_room_for_the_answer_asks_for_a_reset);
	tcase_add_test(tc, the_driver_sees_the_link_go_down_and_up);
	tcase_add_test(tc, a_backend_that_goes_away_is_a_link_that_is_down);
	tc = tcase(s, "stopped", setup_stopped);
	tcase_add_test(tc, without_mq_the_control_queue_is_number_two);
	tcase_add_test(tc, the_configuration_space_describes_the_device);
	tcase_add_test(tc, a_random_mac_is_unicast_and_locally_administered);
}

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_net");

	add_receive(s);
	add_transmit(s);
	add_control(s);
	return s;
}
