/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers and the status machine. virtio 1.2, 4.2.2 and 3.1.
 *
 * What the driver writes is only noted (struct virtq_cfg) until DRIVER_OK;
 * then the queues are checked, started and handed to the device. From there
 * on their registers are deaf until the reset, which waits for the device to
 * stop before anything is cleared.
 */
#include "vmmio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmmio_msi_abi.h"
#include "vmmio_priv.h"
#include "zalloc.h"

#define VMMIO_MAGIC		0x74726976u	/* "virt" */
#define VMMIO_VERSION		2u
#define VMMIO_VENDOR_PLAIN	0x4d4d5349u
#define VMMIO_CONFIG		VIRTIO_MMIO_CONFIG
#define VMMIO_CONFIG_END	VMMIO_DOORBELL

#define STATUS_ALL (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
		    VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK | \
		    VIRTIO_CONFIG_S_FAILED)

static void set_lo(uint64_t *v, uint32_t lo)
{
	*v = (*v & ~0xffffffffull) | lo;
}

static void set_hi(uint64_t *v, uint32_t hi)
{
	*v = (*v & 0xffffffffull) | (uint64_t)hi << 32;
}

static bool vmmio_has_msi(const struct vmmio *t)
{
	return t->sink->nr_vectors;
}

struct virtio_dev *vmmio_dev(const struct vmmio *t)
{
	return t->dev;
}

static uint64_t offered_features(const struct vmmio *t)
{
	return t->dev->features | 1ull << VIRTIO_F_VERSION_1;
}

static const struct msi_message *message_of(const struct vmmio *t, const struct virtio_irq *irq)
{
	return &t->msi.vector[irq->vector].msg;
}

/* Guests reset their devices as they shut down; the counters should still tell how they ran. */
static void remember_mode(struct vmmio *t)
{
	bool msi = t->msi.enabled;

	t->stats.irq_mode = msi ? "msi" : "line";
	t->stats.nr_vectors = msi ? t->msi.nr_used : 0;
	t->tp.config_irq.last_data = msi ? message_of(t, &t->tp.config_irq)->data : 0;
	for (unsigned int q = 0; q < t->dev->nr_queues; q++)
		t->irq[q].last_data = msi ? message_of(t, &t->irq[q])->data : 0;
}

static void stop_queues(struct vmmio *t)
{
	if (t->started) {
		t->dev->ops->stop(t->dev);
		remember_mode(t);
	}
	t->started = false;
	for (unsigned int q = 0; q < t->dev->nr_queues; q++)
		if (t->vq[q])		/* NULL: creation failed half-way */
			virtq_stop(t->vq[q]);
}

/* virtio 1.2, 2.4: back to the initial state, whatever went before. */
static void vmmio_reset(struct vmmio *t)
{
	stop_queues(t);
	vmmio_drain_kicks(t);
	vmmio_msi_reset(&t->msi);
	atomic_store(&t->tp.isr, 0);
	atomic_store(&t->tp.needs_reset, false);
	memset(t->cfg, 0, sizeof(t->cfg));
	t->status = 0;
	t->driver_features = 0;
	t->device_features_sel = t->driver_features_sel = t->queue_sel = 0;
	t->stats.resets++;
}

/* The last vector in use serves all queues beyond it. */
static uint16_t vector_of_queue(const struct vmmio *t, unsigned int q)
{
	unsigned int last = t->msi.nr_used ? t->msi.nr_used - 1u : 0;

	return (uint16_t)(q + 1 < last ? q + 1 : last);
}

static int start_queues(struct vmmio *t)
{
	for (unsigned int q = 0; q < t->dev->nr_queues; q++) {
		t->queue[q].vq = NULL;
		t->queue[q].inline_kick = false;
		t->queue[q].cfg = t->cfg[q];
		t->irq[q].vector = vector_of_queue(t, q);
		if (!t->cfg[q].ready)
			continue;
		if (virtq_start(t->vq[q], &t->cfg[q], t->driver_features)) {
			guest_error(&t->dev->errors, "queue %u: bad size, alignment or range", q);
			return -EINVAL;
		}
		t->queue[q].vq = t->vq[q];
	}
	return 0;
}

static bool features_are_acceptable(const struct vmmio *t)
{
	return !(t->driver_features & ~offered_features(t)) &&
	       t->driver_features & 1ull << VIRTIO_F_VERSION_1;
}

/* After FEATURES_OK they may have changed in one case, see features_are_fixed(). */
static int check_features(struct vmmio *t)
{
	if (features_are_acceptable(t))
		return 0;
	guest_error(&t->dev->errors, "features %#llx refused",
		    (unsigned long long)t->driver_features);
	return -EINVAL;
}

static void vmmio_activate(struct vmmio *t)
{
	struct virtio_start start = {
		.queue = t->queue,
		.features = t->driver_features,
		.transport = &t->tp,
	};
	int ret = check_features(t);

	if (!ret)
		ret = start_queues(t);
	if (!ret)
		ret = t->dev->ops->start(t->dev, &start);
	t->started = !ret;
	if (!ret) {
		vmmio_bind_kicks(t);
	} else {
		stop_queues(t);
		virtio_needs_reset(&t->tp);
	}
}

/* Each bit needs the one before it. virtio 1.2, 3.1.1 */
static bool status_is_in_order(uint32_t s)
{
	return (s & VIRTIO_CONFIG_S_ACKNOWLEDGE ||
		!(s & (VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
		       VIRTIO_CONFIG_S_DRIVER_OK))) &&
	       (s & VIRTIO_CONFIG_S_DRIVER ||
		!(s & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK))) &&
	       (s & VIRTIO_CONFIG_S_FEATURES_OK || !(s & VIRTIO_CONFIG_S_DRIVER_OK));
}

static void vmmio_set_status(struct vmmio *t, uint32_t val)
{
	uint32_t added = val & ~t->status;

	if (!val) {
		vmmio_reset(t);
		return;
	}
	val &= ~(uint32_t)VIRTIO_CONFIG_S_NEEDS_RESET;	/* the device's bit */
	if (t->status & ~val || val & ~STATUS_ALL || !status_is_in_order(val)) {
		guest_error(&t->dev->errors, "status %#x after %#x", val, t->status);
		return;
	}
	if (added & VIRTIO_CONFIG_S_FEATURES_OK && check_features(t)) {
		val &= ~(uint32_t)(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
		added &= val;
	}
	t->status = val;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		vmmio_activate(t);
}

/*
 * Linux does not reset a device that it binds again after its driver has
 * given up: FAILED and FEATURES_OK are still set, and what the new driver
 * accepts is what counts.
 */
static bool features_are_fixed(const struct vmmio *t)
{
	if (!(t->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return false;
	return t->status & VIRTIO_CONFIG_S_DRIVER_OK || !(t->status & VIRTIO_CONFIG_S_FAILED);
}

static void vmmio_set_driver_features(struct vmmio *t, uint32_t val)
{
	if (features_are_fixed(t)) {
		guest_error(&t->dev->errors, "features written after FEATURES_OK");
		return;
	}
	switch (t->driver_features_sel) {
	case 0:		set_lo(&t->driver_features, val);	break;
	case 1:		set_hi(&t->driver_features, val);	break;
	default:
		if (val)
			guest_error(&t->dev->errors, "features in word %u",
				    t->driver_features_sel);
	}
}

/* NULL: no such queue. */
static struct virtq_cfg *vmmio_selected(struct vmmio *t)
{
	return t->queue_sel < t->dev->nr_queues ? &t->cfg[t->queue_sel] : NULL;
}

/*
 * The queue's memory is the driver's again once QueueReady reads 0 (virtio 1.2,
 * 4.2.2.2). A device stops as a whole or not at all, so all of it stops.
 */
static void vmmio_take_back(struct vmmio *t, struct virtq_cfg *q)
{
	guest_error(&t->dev->errors, "queue %u taken back from a running device", t->queue_sel);
	stop_queues(t);
	q->ready = false;
	virtio_needs_reset(&t->tp);
}

static void vmmio_write_queue(struct vmmio *t, uint32_t reg, uint32_t val)
{
	uint32_t turn = t->status & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	struct virtq_cfg *q = vmmio_selected(t);

	if (reg == VIRTIO_MMIO_QUEUE_READY && !val && !t->status)
		return;		/* Linux does so after a reset; it is 0 already */
	if (reg == VIRTIO_MMIO_QUEUE_READY && !val && q && q->ready &&
	    turn & VIRTIO_CONFIG_S_DRIVER_OK) {
		vmmio_take_back(t, q);
		return;
	}
	if (!q || turn != VIRTIO_CONFIG_S_FEATURES_OK) {
		guest_error(&t->dev->errors, "queue register %#x written out of turn", reg);
		return;
	}
	if (q->ready && reg != VIRTIO_MMIO_QUEUE_READY) {
		guest_error(&t->dev->errors, "queue register %#x written while ready", reg);
		return;
	}
	switch (reg) {
	case VIRTIO_MMIO_QUEUE_NUM:		q->size = val;			break;
	case VIRTIO_MMIO_QUEUE_READY:		q->ready = val & 1;		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:	set_lo(&q->desc, val);		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:	set_hi(&q->desc, val);		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:	set_lo(&q->avail, val);		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:	set_hi(&q->avail, val);		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:	set_lo(&q->used, val);		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:	set_hi(&q->used, val);		break;
	default:				guest_error(&t->dev->errors,
							    "register %#x is not writable", reg);
	}
}

static void vmmio_write32(struct vmmio *t, uint32_t reg, uint32_t val)
{
	switch (reg) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:	t->device_features_sel = val;	break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:	t->driver_features_sel = val;	break;
	case VIRTIO_MMIO_DRIVER_FEATURES:	vmmio_set_driver_features(t, val); break;
	case VIRTIO_MMIO_QUEUE_SEL:		t->queue_sel = val;		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:		vmmio_kick(t, val, VMMIO_PLACE_NOTIFY); break;
	case VIRTIO_MMIO_INTERRUPT_ACK:		atomic_fetch_and(&t->tp.isr, ~val); break;
	case VIRTIO_MMIO_STATUS:		vmmio_set_status(t, val);	break;
	case VIRTIO_MMIO_SHM_SEL:						break;
	default:				vmmio_write_queue(t, reg, val);
	}
}

static uint32_t vmmio_read_features(const struct vmmio *t)
{
	if (t->device_features_sel > 1)
		return 0;
	return (uint32_t)(offered_features(t) >> 32 * t->device_features_sel);
}

static uint32_t vmmio_read_status(const struct vmmio *t)
{
	return t->status | (atomic_load(&t->tp.needs_reset) ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

static uint32_t vmmio_vendor(const struct vmmio *t)
{
	if (!vmmio_has_msi(t))
		return VMMIO_VENDOR_PLAIN;
	return VIRTIO_MMIO_VENDOR_MSI | VIRTIO_MMIO_VENDOR_F_MSI_INTR |
	       (t->doorbells ? VIRTIO_MMIO_VENDOR_F_PER_QUEUE_NOTIFY : 0);
}

static uint32_t vmmio_doorbells(struct vmmio *t)
{
	if (!t->doorbells)
		return 0;
	t->doorbells_known = true;
	return VMMIO_DOORBELL | VMMIO_DOORBELL_STRIDE << VIRTIO_MMIO_DOORBELL_STRIDE_SHIFT;
}

static uint32_t vmmio_read32(struct vmmio *t, uint32_t reg)
{
	const struct virtq_cfg *q = vmmio_selected(t);

	switch (reg) {
	case VIRTIO_MMIO_MAGIC_VALUE:		return VMMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:		return VMMIO_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:		return t->dev->device_id;
	case VIRTIO_MMIO_VENDOR_ID:		return vmmio_vendor(t);
	case VIRTIO_MMIO_DEVICE_FEATURES:	return vmmio_read_features(t);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:		return q ? t->dev->queue_size_max : 0;
	case VIRTIO_MMIO_QUEUE_READY:		return q ? q->ready : 0;
	case VIRTIO_MMIO_DOORBELL:		return vmmio_doorbells(t);
	case VIRTIO_MMIO_INTERRUPT_STATUS:	return atomic_load(&t->tp.isr);
	case VIRTIO_MMIO_STATUS:		return vmmio_read_status(t);
	case VIRTIO_MMIO_CONFIG_GENERATION:	return atomic_load(&t->tp.generation);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:		return 0xffffffff;	/* no such region */
	}
	guest_error(&t->dev->errors, "register %#x read", reg);
	return 0;
}

static bool is_msi_block(const struct vmmio *t, uint64_t off)
{
	return vmmio_has_msi(t) && off >= VIRTIO_MMIO_MSI_CSR && off < VIRTIO_MMIO_MSI_END;
}

/* off + len lies inside the window, so neither sum below can wrap. */
static bool is_config(const struct vmmio *t, uint64_t off, uint32_t len)
{
	return off >= VMMIO_CONFIG && off - VMMIO_CONFIG + len <= t->dev->config_len;
}

static bool is_register(uint64_t off, uint32_t len)
{
	return off < VMMIO_CONFIG && len == 4 && off % 4 == 0;
}

static void count_access(struct vmmio *t, uint64_t *counter)
{
	++*counter;
	t->stats.running_accesses += !!(t->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

static void vmmio_read(void *ctx, uint64_t off, void *buf, uint32_t len)
{
	struct vmmio *t = ctx;
	uint32_t val = 0;

	pthread_mutex_lock(&t->lock);
	count_access(t, &t->stats.register_reads);
	if (is_config(t, off, len)) {
		t->dev->ops->read_config(t->dev, (uint32_t)off - VMMIO_CONFIG, buf, len);
	} else if (is_msi_block(t, off)) {
		val = vmmio_msi_read(&t->msi, (uint32_t)off - VIRTIO_MMIO_MSI_CSR, len);
		memcpy(buf, &val, len < 4 ? len : 4);
	} else if (is_register(off, len)) {
		val = vmmio_read32(t, (uint32_t)off);
		memcpy(buf, &val, 4);
	} else {
		guest_error(&t->dev->errors, "read of %u bytes at %#llx", len,
			    (unsigned long long)off);
	}
	pthread_mutex_unlock(&t->lock);
}

static void vmmio_write_msi(struct vmmio *t, uint32_t off, const void *buf, uint32_t len)
{
	uint32_t val = 0;

	memcpy(&val, buf, len < 4 ? len : 4);
	vmmio_msi_write(&t->msi, off - VIRTIO_MMIO_MSI_CSR, len, val,
			t->status & VIRTIO_CONFIG_S_DRIVER_OK);
	vmmio_irqs_changed(t);
}

static void vmmio_write_config(struct vmmio *t, uint32_t off, const void *buf, uint32_t len)
{
	if (t->dev->ops->write_config)
		t->dev->ops->write_config(t->dev, off, buf, len);
	else
		guest_error(&t->dev->errors, "configuration written at %#x", off);
}

static void vmmio_write(void *ctx, uint64_t off, const void *buf, uint32_t len)
{
	struct vmmio *t = ctx;
	uint32_t val;

	pthread_mutex_lock(&t->lock);
	count_access(t, &t->stats.register_writes);
	if (off >= VMMIO_DOORBELL && t->doorbells) {
		vmmio_kick(t, (off - VMMIO_DOORBELL) / VMMIO_DOORBELL_STRIDE,
			   VMMIO_PLACE_DOORBELL);
	} else if (is_config(t, off, len)) {
		vmmio_write_config(t, (uint32_t)off - VMMIO_CONFIG, buf, len);
	} else if (is_msi_block(t, off)) {
		vmmio_write_msi(t, (uint32_t)off, buf, len);
	} else if (is_register(off, len)) {
		memcpy(&val, buf, 4);
		vmmio_write32(t, (uint32_t)off, val);
	} else {
		guest_error(&t->dev->errors, "write of %u bytes at %#llx", len,
			    (unsigned long long)off);
	}
	pthread_mutex_unlock(&t->lock);
}

const struct bus_ops vmmio_bus_ops = { .read = vmmio_read, .write = vmmio_write };

/* On the main thread: t->lock may be held for as long as a disk takes, so it is not waited for. */
static void vmmio_settled(void *owner, int result)
{
	struct vmmio *t = owner;

	pthread_mutex_lock(&t->msi.lock);
	if (!result)
		vmmio_msi_settled(&t->msi);
	else if (vmmio_msi_refused(&t->msi))
		virtio_needs_reset(&t->tp);	/* here, so it is not that of the next driver */
	pthread_mutex_unlock(&t->msi.lock);
	vmmio_irqs_opened(t);
}

static int vmmio_create_queues(struct vmmio *t, const struct guest_mem *mem)
{
	for (unsigned int q = 0; q < t->dev->nr_queues; q++) {
		int ret = virtq_create(&t->vq[q], mem, t->dev->queue_size_max);

		if (ret)
			return ret;
		t->kick_fd[q] = eventfd(0, EFD_CLOEXEC);
		if (t->kick_fd[q] < 0)
			return log_errno("%s: eventfd for queue %u", t->dev->errors.name, q);
		t->irq[q].t = t;
		t->queue[q].kick_fd = t->kick_fd[q];
		t->queue[q].irq = &t->irq[q];
	}
	return 0;
}

int vmmio_create(struct vmmio **out, struct virtio_dev *dev, const struct guest_mem *mem,
		 struct irq_sink *sink, bool doorbells)
{
	struct vmmio *t = zalloc(1, sizeof(*t));
	int ret;

	if (!t) {
		dev->ops->free(dev);
		return -ENOMEM;
	}
	pthread_mutex_init(&t->lock, NULL);
	t->dev = dev;
	t->sink = sink;
	t->doorbells = doorbells && sink->nr_vectors;
	t->tp.config_irq.t = t;
	t->stats.irq_mode = "none";
	for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++)
		t->kick_fd[q] = -1;
	vmmio_msi_init(&t->msi, sink, &dev->errors);
	ret = vmmio_create_queues(t, mem);
	if (ret) {
		vmmio_free(t);
		return ret;
	}
	sink->owner = t;
	sink->settled = vmmio_settled;
	*out = t;
	return 0;
}

void vmmio_end(struct vmmio *t)
{
	pthread_mutex_lock(&t->lock);
	if (t->dev->ops->end)
		t->dev->ops->end(t->dev);
	pthread_mutex_unlock(&t->lock);
}

int vmmio_stop(struct vmmio *t)
{
	int ret;

	pthread_mutex_lock(&t->lock);
	stop_queues(t);
	ret = t->dev->ops->settle ? t->dev->ops->settle(t->dev) : 0;
	pthread_mutex_unlock(&t->lock);
	return ret;
}

void vmmio_free(struct vmmio *t)
{
	if (!t)
		return;
	stop_queues(t);
	for (unsigned int q = 0; q < t->dev->nr_queues; q++) {
		virtq_free(t->vq[q]);
		if (t->kick_fd[q] >= 0)
			close(t->kick_fd[q]);
	}
	t->dev->ops->free(t->dev);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void vmmio_stats(struct vmmio *t, struct vmmio_stats *s)
{
	pthread_mutex_lock(&t->lock);
	if (t->started)
		remember_mode(t);
	*s = t->stats;
	s->guest_errors = atomic_load(&t->dev->errors.count);
	pthread_mutex_unlock(&t->lock);
}

void vmmio_irq_stats(struct vmmio *t, unsigned int q, struct vmmio_irq_stats *s)
{
	const struct virtio_irq *irq = q < t->dev->nr_queues ? &t->irq[q] : &t->tp.config_irq;

	pthread_mutex_lock(&t->lock);
	if (t->started)
		remember_mode(t);
	*s = (struct vmmio_irq_stats){
		.signals = atomic_load(&irq->signals),
		.suppressed = atomic_load(&irq->suppressed),
		.vector = irq->vector,
		.message_data = irq->last_data,
	};
	pthread_mutex_unlock(&t->lock);
}
