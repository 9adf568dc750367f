/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz_fake_transport.h"

int virtio_irq_begin(struct virtio_irq *irq)
{
	irq->nr_raised++;
	return -1;
}

int virtio_irq_direct_fd(struct virtio_irq *irq)
{
	(void)irq;
	return -1;
}

void virtio_irq_raise(struct virtio_irq *irq)
{
	irq->nr_raised++;
}

void virtio_needs_reset(struct virtio_transport *t)
{
	t->nr_resets++;
}

void virtio_config_changed(struct virtio_transport *t)
{
	t->nr_config_changes++;
}
