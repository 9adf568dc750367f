/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>

#include "blk_backend.h"
#include "blk_file.h"
#include "kvm.h"
#include "log.h"
#include "msi.h"
#include "net_backend.h"
#include "sandbox.h"
#include "tap.h"
#include "util.h"
#include "virtio_blk.h"
#include "virtio_net.h"
#include "vmmio.h"

static const uint32_t line_gsis[] = LAYOUT_LINE_GSIS;

static uint32_t line_of(unsigned int slot)
{
	return line_gsis[slot % ARRAY_SIZE(line_gsis)];
}

static uint64_t window_of(unsigned int slot)
{
	return LAYOUT_VIRTIO_BASE + (uint64_t)slot * LAYOUT_VIRTIO_STRIDE;
}

static unsigned int nr_vectors(const struct vm_config *c, enum vm_irq_mode mode,
			       const struct virtio_dev *dev)
{
	switch (mode == VM_IRQ_DEFAULT ? c->irq : mode) {
	case VM_IRQ_SINGLE:
		return 0;
	case VM_IRQ_SHARED:
		return 2;
	default:
		return dev->nr_queues + 1u;
	}
}

/*
 * Kicks without an exit to us: KVM finds a doorbell by its address alone, and
 * tells queues apart by the value in the classic register. With one queue any
 * value will do.
 */
static void bind_kick(void *ctx, unsigned int q, enum vmmio_place place, int fd)
{
	const struct machine_kicks *k = ctx;
	uint64_t notify = k->window + VIRTIO_MMIO_QUEUE_NOTIFY;

	if (place == VMMIO_PLACE_DOORBELL)
		kvm_doorbell_bind(k->kvm, k->window + LAYOUT_DOORBELL +
				  q * LAYOUT_DOORBELL_STRIDE, fd);
	else if (k->any_value)
		kvm_doorbell_bind(k->kvm, notify, fd);
	else
		kvm_notify_bind(k->kvm, notify, q, fd);
}

struct builder {
	struct machine *m;
	const struct vm_config *c;
	const struct machine_env *env;
};

/* Takes dev. */
static int add_device(const struct builder *b, struct virtio_dev *dev, enum vm_irq_mode mode)
{
	unsigned int slot = b->m->nr_devs, nr = nr_vectors(b->c, mode, dev);
	int ret = msi_sink_create(&b->m->sink[slot], b->env->router, nr, line_of(slot));

	if (ret) {
		dev->ops->free(dev);
		return ret;
	}
	b->m->nr_devs++;
	ret = vmmio_create(&b->m->dev[slot], dev, b->env->mem, b->m->sink[slot],
			   b->c->doorbells);
	if (ret)
		return ret;
	ret = bus_add(b->env->mmio, window_of(slot), LAYOUT_VIRTIO_STRIDE, &vmmio_bus_ops,
		      b->m->dev[slot]);
	if (ret)
		return ret;
	b->m->kicks[slot] = (struct machine_kicks){
		.kicks = { bind_kick, &b->m->kicks[slot] },
		.kvm = b->env->kvm,
		.window = window_of(slot),
		.any_value = dev->nr_queues == 1 && b->c->doorbells,
	};
	vmmio_set_kicks(b->m->dev[slot], &b->m->kicks[slot].kicks);
	log_debug("%s: window at 0x%" PRIx64 ", line GSI %u, %u queues, %u MSI vectors",
		  dev->errors.name, window_of(slot), line_of(slot), dev->nr_queues, nr);
	return 0;
}

static bool is_same(const struct blk_identity *a, const struct blk_identity *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

bool machine_has_disk(const struct machine *m, const struct blk_identity *id)
{
	for (unsigned int i = 0; i < LAYOUT_VIRTIO_MAX && m->disk[i]; i++)
		if (is_same(&m->disk[i]->identity, id))
			return true;
	return false;
}

/* Locks tell processes and descriptions apart, but not two descriptors of ours. */
static int check_shared(const struct machine *m, unsigned int i)
{
	for (unsigned int j = 0; j < i; j++)
		if (is_same(&m->disk[i]->identity, &m->disk[j]->identity) &&
		    !(m->disk[i]->readonly && m->disk[j]->readonly))
			return log_fail(-EBUSY, "blk%u: the same file or device as blk%u", i, j);
	return 0;
}

static int open_disk(struct machine *m, const struct vm_disk *d, unsigned int i)
{
	char name[16];
	int ret;

	snprintf(name, sizeof(name), "blk%u", i);
	ret = blk_file_open(&m->disk[i], &d->blk.file, name);
	return ret ? ret : check_shared(m, i);
}

static int open_net(struct machine *m, const struct vm_net *n, unsigned int i)
{
	char name[16];

	snprintf(name, sizeof(name), "net%u", i);
	return tap_open(&m->net[i], &n->net, name);
}

int machine_open(struct machine *m, const struct vm_config *c)
{
	int ret = 0;

	for (unsigned int i = 0; i < c->nr_disks && !ret; i++)
		ret = open_disk(m, &c->disk[i], i);
	for (unsigned int i = 0; i < c->nr_nets && !ret; i++)
		ret = open_net(m, &c->net[i], i);
	return ret;
}

uint64_t machine_max_disk(const struct machine *m)
{
	uint64_t max = 0;

	for (unsigned int i = 0; i < LAYOUT_VIRTIO_MAX && m->disk[i]; i++)
		max = MAX(max, m->disk[i]->size);
	return max;
}

/* The device takes the backend in any case. */
static int add_disk(const struct builder *b, unsigned int i)
{
	struct virtio_blk_cfg cfg = b->c->disk[i].blk;
	struct blk_backend *backend = b->m->disk[i];
	struct virtio_dev *dev;
	char name[16];
	int ret;

	snprintf(name, sizeof(name), "blk%u", i);
	cfg.entry = sandbox_entry(b->env->sandbox, SANDBOX_BLK);
	cfg.uring_entry = sandbox_entry(b->env->sandbox, SANDBOX_BLK_URING);
	b->m->disk[i] = NULL;
	ret = virtio_blk_create(&dev, &cfg, backend, name);
	return ret ? ret : add_device(b, dev, b->c->disk[i].irq);
}

static int add_net(const struct builder *b, unsigned int i)
{
	struct virtio_net_cfg cfg = b->c->net[i].net;
	struct net_backend *backend = b->m->net[i];
	struct virtio_dev *dev;
	char name[16];
	int ret;

	snprintf(name, sizeof(name), "net%u", i);
	cfg.entry = sandbox_entry(b->env->sandbox, SANDBOX_NET);
	b->m->net[i] = NULL;
	ret = virtio_net_create(&dev, &cfg, backend, name);
	return ret ? ret : add_device(b, dev, b->c->net[i].irq);
}

int machine_build(struct machine *m, const struct vm_config *c, const struct machine_env *env)
{
	struct builder b = { m, c, env };
	int ret = 0;

	for (unsigned int i = 0; i < c->nr_disks && !ret; i++)
		ret = add_disk(&b, i);
	for (unsigned int i = 0; i < c->nr_nets && !ret; i++)
		ret = add_net(&b, i);
	return ret;
}

void machine_describe(const struct machine *m, const struct vm_config *c,
		      const struct guest_mem *mem, bool pit, struct fw_desc *desc)
{
	*desc = (struct fw_desc){
		.describe = c->describe,
		.nr_cpus = c->nr_cpus,
		.nr_ram = mem->nr_regions,
		.lapic = LAYOUT_LAPIC,
		.ioapic = LAYOUT_IOAPIC,
		.nr_ioapic_pins = LAYOUT_NR_IOAPIC_PINS,
		.sleep_port = LAYOUT_PORT_SLEEP,
		.reset_port = LAYOUT_PORT_RESET,
		.pvpanic_port = LAYOUT_PORT_PVPANIC,
		.button_gsi = LAYOUT_GSI_BUTTON,
		.pit = pit,
		.serial = {
			.present = c->console != VM_CONSOLE_NONE,
			.port = LAYOUT_PORT_COM1,
			.gsi = LAYOUT_GSI_SERIAL,
		},
		.nr_virtio = m->nr_devs,
	};
	for (unsigned int i = 0; i < mem->nr_regions; i++)
		desc->ram[i] = (struct fw_range){ mem->region[i].gpa, mem->region[i].len };
	for (unsigned int i = 0; i < m->nr_devs; i++)
		desc->virtio[i] = (struct fw_virtio){ window_of(i), LAYOUT_VIRTIO_STRIDE,
						      line_of(i) };
}

int machine_stop(struct machine *m)
{
	int ret = 0;

	for (unsigned int i = 0; i < m->nr_devs; i++)
		if (m->dev[i])
			vmmio_end(m->dev[i]);
	for (unsigned int i = 0; i < m->nr_devs; i++) {
		int err = m->dev[i] ? vmmio_stop(m->dev[i]) : 0;

		if (err)
			ret = err;
	}
	return ret;
}

void machine_free(struct machine *m)
{
	for (unsigned int i = 0; i < m->nr_devs; i++) {
		vmmio_free(m->dev[i]);
		msi_sink_free(m->sink[i]);
	}
	m->nr_devs = 0;
	for (unsigned int i = 0; i < LAYOUT_VIRTIO_MAX; i++) {
		if (m->disk[i])
			m->disk[i]->ops->free(m->disk[i]);
		if (m->net[i])
			m->net[i]->ops->free(m->net[i]);
		m->disk[i] = NULL;
		m->net[i] = NULL;
	}
}
