/* SPDX-License-Identifier: Apache-2.0 */
/* What the devices of a configuration need of the host: for the jail's limits. */
#include <linux/magic.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "blk_backend.h"
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

uint64_t machine_file_memory(int fd, uint64_t len)
{
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs))
		return 0;
	return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ? len : 0;
}

uint64_t machine_image_memory(const struct machine *m)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < LAYOUT_VIRTIO_MAX && m->disk[i]; i++)
		if (!m->disk[i]->readonly)
			n += machine_file_memory(m->disk[i]->fd, m->disk[i]->size);
	return n;
}
