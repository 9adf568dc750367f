/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_dev.h"

#include <assert.h>
#include <check.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#include "util.h"
#include "vmmio_msi_abi.h"

static struct fake_dev *to_fake(struct virtio_dev *dev)
{
	return container_of(dev, struct fake_dev, dev);
}

static void fake_read_config(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	assert(len <= dev->config_len && off <= dev->config_len - len);
	memcpy(buf, to_fake(dev)->config + off, len);
}

static void fake_write_config(struct virtio_dev *dev, uint32_t off, const void *buf, uint32_t len)
{
	assert(len <= dev->config_len && off <= dev->config_len - len);
	memcpy(to_fake(dev)->config + off, buf, len);
	to_fake(dev)->nr_config_writes++;
}

static int fake_start(struct virtio_dev *dev, const struct virtio_start *s)
{
	struct fake_dev *d = to_fake(dev);

	assert(!d->started);
	d->nr_starts++;
	d->start = *s;
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++)
		if (d->inline_queues >> q & 1)
			s->queue[q].inline_kick = true;
	d->started = !d->start_result;
	return d->start_result;
}

static void fake_stop(struct virtio_dev *dev)
{
	struct fake_dev *d = to_fake(dev);

	assert(d->started);
	d->nr_stops++;
	if (d->on_stop)
		d->on_stop(d->on_stop_arg);
	d->started = false;
}

static void fake_kick(struct virtio_dev *dev, unsigned int queue)
{
	struct fake_dev *d = to_fake(dev);

	assert(d->started && queue < FAKE_DEV_QUEUES && d->inline_queues >> queue & 1);
	d->nr_inline[queue]++;
}

static void fake_free(struct virtio_dev *dev)
{
	assert(!to_fake(dev)->started);
	to_fake(dev)->nr_frees++;
}

static const struct virtio_dev_ops fake_ops = {
	.read_config = fake_read_config,
	.write_config = fake_write_config,
	.start = fake_start,
	.stop = fake_stop,
	.kick = fake_kick,
	.free = fake_free,
};

void fake_dev_init(struct fake_dev *d)
{
	*d = (struct fake_dev){
		.dev = {
			.ops = &fake_ops,
			.device_id = FAKE_DEV_ID,
			.nr_queues = FAKE_DEV_QUEUES,
			.queue_size_max = FAKE_DEV_QUEUE_SIZE,
			.config_len = FAKE_DEV_CONFIG_LEN,
			.features = FAKE_DEV_FEATURES,
		},
	};
	for (unsigned int i = 0; i < sizeof(d->config); i++)
		d->config[i] = (uint8_t)(0xa0 + i);
	guest_errors_init(&d->dev.errors, "fake0");
}

void bench_init(struct vmmio_bench *b, unsigned int nr_vectors, bool doorbells)
{
	memset(b, 0, sizeof(*b));
	log_set_level(LOG_LEVEL_ERROR);		/* guest errors are counted, not read */
	ck_assert_int_eq(guest_mem_create(&b->mem, MIB(4), GIB(3), GIB(4), GUEST_MEM_ANON), 0);
	fake_irq_init(&b->irq, nr_vectors);
	fake_dev_init(&b->dev);
	ck_assert_int_eq(vmmio_create(&b->t, &b->dev.dev, b->mem, &b->irq.sink, doorbells), 0);
}

void bench_release(struct vmmio_bench *b)
{
	vmmio_free(b->t);
	fake_irq_release(&b->irq);
	guest_mem_free(b->mem);
}

uint64_t bench_read(struct vmmio_bench *b, uint64_t off, uint32_t len)
{
	uint64_t val = 0;

	assert(len <= sizeof(val));
	vmmio_bus_ops.read(b->t, off, &val, len);
	return val;
}

void bench_write(struct vmmio_bench *b, uint64_t off, uint32_t len, uint64_t val)
{
	assert(len <= sizeof(val));
	vmmio_bus_ops.write(b->t, off, &val, len);
}

uint32_t reg_read(struct vmmio_bench *b, uint64_t off)
{
	return (uint32_t)bench_read(b, off, 4);
}

void reg_write(struct vmmio_bench *b, uint64_t off, uint32_t val)
{
	bench_write(b, off, 4, val);
}

uint32_t bench_status(struct vmmio_bench *b)
{
	return reg_read(b, VIRTIO_MMIO_STATUS);
}

uint64_t bench_guest_errors(struct vmmio_bench *b)
{
	return atomic_load(&b->dev.dev.errors.count);
}

void bench_accept_features(struct vmmio_bench *b, uint64_t features)
{
	for (uint32_t word = 0; word < 2; word++) {
		reg_write(b, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		reg_write(b, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32 * word));
	}
}

void bench_to_features_ok(struct vmmio_bench *b)
{
	reg_write(b, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	reg_write(b, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	bench_accept_features(b, FAKE_VERSION_1);
	reg_write(b, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
		  VIRTIO_CONFIG_S_FEATURES_OK);
}

void bench_set_up_queue(struct vmmio_bench *b, unsigned int q)
{
	const struct virtq_cfg *c = &b->driver[q].cfg;

	vdriver_init(&b->driver[q], b->mem, 0x10000u * (q + 1), FAKE_DEV_QUEUE_SIZE, false);
	reg_write(b, VIRTIO_MMIO_QUEUE_SEL, q);
	reg_write(b, VIRTIO_MMIO_QUEUE_NUM, c->size);
	reg_write(b, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)c->desc);
	reg_write(b, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(c->desc >> 32));
	reg_write(b, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)c->avail);
	reg_write(b, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(c->avail >> 32));
	reg_write(b, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)c->used);
	reg_write(b, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(c->used >> 32));
	reg_write(b, VIRTIO_MMIO_QUEUE_READY, 1);
}

void bench_to_driver_ok(struct vmmio_bench *b)
{
	bench_to_features_ok(b);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++)
		bench_set_up_queue(b, q);
	reg_write(b, VIRTIO_MMIO_STATUS, bench_status(b) | VIRTIO_CONFIG_S_DRIVER_OK);
}

void bench_reset(struct vmmio_bench *b)
{
	reg_write(b, VIRTIO_MMIO_STATUS, 0);
}

void bench_msi_update(struct vmmio_bench *b, unsigned int vector, uint32_t addr, uint32_t data)
{
	reg_write(b, VIRTIO_MMIO_MSI_ADDR_LOW, addr);
	reg_write(b, VIRTIO_MMIO_MSI_ADDR_HIGH, 0);
	reg_write(b, VIRTIO_MMIO_MSI_DATA, data);
	bench_msi_command(b, VIRTIO_MMIO_MSI_CMD_UPDATE, vector);
}

void bench_msi_command(struct vmmio_bench *b, unsigned int code, unsigned int vector)
{
	bench_write(b, VIRTIO_MMIO_MSI_CMD, 2, code << VIRTIO_MMIO_MSI_CMD_CODE_SHIFT | vector);
}

void bench_msi_enable(struct vmmio_bench *b, unsigned int nr_used)
{
	bench_write(b, VIRTIO_MMIO_MSI_CSR, 2, VIRTIO_MMIO_MSI_CSR_ENABLE | nr_used);
}

unsigned int bench_msi_result(struct vmmio_bench *b)
{
	return (unsigned int)bench_read(b, VIRTIO_MMIO_MSI_CMD, 2);
}
