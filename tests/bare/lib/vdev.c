/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"
#include "print.h"
#include "vdev.h"

#define MAGIC		0x74726976u	/* "virt" */
#define MAX_DEVICES	128
#define RESET_MS	2000
#define LATE_MS		3	/* KVM injects a line's interrupt from a work queue */

static struct vdev devices[MAX_DEVICES];
static unsigned int nr_devices;
static bool scanned;

uint32_t vdev_read(const struct vdev *d, uint32_t reg)
{
	return mmio_read32(d->base + reg);
}

void vdev_write(const struct vdev *d, uint32_t reg, uint32_t v)
{
	mmio_write32(d->base + reg, v);
}

static unsigned int line_of(unsigned int window)
{
	static const unsigned int lines[] = LAYOUT_LINE_GSIS;
	uint64_t line0 = option_number("line0", 0);

	return line0 ? (unsigned int)line0 + window : lines[window % ARRAY_SIZE(lines)];
}

static void identify(struct vdev *d)
{
	d->vendor = vdev_read(d, VIRTIO_MMIO_VENDOR_ID);
	while (d->nr_queues < VDEV_MAX_QUEUES && vdev_queue_max(d, d->nr_queues))
		d->nr_queues++;
	if ((d->vendor & VIRTIO_MMIO_VENDOR_MSI_MASK) != VIRTIO_MMIO_VENDOR_MSI)
		return;
	d->doorbells = d->vendor & VIRTIO_MMIO_VENDOR_F_PER_QUEUE_NOTIFY;
	if (d->doorbells)
		d->doorbell_reg = vdev_read(d, VIRTIO_MMIO_DOORBELL);
	if (d->vendor & VIRTIO_MMIO_VENDOR_F_MSI_INTR)
		d->nr_vectors = msi_csr(d) & VIRTIO_MMIO_MSI_CSR_NVEC_MASK;
}

static void scan(void)
{
	uint64_t base = option_number("base", LAYOUT_VIRTIO_BASE);
	uint64_t stride = option_number("stride", LAYOUT_VIRTIO_STRIDE);
	unsigned int i, windows = (unsigned int)option_number("windows", MAX_DEVICES);

	scanned = true;
	for (i = 0; i < windows && nr_devices < MAX_DEVICES; i++, base += stride) {
		struct vdev *d = &devices[nr_devices];

		if (mmio_read32(base + VIRTIO_MMIO_MAGIC_VALUE) != MAGIC)
			break;
		d->base = base;
		d->device_id = vdev_read(d, VIRTIO_MMIO_DEVICE_ID);
		if (!d->device_id)
			continue;
		d->window = i;
		d->slot = nr_devices++ % 5;
		d->gsi = line_of(i);
		identify(d);
	}
}

struct vdev *vdev_get(uint32_t device_id, unsigned int nth)
{
	unsigned int i;

	if (!scanned)
		scan();
	for (i = 0; i < nr_devices; i++)
		if (devices[i].device_id == device_id && !nth--)
			return &devices[i];
	return NULL;
}

void vdev_reset_all(void)
{
	unsigned int i;

	if (!scanned)
		scan();
	for (i = 0; i < nr_devices; i++) {
		devices[i].queue_size = 0;
		if (!vdev_reset(&devices[i]))
			check_abort("device %u does not reset", i);
		ioapic_mask(devices[i].gsi);
	}
	delay_ms(LATE_MS);
	irq_counts_clear();
}

uint8_t vdev_status(const struct vdev *d)
{
	return (uint8_t)vdev_read(d, VIRTIO_MMIO_STATUS);
}

void vdev_write_status(const struct vdev *d, uint32_t v)
{
	vdev_write(d, VIRTIO_MMIO_STATUS, v);
}

void vdev_set_status(const struct vdev *d, uint32_t bits)
{
	vdev_write_status(d, vdev_read(d, VIRTIO_MMIO_STATUS) | bits);
}

bool vdev_reset(const struct vdev *d)
{
	vdev_write_status(d, 0);
	return WAIT(!vdev_status(d), RESET_MS);
}

uint64_t vdev_offered(const struct vdev *d)
{
	uint64_t lo;

	vdev_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	lo = vdev_read(d, VIRTIO_MMIO_DEVICE_FEATURES);
	vdev_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return (uint64_t)vdev_read(d, VIRTIO_MMIO_DEVICE_FEATURES) << 32 | lo;
}

void vdev_write_features(const struct vdev *d, uint64_t features)
{
	vdev_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	vdev_write(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	vdev_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	vdev_write(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
}

uint32_t vdev_queue_max(const struct vdev *d, unsigned int q)
{
	vdev_write(d, VIRTIO_MMIO_QUEUE_SEL, q);
	return vdev_read(d, VIRTIO_MMIO_QUEUE_NUM_MAX);
}

bool vdev_negotiate(struct vdev *d, uint64_t features)
{
	vdev_set_status(d, S_ACK);
	vdev_set_status(d, S_DRIVER);
	d->features = (features | F_VERSION_1) & vdev_offered(d);
	vdev_write_features(d, d->features);
	vdev_set_status(d, S_FEATURES_OK);
	return vdev_status(d) & S_FEATURES_OK;
}

static void write64(const struct vdev *d, uint32_t reg, uint64_t v)
{
	vdev_write(d, reg, (uint32_t)v);
	vdev_write(d, reg + 4, (uint32_t)(v >> 32));
}

void vdev_write_queue(const struct vdev *d, unsigned int q, uint32_t size, uint64_t desc,
		      uint64_t avail, uint64_t used)
{
	vdev_write(d, VIRTIO_MMIO_QUEUE_SEL, q);
	vdev_write(d, VIRTIO_MMIO_QUEUE_NUM, size);
	write64(d, VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
	write64(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, avail);
	write64(d, VIRTIO_MMIO_QUEUE_USED_LOW, used);
	vdev_write(d, VIRTIO_MMIO_QUEUE_READY, 1);
}

void vdev_setup_queue(struct vdev *d, unsigned int q)
{
	struct ring *r = &d->ring[q];
	uint16_t size = d->queue_size ? d->queue_size : 16;
	uint32_t max = vdev_queue_max(d, q);

	if (size > max)
		size = (uint16_t)max;
	ring_init(r, size, d->features & F_EVENT_IDX);
	vdev_write_queue(d, q, size, (uint64_t)r->desc, (uint64_t)r->avail, (uint64_t)r->used);
}

static void setup_messages(struct vdev *d, unsigned int nr_queues)
{
	unsigned int q;

	if (msi_update(d, VIRTIO_MMIO_MSI_VECTOR_CONFIG, 0, VEC_CONFIG(d)))
		check_fail("message of the configuration vector refused: %u", msi_result(d));
	for (q = 0; q < nr_queues && q + 1 < d->nr_vectors; q++)
		if (msi_update(d, VIRTIO_MMIO_MSI_VECTOR_QUEUE(q), 0, VEC_QUEUE(d, q)))
			check_fail("message of queue %u refused: %u", q, msi_result(d));
}

void vdev_setup_irqs(struct vdev *d, unsigned int nr_queues, enum irq_mode mode)
{
	if (mode == IRQ_LINE)
		ioapic_route(d->gsi, VEC_LINE(d), 0);
	if (mode == IRQ_MSI_ENABLE_FIRST && msi_enable(d, true))
		check_fail("enable refused: %u", msi_result(d));
	if (mode == IRQ_MSI_ENABLE_FIRST || mode == IRQ_MSI_UPDATE_FIRST)
		setup_messages(d, nr_queues);
	if (mode == IRQ_MSI_UPDATE_FIRST && msi_enable(d, true))
		check_fail("enable refused: %u", msi_result(d));
}

void vdev_prepare(struct vdev *d, unsigned int nr_queues, uint64_t features)
{
	unsigned int q;

	RETURN_IF_FAILED();
	EXPECT(vdev_reset(d));
	EXPECT(vdev_negotiate(d, features));
	EXPECT(d->features & F_VERSION_1);
	EXPECT(nr_queues <= d->nr_queues);
	for (q = 0; q < nr_queues; q++)
		vdev_setup_queue(d, q);
}

void vdev_run(struct vdev *d)
{
	RETURN_IF_FAILED();
	vdev_set_status(d, S_DRIVER_OK);
	EXPECT_EQ(vdev_status(d), S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

void vdev_start(struct vdev *d, unsigned int nr_queues, uint64_t features, enum irq_mode mode)
{
	vdev_prepare(d, nr_queues, features);
	if (!check_failed())
		vdev_setup_irqs(d, nr_queues, mode);
	vdev_run(d);
}

uint64_t vdev_doorbell(const struct vdev *d, unsigned int q)
{
	uint32_t where = d->doorbell_reg;

	return d->base + (where & VIRTIO_MMIO_DOORBELL_OFFSET_MASK) +
	       (uint64_t)q * (where >> VIRTIO_MMIO_DOORBELL_STRIDE_SHIFT);
}

void vdev_kick_classic(const struct vdev *d, unsigned int q)
{
	barrier();
	vdev_write(d, VIRTIO_MMIO_QUEUE_NOTIFY, q);
}

void vdev_kick(const struct vdev *d, unsigned int q)
{
	if (!d->doorbells) {
		vdev_kick_classic(d, q);
		return;
	}
	barrier();
	mmio_write32(vdev_doorbell(d, q), q);
}
