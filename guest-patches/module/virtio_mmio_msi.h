/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Message signalled interrupts for virtio-mmio devices: what the driver in
 * virtio_mmio.c needs of virtio_mmio_msi.c. A NULL struct vm_msi is a device
 * without MSI, every function takes it.
 */
#ifndef _DRIVERS_VIRTIO_VIRTIO_MMIO_MSI_H
#define _DRIVERS_VIRTIO_VIRTIO_MMIO_MSI_H

#include <linux/errno.h>
#include <linux/types.h>

struct cpumask;
struct irq_affinity;
struct virtio_device;
struct virtqueue;
struct vm_msi;

#ifdef CONFIG_VIRTIO_MMIO_MSI

/* NULL if the device at @base has no MSI or the platform cannot serve it */
struct vm_msi *vm_msi_create(struct virtio_device *vdev, void __iomem *base);
void vm_msi_destroy(struct vm_msi *msi);

/*
 * Call it when all queues are set up. An error means that nothing is left
 * allocated and that the device signals through its interrupt line.
 */
int vm_msi_request_irqs(struct vm_msi *msi, const struct irq_affinity *affd);
void vm_msi_free_irqs(struct vm_msi *msi);
void vm_msi_synchronize_irqs(struct vm_msi *msi);

int vm_msi_set_vq_affinity(struct vm_msi *msi, struct virtqueue *vq,
			   const struct cpumask *mask);
const struct cpumask *vm_msi_get_vq_affinity(const struct vm_msi *msi,
					     unsigned int index);

#else

static inline struct vm_msi *vm_msi_create(struct virtio_device *vdev,
					   void __iomem *base)
{
	return NULL;
}

static inline void vm_msi_destroy(struct vm_msi *msi)
{
}

static inline int vm_msi_request_irqs(struct vm_msi *msi,
				      const struct irq_affinity *affd)
{
	return -EOPNOTSUPP;
}

static inline void vm_msi_free_irqs(struct vm_msi *msi)
{
}

static inline void vm_msi_synchronize_irqs(struct vm_msi *msi)
{
}

static inline int vm_msi_set_vq_affinity(struct vm_msi *msi,
					 struct virtqueue *vq,
					 const struct cpumask *mask)
{
	return 0;
}

static inline const struct cpumask *
vm_msi_get_vq_affinity(const struct vm_msi *msi, unsigned int index)
{
	return NULL;
}

#endif /* CONFIG_VIRTIO_MMIO_MSI */

#endif /* _DRIVERS_VIRTIO_VIRTIO_MMIO_MSI_H */
