/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A netlink socket answers questions about all interfaces, addresses and
 * routes of the host. The filter of ours, which cannot be taken off again,
 * drops whatever the kernel sends but news of our own interface: a single
 * message of two types with our index. Parts of a list have a flag set.
 *
 * The filter lets a message through whole. Cut short it would be cut short
 * for every other listener on the host as well, who may share it.
 *
 * A tap can be written to exactly while it is up. So poll(2) tells, unless a
 * limit for what was sent makes it wait for something else.
 */
#include "tap_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

/* Newer than the headers we build with. */
#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif

struct news {
	struct nlmsghdr head;
	struct ifinfomsg info;
};

/* Type and flags of a message as a filter loads them: highest byte first. */
static uint32_t type_word(uint16_t type)
{
	const struct nlmsghdr h = { .nlmsg_type = type };
	uint32_t word;

	memcpy(&word, &h.nlmsg_type, sizeof(word));
	return ntohl(word);
}

static int set_filter(int fd, int ifindex)
{
	struct sock_filter insn[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct news, head.nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, type_word(RTM_NEWLINK), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, type_word(RTM_DELLINK), 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct news, info.ifi_index)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl((uint32_t)ifindex), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog prog = { ARRAY_SIZE(insn), insn };
	const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ||
	    setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)))
		return -errno;
	return 0;
}

/* Before it can hear anything it has its filter. */
static int listen_to(int fd, int ifindex)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int ret = set_filter(fd, ifindex);

	if (ret)
		return ret;
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
}

/* Takes both descriptors. */
static bool is_same_file(int a, int b)
{
	struct stat sa, sb;
	bool same = !fstat(a, &sa) && !fstat(b, &sb) && sa.st_dev == sb.st_dev &&
		    sa.st_ino == sb.st_ino;

	close(a);
	close(b);
	return same;
}

/* For users whom the kernel does not tell: the same name and the same address. */
static bool has_same_address(int tap_fd, int fd, const char *ifname)
{
	struct ifreq of_tap = { 0 }, of_name = { 0 };

	strcpy(of_name.ifr_name, ifname);
	return !ioctl(tap_fd, SIOCGIFHWADDR, &of_tap) && !ioctl(fd, SIOCGIFHWADDR, &of_name) &&
	       !memcmp(of_tap.ifr_hwaddr.sa_data, of_name.ifr_hwaddr.sa_data, 6);
}

static bool is_of_our_namespace(int tap_fd, int fd, const char *ifname)
{
	int theirs = ioctl(tap_fd, TUNGETDEVNETNS), ours = ioctl(fd, SIOCGSKNS);

	if (theirs >= 0 && ours >= 0)
		return is_same_file(theirs, ours);
	if (theirs >= 0)
		close(theirs);
	if (ours >= 0)
		close(ours);
	return has_same_address(tap_fd, fd, ifname);
}

/* fd: any socket. */
static int find_interface(int tap_fd, int fd, bool passed)
{
	struct ifreq ifr = { 0 };

	if (ioctl(tap_fd, TUNGETIFF, &ifr))
		return -errno;
	if (passed && !is_of_our_namespace(tap_fd, fd, ifr.ifr_name))
		return -EXDEV;
	return ioctl(fd, SIOCGIFINDEX, &ifr) ? -errno : ifr.ifr_ifindex;
}

int tap_link_find(int tap_fd, bool passed)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret = fd < 0 ? -errno : find_interface(tap_fd, fd, passed);

	if (fd >= 0)
		close(fd);
	return ret;
}

static bool has_send_limit(int tap_fd)
{
	int limit = INT_MAX;

	return ioctl(tap_fd, TUNGETSNDBUF, &limit) || limit != INT_MAX;
}

int tap_link_open(int tap_fd, bool passed, const char *name)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int ret = fd < 0 ? -errno : find_interface(tap_fd, fd, passed);

	if (ret > 0 && has_send_limit(tap_fd))
		ret = -EOPNOTSUPP;
	if (ret > 0)
		ret = listen_to(fd, ret);
	if (!ret)
		return fd;
	log_warn("%s: the link counts as up, its changes are not heard: %s", name,
		 ret == -EXDEV ? "the tap is in another network namespace" : strerror(-ret));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Not one about a bridge's port; what has the family of a bridge is. */
static bool says_gone(const struct news *n, ssize_t len)
{
	return len >= (ssize_t)sizeof(*n) && n->head.nlmsg_type == RTM_DELLINK &&
	       n->info.ifi_family == AF_UNSPEC;
}

/* Not called by a vCPU, whose system-call filter has no recv(2). */
bool tap_link_take_news(int link_fd)
{
	bool gone = false;
	struct news news;
	ssize_t n;

	do {
		n = recv(link_fd, &news, sizeof(news), MSG_DONTWAIT | MSG_TRUNC);
		gone = gone || says_gone(&news, n);
	} while (n > 0 || (n < 0 && (errno == EINTR || errno == ENOBUFS)));
	return gone;
}

bool tap_link_is_up(int tap_fd, bool gone)
{
	struct pollfd p = { .fd = tap_fd, .events = POLLOUT };

	if (poll(&p, 1, 0) < 0)
		return true;
	return !(p.revents & POLLERR) && (gone || p.revents & POLLOUT);
}
