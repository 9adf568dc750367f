/* SPDX-License-Identifier: Apache-2.0 */
/* Needs /dev/vhost-net and the right to make interfaces: root. Skipped without. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_transport.h"
#include "net_hdr.h"
#include "real_tap.h"
#include "runner.h"
#include "util.h"
#include "virtio_net.h"

#define SKIP 77
#define RING 64u
#define FRAME 64u
#define RX 0u
#define TX 1u
#define ETHERTYPE 0x88b5	/* for experiments: nobody else sends it */

static struct fake_transport *ft;
static struct virtio_dev *dev;
static int wire;	/* a raw socket on the tap */
static uint8_t frame[FRAME];

static void interface_up(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(ifr.ifr_name, "test0");
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

static void open_wire(void)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE) };
	int on = 1;

	wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE));
	strcpy(ifr.ifr_name, "test0");
	ck_assert_int_eq(ioctl(wire, SIOCGIFINDEX, &ifr), 0);
	addr.sll_ifindex = ifr.ifr_ifindex;
	setsockopt(wire, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	ck_assert_int_eq(bind(wire, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static void create(uint16_t pairs)
{
	struct virtio_net_cfg cfg = VIRTIO_NET_CFG_DEFAULT;
	struct net_backend *be;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	cfg.tap = "test0";
	real_tap_make(cfg.tap, IFF_TAP | IFF_MULTI_QUEUE);
	cfg.pairs = pairs;
	cfg.queue_size = RING;
	cfg.vhost = VIRTIO_NET_VHOST_ON;
	ck_assert_int_eq(tap_open(&be, &cfg, "net0"), 0);
	ck_assert_int_eq(virtio_net_create(&dev, &cfg, be, "net0"), 0);
	interface_up();
	open_wire();
	ft = fake_transport_create(dev, RING);
	ck_assert_int_eq(fake_start(ft, dev->features | 1ull << VIRTIO_F_VERSION_1), 0);
	memset(frame, 0xff, 12);
	frame[12] = ETHERTYPE >> 8;
	frame[13] = ETHERTYPE & 0xff;
}

static void setup(void)
{
	create(1);
}

static void setup_two_pairs(void)
{
	create(2);
}

static void teardown(void)
{
	fake_transport_free(ft);
	close(wire);
}

static void add_rx(unsigned int q)
{
	struct vdriver *d = fake_driver(ft, q);
	struct vbuf buf = { vdriver_alloc(d, 2048), 2048, true };

	vdriver_add(d, &buf, 1);
}

static void host_sends(uint8_t tag)
{
	frame[14] = tag;
	ck_assert_int_eq(write(wire, frame, FRAME), FRAME);
}

/* The host's own chatter (IPv6) comes too. Buffers are used in the order they were added. */
static void expect_rx(unsigned int q, uint8_t tag)
{
	struct vdriver *d = fake_driver(ft, q);
	uint16_t head;
	uint32_t len;
	const uint8_t *p;

	do {
		fake_wait_used(ft, q, &head, &len);
		p = vdriver_ptr(d, d->desc[head].addr);
		add_rx(q);
		fake_kick(ft, q);
	} while (p[12 + 12] != ETHERTYPE >> 8 || p[12 + 13] != (ETHERTYPE & 0xff));
	ck_assert_uint_eq(len, NET_HDR_LEN + FRAME);
	ck_assert_uint_eq(p[12 + 14], tag);
}

static void fill_rx(unsigned int q)
{
	for (unsigned int i = 0; i < RING / 2; i++)
		add_rx(q);
	fake_kick(ft, q);
}

static void guest_sends(unsigned int q, uint8_t tag)
{
	struct vdriver *d = fake_driver(ft, q);
	gpa_t gpa = vdriver_alloc(d, NET_HDR_LEN + FRAME);
	struct vbuf buf = { gpa, NET_HDR_LEN + FRAME, false };
	uint8_t *p = vdriver_ptr(d, gpa);
	uint16_t head;
	uint32_t len;

	while (vdriver_take(d, &head, &len))
		;		/* those that were sent before */
	memset(p, 0, NET_HDR_LEN);
	frame[14] = tag;
	memcpy(p + NET_HDR_LEN, frame, FRAME);
	vdriver_add(d, &buf, 1);
	fake_kick(ft, q);
}

static void expect_on_wire(uint8_t tag)
{
	struct pollfd p = { .fd = wire, .events = POLLIN };
	uint8_t got[2048];

	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	ck_assert_int_eq(read(wire, got, sizeof(got)), FRAME);
	ck_assert_uint_eq(got[14], tag);
}

START_TEST(frames_go_both_ways)
{
	fill_rx(RX);
	for (uint8_t i = 0; i < 100; i++) {
		guest_sends(TX, i);
		expect_on_wire(i);
		host_sends(i);
		expect_rx(RX, i);
	}
}
END_TEST

static long nr_wakeups(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_nvcsw;
}

START_TEST(interrupts_come_without_a_thread_of_ours)
{
	fill_rx(RX);
	host_sends(1);
	ck_assert(fake_wait_irq(ft, RX, 5000));
	ck_assert_uint_eq(fake_queue_stat(ft, RX, "interrupts"), 0);
	ck_assert_uint_eq(fake_nr_irqs(ft, RX), 0);
}
END_TEST

/* The next frame is to interrupt. */
static void want_irq(unsigned int q)
{
	struct vdriver *d = fake_driver(ft, q);
	uint16_t used;

	memcpy(&used, d->used + 2, sizeof(used));
	vdriver_want_irq_at(d, used);
}

START_TEST(a_masked_queue_gets_no_signal_until_it_is_unmasked)
{
	fill_rx(RX);
	fake_mask(ft, RX, true);
	while (fake_wait_irq(ft, RX, 100))
		;		/* what came before */
	want_irq(RX);
	host_sends(1);
	ck_assert(!fake_wait_irq(ft, RX, 300));
	ck_assert_uint_gt(fake_queue_stat(ft, RX, "interrupts"), 0);
	fake_mask(ft, RX, false);
	expect_rx(RX, 1);
	want_irq(RX);
	host_sends(2);
	ck_assert(fake_wait_irq(ft, RX, 5000));
}
END_TEST

START_TEST(an_idle_device_wakes_nobody)
{
	long before;

	fill_rx(RX);
	fake_wait_irq(ft, RX, 300);
	before = nr_wakeups();
	for (uint8_t i = 0; i < 50; i++)
		guest_sends(TX, i);
	usleep(200000);
	ck_assert_int_lt(nr_wakeups() - before, 5);
}
END_TEST

START_TEST(many_stops_and_starts_with_traffic_work)
{
	for (int i = 0; i < 100; i++) {
		fill_rx(RX);
		host_sends(1);
		guest_sends(TX, 1);
		fake_stop(ft);
		ck_assert_int_eq(fake_start(ft, dev->features | 1ull << VIRTIO_F_VERSION_1), 0);
	}
	while (recv(wire, (char[256]){ 0 }, 256, MSG_DONTWAIT) > 0)
		;
	guest_sends(TX, 7);
	expect_on_wire(7);
}
END_TEST

/* row T13 */
START_TEST(no_byte_lands_after_stop)
{
	struct vdriver *d = fake_driver(ft, RX);
	gpa_t first = d->next_gpa;
	uint8_t *p = vdriver_ptr(d, first);

	fill_rx(RX);
	for (int i = 0; i < 20; i++)
		host_sends(1);
	fake_stop(ft);
	memset(p, 0, RING / 2 * 2048);
	for (int i = 0; i < 20; i++)
		host_sends(1);
	usleep(100000);
	for (unsigned int i = 0; i < RING / 2 * 2048; i++)
		ck_assert_uint_eq(p[i], 0);
}
END_TEST

/* row N11 */
START_TEST(a_broken_ring_asks_for_a_reset)
{
	struct vdriver *d = fake_driver(ft, TX);

	d->avail[2] = RING;	/* a head outside the ring */
	d->avail_idx = 1;
	fake_kick(ft, TX);
	ck_assert(fake_wait_reset(ft));
}
END_TEST

START_TEST(a_second_pair_works_when_the_driver_turns_it_on)
{
	struct vdriver *d = fake_driver(ft, 4);
	gpa_t gpa = vdriver_alloc(d, 5);
	struct vbuf buf[2] = { { gpa, 4, false }, { gpa + 4, 1, true } };
	uint16_t head;
	uint32_t len;

	memcpy(vdriver_ptr(d, gpa), (uint8_t[]){ VIRTIO_NET_CTRL_MQ, 0, 2, 0, 0xee }, 5);
	vdriver_add(d, buf, 2);
	fake_kick(ft, 4);
	fake_wait_used(ft, 4, &head, &len);
	ck_assert_uint_eq(*((uint8_t *)vdriver_ptr(d, gpa) + 4), VIRTIO_NET_OK);
	guest_sends(3, 9);
	expect_on_wire(9);
}
END_TEST

static void skip_without_vhost(void)
{
	int vhost = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (vhost < 0 || tun < 0 || geteuid() != 0) {
		puts("no /dev/vhost-net, no /dev/net/tun or not root: skipped");
		exit(SKIP);
	}
	close(vhost);
	close(tun);
}

Suite *test_suite(void)
{
	Suite *s = suite_create("net_vhost");
	TCase *tc = tcase_create("one pair");

	skip_without_vhost();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, frames_go_both_ways);
	tcase_add_test(tc, interrupts_come_without_a_thread_of_ours);
	tcase_add_test(tc, a_masked_queue_gets_no_signal_until_it_is_unmasked);
	tcase_add_test(tc, an_idle_device_wakes_nobody);
	tcase_add_test(tc, many_stops_and_starts_with_traffic_work);
	tcase_add_test(tc, no_byte_lands_after_stop);
	tcase_add_test(tc, a_broken_ring_asks_for_a_reset);
	suite_add_tcase(s, tc);
	tc = tcase_create("two pairs");
	tcase_add_checked_fixture(tc, setup_two_pairs, teardown);
	tcase_add_test(tc, a_second_pair_works_when_the_driver_turns_it_on);
	suite_add_tcase(s, tc);
	return s;
}
