/* SPDX-License-Identifier: Apache-2.0 */
/* What "ethtool -x" and "ethtool -X" do: which queues an interface's hash leads to. */
#define _GNU_SOURCE
#include "guestio.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int ethtool(const char *name, void *cmd)
{
	struct ifreq ifr = { .ifr_data = cmd };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	return fd < 0 ? fd : ioctl(fd, SIOCETHTOOL, &ifr);
}

/* Entries of the table, bytes of the key, and the queues in it as bits. */
static int show(const char *name, struct ethtool_rxfh_indir *table)
{
	struct ethtool_rxfh rss = { .cmd = ETHTOOL_GRSSH };
	unsigned long queues = 0;
	uint32_t i;

	table->cmd = ETHTOOL_GRXFHINDIR;
	if (ethtool(name, table) || ethtool(name, &rss))
		return complain("rss: %s: %s", name, strerror(errno));
	for (i = 0; i < table->size; i++)
		queues |= 1UL << table->ring_index[i];
	printf("entries %u key %u queues %lx\n", table->size, rss.key_size, queues);
	return 0;
}

int rss_main(int argc, char **argv)
{
	struct ethtool_rxfh_indir size = { .cmd = ETHTOOL_GRXFHINDIR }, *table;
	uint64_t queue = number(argc, argv, "queue", UINT64_MAX);
	uint32_t i;

	if (argc < 1 || ethtool(argv[0], &size) || !size.size)
		return complain("rss: %s has no table: %s", argc ? argv[0] : "", strerror(errno));
	table = calloc(1, sizeof(*table) + size.size * sizeof(table->ring_index[0]));
	if (!table)
		return complain("rss: no memory");
	table->size = size.size;
	if (queue == UINT64_MAX)
		return show(argv[0], table);
	table->cmd = ETHTOOL_SRXFHINDIR;
	for (i = 0; i < table->size; i++)
		table->ring_index[i] = (uint32_t)queue;
	if (ethtool(argv[0], table))
		return complain("rss: %s: %s", argv[0], strerror(errno));
	return show(argv[0], table);
}
