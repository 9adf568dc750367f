/* SPDX-License-Identifier: Apache-2.0 */
#include "real_tap.h"

#include <check.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SKIP 77

bool real_tap_possible(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0 && !geteuid();
}

void real_tap_or_skip(void)
{
	if (real_tap_possible())
		return;
	puts("no /dev/net/tun or not root: skipped");
	exit(SKIP);
}

void real_tap_namespace(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
}

static int attach(const char *name, short flags)
{
	struct ifreq ifr = { .ifr_flags = (short)(flags | IFF_NO_PI) };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	strcpy(ifr.ifr_name, name);
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

void real_tap_make(const char *name, short flags)
{
	int fd = attach(name, flags);

	ck_assert_int_eq(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
}

int real_tap_attach(const char *name, short flags)
{
	return attach(name, (short)(flags | IFF_TAP | IFF_VNET_HDR));
}

static void ask(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(ifr->ifr_name, name);
	ck_assert_int_eq(ioctl(fd, request, ifr), 0);
	close(fd);
}

void real_tap_set_up(const char *name, bool up)
{
	struct ifreq ifr = { .ifr_flags = up ? IFF_UP : 0 };

	ask(name, SIOCSIFFLAGS, &ifr);
}

int real_tap_index(const char *name)
{
	struct ifreq ifr = { 0 };

	ask(name, SIOCGIFINDEX, &ifr);
	return ifr.ifr_ifindex;
}

void real_tap_delete(const char *name)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} msg = { .head = { .nlmsg_len = sizeof(msg), .nlmsg_type = RTM_DELLINK,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK } };
	struct { struct nlmsghdr head; struct nlmsgerr error; char rest[256]; } answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	msg.info.ifi_index = real_tap_index(name);
	ck_assert_int_eq(send(fd, &msg, sizeof(msg), 0), sizeof(msg));
	ck_assert_int_gt(recv(fd, &answer, sizeof(answer), 0), 0);
	ck_assert_int_eq(answer.error.error, 0);
	close(fd);
}
