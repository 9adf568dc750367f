/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a virtio-blk device. One request per queue at a time through these helpers. */
#ifndef BARE_BLK_H
#define BARE_BLK_H

#include "vdev.h"

#define SECTOR 512u
#define BLK_NO_ANSWER 0xee	/* what the status byte holds until the device writes it */
#define BLK_MS 4000

struct blk_req {
	struct virtio_blk_outhdr hdr;
	volatile uint8_t status;
};

struct blk_req *blk_req(const struct vdev *d, unsigned int q);

/* Header, data (len 0: none), status, on queue q; not yet offered. Returns the head. */
uint16_t blk_build(struct vdev *d, unsigned int q, uint32_t type, uint64_t sector, void *data,
		   uint32_t len);

/* Builds, offers and kicks. */
void blk_submit(struct vdev *d, unsigned int q, uint32_t type, uint64_t sector, void *data,
		uint32_t len);

/* Submits and polls for the end: the status byte; BLK_NO_ANSWER after BLK_MS. */
uint8_t blk_do(struct vdev *d, unsigned int q, uint32_t type, uint64_t sector, void *data,
	       uint32_t len);

/* A page of the caller's own per queue. */
uint8_t *blk_page(const struct vdev *d, unsigned int q);

/* A read of sector 0 that is polled for: whether the device is alive on queue q. */
bool blk_works(struct vdev *d, unsigned int q);

uint64_t blk_capacity(const struct vdev *d);

/*
 * What the runner writes to a disk: each sector starts with its number and
 * continues with bytes that depend on it. fill makes one for a chosen number.
 */
void sector_fill(uint8_t *sector, uint64_t number);
bool sector_is(const uint8_t *sector, uint64_t number);

#endif
