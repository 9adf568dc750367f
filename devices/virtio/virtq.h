/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueue, device side. virtio 1.2, section 2.7.
 *
 * The rings live in guest memory, so nothing read from them is trusted: each
 * field is copied once, checked, then used. The device's own cursors never
 * come from guest memory. One thread owns a started queue; no lock.
 *
 * The first -EPROTO is final: the queue stays broken until it is started anew.
 */
#ifndef MIMSY_VIRTQ_H
#define MIMSY_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "guest_mem.h"

#define VIRTQ_MAX_SIZE 32768u	/* virtio 1.2, 2.7: the largest queue size */

struct virtq;			/* live queue: opaque, holds host pointers */

struct virtq_cfg {		/* what the driver wrote, not yet believed */
	gpa_t desc, avail, used;
	uint32_t size;
	bool ready;
};

struct virtq_chain {
	uint16_t head;
	uint16_t nr_out;	/* device-readable entries, first in the iovec */
	uint16_t nr_in;		/* device-writable entries, right behind them */
	uint32_t out_len;	/* bytes in the readable part */
	uint32_t in_len;	/* bytes in the writable part */
};

/* Storage for a queue of up to max_size entries; mem is borrowed. */
int virtq_create(struct virtq **out, const struct guest_mem *mem, uint16_t max_size);
void virtq_free(struct virtq *q);	/* NULL is allowed */

/*
 * Checks cfg and takes it. features: the negotiated bits (EVENT_IDX,
 * INDIRECT_DESC). -EINVAL: bad size, alignment or range.
 */
int virtq_start(struct virtq *q, const struct virtq_cfg *cfg, uint64_t features);

/* Drops every pointer into guest memory. */
void virtq_stop(struct virtq *q);

uint16_t virtq_size(const struct virtq *q);

/* The guest's memory, for vhost. */
const struct guest_mem *virtq_mem(const struct virtq *q);

/*
 * Takes the next chain. iov has room for max_iov entries; virtq_size() is
 * always enough. Entries of length 0 are left out.
 * 0: taken. -EAGAIN: ring empty. -EPROTO: the driver broke the ring.
 */
int virtq_pop(struct virtq *q, struct virtq_chain *c, struct iovec *iov, int max_iov);

/* Puts the chain back at the front of the available ring (only the one popped last). */
void virtq_unpop(struct virtq *q, uint16_t head);

/*
 * Writes a used element; the driver sees it after virtq_publish(). A head that
 * is not in flight, here and above, is a mistake of the caller's: nothing is
 * written, and the queue is broken from then on.
 */
void virtq_push(struct virtq *q, uint16_t head, uint32_t bytes_written);

/* Publishes what was pushed. true: the driver wants an interrupt for it. */
bool virtq_publish(struct virtq *q);

/*
 * The same, but the question stays open: virtq_publish() asks again, when the
 * driver may have seen by itself what there is.
 */
bool virtq_publish_open(struct virtq *q);

/* Entries pushed since virtq_publish(). The caller keeps it below 65,536. */
uint16_t virtq_nr_unsettled(const struct virtq *q);

/* Asks the driver to leave out doorbells; a hint. */
void virtq_disable_kick(struct virtq *q);

/* Asks for a doorbell. true: more arrived meanwhile, so pop again before waiting. */
bool virtq_enable_kick(struct virtq *q);

/* Chains popped and not yet pushed. */
uint16_t virtq_nr_inflight(const struct virtq *q);

#endif
