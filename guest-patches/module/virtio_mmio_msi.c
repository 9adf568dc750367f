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
#include <linux/group_cpus.h>
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
#include <linux/workqueue.h>
#include <uapi/linux/virtio_mmio.h>
#include <uapi/linux/virtio_mmio_msi.h>

#include <asm/hw_irq.h>

#include "virtio_mmio_msi.h"

/* The pins of an IOAPIC, but for those that are always in use */
#define VM_MSI_NR_SPARE	16

/* The core turns an interrupt off that is for nothing every HZ / 10 or faster */
#define VM_MSI_RETRY	(HZ / 8)

enum vm_msi_rung {
	VM_MSI_NONE,		/* nothing said about this device yet */
	VM_MSI_PER_QUEUE,
	VM_MSI_SHARED,
	VM_MSI_LINE,
};

struct vm_msi_irq {
	struct vm_msi *msi;
	struct virtqueue *vq;	/* NULL: configuration, or all queues */
	bool used;		/* not by a queue without a callback */
	unsigned int virq;	/* 0: not allocated */
	unsigned int first;	/* vectors of the device, */
	unsigned int last;	/* this one included */
	struct irq_affinity_desc aff; /* not managed: mask is the hint */
	char *name;		/* in /proc/interrupts */
	bool requested;
	bool active;		/* msg holds; under the lock, as are */
	bool told;		/* the device has it */
	struct msi_msg msg;
};

struct vm_msi {
	struct virtio_device *vdev;
	void __iomem *base;
	struct fwnode_handle *fwnode;
	struct irq_domain *domain;
	raw_spinlock_t lock;	/* staged message, command, its result, err */
	int err;		/* first refusal since the start */
	bool running;		/* the start is over, under the lock */
	struct delayed_work retry; /* of messages refused while running */
	unsigned int nr_vectors; /* 0: the device does not tell */
	struct vm_msi_irq *irqs; /* by number in the domain; NULL: MSI is off */
	struct vm_msi_irq *end;	/* of irqs */
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
		csr |= msi->end - msi->irqs;

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

/* The lock is held. */
static int vm_msi_tell(struct vm_msi_irq *irq)
{
	int err = vm_msi_update(irq, &irq->msg);

	irq->told = !err;
	if (err && !irq->msi->err)
		irq->msi->err = err;
	return err;
}

/*
 * Tell the device where the interrupt goes now, unless it knows. There is no
 * way back if it refuses: a parent that has moved an interrupt moves it again
 * only when one has arrived. So while the device is set up vm_msi_start() looks
 * at msi->err, and later it is asked again.
 */
static void vm_msi_write(struct irq_data *data)
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
		irq->msg = msg;
		err = vm_msi_tell(irq);
	}
	irq->active = true;
	if (err && msi->running)
		schedule_delayed_work(&msi->retry, VM_MSI_RETRY);
	raw_spin_unlock_irqrestore(&msi->lock, flags);

	if (err)
		dev_err_ratelimited(&msi->vdev->dev,
				    "message of vector %u refused (%d)\n",
				    irq->first, err);
}

/*
 * Asks the device again. Meanwhile the interrupt is sent from here, now and
 * then: its queues are served, if slowly, and the parent can end a move.
 */
static void vm_msi_retry(struct work_struct *work)
{
	struct vm_msi *msi = container_of(work, struct vm_msi, retry.work);
	struct vm_msi_irq *irq;
	unsigned long flags;
	bool again = false;

	for (irq = msi->irqs; irq < msi->end; irq++) {
		raw_spin_lock_irqsave(&msi->lock, flags);
		if (irq->active && !irq->told) {
			again |= vm_msi_tell(irq) != 0;
			irq_chip_retrigger_hierarchy(irq_get_irq_data(irq->virq));
		}
		raw_spin_unlock_irqrestore(&msi->lock, flags);
	}

	if (again)
		schedule_delayed_work(&msi->retry, VM_MSI_RETRY);
	else
		dev_info(&msi->vdev->dev, "all messages accepted\n");
}

static int vm_msi_set_affinity(struct irq_data *data,
			       const struct cpumask *mask, bool force)
{
	struct irq_data *parent = data->parent_data;
	int ret;

	ret = parent->chip->irq_set_affinity(parent, mask, force);
	if (ret >= 0 && ret != IRQ_SET_MASK_OK_DONE)
		vm_msi_write(data);

	return ret;
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
	int err;

	err = irq_domain_alloc_irqs_parent(domain, virq, nr_irqs, arg);
	if (err)
		return err;

	irq_domain_set_info(domain, virq, info->hwirq, &vm_msi_chip,
			    &msi->irqs[info->hwirq], handle_edge_irq, NULL,
			    "edge");
	return 0;
}

/* No error from here: the core would start a managed interrupt regardless. */
static int vm_msi_domain_activate(struct irq_domain *domain,
				  struct irq_data *data, bool reserve)
{
	vm_msi_write(data);
	return 0;
}

/*
 * The vector of the CPU may serve something else from now on, so the message
 * is taken away: an empty one stands for none. Those who tell no number of
 * vectors would take it as it is; there the mask has to do.
 */
static void vm_msi_domain_deactivate(struct irq_domain *domain,
				     struct irq_data *data)
{
	struct vm_msi_irq *irq = irq_data_get_irq_chip_data(data);
	const struct msi_msg none = { };
	unsigned long flags;

	raw_spin_lock_irqsave(&irq->msi->lock, flags);
	irq->active = false;
	irq->told = false;
	if (irq->msi->nr_vectors)
		vm_msi_update(irq, &none);
	raw_spin_unlock_irqrestore(&irq->msi->lock, flags);
}

static const struct irq_domain_ops vm_msi_domain_ops = {
	.alloc		= vm_msi_domain_alloc,
	.free		= irq_domain_free_irqs_common,
	.activate	= vm_msi_domain_activate,
	.deactivate	= vm_msi_domain_deactivate,
};

/* Interrupts of one device */

/*
 * Spread the queues over the CPUs. Those present first, so that every queue
 * gets one; CPUs that may come later are spread in the same way.
 *
 * Without @affd the interrupts are not managed, and this is a guess at where
 * the driver will move them: where it is right no message changes later. Not
 * all drivers do, so it keeps to the default that the configuration's has.
 */
static int vm_msi_spread(struct vm_msi *msi, const struct irq_affinity *affd)
{
	unsigned int first = affd ? affd->pre_vectors : 0, idx = 0, nr = 0;
	unsigned int nr_groups = num_present_cpus();
	struct cpumask *groups, *mask;
	struct vm_msi_irq *irq;

	for (irq = msi->irqs; irq < msi->end; irq++)
		nr += !!irq->vq;
	if (affd)
		nr -= min(nr, first + affd->post_vectors);
	if (!nr)
		return 0;

	nr_groups = min(nr_groups, nr);
	groups = group_cpus_evenly(nr_groups);
	if (!groups)
		return -ENOMEM;

	for (irq = msi->irqs; irq < msi->end; irq++) {
		if (!irq->vq || idx++ < first || idx > first + nr)
			continue;
		mask = &groups[(idx - first - 1) * nr_groups / nr];
		cpumask_copy(&irq->aff.mask, mask);
		if (affd)
			irq->aff.is_managed = !cpumask_empty(mask);
		else
			cpumask_and(&irq->aff.mask, mask,
				    irq_get_affinity_mask(msi->irqs->virq));
	}
	kfree(groups);
	return 0;
}

static int vm_msi_alloc_irq(struct vm_msi_irq *irq)
{
	struct vm_msi *msi = irq->msi;
	struct irq_alloc_info info = { .hwirq = irq - msi->irqs };
	int virq;

	virq = __irq_domain_alloc_irqs(msi->domain, -1, 1,
				       dev_to_node(msi->vdev->dev.parent),
				       &info, false,
				       cpumask_empty(&irq->aff.mask) ?
				       NULL : &irq->aff);
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
	irq->requested = !err;
	return err;
}

static void vm_msi_free_irq(struct vm_msi_irq *irq)
{
	if (irq->requested) {
		irq_update_affinity_hint(irq->virq, NULL);
		free_irq(irq->virq, vm_msi_cookie(irq));
	}
	irq_dispose_mapping(irq->virq);
	kfree(irq->name);
}

/* Which interrupt serves what. */
static int vm_msi_plan(struct vm_msi *msi)
{
	bool shared = msi->rung == VM_MSI_SHARED;
	unsigned int nr, nr_queues = 0;
	struct vm_msi_irq *irq;
	struct virtqueue *vq;

	virtio_device_for_each_vq(msi->vdev, vq)
		nr_queues = max(nr_queues, vq->index + 1);

	nr = shared ? 2 : nr_queues + 1;
	if (msi->nr_vectors && msi->nr_vectors < nr)
		return -ENXIO;

	msi->irqs = kvcalloc(nr, sizeof(*msi->irqs), GFP_KERNEL);
	if (!msi->irqs)
		return -ENOMEM;

	msi->end = msi->irqs + nr;
	for (irq = msi->irqs; irq < msi->end; irq++) {
		irq->msi = msi;
		irq->first = irq - msi->irqs;
		irq->last = irq->first;
		irq->used = shared || irq->first == VIRTIO_MMIO_MSI_VECTOR_CONFIG;
	}

	virtio_device_for_each_vq(msi->vdev, vq) {
		if (shared || !vq->callback)
			continue;
		irq = &msi->irqs[VIRTIO_MMIO_MSI_VECTOR_QUEUE(vq->index)];
		irq->vq = vq;
		irq->used = true;
	}

	/* Only a device that tells its vectors can be told to use two */
	if (shared && !msi->nr_vectors)
		msi->irqs[1].last = nr_queues;
	return 0;
}

/*
 * An interrupt line needs a vector of a CPU as well. Whoever would take the
 * last ones of them moves down the ladder, so that devices which come later
 * find theirs.
 */
static int vm_msi_leave_spare(struct vm_msi *msi)
{
	struct irq_alloc_info info = { .mask = cpu_online_mask };
	unsigned int virq[VM_MSI_NR_SPARE];
	int ret = 0, i;

	for (i = 0; i < VM_MSI_NR_SPARE; i++) {
		ret = __irq_domain_alloc_irqs(msi->domain->parent, -1, 1,
					      NUMA_NO_NODE, &info, false, NULL);
		if (ret < 0)
			break;
		virq[i] = ret;
	}
	while (i--)
		irq_dispose_mapping(virq[i]);
	return min(ret, 0);
}

/* From now on what is refused is asked for again. */
static int vm_msi_run(struct vm_msi *msi)
{
	unsigned long flags;
	int err;

	raw_spin_lock_irqsave(&msi->lock, flags);
	err = msi->err;
	msi->running = !err;
	raw_spin_unlock_irqrestore(&msi->lock, flags);

	return err;
}

static int vm_msi_start(struct vm_msi *msi, const struct irq_affinity *affd)
{
	struct vm_msi_irq *irq;
	int err;

	err = vm_msi_plan(msi);
	if (err)
		return err;

	msi->err = 0;
	err = vm_msi_alloc_irq(msi->irqs);
	if (!err && msi->rung == VM_MSI_PER_QUEUE)
		err = vm_msi_spread(msi, affd);

	for (irq = msi->irqs + 1; irq < msi->end; irq++)
		if (irq->used && !err)
			err = vm_msi_alloc_irq(irq);

	/* A device of the older kind ignores messages before it is enabled */
	if (!err && !msi->nr_vectors)
		err = vm_msi_enable(msi);

	for (irq = msi->irqs; irq < msi->end; irq++)
		if (irq->used && !err)
			err = vm_msi_request_irq(irq) ?: msi->err;

	if (!err)
		err = vm_msi_leave_spare(msi);
	if (!err && msi->nr_vectors)
		err = vm_msi_enable(msi);
	return err ?: vm_msi_run(msi);
}

static void vm_msi_log(struct vm_msi *msi, int why)
{
	struct device *dev = &msi->vdev->dev;

	if (msi->rung <= msi->logged)
		return;

	msi->logged = msi->rung;
	if (msi->rung == VM_MSI_PER_QUEUE)
		dev_info(dev, "MSI: a vector per queue\n");
	else if (msi->rung == VM_MSI_SHARED)
		dev_info(dev, "MSI: one vector for all queues, none for each (%d)\n", why);
	else
		dev_info(dev, "MSI: no vectors (%d), using the interrupt line\n", why);
}

int vm_msi_request_irqs(struct vm_msi *msi, const struct irq_affinity *affd)
{
	int err = 0, why = 0;

	if (!msi)
		return -EOPNOTSUPP;

	for (msi->rung = VM_MSI_PER_QUEUE; msi->rung < VM_MSI_LINE; msi->rung++) {
		err = vm_msi_start(msi, affd);
		if (!err)
			break;
		vm_msi_free_irqs(msi);
		why = err;
	}
	vm_msi_log(msi, why);
	return err;
}

void vm_msi_free_irqs(struct vm_msi *msi)
{
	struct vm_msi_irq *irq;
	unsigned long flags;

	if (!msi || !msi->irqs)
		return;

	raw_spin_lock_irqsave(&msi->lock, flags);
	msi->running = false;
	raw_spin_unlock_irqrestore(&msi->lock, flags);
	cancel_delayed_work_sync(&msi->retry);

	writew(0, msi->base + VIRTIO_MMIO_MSI_CSR);
	for (irq = msi->irqs; irq < msi->end; irq++)
		vm_msi_free_irq(irq);

	kvfree(msi->irqs);
	msi->irqs = NULL;
	msi->end = NULL;
}

void vm_msi_synchronize_irqs(struct vm_msi *msi)
{
	struct vm_msi_irq *irq;

	if (!msi)
		return;

	for (irq = msi->irqs; irq < msi->end; irq++)
		if (irq->requested)
			synchronize_irq(irq->virq);
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
	if (irq->aff.is_managed)
		return -EPERM;
	if (!mask)
		return irq_update_affinity_hint(irq->virq, NULL);

	cpumask_copy(&irq->aff.mask, mask);
	return irq_set_affinity_and_hint(irq->virq, &irq->aff.mask);
}

const struct cpumask *vm_msi_get_vq_affinity(const struct vm_msi *msi,
					     unsigned int index)
{
	struct irq_affinity_desc *aff;

	if (!msi || msi->end - msi->irqs <= VIRTIO_MMIO_MSI_VECTOR_QUEUE(index))
		return NULL;

	aff = &msi->irqs[VIRTIO_MMIO_MSI_VECTOR_QUEUE(index)].aff;
	return aff->is_managed ? &aff->mask : NULL;
}

/* Creation */

static struct irq_domain *vm_msi_create_domain(struct vm_msi *msi)
{
	msi->fwnode = irq_domain_alloc_named_fwnode(dev_name(msi->vdev->dev.parent));
	if (!msi->fwnode)
		return NULL;

	/* On x86 the default domain is the one of the CPUs' vectors */
	return irq_domain_create_hierarchy(irq_get_default_host(), 0, 0,
					   msi->fwnode, &vm_msi_domain_ops, msi);
}

struct vm_msi *vm_msi_create(struct virtio_device *vdev, void __iomem *base)
{
	u32 vendor = vdev->id.vendor;
	struct vm_msi *msi;
	u16 csr;

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
	INIT_DELAYED_WORK(&msi->retry, vm_msi_retry);
	msi->vdev = vdev;
	msi->base = base;
	msi->nr_vectors = csr & VIRTIO_MMIO_MSI_CSR_NVEC_MASK;

	msi->domain = vm_msi_create_domain(msi);
	if (!msi->domain) {
		dev_info(vdev->dev.parent, "MSI: no interrupt domain\n");
		vm_msi_destroy(msi);
		return NULL;
	}
	return msi;
}

void vm_msi_destroy(struct vm_msi *msi)
{
	if (!msi)
		return;

	if (msi->domain)
		irq_domain_remove(msi->domain);
	if (msi->fwnode)
		irq_domain_free_fwnode(msi->fwnode);
	kfree(msi);
}
