/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small split-ring driver, the other side of virtq.c. It is honest; a test
 * that wants a hostile one writes to the rings through the pointers here.
 *
 * One thread per vdriver. No lock.
 */
#ifndef MIMSY_TEST_VDRIVER_H
#define MIMSY_TEST_VDRIVER_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest_mem.h"
#include "virtq.h"

#define VDRIVER_MAX_SIZE 1024u

struct vdriver {
	struct guest_mem *mem;
	struct virtq_cfg cfg;		/* for the device */
	struct vring_desc *desc;	/* guest memory */
	uint16_t *avail;		/* flags, idx, ring[size], used_event */
	uint8_t *used;			/* flags, idx, { id, len }[size], avail_event */
	gpa_t next_gpa;			/* where the next buffer goes */
	uint16_t size;
	bool event_idx;
	uint16_t avail_idx, avail_shown, used_seen;
	uint16_t free[VDRIVER_MAX_SIZE];	/* stack of free descriptors */
	uint16_t nr_free;
};

struct vbuf {
	gpa_t gpa;
	uint32_t len;
	bool write;
};

/* Rings at base, buffers behind them. */
void vdriver_init(struct vdriver *d, struct guest_mem *mem, gpa_t base, uint16_t size,
		  bool event_idx);

/* len bytes of guest memory, 16-byte aligned, never given back. */
gpa_t vdriver_alloc(struct vdriver *d, uint32_t len);
void *vdriver_ptr(const struct vdriver *d, gpa_t gpa);

/* Puts a chain into the available ring and returns its head. vdriver_show() shows it. */
uint16_t vdriver_add(struct vdriver *d, const struct vbuf *buf, unsigned int n);
uint16_t vdriver_add_indirect(struct vdriver *d, const struct vbuf *buf, unsigned int n);

/* Publishes what was added. true: the device wants a doorbell. */
bool vdriver_show(struct vdriver *d);
/* With event indices: the request for which the device wants one. */
uint16_t vdriver_kick_at(const struct vdriver *d);

/* Takes the next used element. false: there is none. */
bool vdriver_take(struct vdriver *d, uint16_t *head, uint32_t *len);

/* Sets used_event: an interrupt is wanted when entry number idx has been used. */
void vdriver_want_irq_at(struct vdriver *d, uint16_t idx);

#endif
