/* SPDX-License-Identifier: Apache-2.0 */
#include "net_queue.h"

#include <errno.h>

#include "clock.h"

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

static void set_due(struct net_queue *q, uint64_t ns)
{
	atomic_store_explicit(&q->coal.due_ns, ns, memory_order_relaxed);
}

bool net_queue_publish(struct net_queue *q)
{
	q->coal.nr = 0;
	set_due(q, 0);
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

	q->coal.nr += nr;
	if (!usecs || (packets && q->coal.nr >= packets) || !virtq_publish_open(q->vq))
		net_queue_publish(q);
	else if (!net_queue_due(q))
		set_due(q, clock_now_ns() + usecs * 1000ull);
}
