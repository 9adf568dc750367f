/* SPDX-License-Identifier: Apache-2.0 */
/* --stats: what was counted, as JSON. The devices are stopped, so nothing moves any more. */
#include <errno.h>
#include <jansson.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "msi.h"
#include "uart16550.h"
#include "version.h"
#include "vm_priv.h"
#include "vmmio.h"

static void put(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void emit(void *ctx, const char *key, uint64_t value)
{
	put(ctx, key, value);
}

/* KVM's own counters describe themselves: header, descriptors, data. api.rst, 4.137 */
static void put_kvm_stats(json_t *object, int fd)
{
	struct kvm_stats_header head;
	size_t desc_len;
	char *desc = NULL;

	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) || head.num_desc > 4096 ||
	    head.name_size > 4096)
		return;
	desc_len = sizeof(struct kvm_stats_desc) + head.name_size;
	desc = malloc(desc_len * head.num_desc);
	if (!desc || pread(fd, desc, desc_len * head.num_desc, head.desc_offset) !=
		     (ssize_t)(desc_len * head.num_desc))
		goto out;
	for (uint32_t i = 0; i < head.num_desc; i++) {
		const struct kvm_stats_desc *d = (void *)(desc + i * desc_len);
		uint64_t value;

		if (d->size == 1 &&
		    pread(fd, &value, sizeof(value), head.data_offset + d->offset) ==
				    (ssize_t)sizeof(value))
			put(object, d->name, value);
	}
out:
	free(desc);
}

static json_t *kvm_stats(int fd)
{
	json_t *object = json_object();
	int stats_fd = kvm_ioctl(fd, KVM_GET_STATS_FD, NULL);	/* Linux 5.14 or later */

	if (stats_fd >= 0) {
		put_kvm_stats(object, stats_fd);
		close(stats_fd);
	}
	return object;
}

static json_t *vcpus_stats(const struct vm *vm)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		json_t *o = json_object();
		struct vcpu_stats s;

		vcpu_stats(vm->vcpu[i], &s);
		put(o, "exits_mmio", s.mmio);
		put(o, "exits_pio", s.pio);
		put(o, "exits_intr", s.intr);
		put(o, "exits_other", s.other);
		put(o, "unclaimed", s.unclaimed);
		json_object_set_new(o, "kvm", kvm_stats(vcpu_fd(vm->vcpu[i])));
		json_array_append_new(array, o);
	}
	return array;
}

static json_t *irq_stats(struct vmmio *t, unsigned int q)
{
	json_t *o = json_object();
	struct vmmio_irq_stats s;

	vmmio_irq_stats(t, q, &s);
	put(o, "interrupts", s.signals);
	put(o, "interrupts_held", s.suppressed);
	put(o, "vector", s.vector);
	put(o, "message_data", s.message_data);
	return o;
}

static json_t *device_stats(struct vmmio *t)
{
	struct virtio_dev *dev = vmmio_dev(t);
	json_t *o = json_object(), *queues = json_array();
	struct vmmio_stats s;

	vmmio_stats(t, &s);
	json_object_set_new(o, "name", json_string(dev->errors.name));
	json_object_set_new(o, "irq_mode", json_string(s.irq_mode));
	put(o, "vectors", s.nr_vectors);
	put(o, "register_reads", s.register_reads);
	put(o, "register_writes", s.register_writes);
	put(o, "running_accesses", s.running_accesses);
	put(o, "notify_writes", s.notify_writes);
	put(o, "resets", s.resets);
	put(o, "guest_errors", s.guest_errors);
	if (dev->ops->stats)
		dev->ops->stats(dev, emit, o);
	json_object_set_new(o, "config", irq_stats(t, dev->nr_queues));
	for (unsigned int q = 0; q < dev->nr_queues; q++) {
		json_t *queue = irq_stats(t, q);

		if (dev->ops->queue_stats)
			dev->ops->queue_stats(dev, q, emit, queue);
		json_array_append_new(queues, queue);
	}
	json_object_set_new(o, "queues", queues);
	return o;
}

static json_t *devices_stats(const struct vm *vm)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < vm->machine.nr_devs; i++)
		json_array_append_new(array, device_stats(vm->machine.dev[i]));
	return array;
}

static json_t *routing_stats(const struct vm *vm)
{
	json_t *o = json_object();
	struct msi_stats s;

	msi_router_stats(vm->router, &s);
	put(o, "set_gsi_routing", s.routing_calls);
	put(o, "irqfd_binds", s.irqfd_binds);
	put(o, "irqfd_unbinds", s.irqfd_unbinds);
	put(o, "postponed", s.postponed);
	put(o, "gsis_in_use", s.gsis_in_use);
	return o;
}

static json_t *console_stats(const struct vm *vm)
{
	json_t *o = json_object();
	struct uart16550_stats s;

	if (!vm->uart)
		return o;
	uart16550_stats(vm->uart, &s);
	put(o, "tx_bytes", s.tx_bytes);
	put(o, "tx_dropped", s.tx_dropped);
	put(o, "tx_writes", s.tx_writes);
	put(o, "rx_bytes", s.rx_bytes);
	put(o, "interrupts", s.interrupts);
	return o;
}

/* jansson then leaves out what there was no memory for. */
static void *allocate(size_t len)
{
	void *p = malloc(len);

	if (!p)
		log_error("out of memory: not all counters are in --stats");
	return p;
}

static int write_text(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

/* All at once: jansson would write each word by itself. */
static int dump(const json_t *root, int fd)
{
	char *text = json_dumps(root, JSON_INDENT(2));
	int ret = text ? write_text(fd, text) : -ENOMEM;

	free(text);
	return ret;
}

int stats_write(struct vm *vm)
{
	json_t *root;
	int ret;

	json_set_alloc_funcs(allocate, free);
	root = json_object();
	json_object_set_new(root, "version", json_string(MIMSY_VERSION));
	put(root, "exit_status", (uint64_t)atomic_load(&vm->end_status));
	json_object_set_new(root, "vcpus", vcpus_stats(vm));
	json_object_set_new(root, "vm", kvm_stats(vm->kvm.vm_fd));
	json_object_set_new(root, "routing", routing_stats(vm));
	json_object_set_new(root, "console", console_stats(vm));
	json_object_set_new(root, "devices", devices_stats(vm));
	ret = dump(root, vm->stats_fd);
	if (ret && ret != -ENOMEM)	/* allocate() has said that */
		log_fail(ret, "--stats: write %s: %s", vm->cfg->stats_file, strerror(-ret));
	json_decref(root);
	return ret;
}
