/* SPDX-License-Identifier: Apache-2.0 */
#include "net_queue.h"

#include <errno.h>

#include "clock.h"

/*
 * Packets are counted, but entries are what the driver waits for, and these are
 * numbered in 16 bits: an interrupt waits for no more than this, so that with
 * what one turn adds (a whole ring, at most 32,768) the number cannot come round.
 */
#define MAX_UNSETTLED 16384u

void net_queue_break(struct net_queue *q, const char *why)
{
	q->broken = true;
	guest_error(q->errors, "%s", why);
	virtio_needs_reset(q->transport);
}

bool net_queue_pop(struct net_queue *q, struct virtq_chain *c, struct iovec *iov, int max_iov)
{
	int ret = q->broken ? -EAGAIN : virtq_pop(q->vq, c, iov, max_iov);

	if (ret == -EPROTO)
		net_queue_break(q, "the driver broke the ring of a queue");
	return !ret;
}

/* A setting that changes counts for what waits already. */
uint64_t net_queue_due(const struct net_queue *q)
{
	uint64_t since = atomic_load_explicit(&q->coal.since_ns, memory_order_relaxed);
	uint64_t setting = since ? atomic_load(&q->coal.setting) : 0;
	uint32_t packets = (uint32_t)setting;

	if (packets && atomic_load_explicit(&q->coal.nr, memory_order_relaxed) >= packets)
		return since;
	return since ? since + (setting >> 32) * 1000 : 0;
}

static void set_waiting(struct net_queue *q, uint32_t nr, uint64_t since)
{
	atomic_store_explicit(&q->coal.nr, nr, memory_order_relaxed);
	atomic_store_explicit(&q->coal.since_ns, since, memory_order_relaxed);
}

bool net_queue_publish(struct net_queue *q)
{
	set_waiting(q, 0, 0);
	if (!virtq_publish(q->vq))
		return false;
	counter_add(&q->stats.interrupts, 1);
	virtio_irq_raise(q->irq);
	return true;
}

void net_queue_coalesce(struct net_queue *q, uint32_t packets, uint32_t usecs)
{
	atomic_store(&q->coal.setting, (uint64_t)usecs << 32 | packets);
}

void net_queue_publish_soon(struct net_queue *q, uint32_t nr)
{
	uint64_t setting = atomic_load(&q->coal.setting);
	uint32_t packets = (uint32_t)setting, usecs = (uint32_t)(setting >> 32);
	uint64_t since = atomic_load_explicit(&q->coal.since_ns, memory_order_relaxed);

	nr += atomic_load_explicit(&q->coal.nr, memory_order_relaxed);
	if (!usecs || (packets && nr >= packets) ||
	    virtq_nr_unsettled(q->vq) >= MAX_UNSETTLED || !virtq_publish_open(q->vq))
		net_queue_publish(q);
	else
		set_waiting(q, nr, since ? since : clock_now_ns());
}
