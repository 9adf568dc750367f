/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the source for Linux 6.12 needs to be built for other kernels, from 6.1
 * on. Included before everything else, so that the source is the same, byte
 * for byte, as the one which the series for 6.12 makes.
 */
#ifndef VIRTIO_MMIO_COMPAT_H
#define VIRTIO_MMIO_COMPAT_H

#include <linux/version.h>

/* The same definition as in virtio_mmio.c, ahead of the headers included here */
#define pr_fmt(fmt) "virtio-mmio: " fmt

#ifdef VIRTIO_MMIO_CORE		/* virtio_mmio.c, not its companion */

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

#endif /* VIRTIO_MMIO_CORE */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)

#include <linux/group_cpus.h>
#include <linux/slab.h>

static inline void vm_group_cpus(struct cpumask *groups, unsigned int nr,
				 const struct cpumask *cpus)
{
	unsigned int nr_cpus = cpumask_weight(cpus);
	unsigned int cpu, i = 0;

	for_each_cpu(cpu, cpus)
		cpumask_set_cpu(cpu, &groups[i++ * nr / nr_cpus]);
}

/*
 * Not exported by these kernels, if they have it. Those present first, in
 * blocks of neighbours, then those that may come later. Not by nodes.
 */
static inline struct cpumask *vm_group_cpus_evenly(unsigned int nr)
{
	struct cpumask *groups = kcalloc(nr, sizeof(*groups), GFP_KERNEL);
	struct cpumask *cpus = kmalloc(sizeof(*cpus), GFP_KERNEL);

	if (groups && cpus) {
		cpumask_copy(cpus, cpu_present_mask);
		vm_group_cpus(groups, nr, cpus);
		cpumask_andnot(cpus, cpu_possible_mask, cpus);
		vm_group_cpus(groups, nr, cpus);
	} else {
		kfree(groups);
		groups = NULL;
	}
	kfree(cpus);
	return groups;
}

#define group_cpus_evenly(nr) vm_group_cpus_evenly(nr)

#endif /* before 6.4 */

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)

#define remove_new remove

#endif /* since 6.13 */

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)

/* What it said is the default now, see IRQCHIP_MOVE_DEFERRED */
#define IRQ_MOVE_PCNTXT 0

#endif /* since 6.14 */

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)

#define irq_get_default_host() irq_get_default_domain()

#endif /* since 6.16 */

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)

#include <linux/group_cpus.h>

/* The number of groups came with a parameter of its own */
static inline struct cpumask *vm_group_cpus_evenly(unsigned int nr)
{
	unsigned int nr_made;

	return group_cpus_evenly(nr, &nr_made);
}

#define group_cpus_evenly(nr) vm_group_cpus_evenly(nr)

#endif /* since 6.17 */

#endif /* VIRTIO_MMIO_COMPAT_H */
