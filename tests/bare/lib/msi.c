/* SPDX-License-Identifier: Apache-2.0 */
#include "vdev.h"

uint16_t msi_csr(const struct vdev *d)
{
	return mmio_read16(d->base + VIRTIO_MMIO_MSI_CSR);
}

uint16_t msi_result(const struct vdev *d)
{
	return mmio_read16(d->base + VIRTIO_MMIO_MSI_CMD);
}

void msi_stage(const struct vdev *d, uint32_t lo, uint32_t hi, uint32_t data)
{
	vdev_write(d, VIRTIO_MMIO_MSI_ADDR_LOW, lo);
	vdev_write(d, VIRTIO_MMIO_MSI_ADDR_HIGH, hi);
	vdev_write(d, VIRTIO_MMIO_MSI_DATA, data);
}

uint16_t msi_command(const struct vdev *d, unsigned int code, unsigned int vector)
{
	mmio_write16(d->base + VIRTIO_MMIO_MSI_CMD,
		     (uint16_t)(code << VIRTIO_MMIO_MSI_CMD_CODE_SHIFT | vector));
	return msi_result(d);
}

uint16_t msi_update(const struct vdev *d, unsigned int vector, unsigned int cpu, uint8_t irq)
{
	msi_stage(d, MSI_ADDRESS(cpu), 0, irq);
	return msi_command(d, VIRTIO_MMIO_MSI_CMD_UPDATE, vector);
}

uint16_t msi_mask(const struct vdev *d, unsigned int vector)
{
	return msi_command(d, VIRTIO_MMIO_MSI_CMD_MASK, vector);
}

uint16_t msi_unmask(const struct vdev *d, unsigned int vector)
{
	return msi_command(d, VIRTIO_MMIO_MSI_CMD_UNMASK, vector);
}

uint16_t msi_enable(const struct vdev *d, bool on)
{
	mmio_write16(d->base + VIRTIO_MMIO_MSI_CSR, on ? VIRTIO_MMIO_MSI_CSR_ENABLE : 0);
	return msi_result(d);
}

uint16_t msi_enable_some(const struct vdev *d, unsigned int nr_vectors)
{
	mmio_write16(d->base + VIRTIO_MMIO_MSI_CSR,
		     (uint16_t)(VIRTIO_MMIO_MSI_CSR_ENABLE | nr_vectors));
	return msi_result(d);
}

unsigned int msi_vector_of(const struct vdev *d, unsigned int q)
{
	return q + 1 < d->nr_vectors ? q + 1 : d->nr_vectors - 1;
}
