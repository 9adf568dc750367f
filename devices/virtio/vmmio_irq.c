/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that go from a device to its driver. They come from queue threads
 * while a vCPU may hold the transport's lock and wait for just these threads
 * to stop, so they wait for no lock.
 */
#include <linux/virtio_mmio.h>
#include <unistd.h>

#include "vmmio_priv.h"

/* Line mode: status first, then the signal; one signal until the driver acknowledges. */
static int line_begin(struct vmmio *t, unsigned int bit)
{
	unsigned int old = atomic_fetch_or(&t->tp.isr, bit);

	return old & bit ? -1 : t->sink->line_fd;
}

static int irq_begin(struct virtio_irq *irq, unsigned int isr_bit)
{
	struct vmmio *t = irq->t;
	int fd;

	fd = t->msi.enabled ? vmmio_msi_begin(&t->msi, irq->vector) : line_begin(t, isr_bit);
	atomic_fetch_add_explicit(fd < 0 ? &irq->suppressed : &irq->signals, 1,
				  memory_order_relaxed);
	return fd;
}

static void irq_raise(struct virtio_irq *irq, unsigned int isr_bit)
{
	int fd = irq_begin(irq, isr_bit);
	uint64_t one = 1;
	ssize_t n;

	if (fd >= 0) {
		n = write(fd, &one, sizeof(one));
		(void)n;	/* EAGAIN: it is signalled already */
	}
}

int virtio_irq_begin(struct virtio_irq *irq)
{
	return irq_begin(irq, VIRTIO_MMIO_INT_VRING);
}

void vmmio_irqs_changed(struct vmmio *t)
{
	atomic_store(&t->irqs_opened, false);
	if (t->started && t->dev->ops->irq_changed)
		t->dev->ops->irq_changed(t->dev);
}

/*
 * That vectors are open again is no more than a chance to signal without us,
 * and it is noticed by the main thread, which may call no device: the thread
 * that raises the next interrupt does.
 */
void vmmio_irqs_opened(struct vmmio *t)
{
	if (t->dev->ops->irq_changed)
		atomic_store(&t->irqs_opened, true);
}

static void tell_of_opened(struct vmmio *t)
{
	if (!atomic_load_explicit(&t->irqs_opened, memory_order_relaxed) ||
	    pthread_mutex_trylock(&t->lock))
		return;			/* else at the next one */
	vmmio_irqs_changed(t);
	pthread_mutex_unlock(&t->lock);
}

void virtio_irq_raise(struct virtio_irq *irq)
{
	irq_raise(irq, VIRTIO_MMIO_INT_VRING);
	tell_of_opened(irq->t);
}

int virtio_irq_direct_fd(struct virtio_irq *irq)
{
	struct vmmio_msi *m = &irq->t->msi;

	return m->enabled && vmmio_msi_is_open(m, irq->vector) ?
	       m->sink->vector_fd[irq->vector] : -1;
}

void virtio_needs_reset(struct virtio_transport *tp)
{
	if (!atomic_exchange(&tp->needs_reset, true))
		irq_raise(&tp->config_irq, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_config_changed(struct virtio_transport *tp)
{
	atomic_fetch_add(&tp->generation, 1);
	irq_raise(&tp->config_irq, VIRTIO_MMIO_INT_CONFIG);
}
