/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What virtio_mmio.c of Linux 6.12 needs to be built for older kernels, down
 * to 6.1. Included before everything else, so that the source is the same,
 * byte for byte, as the one which the series for 6.12 makes.
 */
#ifndef VIRTIO_MMIO_COMPAT_H
#define VIRTIO_MMIO_COMPAT_H

#include <linux/version.h>

/* The same definition as in virtio_mmio.c, ahead of the headers included here */
#define pr_fmt(fmt) "virtio-mmio: " fmt

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)

#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

struct virtqueue_info {
	const char *name;
	vq_callback_t *callback;
	bool ctx;
};

static int vm_find_vqs_by_info(struct virtio_device *vdev, unsigned int nvqs,
			       struct virtqueue *vqs[],
			       struct virtqueue_info vqs_info[],
			       struct irq_affinity *desc);

/* The operation as it was, with an array for each property of a queue */
static int vm_find_vqs(struct virtio_device *vdev, unsigned int nvqs,
		       struct virtqueue *vqs[], vq_callback_t *callbacks[],
		       const char * const names[], const bool *ctx,
		       struct irq_affinity *desc)
{
	struct virtqueue_info *info;
	unsigned int i;
	int err;

	info = kcalloc(nvqs, sizeof(*info), GFP_KERNEL);
	if (!info)
		return -ENOMEM;

	for (i = 0; i < nvqs; i++) {
		info[i].name = names[i];
		info[i].callback = callbacks[i];
		info[i].ctx = ctx ? ctx[i] : false;
	}

	err = vm_find_vqs_by_info(vdev, nvqs, vqs, info, desc);
	kfree(info);
	return err;
}

/*
 * A macro with parameters leaves the bare name alone: the definition in
 * virtio_mmio.c is renamed, the entry in its table of operations is not.
 */
#define vm_find_vqs(...) vm_find_vqs_by_info(__VA_ARGS__)

#endif /* before 6.11 */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)

/* Not offered to drivers by these kernels, so that it is never negotiated */
#define VIRTIO_F_NOTIFICATION_DATA 38

static inline u32 vring_notification_data(struct virtqueue *vq)
{
	return vq->index;
}

#endif /* before 6.4 */

#endif /* VIRTIO_MMIO_COMPAT_H */
