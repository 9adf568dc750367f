/* SPDX-License-Identifier: Apache-2.0 */
#include "net_vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "log.h"
#include "zalloc.h"

#define BIT(n) (1ull << (n))

/* What of the negotiated features concerns the rings; the rest is between guest and tap. */
#define RING_FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF) | \
		       BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC))

struct net_vhost {
	int fd;				/* set once */
	int tap_fd;			/* set once; borrowed */
	int error_fd;			/* set once */
	int relay_fd[NET_VHOST_NR];	/* set once */
	int call_fd[NET_VHOST_NR];	/* transport's lock: where signals go */
	bool running;			/* pair 0's thread; the transport's while that is parked */
};

static int vring_file(struct net_vhost *v, unsigned long request, unsigned int q, int fd)
{
	struct vhost_vring_file file = { .index = q, .fd = fd };

	return ioctl(v->fd, request, &file) ? -errno : 0;
}

static int vring_state(struct net_vhost *v, unsigned long request, unsigned int q, unsigned int n)
{
	struct vhost_vring_state state = { .index = q, .num = n };

	return ioctl(v->fd, request, &state) ? -errno : 0;
}

static int check_features(const struct net_vhost *v)
{
	uint64_t features;

	if (ioctl(v->fd, VHOST_GET_FEATURES, &features))
		return -errno;
	return (features & RING_FEATURES) == RING_FEATURES ? 0 : -EOPNOTSUPP;
}

static int make_eventfds(struct net_vhost *v)
{
	v->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned int q = 0; q < NET_VHOST_NR; q++)
		v->relay_fd[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return v->error_fd < 0 || v->relay_fd[0] < 0 || v->relay_fd[1] < 0 ? -errno : 0;
}

int net_vhost_create(struct net_vhost **out, int vhost_fd, int tap_fd)
{
	struct net_vhost *v = zalloc(1, sizeof(*v));
	int ret;

	if (!v)
		return -ENOMEM;
	v->tap_fd = tap_fd;
	v->fd = vhost_fd;
	v->error_fd = v->relay_fd[0] = v->relay_fd[1] = -1;
	ret = vhost_fd < 0 ? vhost_fd : 0;
	if (!ret)
		ret = check_features(v);
	if (!ret && ioctl(v->fd, VHOST_SET_OWNER, NULL))
		ret = -errno;
	if (!ret)
		ret = make_eventfds(v);
	if (ret) {
		net_vhost_free(v);
		return ret;
	}
	*out = v;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void net_vhost_free(struct net_vhost *v)
{
	if (!v)
		return;
	close_fd(v->error_fd);
	for (unsigned int q = 0; q < NET_VHOST_NR; q++)
		close_fd(v->relay_fd[q]);
	free(v);
}

/* Rings are addressed as we see them, buffers as the guest does. */
static int set_memory(struct net_vhost *v, const struct guest_mem *mem)
{
	union {
		struct vhost_memory m;
		uint8_t room[sizeof(struct vhost_memory) +
			     GUEST_MEM_MAX_REGIONS * sizeof(struct vhost_memory_region)];
	} table;

	memset(&table, 0, sizeof(table));
	table.m.nregions = mem->nr_regions;
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		table.m.regions[i].guest_phys_addr = mem->region[i].gpa;
		table.m.regions[i].memory_size = mem->region[i].len;
		table.m.regions[i].userspace_addr = (uint64_t)(uintptr_t)mem->region[i].host;
	}
	return ioctl(v->fd, VHOST_SET_MEM_TABLE, &table) ? -errno : 0;
}

static uint64_t user_addr(const struct guest_mem *mem, gpa_t gpa)
{
	return (uint64_t)(uintptr_t)guest_mem_ptr(mem, gpa, 1);
}

/* The configuration was checked when the virtqueue was started. */
static int set_ring(struct net_vhost *v, unsigned int q, const struct virtio_queue *vq)
{
	const struct guest_mem *mem = virtq_mem(vq->vq);
	struct vhost_vring_addr addr = {
		.index = q,
		.desc_user_addr = user_addr(mem, vq->cfg.desc),
		.avail_user_addr = user_addr(mem, vq->cfg.avail),
		.used_user_addr = user_addr(mem, vq->cfg.used),
	};
	int ret = vring_state(v, VHOST_SET_VRING_NUM, q, vq->cfg.size);

	if (!ret)
		ret = vring_state(v, VHOST_SET_VRING_BASE, q, 0);
	if (!ret && ioctl(v->fd, VHOST_SET_VRING_ADDR, &addr))
		ret = -errno;
	if (!ret)
		ret = vring_file(v, VHOST_SET_VRING_CALL, q, v->relay_fd[q]);
	if (!ret)
		ret = vring_file(v, VHOST_SET_VRING_ERR, q, v->error_fd);
	if (!ret)
		ret = vring_file(v, VHOST_SET_VRING_KICK, q, vq->kick_fd);
	v->call_fd[q] = -1;
	return ret;
}

/* What was told of the rings before is no news of the next ones. */
static void drain(int fd)
{
	eventfd_t count;

	eventfd_read(fd, &count);	/* EAGAIN: it was empty */
}

int net_vhost_start(struct net_vhost *v, const struct virtio_queue *rx,
		    const struct virtio_queue *tx, uint64_t features)
{
	uint64_t ours = (features & RING_FEATURES) | BIT(VIRTIO_F_VERSION_1);
	int ret = ioctl(v->fd, VHOST_SET_FEATURES, &ours) ? -errno : 0;

	drain(v->error_fd);
	for (unsigned int q = 0; q < NET_VHOST_NR; q++)
		drain(v->relay_fd[q]);
	if (!ret)
		ret = set_memory(v, virtq_mem(rx->vq));
	if (!ret)
		ret = set_ring(v, NET_VHOST_RX, rx);
	if (!ret)
		ret = set_ring(v, NET_VHOST_TX, tx);
	return ret;
}

/* Both queues, whatever has become of one. */
static int detach(struct net_vhost *v)
{
	int ret = 0;

	for (unsigned int q = 0; q < NET_VHOST_NR; q++) {
		int failed = vring_file(v, VHOST_NET_SET_BACKEND, q, VHOST_FILE_UNBIND);

		ret = ret ? ret : failed;
	}
	v->running = false;
	return ret;
}

static int attach(struct net_vhost *v)
{
	int ret = 0;

	for (unsigned int q = 0; q < NET_VHOST_NR && !ret; q++)
		ret = vring_file(v, VHOST_NET_SET_BACKEND, q, v->tap_fd);
	v->running = !ret;
	if (ret)
		detach(v);
	return ret;
}

int net_vhost_run(struct net_vhost *v, bool run)
{
	if (run == v->running)
		return 0;
	return run ? attach(v) : detach(v);
}

void net_vhost_stop(struct net_vhost *v)
{
	detach(v);
	for (unsigned int q = 0; q < NET_VHOST_NR; q++) {
		vring_file(v, VHOST_SET_VRING_KICK, q, VHOST_FILE_UNBIND);
		vring_file(v, VHOST_SET_VRING_CALL, q, VHOST_FILE_UNBIND);
	}
}

int net_vhost_relay_fd(const struct net_vhost *v, enum net_vhost_queue q)
{
	return v->relay_fd[q];
}

int net_vhost_error_fd(const struct net_vhost *v)
{
	return v->error_fd;
}

void net_vhost_set_call(struct net_vhost *v, enum net_vhost_queue q, int fd)
{
	if (fd == v->call_fd[q])
		return;
	v->call_fd[q] = fd;
	vring_file(v, VHOST_SET_VRING_CALL, q, fd < 0 ? v->relay_fd[q] : fd);
}
