/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor chain -> a checked disk request. virtio 1.2, 5.2.6.
 *
 * Pure: no I/O, no state. What the guest wrote is copied once, checked, then
 * used; afterwards only the data itself is still in guest memory.
 */
#ifndef MIMSY_BLK_REQ_H
#define MIMSY_BLK_REQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "virtq.h"

#define BLK_SECTOR		512u
#define BLK_ID_LEN		20u		/* what GET_ID answers */
#define BLK_MAX_RANGES		16u		/* in a discard or write-zeroes request */
#define BLK_MAX_DISCARD		(1u << 21)	/* sectors in one range */
#define BLK_MAX_WRITE_ZEROES	(1u << 15)
#define BLK_MAX_IOV		1024		/* what one preadv(2) takes */

struct blk_limits {
	uint64_t nr_sectors;	/* of 512 bytes, whatever the block size */
	bool readonly;
	bool no_discard;	/* the image keeps the space it has */
};

struct blk_range {
	uint64_t sector;
	uint32_t nr_sectors;
	bool unmap;		/* write-zeroes only */
};

struct blk_req {
	uint32_t type;		/* VIRTIO_BLK_T_* */
	uint64_t sector;	/* IN and OUT */
	struct iovec *iov;	/* the data, but not the ranges; points into the caller's array */
	int nr_iov;
	uint32_t data_len;
	uint32_t in_len;	/* writable bytes before the status, whatever they are for */
	uint8_t *status;	/* guest memory */
	unsigned int nr_ranges;	/* DISCARD and WRITE_ZEROES */
	struct blk_range range[BLK_MAX_RANGES];
};

/*
 * Takes the chain apart; iov (changed) holds its nr_out + nr_in entries.
 * Returns VIRTIO_BLK_S_OK, or the status to answer with (req->status is set),
 * or -EPROTO: there is no status byte, so the request cannot be answered.
 */
int blk_req_parse(struct blk_req *req, const struct blk_limits *limits,
		  const struct virtq_chain *c, struct iovec *iov);

/* Copies len bytes into the request's data part; false if it is shorter. */
bool blk_req_fill(const struct blk_req *req, const void *src, uint32_t len);

#endif
