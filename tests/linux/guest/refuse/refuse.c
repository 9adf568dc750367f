/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests, in a guest: makes messages of one interrupt such as a virtio-mmio
 * device refuses. They come out of the CPUs' own interrupt chip, which hands
 * out NMIs for the next messages of interrupt irq, as many as left says.
 *
 * A parameter irq is needed to load it, of an interrupt of such a device; both
 * may be written later.
 */
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/module.h>
#include <linux/msi.h>

#define DELIVER_NMI 0x400

static unsigned int irq;
module_param(irq, uint, 0600);
static unsigned int left;
module_param(left, uint, 0600);

static struct irq_chip *chip;
static void (*compose)(struct irq_data *data, struct msi_msg *msg);

static void refuse_compose(struct irq_data *data, struct msi_msg *msg)
{
	compose(data, msg);
	if (data->irq != irq || !left)
		return;
	left--;
	msg->data |= DELIVER_NMI;
}

static int __init refuse_init(void)
{
	struct irq_data *data = irq_get_irq_data(irq);

	if (!data || !data->parent_data)
		return -ENODEV;
	chip = data->parent_data->chip;
	compose = chip->irq_compose_msi_msg;
	chip->irq_compose_msi_msg = refuse_compose;
	return 0;
}

static void __exit refuse_exit(void)
{
	chip->irq_compose_msi_msg = compose;
}

module_init(refuse_init);
module_exit(refuse_exit);
MODULE_DESCRIPTION("Messages that a device refuses");
MODULE_LICENSE("GPL");
