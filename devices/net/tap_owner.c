/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel counts a tap's queues, whoever attached them, and forgets those
 * of a process that has ended. That is the lock: nothing is left behind, and
 * it holds between users and for programs that are not ours. Of two that come
 * at the same time one at least sees the other.
 *
 * The same descriptor in two processes is one queue. It gets an owner (as for
 * signals, which nobody has asked for), whom the next one sees.
 */
#include "tap_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap_link.h"

#define MAX_ANSWER 8192

/* The attribute of this type among len bytes of them; *payload: its length. NULL: none. */
static const uint8_t *find(const uint8_t *p, size_t len, unsigned int type, size_t *payload)
{
	struct rtattr a;

	while (len >= sizeof(a)) {
		memcpy(&a, p, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > len)
			return NULL;
		if ((a.rta_type & NLA_TYPE_MASK) == type) {
			*payload = a.rta_len - sizeof(a);
			return p + sizeof(a);
		}
		if (RTA_ALIGN(a.rta_len) > len)
			return NULL;
		p += RTA_ALIGN(a.rta_len);
		len -= RTA_ALIGN(a.rta_len);
	}
	return NULL;
}

static unsigned int number(const uint8_t *p, size_t len, unsigned int type)
{
	size_t payload = 0;
	const uint8_t *v = find(p, len, type, &payload);
	uint32_t n = 0;

	if (v && payload == sizeof(n))
		memcpy(&n, v, sizeof(n));
	return n;
}

/* Taps without multi_queue tell none: the kernel lets one queue be attached. */
static unsigned int count(const uint8_t *answer, size_t len)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct ifinfomsg));
	const uint8_t *p = answer + head;

	if (len < head)
		return 0;
	len -= head;
	p = find(p, len, IFLA_LINKINFO, &len);
	if (p)
		p = find(p, len, IFLA_INFO_DATA, &len);
	return p ? number(p, len, IFLA_TUN_NUM_QUEUES) +
		   number(p, len, IFLA_TUN_NUM_DISABLED_QUEUES) : 0;
}

/* Attached queues of the interface, in use or not; 0 also if that is not known. */
static unsigned int nr_queues(int ifindex)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} ask = { .head = { .nlmsg_len = sizeof(ask), .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST },
		  .info = { .ifi_index = ifindex } };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	uint8_t answer[MAX_ANSWER];
	ssize_t n = -1;

	if (fd < 0)
		return 0;
	if (send(fd, &ask, sizeof(ask), 0) == sizeof(ask))
		n = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	return n > 0 ? count(answer, (size_t)n) : 0;
}

int tap_owner_check_free(const char *ifname)
{
	unsigned int ifindex = if_nametoindex(ifname);

	if (!ifindex)
		return -errno;
	return nr_queues((int)ifindex) ? -EBUSY : 0;
}

/* Whoever had it before and has ended is no owner. */
static int take(int fd)
{
	pid_t owner = fcntl(fd, F_GETOWN);

	if (owner > 0 && (!kill(owner, 0) || errno == EPERM))
		return -EBUSY;
	fcntl(fd, F_SETOWN, getpid());
	return 0;
}

int tap_owner_check_alone(const int *fd, unsigned int nr, bool passed)
{
	int ifindex = tap_link_find(fd[0], passed), ret = 0;

	if (ifindex > 0 && nr_queues(ifindex) > nr)
		return -EBUSY;
	for (unsigned int i = 0; i < nr && !ret && passed; i++)
		ret = take(fd[i]);
	return ret;
}
