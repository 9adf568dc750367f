/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kicks. Each queue has two places to write to, its doorbell and the classic
 * register; the VM is asked to signal the queue's eventfd for the one that the
 * driver uses. That costs the host some time (KVM synchronises its I/O bus for
 * each), so it is done when the queue starts, or at the first kick that comes
 * as an exit; once for each place, and never undone. But not for a queue whose
 * device wants to do the work right on the vCPU.
 */
#include <unistd.h>

#include "vmmio_priv.h"

void vmmio_set_kicks(struct vmmio *t, const struct vmmio_kicks *kicks)
{
	t->kicks = kicks;
}

static void bind_place(struct vmmio *t, unsigned int q, enum vmmio_place place)
{
	if (!t->kicks || t->bound[q] & 1u << place)
		return;
	t->bound[q] |= (uint8_t)(1u << place);
	t->kicks->bind(t->kicks->ctx, q, place, t->kick_fd[q]);
}

/* Who has asked where the doorbells are will use them. Drivers ask before they reset the device. */
void vmmio_bind_kicks(struct vmmio *t)
{
	for (unsigned int q = 0; q < t->dev->nr_queues; q++)
		if (t->cfg[q].ready && !t->queue[q].inline_kick)
			bind_place(t, q, t->doorbells_known ? VMMIO_PLACE_DOORBELL :
					 VMMIO_PLACE_NOTIFY);
}

/* Before the device is started a kick waits in the eventfd. */
void vmmio_kick(struct vmmio *t, uint64_t q, enum vmmio_place place)
{
	uint64_t one = 1;
	ssize_t n;

	t->stats.notify_writes++;
	if (q >= t->dev->nr_queues) {
		guest_error(&t->dev->errors, "kick of queue %llu", (unsigned long long)q);
		return;
	}
	if (t->started && t->queue[q].inline_kick) {
		t->dev->ops->kick(t->dev, (unsigned int)q);
		return;
	}
	n = write(t->kick_fd[q], &one, sizeof(one));
	(void)n;
	if (t->started && t->cfg[q].ready)
		bind_place(t, (unsigned int)q, place);
}

void vmmio_drain_kicks(struct vmmio *t)
{
	for (unsigned int q = 0; q < t->dev->nr_queues; q++) {
		uint64_t one = 1;
		ssize_t n;

		/* The eventfds block on reads: make sure that there is something to read. */
		n = write(t->kick_fd[q], &one, sizeof(one));
		n = read(t->kick_fd[q], &one, sizeof(one));
		(void)n;
	}
}
