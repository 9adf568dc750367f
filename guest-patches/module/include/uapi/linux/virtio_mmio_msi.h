/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_VIRTIO_MMIO_MSI_H
#define _UAPI_LINUX_VIRTIO_MMIO_MSI_H

/*
 * Registers of message signalled interrupts and of per-queue notification for
 * virtio-mmio, version 2. They extend the register file of
 * <linux/virtio_mmio.h>, which they leave as it is: a driver that does not
 * know them finds a plain device with one interrupt line.
 *
 * Only preprocessor constants: the monitor and the kernel share this text.
 */

/*
 * VendorID (0x00c) of a device with any of these extensions: the upper 24 bits
 * identify it, the lower 8 are flags.
 */
#define VIRTIO_MMIO_VENDOR_MSI		0xdbfcdb00
#define VIRTIO_MMIO_VENDOR_MSI_MASK	0xffffff00

/* InterruptStatus always reads with bit 0 set */
#define VIRTIO_MMIO_VENDOR_F_INTR_USED		0x00000001

/* The device has the MSI register block at 0x0c0 */
#define VIRTIO_MMIO_VENDOR_F_MSI_INTR		0x00000002

/* The device has a doorbell per queue, 0x050 reads as where they are */
#define VIRTIO_MMIO_VENDOR_F_PER_QUEUE_NOTIFY	0x00000004

/* Doorbells: offset from the window's base, distance of two - 32 bits, Read Only */
#define VIRTIO_MMIO_DOORBELL		0x050
#define VIRTIO_MMIO_DOORBELL_OFFSET_MASK	0x0000ffff
#define VIRTIO_MMIO_DOORBELL_STRIDE_SHIFT	16

/* Control and status - 16 bits, Read Write */
#define VIRTIO_MMIO_MSI_CSR		0x0c0

/* Read: MSI is there. Write: 1 enables it, 0 disables it */
#define VIRTIO_MMIO_MSI_CSR_SUPPORTED	0x8000
#define VIRTIO_MMIO_MSI_CSR_ENABLE	0x8000

/*
 * Read: number of vectors, 0 if the device does not tell. Write, with the
 * enable bit: number of vectors the driver uses, 0 for all the device has.
 */
#define VIRTIO_MMIO_MSI_CSR_NVEC_MASK	0x07ff

/* Command, result of the last command or enable - 16 bits, Read Write */
#define VIRTIO_MMIO_MSI_CMD		0x0c2

/* Staged message, taken by the next UPDATE - 32 bits, Write Only */
#define VIRTIO_MMIO_MSI_ADDR_LOW	0x0c4
#define VIRTIO_MMIO_MSI_ADDR_HIGH	0x0c8
#define VIRTIO_MMIO_MSI_DATA		0x0cc

/* First offset after the block, and its length */
#define VIRTIO_MMIO_MSI_END		0x0d0
#define VIRTIO_MMIO_MSI_LEN		(VIRTIO_MMIO_MSI_END - VIRTIO_MMIO_MSI_CSR)

/* A command is a code and the vector it is for */
#define VIRTIO_MMIO_MSI_CMD_CODE_SHIFT	12
#define VIRTIO_MMIO_MSI_CMD_CODE_MASK	0xf000
#define VIRTIO_MMIO_MSI_CMD_VECTOR_MASK	0x0fff

/* The staged message becomes the vector's message, all of it at once */
#define VIRTIO_MMIO_MSI_CMD_UPDATE	1

/* Hold the vector's interrupts back; let them through, one if any was held */
#define VIRTIO_MMIO_MSI_CMD_MASK	2
#define VIRTIO_MMIO_MSI_CMD_UNMASK	3

/* What VIRTIO_MMIO_MSI_CMD reads as */
#define VIRTIO_MMIO_MSI_DONE		0	/* the last command was carried out */
#define VIRTIO_MMIO_MSI_E_VECTOR	1	/* no such vector */
#define VIRTIO_MMIO_MSI_E_MESSAGE	2	/* message refused by the device */
#define VIRTIO_MMIO_MSI_E_NOSPC		3	/* the host has no interrupt number left */
#define VIRTIO_MMIO_MSI_E_HOST		4	/* refused by the host */
#define VIRTIO_MMIO_MSI_E_COMMAND	5	/* no such command */
#define VIRTIO_MMIO_MSI_E_STATE		6	/* command out of turn */

/*
 * Vector 0 tells of configuration changes, vector q + 1 of buffers used in
 * queue q. With fewer vectors in use the last one serves all further queues.
 */
#define VIRTIO_MMIO_MSI_VECTOR_CONFIG	0
#define VIRTIO_MMIO_MSI_VECTOR_QUEUE(q)	((q) + 1)

#endif /* _UAPI_LINUX_VIRTIO_MMIO_MSI_H */
