/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread waits in epoll. Doorbells are edge-triggered there, so that their
 * eventfds need not be read; the backend is level-triggered and left out while
 * the driver has given no buffers or the pair is not in use, so that a frame
 * nobody can take does not wake us up again and again.
 *
 * A lone frame costs two system calls when it is sent (wait, write; the
 * interrupt mostly not, see net_hold.h) and three when it comes (wait, read,
 * interrupt). Each direction gets BUDGET frames before the other one is looked
 * at.
 *
 * With inline kicks a vCPU sends its frames itself. The thread is left what is
 * more than a BUDGET of them, and interrupts that wait for their time; lone
 * frames have their interrupt at once, as nobody is awake to wait for the answer.
 */
#include "net_pair.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "net_ctrlq.h"
#include "net_hold.h"
#include "net_rx.h"
#include "net_tx.h"
#include "net_vhost.h"
#include "util.h"
#include "worker.h"
#include "zalloc.h"

#define BUDGET 64u

enum event { EVENT_RX_KICK = 1, EVENT_TX_KICK = 2, EVENT_CTRL_KICK = 4, EVENT_FD = 8,
	     EVENT_LINK = 16, EVENT_RX_CALL = 32, EVENT_TX_CALL = 64, EVENT_VHOST_ERROR = 128 };
#define NR_EVENTS 8

struct net_pair {
	struct net_pair_cfg cfg;		/* set once */
	struct worker *worker;			/* set once */
	int epoll_fd;				/* set once */
	struct net_rx *rx;			/* set once; the worker's from start to stop */
	struct net_tx *tx;			/* the same; with inline kicks under tx_lock */
	pthread_mutex_t tx_lock;		/* taken with inline kicks only */
	struct net_ctrlq *ctrl;			/* set once; the worker's from start to stop */
	struct net_vhost *vhost;		/* set once; NULL: none */
	bool in_kernel;				/* start to stop: vhost has both queues */
	const struct virtio_queue *queue[3];	/* start to stop; by enum net_pair_queue */
	struct net_hold hold;			/* worker: interrupt of the transmit queue */
	bool listening;				/* worker: the backend is in the epoll set */
	bool starved;				/* worker: no receive buffers */
	uint64_t ctrl_due;			/* worker: commands wait until then; 0: none */
	atomic_bool lost;			/* any thread: the backend's descriptor is dead */
	atomic_bool active;			/* any thread */
};

static struct net_queue *rx_queue(const struct net_pair *p)
{
	return net_rx_queue(p->rx);
}

static struct net_queue *tx_queue(const struct net_pair *p)
{
	return net_tx_queue(p->tx);
}

static struct net_queue *ctrl_queue(const struct net_pair *p)
{
	return net_ctrlq_queue(p->ctrl);
}

static void lock_tx(struct net_pair *p)
{
	if (p->cfg.inline_kick)
		pthread_mutex_lock(&p->tx_lock);
}

static void unlock_tx(struct net_pair *p)
{
	if (p->cfg.inline_kick)
		pthread_mutex_unlock(&p->tx_lock);
}

static int watch(struct net_pair *p, int op, int fd, uint32_t events, enum event event)
{
	struct epoll_event e = { .events = events, .data.u32 = event };

	if (epoll_ctl(p->epoll_fd, op, fd, &e))
		return guest_fail(p->cfg.errors, -errno, "epoll_ctl");
	return 0;
}

/* Asks for doorbells. true: something came meanwhile. */
static bool enable_kick(struct net_queue *q)
{
	return !q->broken && virtq_enable_kick(q->vq);
}

static void link_lost(struct net_pair *p)
{
	if (!atomic_load(&p->active) || atomic_exchange(&p->lost, true))
		return;
	p->cfg.ops->link_event(p->cfg.ctx, true);
}

/* Each of the three returns whether it wants to be called again at once. */

static bool run_rx(struct net_pair *p)
{
	uint64_t before = counter_read(&rx_queue(p)->stats.frames);
	enum net_more more;

	if (p->lost || !atomic_load(&p->active) || !rx_queue(p)->vq || rx_queue(p)->broken)
		return false;
	if (p->starved)
		virtq_disable_kick(rx_queue(p)->vq);
	p->starved = false;
	more = net_rx_run(p->rx, BUDGET);
	if (counter_read(&rx_queue(p)->stats.frames) != before)
		net_hold_answered(&p->hold);
	switch (more) {
	case NET_MORE:
		return true;
	case NET_NO_BUFFERS:
		p->starved = !enable_kick(rx_queue(p));
		return !p->starved;
	case NET_LINK_LOST:
		link_lost(p);
		return false;
	default:
		return false;
	}
}

/* Asks the driver again about the interrupt that waits. */
static void end_hold(struct net_pair *p, bool expired)
{
	if (net_hold_is_on(&p->hold))
		net_hold_end(&p->hold, net_queue_publish(tx_queue(p)), expired);
}

/* The interrupt for a lone frame may wait: net_hold.h. */
static void publish_sent(struct net_pair *p, unsigned int nr)
{
	struct net_queue *q = tx_queue(p);
	bool event_idx = q->features >> VIRTIO_RING_F_EVENT_IDX & 1;

	if (atomic_load(&q->coal.setting) || nr != 1 || !event_idx ||
	    !virtq_publish_open(q->vq) || !net_hold_begin(&p->hold))
		net_queue_publish_soon(q, nr);
}

/* The caller has the lock. */
static bool run_tx_locked(struct net_pair *p)
{
	enum net_more more;
	unsigned int nr;

	virtq_disable_kick(tx_queue(p)->vq);
	end_hold(p, false);
	net_hold_sent(&p->hold);
	more = net_tx_run(p->tx, BUDGET, &nr);
	publish_sent(p, nr);
	if (more == NET_LINK_LOST)
		link_lost(p);
	return more != NET_IDLE || enable_kick(tx_queue(p));
}

static bool run_tx(struct net_pair *p)
{
	bool again;

	if (!tx_queue(p)->vq)
		return false;
	lock_tx(p);
	again = run_tx_locked(p);
	unlock_tx(p);
	return again;
}

void net_pair_kick(struct net_pair *p)
{
	uint64_t due;
	bool wake;

	lock_tx(p);
	due = net_queue_due(tx_queue(p));
	wake = run_tx_locked(p) || (!due && net_queue_due(tx_queue(p)));
	unlock_tx(p);
	if (wake)
		eventfd_write(p->queue[NET_PAIR_TX]->kick_fd, 1);
}

static bool run_ctrl(struct net_pair *p)
{
	if (!ctrl_queue(p)->vq)
		return false;
	virtq_disable_kick(ctrl_queue(p)->vq);
	net_ctrlq_run(p->ctrl, BUDGET);
	p->ctrl_due = net_ctrlq_due(p->ctrl);
	return !p->ctrl_due && enable_kick(ctrl_queue(p));
}

static void run_link(struct net_pair *p)
{
	p->lost = false;
	p->cfg.ops->link_event(p->cfg.ctx, false);
}

/* The kernel used buffers while its signals did not go to the interrupt itself. */
static void relay_irq(struct net_queue *q)
{
	counter_add(&q->stats.interrupts, 1);
	virtio_irq_raise(q->irq);
}

static void run_vhost(struct net_pair *p, unsigned int events)
{
	if (events & EVENT_RX_CALL)
		relay_irq(rx_queue(p));
	if (events & EVENT_TX_CALL)
		relay_irq(tx_queue(p));
	if (events & EVENT_VHOST_ERROR)
		net_queue_break(rx_queue(p), "the driver broke a ring, says vhost-net");
}

/* Does what the events ask for. Returns those that want to be seen again. */
static unsigned int run_events(struct net_pair *p, unsigned int events)
{
	unsigned int again = 0;

	if (events & EVENT_LINK)
		run_link(p);
	run_vhost(p, events);
	if (events & EVENT_CTRL_KICK && run_ctrl(p))
		again |= EVENT_CTRL_KICK;
	if (events & EVENT_TX_KICK && run_tx(p))
		again |= EVENT_TX_KICK;
	if (events & EVENT_FD || (events & EVENT_RX_KICK && p->starved))
		again |= run_rx(p) ? EVENT_FD : 0;
	return again;
}

/* Listens to the backend exactly while a frame from it could be taken; if it cannot, it says so. */
static void update_listening(struct net_pair *p)
{
	bool want = !p->lost && !p->starved && atomic_load(&p->active) && rx_queue(p)->vq &&
		    !rx_queue(p)->broken;

	if (want == p->listening)
		return;
	if (watch(p, want ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, p->cfg.fd, EPOLLIN, EVENT_FD)) {
		rx_queue(p)->broken = true;
		virtio_needs_reset(rx_queue(p)->transport);
	} else {
		p->listening = want;
	}
}

static void count_kicks(struct net_pair *p, unsigned int events)
{
	if (events & EVENT_RX_KICK)
		counter_add(&rx_queue(p)->stats.kicks, 1);
	if (events & EVENT_TX_KICK)
		counter_add(&tx_queue(p)->stats.kicks, 1);
	if (events & EVENT_CTRL_KICK)
		counter_add(&ctrl_queue(p)->stats.kicks, 1);
}

/* The earlier of two times; 0 is none. */
static uint64_t first_due(uint64_t a, uint64_t b)
{
	return a && b ? MIN(a, b) : a | b;
}

/* How long an interrupt or a command has left that has to wait; UINT64_MAX: there is none. */
static uint64_t waiting_ns(struct net_pair *p)
{
	uint64_t irq = first_due(net_queue_due(rx_queue(p)), net_queue_due(tx_queue(p)));
	uint64_t due = first_due(irq, p->ctrl_due), now;

	if (!due)
		return UINT64_MAX;
	now = clock_now_ns();
	return due > now ? due - now : 0;
}

static bool is_due(const struct net_queue *q, uint64_t now)
{
	return net_queue_due(q) && net_queue_due(q) <= now;
}

static void publish_due(struct net_pair *p, uint64_t now)
{
	if (is_due(rx_queue(p), now))
		net_queue_publish(rx_queue(p));
	lock_tx(p);
	if (is_due(tx_queue(p), now))
		net_queue_publish(tx_queue(p));
	unlock_tx(p);
}

/* Until something comes, or an interrupt that waits has waited long enough. */
static int wait_limited(struct net_pair *p, struct epoll_event *e, uint64_t ns)
{
	uint64_t held = net_hold_is_on(&p->hold) ? 1000ull * net_hold_wait_us(&p->hold)
						 : UINT64_MAX;
	uint64_t least = MIN(ns, held);
	struct timespec limit = { .tv_sec = (time_t)(least / 1000000000u),
				  .tv_nsec = (long)(least % 1000000000u) };
	int n = epoll_pwait2(p->epoll_fd, e, NR_EVENTS, &limit, NULL);
	bool failed = n < 0 && errno != EINTR;

	if (n < 0 && errno == ENOSYS)
		net_hold_forbid(&p->hold);	/* before Linux 5.11 */
	if (failed || (!n && held <= ns))
		end_hold(p, true);
	if (failed)
		publish_due(p, UINT64_MAX);
	return n;
}

static unsigned int wait_events(struct net_pair *p, bool block)
{
	struct epoll_event e[NR_EVENTS];
	unsigned int events = 0;
	uint64_t ns = waiting_ns(p);
	int n;

	do
		if (block && (ns != UINT64_MAX || net_hold_is_on(&p->hold)))
			n = wait_limited(p, e, ns);
		else
			n = epoll_wait(p->epoll_fd, e, NR_EVENTS, block ? -1 : 0);
	while (n < 0 && errno == EINTR);
	if (ns != UINT64_MAX)
		publish_due(p, clock_now_ns());
	if (!net_hold_goes_on(&p->hold))
		end_hold(p, true);
	for (int i = 0; i < n; i++)
		events |= e[i].data.u32;
	count_kicks(p, events);
	return p->ctrl_due && p->ctrl_due <= clock_now_ns() ? events | EVENT_CTRL_KICK : events;
}

/* What the driver had sent before the stop goes out, no more than a ring of it. */
static void send_rest(struct net_pair *p)
{
	unsigned int nr;

	if (net_queue_due(rx_queue(p)))
		net_queue_publish(rx_queue(p));
	if (!tx_queue(p)->vq)
		return;
	lock_tx(p);
	net_tx_run(p->tx, virtq_size(tx_queue(p)->vq), &nr);
	net_queue_publish(tx_queue(p));
	unlock_tx(p);
}

static void pair_main(void *arg)
{
	struct net_pair *p = arg;
	unsigned int events = EVENT_TX_KICK | EVENT_CTRL_KICK | EVENT_FD;

	if (rx_queue(p)->vq)
		virtq_disable_kick(rx_queue(p)->vq);
	while (!worker_stopping(p->worker)) {
		events = run_events(p, events);
		update_listening(p);
		events |= wait_events(p, !events);
	}
	send_rest(p);
}

/* The events of vhost stay in the set: nothing comes while it is not started. */
static int watch_vhost(struct net_pair *p)
{
	const struct net_vhost *v = p->vhost;
	int ret = watch(p, EPOLL_CTL_ADD, net_vhost_relay_fd(v, NET_VHOST_RX),
			EPOLLIN | EPOLLET, EVENT_RX_CALL);

	if (!ret)
		ret = watch(p, EPOLL_CTL_ADD, net_vhost_relay_fd(v, NET_VHOST_TX),
			    EPOLLIN | EPOLLET, EVENT_TX_CALL);
	if (!ret)
		ret = watch(p, EPOLL_CTL_ADD, net_vhost_error_fd(v), EPOLLIN | EPOLLET,
			    EVENT_VHOST_ERROR);
	return ret;
}

int net_pair_create(struct net_pair **out, const struct net_pair_cfg *cfg, const char *name)
{
	struct net_pair *p = zalloc(1, sizeof(*p));
	int ret = -ENOMEM;

	if (!p) {
		net_vhost_free(cfg->vhost);
		return ret;
	}
	p->cfg = *cfg;
	p->vhost = cfg->vhost;
	pthread_mutex_init(&p->tx_lock, NULL);
	p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll_fd < 0) {
		ret = log_errno("%s: epoll", cfg->errors->name);
		goto fail;
	}
	ret = net_ctrlq_create(&p->ctrl, cfg->errors, cfg->max_size, cfg->ops->control, cfg->ctx);
	if (!ret)
		ret = net_rx_create(&p->rx, cfg->fd, cfg->errors, cfg->max_size);
	if (!ret)
		ret = net_tx_create(&p->tx, cfg->fd, cfg->errors, cfg->max_size);
	if (!ret && cfg->link_fd >= 0)
		ret = watch(p, EPOLL_CTL_ADD, cfg->link_fd, EPOLLIN, EVENT_LINK);
	if (!ret && p->vhost)
		ret = watch_vhost(p);
	if (!ret)
		ret = worker_create(&p->worker, name, cfg->entry);
	if (ret)
		goto fail;
	*out = p;
	return 0;
fail:
	net_pair_free(p);
	return ret;
}

void net_pair_free(struct net_pair *p)
{
	if (!p)
		return;
	worker_free(p->worker);
	net_vhost_free(p->vhost);
	net_rx_free(p->rx);
	net_tx_free(p->tx);
	net_ctrlq_free(p->ctrl);
	if (p->epoll_fd >= 0)
		close(p->epoll_fd);
	pthread_mutex_destroy(&p->tx_lock);
	free(p);
}

int net_pair_pin(struct net_pair *p, int cpu)
{
	return worker_pin(p->worker, cpu);
}

/* Takes a queue for our own use, or only its interrupt if the kernel runs it. */
static int take_queue(struct net_pair *p, struct net_queue *q, enum net_pair_queue which,
		      const struct virtio_queue *from, const struct net_pair_start *s)
{
	static const enum event kick[] = { EVENT_RX_KICK, EVENT_TX_KICK, EVENT_CTRL_KICK };

	q->broken = false;
	net_queue_coalesce(q, 0, 0);
	atomic_init(&q->coal.nr, 0);
	atomic_init(&q->coal.since_ns, 0);
	q->features = s->features;
	q->transport = s->transport;
	if (!from || !from->vq)
		return 0;
	q->irq = from->irq;
	if (p->in_kernel && which != NET_PAIR_CTRL)
		return 0;
	q->vq = from->vq;
	p->queue[which] = from;
	return watch(p, EPOLL_CTL_ADD, from->kick_fd, EPOLLIN | EPOLLET, kick[which]);
}

/* Something that wakes the thread up. -1: the pair has no queue. */
static int wake_fd(const struct net_pair *p)
{
	if (p->in_kernel)
		return net_vhost_relay_fd(p->vhost, NET_VHOST_RX);
	for (unsigned int i = 0; i < ARRAY_SIZE(p->queue); i++)
		if (p->queue[i])
			return p->queue[i]->kick_fd;
	return -1;
}

static int start_vhost(struct net_pair *p, const struct net_pair_start *s)
{
	int ret = net_vhost_start(p->vhost, s->rx, s->tx, s->features);

	if (!ret) {
		net_pair_irq_changed(p);
		ret = net_vhost_run(p->vhost, s->active);
	}
	return ret ? guest_fail(p->cfg.errors, ret, "start vhost-net") : 0;
}

static int take_queues(struct net_pair *p, const struct net_pair_start *s)
{
	int ret = take_queue(p, rx_queue(p), NET_PAIR_RX, s->rx, s);

	if (!ret)
		ret = take_queue(p, tx_queue(p), NET_PAIR_TX, s->tx, s);
	if (!ret)
		ret = take_queue(p, ctrl_queue(p), NET_PAIR_CTRL, s->ctrl, s);
	if (!ret && p->in_kernel)
		ret = start_vhost(p, s);
	return ret;
}

int net_pair_start(struct net_pair *p, const struct net_pair_start *s)
{
	int ret;

	p->in_kernel = p->vhost && s->rx->vq && s->tx->vq;
	ret = take_queues(p, s);
	if (ret || wake_fd(p) < 0)
		return ret;
	net_rx_reset(p->rx);
	net_hold_init(&p->hold);
	if (p->cfg.inline_kick)
		net_hold_forbid(&p->hold);
	p->listening = p->starved = false;
	p->ctrl_due = 0;
	atomic_store(&p->lost, false);
	atomic_store(&p->active, s->active);
	worker_start(p->worker, pair_main, p, wake_fd(p));
	return 0;
}

static void unwatch(struct net_pair *p, int fd)
{
	epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* The thread first: it may be at a command that gives vhost the tap (net_pair_set_active()). */
void net_pair_stop(struct net_pair *p)
{
	worker_stop(p->worker);
	if (p->in_kernel)
		net_vhost_stop(p->vhost);
	p->in_kernel = false;
	for (unsigned int i = 0; i < ARRAY_SIZE(p->queue); i++) {
		if (p->queue[i])
			unwatch(p, p->queue[i]->kick_fd);
		p->queue[i] = NULL;
	}
	if (p->listening)
		unwatch(p, p->cfg.fd);
	p->listening = false;
	rx_queue(p)->vq = tx_queue(p)->vq = ctrl_queue(p)->vq = NULL;
}

void net_pair_set_active(struct net_pair *p, bool active)
{
	int fd = wake_fd(p), ret;

	atomic_store(&p->active, active);
	ret = p->in_kernel ? net_vhost_run(p->vhost, active) : 0;
	if (ret)
		guest_fail(p->cfg.errors, ret, "vhost-net: set the tap");
	if (!p->in_kernel && fd >= 0)
		eventfd_write(fd, 1);
}

void net_pair_coalesce(struct net_pair *p, enum net_pair_queue which, uint32_t packets,
		       uint32_t usecs)
{
	net_queue_coalesce(which == NET_PAIR_RX ? rx_queue(p) : tx_queue(p), packets, usecs);
	if (p->queue[which])
		eventfd_write(p->queue[which]->kick_fd, 1);	/* what waits may be due now */
}

void net_pair_irq_changed(struct net_pair *p)
{
	if (!p->in_kernel)
		return;
	net_vhost_set_call(p->vhost, NET_VHOST_RX, virtio_irq_direct_fd(rx_queue(p)->irq));
	net_vhost_set_call(p->vhost, NET_VHOST_TX, virtio_irq_direct_fd(tx_queue(p)->irq));
}

void net_pair_stats(const struct net_pair *p, enum net_pair_queue which,
		    void (*emit)(void *ctx, const char *key, uint64_t value), void *ctx)
{
	const struct net_queue *q = which == NET_PAIR_RX ? rx_queue(p) :
				    which == NET_PAIR_TX ? tx_queue(p) : ctrl_queue(p);

	emit(ctx, which == NET_PAIR_CTRL ? "commands" : "frames", counter_read(&q->stats.frames));
	emit(ctx, "bytes", counter_read(&q->stats.bytes));
	emit(ctx, "dropped", counter_read(&q->stats.dropped));
	emit(ctx, "kicks", counter_read(&q->stats.kicks));
	emit(ctx, "interrupts", counter_read(&q->stats.interrupts));
}
