/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a persistent tap interface for the monitor: busybox cannot make a multiqueue one. */
#define _GNU_SOURCE
#include "guestio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int tap_main(int argc, char **argv)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	bool keep = number(argc, argv, "keep", 1);

	if (argc < 1 || strlen(argv[0]) >= sizeof(ifr.ifr_name))
		return complain("tap: a name of at most 15 characters is needed");
	strcpy(ifr.ifr_name, argv[0]);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETPERSIST, keep ? 1UL : 0UL))
		return complain("tap: %s: %s", argv[0], strerror(errno));
	return 0;
}
