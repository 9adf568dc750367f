/* SPDX-License-Identifier: Apache-2.0 */
/* Needs /dev/net/tun and the right to make interfaces: root in a network namespace of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake_ioctl.h"
#include "net_backend.h"
#include "net_rss.h"
#include "runner.h"
#include "tap.h"
#include "util.h"
#include "virtio_net_cfg.h"

#define SKIP 77
#define NOBODY 65534

static struct virtio_net_cfg cfg;
static struct net_backend *be;
static int ctl;		/* any socket, for interface ioctls */

static void setup(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
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

static int open_it(void)
{
	return tap_open(&be, &cfg, "net0");
}

/* A persistent interface, as "ip tuntap add" makes it. */
static void make_tap(short flags)
{
	struct ifreq ifr = { .ifr_flags = (short)(flags | IFF_NO_PI) };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	strcpy(ifr.ifr_name, cfg.tap);
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	ck_assert_int_eq(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
}

/* Of several. */
static int attach_queue(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	strcpy(ifr.ifr_name, "test0");
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

static void give_tap_away(void)
{
	int fd = attach_queue();

	ck_assert_int_eq(ioctl(fd, TUNSETOWNER, NOBODY), 0);
	close(fd);
}

static void set_up(bool up)
{
	struct ifreq ifr = { .ifr_flags = up ? IFF_UP : 0 };

	strcpy(ifr.ifr_name, cfg.tap);
	ck_assert_int_eq(ioctl(ctl, SIOCSIFFLAGS, &ifr), 0);
}

static void delete_link(void)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} msg = { .head = { .nlmsg_len = sizeof(msg), .nlmsg_type = RTM_DELLINK,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK } };
	struct { struct nlmsghdr head; struct nlmsgerr error; char rest[256]; } answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct ifreq ifr = { 0 };

	strcpy(ifr.ifr_name, cfg.tap);
	ck_assert_int_eq(ioctl(ctl, SIOCGIFINDEX, &ifr), 0);
	msg.info.ifi_index = ifr.ifr_ifindex;
	ck_assert_int_eq(send(fd, &msg, sizeof(msg), 0), sizeof(msg));
	ck_assert_int_gt(recv(fd, &answer, sizeof(answer), 0), 0);
	ck_assert_int_eq(answer.error.error, 0);
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

static const short tap_kinds[] = { IFF_TAP, IFF_TAP | IFF_MULTI_QUEUE,
				   IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR };

START_TEST(one_pair_attaches_to_a_tap_of_either_kind)
{
	make_tap(tap_kinds[_i]);
	ck_assert_int_eq(open_it(), 0);
}
END_TEST

START_TEST(several_pairs_attach_to_a_multi_queue_tap)
{
	make_tap(IFF_TAP | IFF_MULTI_QUEUE);
	cfg.pairs = 4;
	ck_assert_int_eq(open_it(), 0);
	for (unsigned int n = 4; n; n--)
		ck_assert_int_eq(be->ops->set_pairs(be, n), 0);
	ck_assert_int_eq(be->ops->set_pairs(be, 4), 0);
}
END_TEST

START_TEST(several_pairs_on_a_plain_tap_are_refused)
{
	make_tap(IFF_TAP);
	cfg.pairs = 2;
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

START_TEST(a_tun_interface_is_refused)
{
	make_tap(IFF_TUN);
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

static const char *const bad_names[] = { "", "a_name_that_is_too_long" };

START_TEST(names_that_no_interface_can_have_are_refused)
{
	cfg.tap = bad_names[_i];
	ck_assert_int_eq(open_it(), -EINVAL);
}
END_TEST

/* row N8 */
START_TEST(the_link_follows_the_interface)
{
	struct pollfd p;

	ck_assert_int_eq(open_it(), 0);
	p = (struct pollfd){ .fd = be->link_fd, .events = POLLIN };
	ck_assert(!be->ops->link_is_up(be));
	set_up(true);
	ck_assert_int_eq(poll(&p, 1, 1000), 1);
	ck_assert(be->ops->link_is_up(be));
	be->ops->link_take_news(be);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	set_up(false);
	ck_assert_int_eq(poll(&p, 1, 1000), 1);
	ck_assert(!be->ops->link_is_up(be));
}
END_TEST

START_TEST(a_passed_descriptor_is_used)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	cfg.fd[0] = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	strcpy(ifr.ifr_name, "test0");
	ck_assert_int_eq(ioctl(cfg.fd[0], TUNSETIFF, &ifr), 0);
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
	make_tap(IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
	cfg.pairs = 2;
	ck_assert_int_eq(open_it(), 0);
	set_up(true);
	ck_assert(be->ops->link_is_up(be));
	delete_link();
	ck_assert(!be->ops->link_is_up(be));
	ck_assert_int_eq(be->ops->set_offloads(be, 0), 0);
	ck_assert_int_eq(be->ops->set_pairs(be, 1), 0);
	ck_assert_int_eq(be->ops->set_pairs(be, 2), 0);
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
	make_tap(IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
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
	set_up(true);
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
	make_tap(IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
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
	set_up(true);
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
		cfg.fd[i] = attach_queue();
	cfg.nr_fds = 2;
	cfg.pairs = 2;
	cfg.rss = true;
	ck_assert_int_eq(open_it(), 0);
	ck_assert_int_eq(be->ops->set_pairs(be, 1), 0);
	ck_assert_int_eq(be->ops->set_pairs(be, 2), 0);
	set_up(true);
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
	delete_link();
	ck_assert_int_eq(be->ops->set_rss(be, &r), 0);
	ck_assert_int_eq(be->ops->set_rss(be, NULL), 0);
}
END_TEST

/* Before Linux 5.8 root; since then a right of its own. */
START_TEST(rss_without_the_right_to_load_a_program_is_refused)
{
	cfg.rss = true;
	cfg.pairs = 2;
	make_tap(IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
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

static void skip_without_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0 || geteuid() != 0) {
		puts("no /dev/net/tun or not root: skipped");
		exit(SKIP);
	}
	close(fd);
}

Suite *test_suite(void)
{
	Suite *s = suite_create("tap");
	TCase *tc = tcase_create("all");

	skip_without_tun();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_interface_is_made_with_all_offloads_of_a_tap);
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
