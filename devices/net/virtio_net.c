/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device as the driver sees it: features, configuration space, which
 * queue is what. Frames are the pairs' business (net_pair.c), commands are
 * checked in net_ctrl.c and carried out here, on pair 0's thread.
 *
 * Queues: rx0 tx0 rx1 tx1 ... control; the control queue is number 2 if the
 * driver took neither MQ nor RSS, else the last one (virtio 1.2, 5.1.2).
 */
#include "virtio_net.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "counter.h"
#include "net_ctrl.h"
#include "net_hdr.h"
#include "net_limit.h"
#include "net_pair.h"
#include "net_rss.h"
#include "net_vhost.h"
#include "util.h"
#include "zalloc.h"

#define BIT(n) (1ull << (n))

struct virtio_net {
	struct virtio_dev dev;
	struct net_backend *be;			/* set once */
	unsigned int nr_pairs;			/* set once */
	bool has_vhost;				/* set once */
	bool inline_kick;			/* set once */
	struct net_pair *pair[VIRTIO_NET_MAX_PAIRS];	/* set once */
	struct virtio_net_config config;	/* set once; but for the next two */
	atomic_uint_fast64_t mac;		/* any thread; first byte lowest */
	atomic_bool link_up;			/* any thread */
	struct counter nr_rss;			/* pair 0's thread: set up so many times */
	uint64_t features;			/* start to stop: negotiated */
	struct virtio_transport *transport;	/* start to stop */
	unsigned int nr_started;		/* transport's lock: pairs that run */
	unsigned int offloads;			/* control calls: in force */
	struct net_limit starts;		/* transport's lock: those that ask for offloads */
};

static struct virtio_net *to_net(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_net, dev);
}

static uint64_t pack_mac(const uint8_t mac[6])
{
	uint64_t v = 0;

	memcpy(&v, mac, 6);
	return v;
}

static void virtio_net_read_config(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	struct virtio_net *n = to_net(dev);
	struct virtio_net_config c = n->config;
	uint64_t mac = atomic_load(&n->mac);

	memcpy(c.mac, &mac, sizeof(c.mac));
	c.status = htole16(atomic_load(&n->link_up) ? VIRTIO_NET_S_LINK_UP : 0);
	memcpy(buf, (const uint8_t *)&c + off, len);
}

static unsigned int to_offloads(uint64_t guest_features)
{
	static const struct {
		unsigned int feature, offload;
	} map[] = {
		{ VIRTIO_NET_F_GUEST_CSUM, NET_OFFLOAD_CSUM },
		{ VIRTIO_NET_F_GUEST_TSO4, NET_OFFLOAD_TSO4 },
		{ VIRTIO_NET_F_GUEST_TSO6, NET_OFFLOAD_TSO6 },
		{ VIRTIO_NET_F_GUEST_ECN, NET_OFFLOAD_ECN },
		{ NET_F_GUEST_USO4, NET_OFFLOAD_USO4 },
		{ NET_F_GUEST_USO6, NET_OFFLOAD_USO6 },
	};
	unsigned int offloads = 0;

	if (!(guest_features & BIT(VIRTIO_NET_F_GUEST_CSUM)))
		return 0;	/* the others need it: virtio 1.2, 5.1.3.1 */
	for (unsigned int i = 0; i < ARRAY_SIZE(map); i++)
		if (guest_features & BIT(map[i].feature))
			offloads |= map[i].offload;
	return offloads;
}

static int set_backend_offloads(struct virtio_net *n, unsigned int offloads)
{
	int ret = n->be->ops->set_offloads ? n->be->ops->set_offloads(n->be, offloads) : 0;

	if (ret)
		return guest_fail(&n->dev.errors, ret, "set offloads");
	n->offloads = offloads;
	return 0;
}

static int set_offloads(void *ctx, uint64_t guest_features)
{
	return set_backend_offloads(ctx, to_offloads(guest_features));
}

/*
 * A start cannot wait as a command can. Where a driver starts the device too
 * often, frames come with fewer offloads than it takes, which it cannot mind;
 * they change no more then, as they are only taken away.
 */
static int start_offloads(struct virtio_net *n, uint64_t features)
{
	unsigned int offloads = to_offloads(features);

	if (offloads & ~n->offloads) {
		if (net_limit_due(&n->starts)) {
			guest_error(&n->dev.errors, "started too often: not all offloads");
			offloads &= n->offloads;
		} else {
			net_limit_take(&n->starts);
		}
	}
	return set_backend_offloads(n, offloads);
}

static int set_backend_pairs(struct virtio_net *n, unsigned int nr)
{
	int ret = n->be->ops->set_pairs ? n->be->ops->set_pairs(n->be, nr) : 0;

	return ret ? guest_fail(&n->dev.errors, ret, "set the queues in use") : 0;
}

/* r NULL: off. */
static int set_backend_rss(struct virtio_net *n, const struct net_rss *r)
{
	int ret = n->be->has_rss ? n->be->ops->set_rss(n->be, r) : 0;

	return ret ? guest_fail(&n->dev.errors, ret, "steer frames") : 0;
}

/* Pairs leave before and join after the backend does, so none reads a detached queue. */
static int activate_pairs(struct virtio_net *n, unsigned int nr)
{
	int ret;

	for (unsigned int i = nr; i < n->nr_started; i++)
		net_pair_set_active(n->pair[i], false);
	ret = set_backend_pairs(n, nr);
	for (unsigned int i = 0; i < MIN(nr, n->nr_started) && !ret; i++)
		net_pair_set_active(n->pair[i], true);
	return ret;
}

/* Of the two kinds of steering the last that was asked for holds: virtio 1.2, 5.1.6.5.5. */
static int set_pairs(void *ctx, unsigned int nr)
{
	int ret = set_backend_rss(ctx, NULL);

	return ret ? ret : activate_pairs(ctx, nr);
}

static int set_rss(void *ctx, const struct net_rss *r)
{
	struct virtio_net *n = ctx;
	int ret = activate_pairs(n, r->nr_pairs);

	if (!ret)
		ret = set_backend_rss(n, r);
	if (!ret)
		counter_add(&n->nr_rss, 1);
	return ret;
}

static int set_mac(void *ctx, const uint8_t mac[6])
{
	struct virtio_net *n = ctx;

	atomic_store(&n->mac, pack_mac(mac));
	return 0;
}

static int set_coalescing(void *ctx, bool tx, uint32_t packets, uint32_t usecs)
{
	struct virtio_net *n = ctx;

	for (unsigned int i = 0; i < n->nr_started; i++)
		net_pair_coalesce(n->pair[i], tx ? NET_PAIR_TX : NET_PAIR_RX, packets, usecs);
	return 0;
}

static uint8_t virtio_net_control(void *ctx, const uint8_t *cmd, uint32_t len)
{
	static const struct net_ctrl_ops ops = {
		.set_pairs = set_pairs, .set_rss = set_rss, .set_mac = set_mac,
		.set_offloads = set_offloads, .set_coalescing = set_coalescing,
	};
	struct virtio_net *n = ctx;
	struct net_ctrl c = { .ops = &ops, .ctx = n, .features = n->features,
			      .max_pairs = n->nr_pairs };

	return net_ctrl_handle(&c, cmd, len);
}

static bool ask_link(struct virtio_net *n)
{
	return n->be->link_fd < 0 || n->be->ops->link_is_up(n->be);
}

static void virtio_net_link_event(void *ctx, bool down)
{
	struct virtio_net *n = ctx;
	bool up;

	if (!down && n->be->link_fd >= 0 && n->be->ops->link_take_news)
		n->be->ops->link_take_news(n->be);
	up = !down && ask_link(n);
	if (atomic_exchange(&n->link_up, up) == up)
		return;
	log_info("%s: link is %s", n->dev.errors.name, up ? "up" : "down");
	virtio_config_changed(n->transport);
}

static const struct net_pair_ops pair_ops = {
	.control = virtio_net_control,
	.link_event = virtio_net_link_event,
};

static unsigned int nr_pairs_of(const struct virtio_net *n, uint64_t features)
{
	return features & (BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_RSS)) ? n->nr_pairs : 1;
}

static int start_pair(struct virtio_net *n, unsigned int i, const struct virtio_start *s)
{
	unsigned int ctrl = 2 * nr_pairs_of(n, s->features);
	bool has_ctrl = s->features & BIT(VIRTIO_NET_F_CTRL_VQ) && !i;
	struct net_pair_start ps = {
		.rx = &s->queue[2 * i],
		.tx = &s->queue[2 * i + 1],
		.ctrl = has_ctrl ? &s->queue[ctrl] : NULL,
		.transport = s->transport,
		.features = s->features,
		.active = !i,
	};

	s->queue[2 * i + 1].inline_kick = n->inline_kick && ps.tx->vq;
	return net_pair_start(n->pair[i], &ps);
}

static void virtio_net_stop(struct virtio_dev *dev)
{
	struct virtio_net *n = to_net(dev);

	/* Pair 0 goes first: it commands the others. */
	for (unsigned int i = 0; i < n->nr_started; i++)
		net_pair_stop(n->pair[i]);
	n->nr_started = 0;
	set_backend_rss(n, NULL);
	set_backend_pairs(n, 1);
	atomic_store(&n->mac, pack_mac(n->config.mac));
}

/*
 * News of the link that came meanwhile wait in link_fd for pair 0's thread.
 * One pair is in use until the driver asks for more (virtio 1.2, 5.1.6.5.5).
 */
static int virtio_net_start(struct virtio_dev *dev, const struct virtio_start *s)
{
	struct virtio_net *n = to_net(dev);
	unsigned int nr = nr_pairs_of(n, s->features);
	int ret;

	n->features = s->features;
	n->transport = s->transport;
	ret = start_offloads(n, s->features);
	if (!ret)
		ret = set_backend_pairs(n, 1);
	/* Backwards: pair 0, which commands the others, runs when they do. */
	n->nr_started = nr;
	for (unsigned int i = nr; i-- && !ret; )
		ret = start_pair(n, i, s);
	if (ret)
		virtio_net_stop(dev);
	return ret;
}

/* Of a transmit queue, as start_pair() asked for. */
static void virtio_net_kick(struct virtio_dev *dev, unsigned int queue)
{
	net_pair_kick(to_net(dev)->pair[queue / 2]);
}

static void virtio_net_irq_changed(struct virtio_dev *dev)
{
	struct virtio_net *n = to_net(dev);

	for (unsigned int i = 0; i < n->nr_started; i++)
		net_pair_irq_changed(n->pair[i]);
}

static void virtio_net_free(struct virtio_dev *dev)
{
	struct virtio_net *n = to_net(dev);

	for (unsigned int i = 0; i < ARRAY_SIZE(n->pair); i++)
		net_pair_free(n->pair[i]);
	n->be->ops->free(n->be);
	free(n);
}

/* With vhost the queues' own counters count only what the kernel left to us. */
static void virtio_net_stats(struct virtio_dev *dev,
			     void (*emit)(void *ctx, const char *key, uint64_t value), void *ctx)
{
	struct virtio_net *n = to_net(dev);

	emit(ctx, "vhost", n->has_vhost);
	emit(ctx, "link_up", atomic_load(&n->link_up));
	if (n->be->has_rss)
		emit(ctx, "rss", counter_read(&n->nr_rss));
}

static void virtio_net_queue_stats(struct virtio_dev *dev, unsigned int queue,
				   void (*emit)(void *ctx, const char *key, uint64_t value),
				   void *ctx)
{
	struct virtio_net *n = to_net(dev);

	if (queue == 2 * n->nr_pairs)
		net_pair_stats(n->pair[0], NET_PAIR_CTRL, emit, ctx);
	else
		net_pair_stats(n->pair[queue / 2], queue % 2 ? NET_PAIR_TX : NET_PAIR_RX, emit,
			       ctx);
}

static const struct virtio_dev_ops virtio_net_ops = {
	.read_config = virtio_net_read_config,
	.start = virtio_net_start,
	.stop = virtio_net_stop,
	.kick = virtio_net_kick,
	.irq_changed = virtio_net_irq_changed,
	.free = virtio_net_free,
	.stats = virtio_net_stats,
	.queue_stats = virtio_net_queue_stats,
};

static uint64_t offload_features(unsigned int offloads)
{
	uint64_t f = 0;

	if (offloads & NET_OFFLOAD_CSUM)
		f |= BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
		     BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (offloads & NET_OFFLOAD_TSO4)
		f |= BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO4);
	if (offloads & NET_OFFLOAD_TSO6)
		f |= BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_GUEST_TSO6);
	if (offloads & NET_OFFLOAD_ECN)
		f |= BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_ECN);
	if (offloads & NET_OFFLOAD_USO4 && offloads & NET_OFFLOAD_USO6)
		f |= BIT(NET_F_HOST_USO) | BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6);
	return f;
}

static uint64_t offered_features(const struct virtio_net_cfg *cfg, const struct net_backend *be)
{
	uint64_t f = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
		     BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CTRL_VQ) |
		     BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) |
		     BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC);

	if (cfg->pairs > 1)
		f |= BIT(VIRTIO_NET_F_MQ);
	if (cfg->rss)
		f |= BIT(VIRTIO_NET_F_RSS);
	if (cfg->mtu)
		f |= BIT(VIRTIO_NET_F_MTU);
	return f | offload_features(be->offloads);
}

static int choose_mac(uint8_t mac[6], const struct virtio_net_cfg *cfg)
{
	if (cfg->has_mac) {
		memcpy(mac, cfg->mac, 6);
		return 0;
	}
	if (getrandom(mac, 6, 0) != 6)
		return log_errno("random MAC address");
	mac[0] = (uint8_t)((mac[0] & ~1) | 2);	/* unicast, locally administered */
	return 0;
}

static int create_pair(struct virtio_net *n, unsigned int i, const struct virtio_net_cfg *cfg,
		       struct net_vhost *vhost)
{
	struct net_pair_cfg pc = {
		.fd = n->be->fd[i], .link_fd = i ? -1 : n->be->link_fd, .vhost = vhost,
		.max_size = cfg->queue_size, .errors = &n->dev.errors,
		.ops = &pair_ops, .ctx = n, .entry = cfg->entry,
		.inline_kick = n->inline_kick,
	};
	char name[32];
	int ret;

	snprintf(name, sizeof(name), "%.9s-p%u", n->dev.errors.name, i);
	ret = net_pair_create(&n->pair[i], &pc, name);
	if (!ret && cfg->nr_cpus)
		ret = net_pair_pin(n->pair[i], cfg->cpus[i % cfg->nr_cpus]);
	return ret;
}

/* The first pair decides whether there is a vhost-net. Leaves *vhost NULL if we do without. */
static int open_vhost(struct virtio_net *n, unsigned int i, const struct virtio_net_cfg *cfg,
		      struct net_vhost **vhost)
{
	int ret;

	*vhost = NULL;
	if (!virtio_net_may_use_vhost(cfg) || (i && !n->has_vhost))
		return 0;
	ret = n->be->is_tap ? net_vhost_create(vhost, n->be->vhost_fd[i], n->be->fd[i])
			    : -ENOTSUP;
	n->has_vhost = !ret;
	if (!ret || (!i && cfg->vhost == VIRTIO_NET_VHOST_AUTO))
		return 0;
	return log_fail(ret, "%s: /dev/vhost-net: %s (try: modprobe vhost_net)",
			n->dev.errors.name, strerror(-ret));
}

static int create_pairs(struct virtio_net *n, const struct virtio_net_cfg *cfg)
{
	struct net_vhost *vhost;
	int ret = 0;

	for (unsigned int i = 0; i < cfg->pairs && !ret; i++) {
		ret = open_vhost(n, i, cfg, &vhost);
		if (!ret)
			ret = create_pair(n, i, cfg, vhost);
	}
	return ret;
}

static bool cfg_is_valid(const struct virtio_net_cfg *cfg, const struct net_backend *be)
{
	return cfg->pairs && cfg->pairs <= VIRTIO_NET_MAX_PAIRS && cfg->pairs <= be->nr_pairs &&
	       cfg->queue_size >= VIRTIO_NET_MIN_SIZE && cfg->queue_size <= VIRTQ_MAX_SIZE &&
	       !(cfg->queue_size & (cfg->queue_size - 1)) &&
	       (!cfg->rss || (cfg->pairs > 1 && be->has_rss));
}

/* The configuration ends before what only a driver with RSS looks at. */
static void init_config(struct virtio_net *n, const struct virtio_net_cfg *cfg)
{
	n->dev.config_len = cfg->rss ? sizeof(n->config)
				     : offsetof(struct virtio_net_config, speed);
	n->config.max_virtqueue_pairs = htole16(cfg->pairs);
	n->config.mtu = htole16(cfg->mtu);
	if (!cfg->rss)
		return;
	n->config.speed = htole32(UINT32_MAX);	/* not known, and not asked for */
	n->config.duplex = UINT8_MAX;
	n->config.rss_max_key_size = NET_RSS_MAX_KEY;
	n->config.rss_max_indirection_table_length = htole16(NET_RSS_MAX_QUEUES);
	n->config.supported_hash_types = htole32(NET_RSS_HASH_TYPES);
}

static int init(struct virtio_net *n, const struct virtio_net_cfg *cfg, const char *name)
{
	n->dev.ops = &virtio_net_ops;
	n->dev.device_id = VIRTIO_ID_NET;
	n->dev.nr_queues = (uint16_t)(2 * cfg->pairs + 1);
	n->dev.queue_size_max = cfg->queue_size;
	n->dev.features = offered_features(cfg, n->be);
	guest_errors_init(&n->dev.errors, name);
	n->nr_pairs = cfg->pairs;
	n->inline_kick = cfg->inline_kick;
	init_config(n, cfg);
	atomic_store(&n->link_up, ask_link(n));
	return choose_mac(n->config.mac, cfg);
}

int virtio_net_create(struct virtio_dev **out, const struct virtio_net_cfg *cfg,
		      struct net_backend *be, const char *name)
{
	struct virtio_net *n = cfg_is_valid(cfg, be) ? zalloc(1, sizeof(*n)) : NULL;
	int ret;

	if (!n) {
		ret = cfg_is_valid(cfg, be) ? -ENOMEM : -EINVAL;
		be->ops->free(be);
		return ret;
	}
	n->be = be;
	ret = init(n, cfg, name);
	if (!ret)
		ret = create_pairs(n, cfg);
	if (!n->has_vhost)	/* there the kernel interrupts as it likes */
		n->dev.features |= BIT(VIRTIO_NET_F_NOTF_COAL);
	if (ret) {
		virtio_net_free(&n->dev);
		return ret;
	}
	atomic_store(&n->mac, pack_mac(n->config.mac));
	*out = &n->dev;
	return 0;
}
