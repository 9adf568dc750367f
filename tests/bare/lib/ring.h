/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueue, driver side, for tests: descriptors are handed out round
 * robin and never freed, so a test keeps fewer in flight than the ring has.
 * All fields may be written to by a test that wants to break the ring.
 */
#ifndef BARE_RING_H
#define BARE_RING_H

#include <linux/virtio_ring.h>

#include "io.h"

struct ring {
	volatile struct vring_desc *desc;
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	uint16_t size, max;		/* in use; what there is memory for */
	uint16_t next_desc;		/* handed out next */
	uint16_t next_avail;		/* our index; published by ring_publish() */
	uint16_t last_used;		/* taken by ring_take() */
	bool event_idx;
};

struct piece {
	const volatile void *ptr;
	uint32_t len;
	bool writable;			/* by the device */
};

/* Memory is allocated once and reused; the rings are zeroed. */
void ring_init(struct ring *r, uint16_t size, bool event_idx);

/* One chain; returns its head. With indirect, its descriptors go to that table. */
uint16_t ring_chain(struct ring *r, const struct piece *p, unsigned int nr);
uint16_t ring_chain_indirect(struct ring *r, struct vring_desc *table, const struct piece *p,
			     unsigned int nr);
/* One descriptor, as it is. */
void ring_set(struct ring *r, uint16_t idx, uint64_t addr, uint32_t len, uint16_t flags,
	      uint16_t next);

/* Offers a head; the device sees it after ring_publish(). */
void ring_offer(struct ring *r, uint16_t head);
void ring_publish(struct ring *r);

/* The next used element, in order. */
bool ring_take(struct ring *r, uint32_t *id, uint32_t *len);
uint16_t ring_nr_used(const struct ring *r);	/* not taken yet */

/* Where the driver says from which element on it wants an interrupt, and its counterpart. */
volatile uint16_t *ring_used_event(struct ring *r);
volatile uint16_t *ring_avail_event(struct ring *r);

#endif
