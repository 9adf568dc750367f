/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tap made beforehand with or without multi_queue wants to be attached to
 * in the same way, so with one pair both are tried.
 */
#include "tap.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "log.h"
#include "net_backend.h"
#include "tap_link.h"
#include "tap_owner.h"
#include "tap_rss.h"
#include "util.h"
#include "virtio_net_cfg.h"
#include "zalloc.h"

#define VNET_HDR_LEN 12

/* Newer than the headers we build with. */
#ifndef TUN_F_USO4
#define TUN_F_USO4	0x20
#define TUN_F_USO6	0x40
#endif

struct tap {
	struct net_backend be;
	bool detached[NET_BACKEND_MAX_PAIRS];	/* control calls */
	unsigned int offloads;			/* likewise: in force */
	bool gone;				/* likewise: somebody deleted it */
	bool out_of_sight;			/* pair 0's thread: deleted, or moved away */
	struct tap_rss *rss;			/* set once; NULL: none */
	bool steered;				/* control calls: by rss */
};

static struct tap *to_tap(struct net_backend *b)
{
	return container_of(b, struct tap, be);
}

/*
 * The kernel takes ECN only with TSO, and both kinds of USO or none, nothing
 * without checksums. A guest may ask for any of them: fewer do it no harm.
 */
static unsigned int possible_offloads(unsigned int offloads)
{
	const unsigned int uso = NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6;

	if (!(offloads & NET_OFFLOAD_CSUM))
		return 0;
	if (!(offloads & (NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6)))
		offloads &= ~(unsigned int)NET_OFFLOAD_ECN;
	if ((offloads & uso) != uso)
		offloads &= ~uso;
	return offloads;
}

static unsigned int to_tun_offloads(unsigned int offloads)
{
	static const struct {
		unsigned int ours, tun;
	} map[] = {
		{ NET_OFFLOAD_CSUM, TUN_F_CSUM }, { NET_OFFLOAD_TSO4, TUN_F_TSO4 },
		{ NET_OFFLOAD_TSO6, TUN_F_TSO6 }, { NET_OFFLOAD_ECN, TUN_F_TSO_ECN },
		{ NET_OFFLOAD_USO4, TUN_F_USO4 }, { NET_OFFLOAD_USO6, TUN_F_USO6 },
	};
	unsigned int tun = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(map); i++)
		if (offloads & map[i].ours)
			tun |= map[i].tun;
	return tun;
}

/*
 * A request failed. An interface that was deleted is a link that is down for
 * good, and no error of its device; to ask for what is in force tells.
 */
static int check_gone(struct tap *t)
{
	int err = errno;

	if (ioctl(t->be.fd[0], TUNSETOFFLOAD, to_tun_offloads(t->offloads)) && errno == EBADFD)
		t->gone = true;
	return t->gone ? 0 : -err;
}

static int tap_set_offloads(struct net_backend *b, unsigned int offloads)
{
	struct tap *t = to_tap(b);

	offloads = possible_offloads(offloads);
	if (t->gone || offloads == t->offloads)
		return 0;
	if (ioctl(b->fd[0], TUNSETOFFLOAD, to_tun_offloads(offloads)))
		return check_gone(t);
	t->offloads = offloads;
	return 0;
}

static int set_queue(struct tap *t, unsigned int i, bool attach)
{
	struct ifreq ifr = { .ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	if (t->gone || t->detached[i] == !attach)
		return 0;
	if (ioctl(t->be.fd[i], TUNSETQUEUE, &ifr))
		return check_gone(t);
	t->detached[i] = !attach;
	return 0;
}

static int tap_set_pairs(struct net_backend *b, unsigned int n)
{
	int ret = 0;

	for (unsigned int i = 0; i < b->nr_pairs && !ret; i++)
		ret = set_queue(to_tap(b), i, i < n);
	return ret;
}

static int steer(struct tap *t, int prog_fd)
{
	return ioctl(t->be.fd[0], TUNSETSTEERINGEBPF, &prog_fd) ? check_gone(t) : 0;
}

/* Without a program of ours, a flow goes to the queue from which the guest sent its side of it. */
static int tap_set_rss(struct net_backend *b, const struct net_rss *r)
{
	struct tap *t = to_tap(b);
	int ret = 0;

	if (r)
		tap_rss_write(t->rss, r);
	if (t->steered != (r != NULL))
		ret = steer(t, r ? tap_rss_fd(t->rss) : -1);
	if (!ret)
		t->steered = r != NULL;
	return ret;
}

static void take_news(struct net_backend *b)
{
	if (tap_link_take_news(b->link_fd))
		to_tap(b)->out_of_sight = true;
}

static bool link_is_up(struct net_backend *b)
{
	return tap_link_is_up(b->fd[0], to_tap(b)->out_of_sight);
}

static void tap_free(struct net_backend *b)
{
	for (unsigned int i = 0; i < b->nr_pairs; i++) {
		if (b->vhost_fd[i] >= 0)
			close(b->vhost_fd[i]);
		if (b->fd[i] >= 0)
			close(b->fd[i]);
	}
	if (b->link_fd >= 0)
		close(b->link_fd);
	tap_rss_free(to_tap(b)->rss);
	free(to_tap(b));
}

static const struct net_backend_ops tap_ops = {
	.set_offloads = tap_set_offloads,
	.set_pairs = tap_set_pairs,
	.set_rss = tap_set_rss,
	.link_is_up = link_is_up,
	.link_take_news = take_news,
	.free = tap_free,
};

static int explain_attach(int err, const struct virtio_net_cfg *cfg, const char *name)
{
	switch (err) {
	case EPERM:
		return log_fail(-err, "%s: no permission for tap %s; as root: ip tuntap add dev %s "
				"mode tap user $USER%s", name, cfg->tap, cfg->tap,
				cfg->pairs > 1 ? " multi_queue" : "");
	case EINVAL:
		return log_fail(-err, "%s: %s is no tap%s; as root: ip tuntap add dev %s mode "
				"tap%s", name, cfg->tap, cfg->pairs > 1 ? " with multi_queue" : "",
				cfg->tap, cfg->pairs > 1 ? " multi_queue" : "");
	case EBUSY:
		return log_fail(-err, "%s: tap %s is in use by another program, or twice here",
				name, cfg->tap);
	case ENODEV:
		return log_fail(-err, "%s: there is no interface %s; as root: ip tuntap add dev %s "
				"mode tap%s vnet_hdr user $USER && ip link set %s up", name,
				cfg->tap, cfg->tap, cfg->pairs > 1 ? " multi_queue" : "", cfg->tap);
	case E2BIG:
		return log_fail(-err, "%s: tap %s has no room for %u queues", name, cfg->tap,
				cfg->pairs);
	default:
		return log_fail(-err, "%s: tap %s: %s", name, cfg->tap, strerror(err));
	}
}

static int check_name(const struct virtio_net_cfg *cfg, const char *name)
{
	int ret;

	/* The kernel would put a number for %d, another for each queue. */
	if (!cfg->tap[0] || strlen(cfg->tap) >= IFNAMSIZ || strchr(cfg->tap, '%'))
		return log_fail(-EINVAL, "%s: \"%s\" is no name of an interface", name, cfg->tap);
	ret = tap_owner_check_free(cfg->tap);
	return ret ? explain_attach(-ret, cfg, name) : 0;
}

static int attach(int fd, const struct virtio_net_cfg *cfg, const char *name)
{
	struct ifreq ifr = { 0 };
	short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

	strcpy(ifr.ifr_name, cfg->tap);		/* checked */
	ifr.ifr_flags = (short)(flags | (cfg->pairs > 1 ? IFF_MULTI_QUEUE : 0));
	if (!ioctl(fd, TUNSETIFF, &ifr))
		return 0;
	if (errno == EINVAL && cfg->pairs == 1) {
		ifr.ifr_flags = (short)(flags | IFF_MULTI_QUEUE);
		if (!ioctl(fd, TUNSETIFF, &ifr))
			return 0;
	}
	return explain_attach(errno, cfg, name);
}

static int open_queue(struct tap *t, unsigned int i, const struct virtio_net_cfg *cfg,
		      const char *name)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return log_errno("%s: /dev/net/tun%s", name,
				 errno == ENOENT || errno == ENODEV ? " (try: modprobe tun)" : "");
	t->be.fd[i] = fd;
	return attach(fd, cfg, name);
}

static int take_queue(struct tap *t, unsigned int i, const char *name)
{
	struct ifreq ifr = { 0 };
	int fd = t->be.fd[i], flags = fcntl(fd, F_GETFL);

	if (flags < 0 || ioctl(fd, TUNGETIFF, &ifr) || !(ifr.ifr_flags & IFF_TAP) ||
	    !(ifr.ifr_flags & IFF_VNET_HDR) || !(ifr.ifr_flags & IFF_NO_PI))
		return log_fail(-EINVAL, "%s: fd %d is no queue of a tap with IFF_VNET_HDR and "
				"IFF_NO_PI", name, fd);
	if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return log_errno("%s: fd %d", name, fd);
	return 0;
}

/* Others' queues, and our own of another device. */
static int check_alone(const struct tap *t, const struct virtio_net_cfg *cfg, const char *name)
{
	int ret = tap_owner_check_alone(t->be.fd, t->be.nr_pairs, cfg->nr_fds);

	if (!ret)
		return 0;
	return cfg->nr_fds ? log_fail(ret, "%s: the tap of fd %d is in use by another program, or "
				      "twice here", name, t->be.fd[0])
			   : explain_attach(-ret, cfg, name);
}

static int set_header(int fd, const char *name)
{
	int len = VNET_HDR_LEN, little = 1;

	if (ioctl(fd, TUNSETVNETHDRSZ, &len))
		return log_errno("%s: header length of the tap", name);
	if (BYTE_ORDER != LITTLE_ENDIAN && ioctl(fd, TUNSETVNETLE, &little))
		return log_errno("%s: byte order of the tap", name);
	return 0;
}

static void probe_offloads(struct tap *t)
{
	const unsigned int uso = NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6;

	t->be.offloads = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN;
	if (!ioctl(t->be.fd[0], TUNSETOFFLOAD, to_tun_offloads(NET_OFFLOAD_CSUM | uso)))
		t->be.offloads |= uso;
	ioctl(t->be.fd[0], TUNSETOFFLOAD, 0);	/* what t->offloads says */
}

static int open_queues(struct tap *t, const struct virtio_net_cfg *cfg, const char *name)
{
	int ret = cfg->nr_fds ? 0 : check_name(cfg, name);

	for (unsigned int i = 0; i < t->be.nr_pairs && !ret; i++)
		ret = cfg->nr_fds ? take_queue(t, i, name) : open_queue(t, i, cfg, name);
	if (!ret)
		ret = check_alone(t, cfg, name);
	for (unsigned int i = 0; i < t->be.nr_pairs && !ret; i++)
		ret = set_header(t->be.fd[i], name);
	return ret;
}

/* Whether it is of use is found out by the device. */
static void open_vhost(struct tap *t, const struct virtio_net_cfg *cfg)
{
	if (!virtio_net_may_use_vhost(cfg))
		return;
	for (unsigned int i = 0; i < t->be.nr_pairs; i++) {
		int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);

		t->be.vhost_fd[i] = fd < 0 ? -errno : fd;
		if (fd < 0)
			return;
	}
}

/* A program that an earlier owner has left behind ends here. */
static int open_rss(struct tap *t, const struct virtio_net_cfg *cfg, const char *name)
{
	int ret = cfg->rss ? tap_rss_open(&t->rss, name) : 0;

	t->be.has_rss = cfg->rss;
	if (ret || !cfg->rss)
		return ret;
	ret = steer(t, -1);
	return ret ? log_fail(ret, "%s: rss=on: steer the tap's frames: %s", name, strerror(-ret))
		   : 0;
}

static bool cfg_is_valid(const struct virtio_net_cfg *cfg)
{
	return cfg->pairs && cfg->pairs <= NET_BACKEND_MAX_PAIRS &&
	       (cfg->nr_fds ? cfg->nr_fds == cfg->pairs : cfg->tap != NULL);
}

int tap_open(struct net_backend **out, const struct virtio_net_cfg *cfg, const char *name)
{
	struct tap *t;
	int ret;

	if (!cfg_is_valid(cfg))
		return log_fail(-EINVAL, "%s: a tap, or a descriptor for each pair, is needed",
				name);
	t = zalloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->be = (struct net_backend){ .ops = &tap_ops, .nr_pairs = cfg->pairs, .is_tap = true,
				      .link_fd = -1 };
	for (unsigned int i = 0; i < t->be.nr_pairs; i++) {
		t->be.fd[i] = cfg->nr_fds ? cfg->fd[i] : -1;
		t->be.vhost_fd[i] = -ENOTSUP;
	}
	ret = open_queues(t, cfg, name);
	if (!ret)
		ret = open_rss(t, cfg, name);
	if (ret) {
		tap_free(&t->be);
		return ret;
	}
	open_vhost(t, cfg);
	probe_offloads(t);
	t->be.link_fd = tap_link_open(t->be.fd[0], cfg->nr_fds, name);
	*out = &t->be;
	return 0;
}
