/* SPDX-License-Identifier: Apache-2.0 */
/* What the devices of a configuration need of the host: for the jail's limits. */
#include <sys/uio.h>

#include "machine.h"
#include "util.h"

unsigned int machine_nr_threads(const struct vm_config *c)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < c->nr_disks; i++)
		n += c->disk[i].blk.queues;
	for (unsigned int i = 0; i < c->nr_nets; i++)
		n += c->net[i].net.pairs;
	return n;
}

/*
 * Nearly all of a disk's memory is room for the pieces of requests of which
 * each is as long as the ring. Most drivers never touch it.
 */
static uint64_t disk_queue_memory(uint64_t size)
{
	const uint64_t max_requests = 128, small = KIB(1);

	return MIN(size, max_requests) * size * sizeof(struct iovec) + size * small + KIB(256);
}

/* Frames are 64 KiB at most, and few are held; vhost-net has as much again in the kernel. */
static uint64_t net_pair_memory(uint64_t size)
{
	return size * KIB(1) + MIB(1);
}

uint64_t machine_memory(const struct vm_config *c)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < c->nr_disks; i++)
		n += c->disk[i].blk.queues * disk_queue_memory(c->disk[i].blk.queue_size);
	for (unsigned int i = 0; i < c->nr_nets; i++)
		n += c->net[i].net.pairs * net_pair_memory(c->net[i].net.queue_size);
	return n;
}
