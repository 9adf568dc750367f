/* SPDX-License-Identifier: Apache-2.0 */
#include "blk_req.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>

#include "iov.h"

/* The status is the last byte of the writable part, wherever that lies (virtio 1.2, 2.7.4). */
static uint8_t *take_status(struct iovec *iov, unsigned int *nr_iov)
{
	struct iovec *last = &iov[*nr_iov - 1];

	last->iov_len--;
	if (!last->iov_len)
		--*nr_iov;
	return (uint8_t *)last->iov_base + last->iov_len;
}

static bool range_is_valid(const struct blk_limits *limits, uint64_t sector, uint64_t nr_sectors)
{
	return sector <= limits->nr_sectors && nr_sectors <= limits->nr_sectors - sector;
}

static int check_transfer(const struct blk_req *req, const struct blk_limits *limits)
{
	if (!req->data_len || req->data_len % BLK_SECTOR || req->nr_iov > BLK_MAX_IOV)
		return VIRTIO_BLK_S_IOERR;
	if (!range_is_valid(limits, req->sector, req->data_len / BLK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* virtio 1.2, 5.2.6.2: unknown flags, and unmap in a discard, are not supported. */
static int parse_range(struct blk_range *range, const struct virtio_blk_discard_write_zeroes *raw,
		       uint32_t type, const struct blk_limits *limits)
{
	uint32_t flags = le32toh(raw->flags);
	uint32_t known = type == VIRTIO_BLK_T_DISCARD ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	uint32_t max = type == VIRTIO_BLK_T_DISCARD ? BLK_MAX_DISCARD : BLK_MAX_WRITE_ZEROES;

	range->sector = le64toh(raw->sector);
	range->nr_sectors = le32toh(raw->num_sectors);
	range->unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP && !limits->no_discard;
	if (flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (!range->nr_sectors || range->nr_sectors > max)
		return VIRTIO_BLK_S_IOERR;
	if (!range_is_valid(limits, range->sector, range->nr_sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static int parse_ranges(struct blk_req *req, const struct blk_limits *limits)
{
	struct virtio_blk_discard_write_zeroes raw;
	unsigned int nr_iov = (unsigned int)req->nr_iov;
	int ret;

	req->nr_ranges = req->data_len / sizeof(raw);
	if (!req->nr_ranges || req->nr_ranges > BLK_MAX_RANGES || req->data_len % sizeof(raw))
		return VIRTIO_BLK_S_IOERR;
	for (unsigned int i = 0; i < req->nr_ranges; i++) {
		iov_take(&req->iov, &nr_iov, &raw, sizeof(raw));
		req->nr_iov = (int)nr_iov;
		ret = parse_range(&req->range[i], &raw, req->type, limits);
		if (ret)
			return ret;
	}
	return VIRTIO_BLK_S_OK;
}

static int parse_type(struct blk_req *req, const struct blk_limits *limits, uint32_t in_len)
{
	bool to_device = req->type == VIRTIO_BLK_T_OUT || req->type == VIRTIO_BLK_T_DISCARD ||
			 req->type == VIRTIO_BLK_T_WRITE_ZEROES;

	if (to_device && (limits->readonly || in_len))
		return VIRTIO_BLK_S_IOERR;
	if (req->type == VIRTIO_BLK_T_DISCARD && limits->no_discard)
		return VIRTIO_BLK_S_UNSUPP;
	switch (req->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return check_transfer(req, limits);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return parse_ranges(req, limits);
	case VIRTIO_BLK_T_GET_ID:
		return req->data_len < BLK_ID_LEN ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_FLUSH:
		return VIRTIO_BLK_S_OK;
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static bool is_inbound(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
}

int blk_req_parse(struct blk_req *req, const struct blk_limits *limits,
		  const struct virtq_chain *c, struct iovec *iov)
{
	struct virtio_blk_outhdr hdr;
	struct iovec *in = iov + c->nr_out;
	unsigned int nr_out = c->nr_out, nr_in = c->nr_in;
	uint32_t in_len = c->in_len - 1, out_len = c->out_len - sizeof(hdr);

	if (!c->nr_in || !c->in_len)
		return -EPROTO;
	req->status = take_status(in, &nr_in);
	req->in_len = in_len;
	if (c->out_len < sizeof(hdr))
		return VIRTIO_BLK_S_IOERR;
	iov_take(&iov, &nr_out, &hdr, sizeof(hdr));
	req->type = le32toh(hdr.type);
	req->sector = le64toh(hdr.sector);
	req->nr_ranges = 0;
	req->iov = is_inbound(req->type) ? in : iov;
	req->nr_iov = (int)(is_inbound(req->type) ? nr_in : nr_out);
	req->data_len = is_inbound(req->type) ? in_len : out_len;
	if (is_inbound(req->type) && out_len)
		return VIRTIO_BLK_S_IOERR;
	return parse_type(req, limits, in_len);
}

bool blk_req_fill(const struct blk_req *req, const void *src, uint32_t len)
{
	return iov_copy_to(req->iov, (unsigned int)req->nr_iov, 0, src, len) == len;
}
