/* SPDX-License-Identifier: Apache-2.0 */
/* Needs /dev/net/tun and the right to make interfaces: root in a network namespace of its own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log_capture.h"
#include "real_tap.h"
#include "runner.h"
#include "tap_link.h"
#include "util.h"

#define NOBODY 65534

static int tap, link_fd;
static struct log_capture cap;

static void setup(void)
{
	real_tap_namespace();
	tap = real_tap_attach("test0", 0);
	link_fd = tap_link_open(tap, false, "net0");
	ck_assert_int_ge(link_fd, 0);
}

static void teardown(void)
{
	close(tap);
	if (link_fd >= 0)
		close(link_fd);
}

static bool rings(int ms)
{
	struct pollfd p = { .fd = link_fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* row N8 */
START_TEST(a_change_of_the_link_is_heard_and_seen)
{
	for (int i = 0; i < 3; i++) {
		real_tap_set_up("test0", i % 2 == 0);
		ck_assert(rings(5000));
		ck_assert(!tap_link_take_news(link_fd));
		ck_assert_int_eq(tap_link_is_up(tap, false), i % 2 == 0);
		ck_assert(!rings(0));
	}
}
END_TEST

START_TEST(a_renamed_interface_is_still_the_one_that_is_asked)
{
	ck_assert_int_eq(system("ip link set test0 name other0"), 0);
	tap_link_take_news(link_fd);
	close(real_tap_attach("test0", 0));
	real_tap_set_up("other0", true);
	ck_assert(rings(5000));
	ck_assert(tap_link_is_up(tap, false));
}
END_TEST

/* row N8 */
START_TEST(a_deleted_interface_is_down)
{
	real_tap_set_up("test0", true);
	tap_link_take_news(link_fd);
	real_tap_delete("test0");
	ck_assert(rings(5000));
	ck_assert(tap_link_take_news(link_fd));
	ck_assert(!tap_link_is_up(tap, true));
}
END_TEST

/* A process in a network namespace of its own, which has that already. */
static pid_t start_elsewhere(void)
{
	int ready[2];
	pid_t pid;
	char c = 0;

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		real_tap_namespace();
		ck_assert_int_eq(write(ready[1], &c, 1), 1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	return pid;
}

/* Nothing is heard of it any more, so nobody can say that it is down. */
START_TEST(an_interface_that_moved_to_another_namespace_counts_as_up)
{
	pid_t pid = start_elsewhere();
	char command[64];
	bool gone;

	snprintf(command, sizeof(command), "ip link set test0 netns %d", (int)pid);
	ck_assert_int_eq(system(command), 0);
	ck_assert(rings(5000));
	gone = tap_link_take_news(link_fd);
	ck_assert(gone);
	ck_assert(tap_link_is_up(tap, gone));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(nothing_is_heard_of_other_interfaces)
{
	int other = real_tap_attach("other0", 0);

	for (unsigned int i = 0; i < 100; i++) {
		real_tap_set_up("other0", i % 2);
		ck_assert_int_eq(ioctl(other, TUNSETOFFLOAD, i % 2 ? TUN_F_CSUM : 0), 0);
	}
	real_tap_delete("other0");
	ck_assert(!rings(0));
	close(other);
}
END_TEST

static const struct {
	uint16_t type;
	bool list;		/* of all; else of one, number 1: lo */
} questions[] = {
	{ RTM_GETLINK, true }, { RTM_GETADDR, true }, { RTM_GETROUTE, true },
	{ RTM_GETNEIGH, true }, { RTM_GETRULE, true }, { RTM_GETQDISC, true },
	{ RTM_GETNETCONF, true }, { RTM_GETSTATS, true }, { RTM_GETLINK, false },
};

static void ask(unsigned int i)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} msg = { .head = { .nlmsg_len = sizeof(msg), .nlmsg_type = questions[i].type,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK } };

	if (questions[i].list)
		msg.head.nlmsg_flags |= NLM_F_DUMP;
	else
		msg.info.ifi_index = 1;
	/* A write does what a send does, and no filter of system calls can tell. */
	ck_assert_int_eq(write(link_fd, &msg, sizeof(msg)), sizeof(msg));
}

/* The kernel answers before it comes back. row N12 */
START_TEST(the_socket_answers_no_question)
{
	real_tap_make("other0", IFF_TAP);
	ask((unsigned int)_i);
	ck_assert(!rings(0));
}
END_TEST

/* A list of taps begins with ours; the rest would come in the same piece. */
START_TEST(no_list_is_told_that_begins_with_our_interface)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
		struct rtattr linkinfo, kind;
		char name[4];
	} msg = {
		.head = { .nlmsg_len = sizeof(msg), .nlmsg_type = RTM_GETLINK,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.linkinfo = { .rta_len = 12, .rta_type = IFLA_LINKINFO },
		.kind = { .rta_len = 8, .rta_type = IFLA_INFO_KIND },
		.name = "tun",
	};

	real_tap_make("other0", IFF_TAP);
	ck_assert_int_eq(write(link_fd, &msg, sizeof(msg)), sizeof(msg));
	ck_assert(!rings(0));
}
END_TEST

START_TEST(the_filter_cannot_be_taken_off_or_changed)
{
	const int off = 0;

	ck_assert_int_eq(setsockopt(link_fd, SOL_SOCKET, SO_DETACH_FILTER, &off, sizeof(off)), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(setsockopt(link_fd, SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof(off)), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

/* Others who listen get the whole of a message, also those who come after us. */
START_TEST(other_listeners_get_what_they_got_before)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	char buf[4096];

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	real_tap_set_up("test0", true);
	ck_assert_int_gt(recv(fd, buf, sizeof(buf), 0), 200);
	close(fd);
}
END_TEST

static void take_from_elsewhere(void)
{
	close(tap);
	close(link_fd);
	tap = real_tap_attach("test0", 0);
	real_tap_namespace();
}

static void open_quietly(void)
{
	log_capture_begin(&cap);
	link_fd = tap_link_open(tap, true, "net0");
	log_capture_end(&cap);
}

START_TEST(a_passed_tap_of_our_namespace_is_followed)
{
	close(link_fd);
	if (_i)
		ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	open_quietly();
	ck_assert_int_ge(link_fd, 0);
	ck_assert_uint_eq(cap.nr_lines, 0);
}
END_TEST

/* With and without an interface of the same name here; as root and as a user. */
START_TEST(of_a_tap_from_another_namespace_nothing_is_believed)
{
	int stranger = -1;

	take_from_elsewhere();
	if (_i & 1)
		stranger = real_tap_attach("test0", 0);
	if (_i & 2)
		ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	open_quietly();
	ck_assert_int_eq(link_fd, -1);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "another network namespace"));
	close(stranger);
}
END_TEST

/* There poll(2) tells of room as well. */
START_TEST(a_tap_with_a_limit_for_what_is_sent_counts_as_up)
{
	int limit = 4096;

	close(link_fd);
	ck_assert_int_eq(ioctl(tap, TUNSETSNDBUF, &limit), 0);
	open_quietly();
	ck_assert_int_eq(link_fd, -1);
	ck_assert_uint_eq(cap.nr_lines, 1);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("tap link");
	TCase *tc = tcase_create("all");

	real_tap_or_skip();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_change_of_the_link_is_heard_and_seen);
	tcase_add_test(tc, a_renamed_interface_is_still_the_one_that_is_asked);
	tcase_add_test(tc, a_deleted_interface_is_down);
	tcase_add_test(tc, an_interface_that_moved_to_another_namespace_counts_as_up);
	tcase_add_test(tc, nothing_is_heard_of_other_interfaces);
	tcase_add_loop_test(tc, the_socket_answers_no_question, 0, ARRAY_SIZE(questions));
	tcase_add_test(tc, no_list_is_told_that_begins_with_our_interface);
	tcase_add_test(tc, the_filter_cannot_be_taken_off_or_changed);
	tcase_add_test(tc, other_listeners_get_what_they_got_before);
	tcase_add_loop_test(tc, a_passed_tap_of_our_namespace_is_followed, 0, 2);
	tcase_add_loop_test(tc, of_a_tap_from_another_namespace_nothing_is_believed, 0, 4);
	tcase_add_test(tc, a_tap_with_a_limit_for_what_is_sent_counts_as_up);
	suite_add_tcase(s, tc);
	return s;
}
