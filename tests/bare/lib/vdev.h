/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio-mmio driver in small pieces, so that a test can do each step, leave
 * one out or do it wrong. virtio 1.2, 4.2; MSI: vmmio_msi_abi.h.
 *
 * Options on the command line tell where the devices are (the defaults are
 * mimsy's): base=, stride=, windows=, line0= (first line, then consecutive).
 */
#ifndef BARE_VDEV_H
#define BARE_VDEV_H

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>

#include "check.h"
#include "cpu.h"
#include "ring.h"
#include "vmmio_msi_abi.h"

#define VDEV_MAX_QUEUES 16

/* Interrupt vectors the tests give out: configuration of device i, then its queues. */
#define VEC_DEVICE(i)		(0x40 + 0x20 * (i))
#define VEC_CONFIG(d)		((uint8_t)VEC_DEVICE((d)->slot))
#define VEC_QUEUE(d, q)		((uint8_t)(VEC_CONFIG(d) + 1 + (q)))
#define VEC_LINE(d)		((uint8_t)(VEC_CONFIG(d) + 0x1f))
#define VEC_LAST(d)		VEC_LINE(d)

#define F_VERSION_1	(1ull << VIRTIO_F_VERSION_1)
#define F_INDIRECT	(1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define F_EVENT_IDX	(1ull << VIRTIO_RING_F_EVENT_IDX)
#define S_ACK		VIRTIO_CONFIG_S_ACKNOWLEDGE
#define S_DRIVER	VIRTIO_CONFIG_S_DRIVER
#define S_FEATURES_OK	VIRTIO_CONFIG_S_FEATURES_OK
#define S_DRIVER_OK	VIRTIO_CONFIG_S_DRIVER_OK
#define S_NEEDS_RESET	VIRTIO_CONFIG_S_NEEDS_RESET
#define S_FAILED	VIRTIO_CONFIG_S_FAILED

/* How interrupts are set up by vdev_start(). */
enum irq_mode {
	IRQ_NONE,		/* the driver polls */
	IRQ_LINE,
	IRQ_MSI_UPDATE_FIRST,	/* messages, then the enable bit */
	IRQ_MSI_ENABLE_FIRST,
};

struct vdev {
	uint64_t base;
	unsigned int window;		/* number of its window */
	unsigned int slot;		/* picks the interrupt vectors; 0..5 */
	unsigned int gsi;		/* its line */
	uint32_t device_id;
	uint32_t vendor;
	unsigned int nr_queues;		/* of the device, at most VDEV_MAX_QUEUES */
	unsigned int nr_vectors;	/* 0: no MSI */
	bool doorbells;
	uint32_t doorbell_reg;		/* as read when it was found */
	uint64_t features;		/* negotiated last */
	uint16_t queue_size;		/* wanted by vdev_setup_queue(); 0: 16 */
	void *priv;			/* of the driver for the device type */
	struct ring ring[VDEV_MAX_QUEUES];
};

/*
 * The nth device with that id, or NULL. The same pointer each time; nothing of
 * the device but its identification is touched.
 */
struct vdev *vdev_get(uint32_t device_id, unsigned int nth);
void vdev_reset_all(void);

uint32_t vdev_read(const struct vdev *d, uint32_t reg);
void vdev_write(const struct vdev *d, uint32_t reg, uint32_t v);
uint8_t vdev_status(const struct vdev *d);
void vdev_set_status(const struct vdev *d, uint32_t bits);	/* adds bits */
void vdev_write_status(const struct vdev *d, uint32_t v);
bool vdev_reset(const struct vdev *d);		/* false: status did not read 0 */

uint64_t vdev_offered(const struct vdev *d);
void vdev_write_features(const struct vdev *d, uint64_t features);
uint32_t vdev_queue_max(const struct vdev *d, unsigned int q);

/* ACKNOWLEDGE and DRIVER, features & offered, FEATURES_OK; false: it did not stick. */
bool vdev_negotiate(struct vdev *d, uint64_t features);
/* Makes the ring and tells the device. */
void vdev_setup_queue(struct vdev *d, unsigned int q);
/* Writes addresses as they are. */
void vdev_write_queue(const struct vdev *d, unsigned int q, uint32_t size, uint64_t desc,
		      uint64_t avail, uint64_t used);
void vdev_setup_irqs(struct vdev *d, unsigned int nr_queues, enum irq_mode mode);

/* From reset to the queues; then DRIVER_OK. Both fail the check if anything goes wrong. */
void vdev_prepare(struct vdev *d, unsigned int nr_queues, uint64_t features);
void vdev_run(struct vdev *d);
/* The two, with the interrupts in between. */
void vdev_start(struct vdev *d, unsigned int nr_queues, uint64_t features, enum irq_mode mode);

/* Notify queue q: by its doorbell if there is one, else through 0x050. */
void vdev_kick(const struct vdev *d, unsigned int q);
void vdev_kick_classic(const struct vdev *d, unsigned int q);
uint64_t vdev_doorbell(const struct vdev *d, unsigned int q);	/* its address */

/* MSI. Commands and enable return what the result register says then. */
uint16_t msi_csr(const struct vdev *d);
void msi_stage(const struct vdev *d, uint32_t lo, uint32_t hi, uint32_t data);
uint16_t msi_command(const struct vdev *d, unsigned int code, unsigned int vector);
uint16_t msi_result(const struct vdev *d);
uint16_t msi_update(const struct vdev *d, unsigned int vector, unsigned int cpu, uint8_t irq);
uint16_t msi_mask(const struct vdev *d, unsigned int vector);
uint16_t msi_unmask(const struct vdev *d, unsigned int vector);
uint16_t msi_enable(const struct vdev *d, bool on);
uint16_t msi_enable_some(const struct vdev *d, unsigned int nr_vectors);
/* The MSI vector that serves queue q. */
unsigned int msi_vector_of(const struct vdev *d, unsigned int q);

#define MSI_ADDRESS(cpu) (0xfee00000u | (uint32_t)(cpu) << 12)

#endif
