// SPDX-License-Identifier: GPL-2.0-only
/*
 * Message signalled interrupts for virtio-mmio devices
 *
 * Every device gets an interrupt domain of its own on top of the domain that
 * hands out the CPUs' vectors, so nothing in the architecture has to know of
 * virtio-mmio. An interrupt of that domain serves one vector of the device,
 * or several, which carry the same message then.
 *
 * The ladder when vectors run out: one interrupt per queue and one for the
 * configuration; one for all queues and one for the configuration; the line.
 * The device is told all messages before it is told to use them.
 */

#include <linux/cpumask.h>
#include <linux/device.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/msi.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <uapi/linux/virtio_mmio.h>
#include <uapi/linux/virtio_mmio_msi.h>

#include <asm/hw_irq.h>

#include "virtio_mmio_msi.h"

enum vm_msi_rung {
	VM_MSI_NONE,		/* nothing said about this device yet */
	VM_MSI_PER_QUEUE,
	VM_MSI_SHARED,
	VM_MSI_LINE,
};

struct vm_msi_irq {
	struct vm_msi *msi;
	struct virtqueue *vq;	/* NULL: configuration, or all queues */
	unsigned int virq;	/* 0: none, for a queue without a callback */
	unsigned int first;	/* vectors of the device, */
	unsigned int last;	/* this one included */
	bool managed;		/* mask was given at allocation, for good */
	cpumask_var_t mask;	/* of a managed interrupt, or the hint */
	char *name;		/* NULL: not requested */
	struct msi_msg msg;	/* what the device was told last */
	bool told;
};

struct vm_msi {
	struct virtio_device *vdev;
	void __iomem *base;
	struct fwnode_handle *fwnode;
	struct irq_domain *domain;
	raw_spinlock_t lock;	/* staged message, command, its result, err */
	int err;		/* first refusal since the start */
	unsigned int nr_vectors; /* 0: the device does not tell */
	unsigned int nr_irqs;	/* entries of irqs, by number in the domain */
	struct vm_msi_irq *irqs; /* NULL: MSI is off */
	enum vm_msi_rung rung;	/* in use */
	enum vm_msi_rung logged;
};

/* Registers. The lock is held, as the staged message belongs to a command. */

static int vm_msi_result(struct vm_msi *msi)
{
	/* A device that does not tell its vectors has no results either */
	if (!msi->nr_vectors)
		return 0;

	switch (readw(msi->base + VIRTIO_MMIO_MSI_CMD)) {
	case VIRTIO_MMIO_MSI_DONE:
		return 0;
	case VIRTIO_MMIO_MSI_E_VECTOR:
		return -ENXIO;
	case VIRTIO_MMIO_MSI_E_MESSAGE:
		return -EINVAL;
	case VIRTIO_MMIO_MSI_E_NOSPC:
		return -ENOSPC;
	default:
		return -EIO;
	}
}

static void vm_msi_command(struct vm_msi *msi, u16 code, unsigned int vector)
{
	writew(code << VIRTIO_MMIO_MSI_CMD_CODE_SHIFT | vector,
	       msi->base + VIRTIO_MMIO_MSI_CMD);
}

static int vm_msi_update(struct vm_msi_irq *irq, const struct msi_msg *msg)
{
	struct vm_msi *msi = irq->msi;
	unsigned int vector;
	int err = 0;

	writel(msg->address_lo, msi->base + VIRTIO_MMIO_MSI_ADDR_LOW);
	writel(msg->address_hi, msi->base + VIRTIO_MMIO_MSI_ADDR_HIGH);
	writel(msg->data, msi->base + VIRTIO_MMIO_MSI_DATA);

	for (vector = irq->first; vector <= irq->last && !err; vector++) {
		vm_msi_command(msi, VIRTIO_MMIO_MSI_CMD_UPDATE, vector);
		err = vm_msi_result(msi);
	}
	return err;
}

static int vm_msi_enable(struct vm_msi *msi)
{
	u16 csr = VIRTIO_MMIO_MSI_CSR_ENABLE;
	unsigned long flags;
	int err;

	if (msi->nr_vectors)
		csr |= msi->nr_irqs;

	raw_spin_lock_irqsave(&msi->lock, flags);
	writew(csr, msi->base + VIRTIO_MMIO_MSI_CSR);
	err = vm_msi_result(msi);
	raw_spin_unlock_irqrestore(&msi->lock, flags);

	return err;
}

/* Interrupt chip and domain */

static void vm_msi_command_all(struct irq_data *data, u16 code)
{
	struct vm_msi_irq *irq = irq_data_get_irq_chip_data(data);
	unsigned int vector;
	unsigned long flags;

	raw_spin_lock_irqsave(&irq->msi->lock, flags);
	for (vector = irq->first; vector <= irq->last; vector++)
		vm_msi_command(irq->msi, code, vector);
	raw_spin_unlock_irqrestore(&irq->msi->lock, flags);
}

static void vm_msi_mask(struct irq_data *data)
{
	vm_msi_command_all(data, VIRTIO_MMIO_MSI_CMD_MASK);
}

static void vm_msi_unmask(struct irq_data *data)
{
	vm_msi_command_all(data, VIRTIO_MMIO_MSI_CMD_UNMASK);
}

/* Tell the device where the interrupt goes now, unless it knows. */
static int vm_msi_write(struct irq_data *data)
{
	struct vm_msi_irq *irq = irq_data_get_irq_chip_data(data);
	struct irq_data *parent = data->parent_data;
	struct vm_msi *msi = irq->msi;
	struct msi_msg msg = { };
	unsigned long flags;
	int err = 0;

	parent->chip->irq_compose_msi_msg(parent, &msg);

	raw_spin_lock_irqsave(&msi->lock, flags);
	if (!irq->told || memcmp(&msg, &irq->msg, sizeof(msg))) {
		err = vm_msi_update(irq, &msg);
		irq->told = !err;
		irq->msg = msg;
		if (err && !msi->err)
			msi->err = err;
	}
	raw_spin_unlock_irqrestore(&msi->lock, flags);

	if (err)
		dev_err_ratelimited(&msi->vdev->dev,
				    "message of vector %u refused (%d)\n",
				    irq->first, err);
	return err;
}

static int vm_msi_set_affinity(struct irq_data *data,
			       const struct cpumask *mask, bool force)
{
	struct irq_data *parent = data->parent_data;
	int ret, err;

	if (!parent->chip->irq_set_affinity)
		return -EINVAL;

	ret = parent->chip->irq_set_affinity(parent, mask, force);
	if (ret < 0 || ret == IRQ_SET_MASK_OK_DONE)
		return ret;

	err = vm_msi_write(data);
	return err ? err : ret;
}

static struct irq_chip vm_msi_chip = {
	.name			= "virtio-mmio-msi",
	.irq_mask		= vm_msi_mask,
	.irq_unmask		= vm_msi_unmask,
	.irq_ack		= irq_chip_ack_parent,
	.irq_retrigger		= irq_chip_retrigger_hierarchy,
	.irq_set_affinity	= vm_msi_set_affinity,
	.flags			= IRQCHIP_SKIP_SET_WAKE |
				  IRQCHIP_AFFINITY_PRE_STARTUP,
};

static int vm_msi_domain_alloc(struct irq_domain *domain, unsigned int virq,
			       unsigned int nr_irqs, void *arg)
{
	struct vm_msi *msi = domain->host_data;
	struct irq_alloc_info *info = arg;
	struct irq_data *data;
	int err;

	err = irq_domain_alloc_irqs_parent(domain, virq, nr_irqs, arg);
	if (err)
		return err;

	data = irq_domain_get_irq_data(domain->parent, virq);
	if (!data || !data->chip->irq_compose_msi_msg) {
		irq_domain_free_irqs_parent(domain, virq, nr_irqs);
		return -EOPNOTSUPP;
	}

	irq_domain_set_info(domain, virq, info->hwirq, &vm_msi_chip,
			    &msi->irqs[info->hwirq], handle_edge_irq, NULL,
			    "edge");
	return 0;
}

/*
 * No error from here: for a managed interrupt the core warns and starts it
 * regardless. vm_msi_start() looks at msi->err instead.
 */
static int vm_msi_domain_activate(struct irq_domain *domain,
				  struct irq_data *data, bool reserve)
{
	vm_msi_write(data);
	return 0;
}

/* The core has masked it, so the stale message in the device is harmless. */
static void vm_msi_domain_deactivate(struct irq_domain *domain,
				     struct irq_data *data)
{
	struct vm_msi_irq *irq = irq_data_get_irq_chip_data(data);

	irq->told = false;
}

static const struct irq_domain_ops vm_msi_domain_ops = {
	.alloc		= vm_msi_domain_alloc,
	.free		= irq_domain_free_irqs_common,
	.activate	= vm_msi_domain_activate,
	.deactivate	= vm_msi_domain_deactivate,
};

/* Interrupts of one device */

/* Adds the CPUs of group @idx of @nr; the neighbours stay together. */
static void vm_msi_add_group(struct cpumask *mask, bool present,
			     unsigned int idx, unsigned int nr)
{
	unsigned int nr_cpus = num_present_cpus();
	unsigned int cpu, i = 0;

	if (!present)
		nr_cpus = num_possible_cpus() - nr_cpus;

	for_each_possible_cpu(cpu) {
		if (cpu_present(cpu) != present)
			continue;
		if (nr <= nr_cpus ? i * nr / nr_cpus == idx :
				    idx * nr_cpus / nr == i)
			cpumask_set_cpu(cpu, mask);
		i++;
	}
}

/*
 * Spread the queues over the CPUs. Those present first, so that every queue
 * gets one; CPUs that may come later are spread in the same way.
 */
static void vm_msi_spread(struct vm_msi *msi, const struct irq_affinity *affd)
{
	int nr = -affd->pre_vectors - affd->post_vectors;
	int idx = -affd->pre_vectors;
	struct vm_msi_irq *irq, *end = msi->irqs + msi->nr_irqs;

	for (irq = msi->irqs; irq < end; irq++)
		nr += !!irq->vq;

	for (irq = msi->irqs; irq < end && idx < nr; irq++) {
		if (!irq->vq || idx++ < 0)
			continue;
		vm_msi_add_group(irq->mask, true, idx - 1, nr);
		vm_msi_add_group(irq->mask, false, idx - 1, nr);
		irq->managed = !cpumask_empty(irq->mask);
	}
}

static int vm_msi_alloc_irq(struct vm_msi_irq *irq)
{
	struct vm_msi *msi = irq->msi;
	struct irq_alloc_info info = { .hwirq = irq - msi->irqs };
	struct irq_affinity_desc *aff = NULL;
	int virq;

	if (irq->managed) {
		aff = kzalloc(sizeof(*aff), GFP_KERNEL);
		if (!aff)
			return -ENOMEM;
		cpumask_copy(&aff->mask, irq->mask);
		aff->is_managed = 1;
	}

	virq = __irq_domain_alloc_irqs(msi->domain, -1, 1,
				       dev_to_node(msi->vdev->dev.parent),
				       &info, false, aff);
	kfree(aff);
	if (virq < 0)
		return virq;

	irq->virq = virq;
	/* A message changes at once, no need to wait for an interrupt */
	irq_set_status_flags(virq, IRQ_MOVE_PCNTXT);
	return 0;
}

static irqreturn_t vm_msi_config_changed(int virq, void *opaque)
{
	struct vm_msi_irq *irq = opaque;

	virtio_config_changed(irq->msi->vdev);
	return IRQ_HANDLED;
}

static irqreturn_t vm_msi_vqs_interrupt(int virq, void *opaque)
{
	struct vm_msi_irq *irq = opaque;
	irqreturn_t ret = IRQ_NONE;
	struct virtqueue *vq;

	virtio_device_for_each_vq(irq->msi->vdev, vq)
		ret |= vring_interrupt(virq, vq);

	return ret;
}

static void *vm_msi_cookie(struct vm_msi_irq *irq)
{
	return irq->vq ? (void *)irq->vq : irq;
}

static int vm_msi_request_irq(struct vm_msi_irq *irq)
{
	irq_handler_t handler = vm_msi_vqs_interrupt;
	const char *what = "virtqueues";
	int err;

	if (irq->vq) {
		handler = vring_interrupt;
		what = irq->vq->name;
	} else if (irq->first == VIRTIO_MMIO_MSI_VECTOR_CONFIG) {
		handler = vm_msi_config_changed;
		what = "config";
	}

	irq->name = kasprintf(GFP_KERNEL, "%s-%s",
			      dev_name(&irq->msi->vdev->dev), what);
	if (!irq->name)
		return -ENOMEM;

	err = request_irq(irq->virq, handler, 0, irq->name, vm_msi_cookie(irq));
	if (err) {
		kfree(irq->name);
		irq->name = NULL;
	}
	return err;
}

static void vm_msi_free_irq(struct vm_msi_irq *irq)
{
	if (irq->name) {
		irq_update_affinity_hint(irq->virq, NULL);
		free_irq(irq->virq, vm_msi_cookie(irq));
		kfree(irq->name);
	}
	if (irq->virq)
		irq_dispose_mapping(irq->virq);
	free_cpumask_var(irq->mask);
}

/* Which interrupt serves what. */
static int vm_msi_plan(struct vm_msi *msi, enum vm_msi_rung rung)
{
	unsigned int i, nr_queues = 0;
	struct virtqueue *vq;

	virtio_device_for_each_vq(msi->vdev, vq)
		nr_queues = max(nr_queues, vq->index + 1);

	if (msi->nr_vectors == 1 ||
	    (rung == VM_MSI_PER_QUEUE && msi->nr_vectors &&
	     msi->nr_vectors <= nr_queues))
		return -ENXIO;

	msi->nr_irqs = rung == VM_MSI_PER_QUEUE ? nr_queues + 1 : 2;
	msi->irqs = kvcalloc(msi->nr_irqs, sizeof(*msi->irqs), GFP_KERNEL);
	if (!msi->irqs)
		return -ENOMEM;

	for (i = 0; i < msi->nr_irqs; i++) {
		msi->irqs[i].msi = msi;
		msi->irqs[i].first = i;
		msi->irqs[i].last = i;
		if (!zalloc_cpumask_var(&msi->irqs[i].mask, GFP_KERNEL))
			return -ENOMEM;
	}

	if (rung == VM_MSI_SHARED) {
		/* Only a device that tells its vectors can be told to use two */
		if (!msi->nr_vectors)
			msi->irqs[1].last = nr_queues;
		return 0;
	}
	virtio_device_for_each_vq(msi->vdev, vq)
		if (vq->callback)
			msi->irqs[VIRTIO_MMIO_MSI_VECTOR_QUEUE(vq->index)].vq = vq;
	return 0;
}

static bool vm_msi_is_used(const struct vm_msi *msi, unsigned int i)
{
	return msi->rung == VM_MSI_SHARED || msi->irqs[i].vq ||
	       i == VIRTIO_MMIO_MSI_VECTOR_CONFIG;
}

static int vm_msi_start(struct vm_msi *msi, enum vm_msi_rung rung,
			const struct irq_affinity *affd)
{
	unsigned int i;
	int err;

	err = vm_msi_plan(msi, rung);
	if (err)
		return err;

	msi->rung = rung;
	msi->err = 0;
	if (rung == VM_MSI_PER_QUEUE && affd)
		vm_msi_spread(msi, affd);

	for (i = 0; i < msi->nr_irqs && !err; i++)
		if (vm_msi_is_used(msi, i))
			err = vm_msi_alloc_irq(&msi->irqs[i]);

	/* A device of the older kind ignores messages before it is enabled */
	if (!err && !msi->nr_vectors)
		err = vm_msi_enable(msi);

	for (i = 0; i < msi->nr_irqs && !err; i++) {
		if (vm_msi_is_used(msi, i))
			err = vm_msi_request_irq(&msi->irqs[i]);
		if (!err)
			err = msi->err;
	}

	if (!err && msi->nr_vectors)
		err = vm_msi_enable(msi);
	return err;
}

static void vm_msi_log(struct vm_msi *msi, enum vm_msi_rung rung, int err)
{
	struct device *dev = &msi->vdev->dev;

	if (rung <= msi->logged)
		return;

	msi->logged = rung;
	if (rung == VM_MSI_PER_QUEUE)
		dev_info(dev, "MSI: a vector per queue\n");
	else if (rung == VM_MSI_SHARED)
		dev_info(dev, "MSI: one vector for all queues, none for each (%d)\n", err);
	else
		dev_info(dev, "MSI: no vectors (%d), using the interrupt line\n", err);
}

int vm_msi_request_irqs(struct vm_msi *msi, const struct irq_affinity *affd)
{
	int err, why = 0;

	if (!msi)
		return -EOPNOTSUPP;

	err = vm_msi_start(msi, VM_MSI_PER_QUEUE, affd);
	if (err) {
		vm_msi_free_irqs(msi);
		why = err;
		err = vm_msi_start(msi, VM_MSI_SHARED, NULL);
	}
	if (err) {
		vm_msi_free_irqs(msi);
		msi->rung = VM_MSI_LINE;
		why = err;
	}
	vm_msi_log(msi, msi->rung, why);
	return err;
}

void vm_msi_free_irqs(struct vm_msi *msi)
{
	unsigned int i;

	if (!msi || !msi->irqs)
		return;

	writew(0, msi->base + VIRTIO_MMIO_MSI_CSR);
	for (i = 0; i < msi->nr_irqs; i++)
		vm_msi_free_irq(&msi->irqs[i]);

	kvfree(msi->irqs);
	msi->irqs = NULL;
	msi->nr_irqs = 0;
}

void vm_msi_synchronize_irqs(struct vm_msi *msi)
{
	unsigned int i;

	for (i = 0; msi && i < msi->nr_irqs; i++)
		if (msi->irqs[i].virq)
			synchronize_irq(msi->irqs[i].virq);
}

/* Affinity of queues */

int vm_msi_set_vq_affinity(struct vm_msi *msi, struct virtqueue *vq,
			   const struct cpumask *mask)
{
	struct vm_msi_irq *irq;

	if (!vq->callback)
		return -EINVAL;
	if (!msi || !msi->irqs)
		return 0;

	irq = &msi->irqs[1];
	if (msi->rung == VM_MSI_PER_QUEUE)
		irq = &msi->irqs[VIRTIO_MMIO_MSI_VECTOR_QUEUE(vq->index)];
	if (irq->managed)
		return -EPERM;
	if (!mask)
		return irq_update_affinity_hint(irq->virq, NULL);

	cpumask_copy(irq->mask, mask);
	return irq_set_affinity_and_hint(irq->virq, irq->mask);
}

const struct cpumask *vm_msi_get_vq_affinity(const struct vm_msi *msi,
					     unsigned int index)
{
	unsigned int i = VIRTIO_MMIO_MSI_VECTOR_QUEUE(index);

	if (!msi || i >= msi->nr_irqs || !msi->irqs[i].managed)
		return NULL;

	return msi->irqs[i].mask;
}

/* Creation */

static int vm_msi_create_domain(struct vm_msi *msi)
{
	struct irq_domain *parent = irq_get_default_host();

	if (!parent || !irq_domain_is_hierarchy(parent))
		return -EOPNOTSUPP;

	msi->fwnode = irq_domain_alloc_named_fwnode(dev_name(msi->vdev->dev.parent));
	if (!msi->fwnode)
		return -ENOMEM;

	msi->domain = irq_domain_create_hierarchy(parent, 0, 0, msi->fwnode,
						  &vm_msi_domain_ops, msi);
	if (!msi->domain) {
		irq_domain_free_fwnode(msi->fwnode);
		return -ENOMEM;
	}
	return 0;
}

struct vm_msi *vm_msi_create(struct virtio_device *vdev, void __iomem *base)
{
	u32 vendor = vdev->id.vendor;
	struct vm_msi *msi;
	u16 csr;
	int err;

	if ((vendor & VIRTIO_MMIO_VENDOR_MSI_MASK) != VIRTIO_MMIO_VENDOR_MSI ||
	    !(vendor & VIRTIO_MMIO_VENDOR_F_MSI_INTR))
		return NULL;

	csr = readw(base + VIRTIO_MMIO_MSI_CSR);
	if (!(csr & VIRTIO_MMIO_MSI_CSR_SUPPORTED))
		return NULL;

	msi = kzalloc(sizeof(*msi), GFP_KERNEL);
	if (!msi)
		return NULL;

	raw_spin_lock_init(&msi->lock);
	msi->vdev = vdev;
	msi->base = base;
	msi->nr_vectors = csr & VIRTIO_MMIO_MSI_CSR_NVEC_MASK;

	err = vm_msi_create_domain(msi);
	if (err) {
		dev_info(vdev->dev.parent, "MSI: not on this platform (%d)\n", err);
		kfree(msi);
		return NULL;
	}
	return msi;
}

void vm_msi_destroy(struct vm_msi *msi)
{
	if (!msi)
		return;

	irq_domain_remove(msi->domain);
	irq_domain_free_fwnode(msi->fwnode);
	kfree(msi);
}
