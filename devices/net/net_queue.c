/* SPDX-License-Identifier: Apache-2.0 */
#include "net_queue.h"

#include <errno.h>

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

bool net_queue_publish(struct net_queue *q)
{
	if (!virtq_publish(q->vq))
		return false;
	counter_add(&q->stats.interrupts, 1);
	virtio_irq_raise(q->irq);
	return true;
}
