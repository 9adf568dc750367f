/* SPDX-License-Identifier: Apache-2.0 */
/* Needs /dev/net/tun and the right to make interfaces: root in a network namespace of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake_ioctl.h"
#include "log_capture.h"
#include "net_backend.h"
#include "net_rss.h"
#include "real_tap.h"
#include "runner.h"
#include "tap.h"
#include "util.h"
#include "virtio_net_cfg.h"

#define NOBODY 65534
#define NR_OFFLOAD_SETS 64

static struct virtio_net_cfg cfg;
static struct net_backend *be;
static int ctl;		/* any socket, for interface ioctls */

static void setup(void)
{
	real_tap_namespace();
	ctl = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cfg = (struct virtio_net_cfg)VIRTIO_NET_CFG_DEFAULT;
	cfg.tap = "test0";
	be = NULL;
}

static void teardown(void)
{
	if (be)
		be->ops->free(be);
	close(ctl);
}

/* Makes the tap unless the test has, or wants none. */
static int open_it(void)
{
	if (cfg.tap && cfg.tap[0] && strlen(cfg.tap) < IFNAMSIZ && !if_nametoindex(cfg.tap))
		real_tap_make(cfg.tap, (short)(IFF_TAP | (cfg.pairs > 1 ? IFF_MULTI_QUEUE : 0)));
	return tap_open(&be, &cfg, "net0");
}

static void give_tap_away(void)
{
	int fd = real_tap_attach("test0", IFF_MULTI_QUEUE);

	ck_assert_int_eq(ioctl(fd, TUNSETOWNER, NOBODY), 0);
	close(fd);
}

START_TEST(an_interface_is_made_with_all_offloads_of_a_tap)
{
	unsigned int need = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6;

	ck_assert_int_eq(open_it(), 0);
	ck_assert_uint_eq(be->offloads & need, need);
	ck_assert_int_eq(be->ops->set_offloads(be, be->offloads), 0);
	ck_assert_int_eq(be->ops->set_offloads(be, 0), 0);
}
END_TEST

/* Any may be left out: of what is offered, and of what is then in use. */
START_TEST(every_subset_of_the_offloads_is_taken)
{
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(be->ops->set_offloads(be, (unsigned int)_i), 0);
	for (unsigned int next = 0; next < NR_OFFLOAD_SETS; next++)
		ck_assert_int_eq(be->ops->set_offloads(be, next), 0);
}
END_TEST

static const short tap_kinds[] = { IFF_TAP, IFF_TAP | IFF_MULTI_QUEUE,
				   IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR };

START_TEST(one_pair_attaches_to_a_tap_of_either_kind)
{
	real_tap_make(cfg.tap, tap_kinds[_i]);
	ck_assert_int_eq(open_it(), 0);
}
END_TEST

START_TEST(several_pairs_attach_to_a_multi_queue_tap)
{
	real_tap_make(cfg.tap, IFF_TAP | IFF_MULTI_QUEUE);
	cfg.pairs = 4;
	ck_assert_int_eq(open_it(), 0);
	for (unsigned int n = 4; n; n--)
		ck_assert_int_eq(be->ops->set_pairs(be, n), 0);
	ck_assert_int_eq(be->ops->set_pairs(be, 4), 0);
}
END_TEST

START_TEST(several_pairs_on_a_plain_tap_are_refused)
{
	real_tap_make(cfg.tap, IFF_TAP);
	cfg.pairs = 2;
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

START_TEST(a_tun_interface_is_refused)
{
	real_tap_make(cfg.tap, IFF_TUN);
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

START_TEST(a_tap_in_use_is_refused)
{
	struct net_backend *other;

	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(tap_open(&other, &cfg, "net1"), -EBUSY);
}
END_TEST

static const char *const bad_names[] = { "", "a_name_that_is_too_long", "tap%d" };

START_TEST(names_that_no_interface_can_have_are_refused)
{
	cfg.tap = bad_names[_i];
	ck_assert_int_eq(tap_open(&be, &cfg, "net0"), -EINVAL);
}
END_TEST

/* row N8 */
START_TEST(the_link_follows_the_interface)
{
	struct pollfd p;

	ck_assert_int_eq(open_it(), 0);
	p = (struct pollfd){ .fd = be->link_fd, .events = POLLIN };
	ck_assert(!be->ops->link_is_up(be));
	real_tap_set_up(cfg.tap, true);
	ck_assert_int_eq(poll(&p, 1, 1000), 1);
	ck_assert(be->ops->link_is_up(be));
	be->ops->link_take_news(be);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	real_tap_set_up(cfg.tap, false);
	ck_assert_int_eq(poll(&p, 1, 1000), 1);
	ck_assert(!be->ops->link_is_up(be));
}
END_TEST

START_TEST(a_passed_descriptor_is_used)
{
	cfg.fd[0] = real_tap_attach("test0", 0);
	cfg.nr_fds = 1;
	cfg.tap = NULL;
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(be->fd[0], cfg.fd[0]);
	ck_assert(fcntl(be->fd[0], F_GETFL) & O_NONBLOCK);
}
END_TEST

START_TEST(a_passed_descriptor_that_is_no_tap_is_refused)
{
	cfg.fd[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	cfg.nr_fds = 1;
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

/* row N8 */
START_TEST(a_tap_that_was_deleted_is_a_link_that_is_down)
{
	real_tap_make(cfg.tap, IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
	cfg.pairs = 2;
	ck_assert_int_eq(open_it(), 0);
	real_tap_set_up(cfg.tap, true);
	ck_assert(be->ops->link_is_up(be));
	real_tap_delete(cfg.tap);
	ck_assert(!be->ops->link_is_up(be));
	ck_assert_int_eq(be->ops->set_offloads(be, 0), 0);
	ck_assert_int_eq(be->ops->set_pairs(be, 1), 0);
	ck_assert_int_eq(be->ops->set_pairs(be, 2), 0);
}
END_TEST

/* row N8 */
START_TEST(a_deleted_tap_takes_any_command_without_a_word)
{
	struct log_capture cap;

	real_tap_make(cfg.tap, IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
	cfg.pairs = 2;
	ck_assert_int_eq(open_it(), 0);
	real_tap_delete(cfg.tap);
	log_capture_begin(&cap);
	for (unsigned int i = 0; i < 100; i++) {
		ck_assert_int_eq(be->ops->set_pairs(be, 1 + i % 2), 0);
		ck_assert_int_eq(be->ops->set_offloads(be, i % NR_OFFLOAD_SETS), 0);
	}
	log_capture_end(&cap);
	ck_assert_uint_eq(cap.nr_lines, 0);
}
END_TEST

static unsigned long refused;	/* the request that fails */
static int eno;

static int refuse(int fd, unsigned long request, void *arg)
{
	(void)fd;
	(void)arg;
	return request == refused ? -eno : FAKE_IOCTL_PASS;
}

static void refuse_all(unsigned long request, int with)
{
	refused = request;
	eno = with;
	fake_ioctl_set(refuse);
}

static const int attach_errors[] = { EPERM, EINVAL, EBUSY, E2BIG, ENODEV };

START_TEST(whyever_an_interface_cannot_be_attached_it_is_said)
{
	cfg.pairs = 2;
	real_tap_make(cfg.tap, IFF_TAP | IFF_MULTI_QUEUE);
	refuse_all(TUNSETIFF, attach_errors[_i]);
	ck_assert_int_eq(open_it(), -attach_errors[_i]);
}
END_TEST

START_TEST(a_tap_that_takes_no_long_headers_is_refused)
{
	refuse_all(TUNSETVNETHDRSZ, EINVAL);
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

/* row H1 */
START_TEST(offloads_and_pairs_that_the_host_refuses_are_errors)
{
	real_tap_make(cfg.tap, IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
	cfg.pairs = 2;
	ck_assert_int_eq(open_it(), 0);
	refuse_all(TUNSETOFFLOAD, EINVAL);
	ck_assert_int_eq(be->ops->set_offloads(be, be->offloads), -EINVAL);
	refuse_all(TUNSETQUEUE, EINVAL);
	ck_assert_int_eq(be->ops->set_pairs(be, 1), -EINVAL);
	fake_ioctl_set(NULL);
	ck_assert_int_eq(be->ops->set_pairs(be, 1), 0);
}
END_TEST

START_TEST(without_segmentation_of_udp_the_rest_is_offered)
{
	refuse_all(TUNSETOFFLOAD, EINVAL);
	ck_assert_int_eq(open_it(), 0);
	ck_assert_uint_eq(be->offloads, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 |
					NET_OFFLOAD_ECN);
}
END_TEST

START_TEST(neither_tap_nor_enough_descriptors_is_refused)
{
	cfg.tap = NULL;
	ck_assert_int_eq(open_it(), -EINVAL);
	cfg.pairs = 2;
	cfg.nr_fds = 1;
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

START_TEST(without_vhost_none_is_opened)
{
	cfg.vhost = VIRTIO_NET_VHOST_OFF;
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(be->vhost_fd[0], -ENOTSUP);
}
END_TEST

/* A raw socket on the interface sees what the "guest" sends. */
static int sniff(void)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(0x88b5) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x88b5));

	strcpy(ifr.ifr_name, cfg.tap);
	ck_assert_int_eq(ioctl(ctl, SIOCGIFINDEX, &ifr), 0);
	addr.sll_ifindex = ifr.ifr_ifindex;
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

START_TEST(frames_go_both_ways_behind_a_12_byte_header)
{
	uint8_t frame[12 + 64] = { 0 }, got[2048];
	struct pollfd p;
	int fd, on;

	ck_assert_int_eq(open_it(), 0);
	real_tap_set_up(cfg.tap, true);
	fd = sniff();
	on = 1;
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	memset(frame + 12, 0xff, 12);
	frame[24] = 0x88;
	frame[25] = 0xb5;
	ck_assert_int_eq(write(be->fd[0], frame, sizeof(frame)), sizeof(frame));
	ck_assert_int_eq(read(fd, got, sizeof(got)), 64);
	ck_assert_mem_eq(got, frame + 12, 64);
	ck_assert_int_eq(write(fd, frame + 12, 64), 64);
	p = (struct pollfd){ .fd = be->fd[0], .events = POLLIN };
	for (;;) {	/* the host's own chatter (IPv6) comes too */
		ck_assert_int_eq(poll(&p, 1, 2000), 1);
		if (read(p.fd, got, sizeof(got)) == 76 && got[24] == 0x88 && got[25] == 0xb5)
			break;
	}
	close(fd);
}
END_TEST

/* What the tap is to steer by: 0 nothing, 1 a program, -1 not told since. */
static int steering;

static int watch_steering(int fd, unsigned long request, void *arg)
{
	(void)fd;
	if (request == TUNSETSTEERINGEBPF)
		steering = *(int *)arg >= 0;
	return FAKE_IOCTL_PASS;
}

static void open_rss(void)
{
	cfg.rss = true;
	cfg.pairs = 2;
	real_tap_make(cfg.tap, IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
	fake_ioctl_set(watch_steering);
	steering = -1;
	ck_assert_int_eq(open_it(), 0);
}

/* A frame of TCP over IPv4 that the host sends; the queue that it came out of, -1: none. */
static int queue_of_frame(uint16_t port)
{
	uint8_t frame[64] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0, 0x45 }, got[2048];
	struct pollfd p[2] = { { be->fd[0], POLLIN, 0 }, { be->fd[1], POLLIN, 0 } };
	int fd = sniff(), queue = -1;

	frame[14 + 9] = 6;
	frame[34] = (uint8_t)(port >> 8);
	frame[35] = (uint8_t)port;
	ck_assert_int_eq(write(fd, frame, sizeof(frame)), sizeof(frame));
	close(fd);
	while (queue < 0 && poll(p, 2, 2000) > 0)
		for (int i = 0; i < 2; i++)	/* the host's own chatter (IPv6) comes too */
			if (p[i].revents && read(p[i].fd, got, sizeof(got)) == 76 &&
			    !memcmp(got + 12, frame, sizeof(frame)))
				queue = i;
	return queue;
}

START_TEST(frames_come_out_of_the_queue_that_the_table_names)
{
	struct net_rss r = { .hash_types = NET_RSS_HASH_TYPES, .mask = 0 };

	open_rss();
	ck_assert_int_eq(steering, 0);
	real_tap_set_up(cfg.tap, true);
	for (uint16_t i = 0; i < 6; i++) {
		r.queue[0] = i % 2;
		ck_assert_int_eq(be->ops->set_rss(be, &r), 0);
		ck_assert_int_eq(queue_of_frame((uint16_t)(1000 + i)), i % 2);
	}
	r.hash_types = 0;
	for (r.unclassified = 0; r.unclassified < 2; r.unclassified++) {
		ck_assert_int_eq(be->ops->set_rss(be, &r), 0);
		ck_assert_int_eq(queue_of_frame(7), r.unclassified);
	}
}
END_TEST

/* The kernel numbers queues in the order in which they were attached last. */
START_TEST(passed_descriptors_are_numbered_by_us)
{
	struct net_rss r = { .hash_types = NET_RSS_HASH_TYPES };

	for (int i = 1; i >= 0; i--)
		cfg.fd[i] = real_tap_attach("test0", IFF_MULTI_QUEUE);
	cfg.nr_fds = 2;
	cfg.pairs = 2;
	cfg.rss = true;
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(be->ops->set_pairs(be, 1), 0);
	ck_assert_int_eq(be->ops->set_pairs(be, 2), 0);
	real_tap_set_up(cfg.tap, true);
	for (uint16_t i = 0; i < 4; i++) {
		r.queue[0] = i % 2;
		ck_assert_int_eq(be->ops->set_rss(be, &r), 0);
		ck_assert_int_eq(queue_of_frame(i), i % 2);
	}
}
END_TEST

START_TEST(the_program_is_attached_once_and_taken_off_at_the_end)
{
	struct net_rss r = { .hash_types = NET_RSS_HASH_TYPES };

	open_rss();
	ck_assert_int_eq(steering, 0);
	ck_assert_int_eq(be->ops->set_rss(be, &r), 0);
	ck_assert_int_eq(steering, 1);
	steering = -1;
	ck_assert_int_eq(be->ops->set_rss(be, &r), 0);
	ck_assert_int_eq(steering, -1);
	ck_assert_int_eq(be->ops->set_rss(be, NULL), 0);
	ck_assert_int_eq(steering, 0);
	steering = -1;
	ck_assert_int_eq(be->ops->set_rss(be, NULL), 0);
	ck_assert_int_eq(steering, -1);
}
END_TEST

START_TEST(without_rss_no_program_is_made_or_taken_off)
{
	cfg.pairs = 2;
	fake_ioctl_set(watch_steering);
	steering = -1;
	ck_assert_int_eq(open_it(), 0);
	ck_assert(!be->has_rss);
	ck_assert_int_eq(steering, -1);
}
END_TEST

START_TEST(a_tap_that_cannot_be_steered_is_refused)
{
	cfg.rss = true;
	cfg.pairs = 2;
	refuse_all(TUNSETSTEERINGEBPF, EINVAL);
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

START_TEST(steering_that_fails_is_an_error_unless_the_tap_is_gone)
{
	struct net_rss r = { .hash_types = NET_RSS_HASH_TYPES };

	open_rss();
	refuse_all(TUNSETSTEERINGEBPF, ENOMEM);
	ck_assert_int_eq(be->ops->set_rss(be, &r), -ENOMEM);
	fake_ioctl_set(NULL);
	real_tap_delete(cfg.tap);
	ck_assert_int_eq(be->ops->set_rss(be, &r), 0);
	ck_assert_int_eq(be->ops->set_rss(be, NULL), 0);
}
END_TEST

/* Before Linux 5.8 root; since then a right of its own. */
START_TEST(rss_without_the_right_to_load_a_program_is_refused)
{
	cfg.rss = true;
	cfg.pairs = 2;
	real_tap_make(cfg.tap, IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
	give_tap_away();
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_lt(open_it(), 0);
}
END_TEST

static bool bpf_is_allowed(void)
{
	union bpf_attr a;
	int fd;

	memset(&a, 0, sizeof(a));
	a.map_type = BPF_MAP_TYPE_ARRAY;
	a.key_size = a.value_size = 4;
	a.max_entries = 1;
	fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("tap");
	TCase *tc = tcase_create("all");

	real_tap_or_skip();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_interface_is_made_with_all_offloads_of_a_tap);
	tcase_add_loop_test(tc, every_subset_of_the_offloads_is_taken, 0, NR_OFFLOAD_SETS);
	tcase_add_loop_test(tc, one_pair_attaches_to_a_tap_of_either_kind, 0,
			    ARRAY_SIZE(tap_kinds));
	tcase_add_test(tc, several_pairs_attach_to_a_multi_queue_tap);
	tcase_add_test(tc, several_pairs_on_a_plain_tap_are_refused);
	tcase_add_test(tc, a_tun_interface_is_refused);
	tcase_add_test(tc, a_tap_in_use_is_refused);
	tcase_add_loop_test(tc, names_that_no_interface_can_have_are_refused, 0,
			    ARRAY_SIZE(bad_names));
	tcase_add_test(tc, the_link_follows_the_interface);
	tcase_add_test(tc, a_tap_that_was_deleted_is_a_link_that_is_down);
	tcase_add_test(tc, a_deleted_tap_takes_any_command_without_a_word);
	tcase_add_test(tc, a_passed_descriptor_is_used);
	tcase_add_loop_test(tc, whyever_an_interface_cannot_be_attached_it_is_said, 0,
			    ARRAY_SIZE(attach_errors));
	tcase_add_test(tc, a_tap_that_takes_no_long_headers_is_refused);
	tcase_add_test(tc, offloads_and_pairs_that_the_host_refuses_are_errors);
	tcase_add_test(tc, without_segmentation_of_udp_the_rest_is_offered);
	tcase_add_test(tc, neither_tap_nor_enough_descriptors_is_refused);
	tcase_add_test(tc, without_vhost_none_is_opened);
	tcase_add_test(tc, a_passed_descriptor_that_is_no_tap_is_refused);
	tcase_add_test(tc, frames_go_both_ways_behind_a_12_byte_header);
	tcase_add_test(tc, without_rss_no_program_is_made_or_taken_off);
	if (bpf_is_allowed()) {
		tcase_add_test(tc, frames_come_out_of_the_queue_that_the_table_names);
		tcase_add_test(tc, passed_descriptors_are_numbered_by_us);
		tcase_add_test(tc, the_program_is_attached_once_and_taken_off_at_the_end);
		tcase_add_test(tc, a_tap_that_cannot_be_steered_is_refused);
		tcase_add_test(tc, steering_that_fails_is_an_error_unless_the_tap_is_gone);
		tcase_add_test(tc, rss_without_the_right_to_load_a_program_is_refused);
	}
	suite_add_tcase(s, tc);
	return s;
}
