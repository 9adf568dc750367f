/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk request: any header and ranges, any sectors, any disk, buffers of any
 * length up to 2^32 - 1 in sum. What is carried out lies on the disk.
 *
 * The lengths less header and status wrap before they are checked, which is harmless;
 * so sums are proven by adding up in 64 bits.
 *
 * cbmc: --unwind 6
 * catches: 040-sector-sum-wraps 043-part-of-a-sector 044-readonly-written
 * catches: 046-range-beyond-end 048-header-short 049-status-missing
 */
#include "harness.h"

#define MAX_OUT		3u	/* buffers */
#define MAX_IN		2u
#define MAX_RANGES	2u

static void *any_bytes(void *to, const void *from, size_t n);

#define memcpy(to, from, n) any_bytes(to, from, n)
#include "blk_req.c"
#undef memcpy

static uint8_t guest_byte;	/* where buffers are is not looked at */

/* What a guest wrote is any value. */
static void *any_bytes(void *to, const void *from, size_t n)
{
	PROVE(__CPROVER_w_ok(to, n), "what is read has room");
	(void)from;
	__CPROVER_havoc_slice(to, n);
	return to;
}

static void any_chain(struct virtq_chain *c, struct iovec *iov)
{
	uint64_t out_len = 0, in_len = 0;

	c->head = nondet_u16();
	c->nr_out = nondet_u16();
	c->nr_in = nondet_u16();
	ASSUME(c->nr_out <= MAX_OUT && c->nr_in <= MAX_IN);
	for (unsigned int i = 0; i < MAX_OUT + MAX_IN; i++) {
		if (i >= (unsigned int)c->nr_out + c->nr_in)
			break;
		iov[i].iov_base = &guest_byte;
		iov[i].iov_len = nondet_u32();
		ASSUME(iov[i].iov_len);
		*(i < c->nr_out ? &out_len : &in_len) += iov[i].iov_len;
	}
	ASSUME(out_len <= UINT32_MAX && in_len <= UINT32_MAX);
	c->out_len = (uint32_t)out_len;
	c->in_len = (uint32_t)in_len;
}

static bool is_on_disk(const struct blk_limits *limits, uint64_t sector, uint64_t nr)
{
	uint64_t end;

	return !__builtin_add_overflow(sector, nr, &end) && end <= limits->nr_sectors;
}

static void check_ranges(const struct blk_req *req, const struct blk_limits *limits)
{
	bool discard = req->type == VIRTIO_BLK_T_DISCARD;

	PROVE(req->nr_ranges && req->nr_ranges <= BLK_MAX_RANGES, "as many as there may be");
	PROVE(!limits->readonly && !(discard && limits->no_discard), "the disk takes it");
	for (unsigned int i = 0; i < MAX_RANGES && i < req->nr_ranges; i++) {
		const struct blk_range *r = &req->range[i];

		PROVE(r->nr_sectors && is_on_disk(limits, r->sector, r->nr_sectors),
		      "a range lies on the disk");
		PROVE(r->nr_sectors <= (discard ? BLK_MAX_DISCARD : BLK_MAX_WRITE_ZEROES),
		      "a range has a bound");
		PROVE(!(r->unmap && (discard || limits->no_discard)), "unmap where it is allowed");
	}
}

static void check_transfer_ok(const struct blk_req *req, const struct blk_limits *limits)
{
	uint64_t len = 0;

	PROVE(req->data_len && !(req->data_len % 512), "whole sectors");
	PROVE(is_on_disk(limits, req->sector, req->data_len / 512), "on the disk");
	PROVE(req->type == VIRTIO_BLK_T_IN || !limits->readonly, "not written if read-only");
	for (int i = 0; i < (int)MAX_OUT; i++)
		len += i < req->nr_iov ? req->iov[i].iov_len : 0;
	PROVE(len == req->data_len, "the buffers hold the data, no byte of header or status");
}

void a_request_that_passes_lies_on_the_disk_whole(void)
{
	struct blk_limits limits = { nondet_u64(), nondet_bool(), nondet_bool() };
	struct iovec iov[MAX_OUT + MAX_IN];
	struct virtq_chain c;
	struct blk_req req;
	int ret;

	any_chain(&c, iov);
	/* Between: a third range and those after it, which are the same loop. */
	ASSUME(c.out_len < 16 + 16 * (MAX_RANGES + 1) ||
	       c.out_len >= 16 + 16 * (BLK_MAX_RANGES + 1));
	ret = blk_req_parse(&req, &limits, &c, iov);
	PROVE(ret == -EPROTO || (ret >= 0 && ret <= VIRTIO_BLK_S_UNSUPP), "a known answer");
	PROVE((ret == -EPROTO) == !c.in_len, "answered exactly if there is a place for the status");
	if (ret)
		return;
	PROVE(c.out_len >= 16, "there is a header");
	PROVE(req.nr_iov >= 0 && req.nr_iov <= (int)(MAX_OUT + MAX_IN), "buffers of the chain");
	if (req.type == VIRTIO_BLK_T_IN || req.type == VIRTIO_BLK_T_OUT)
		check_transfer_ok(&req, &limits);
	else if (req.type == VIRTIO_BLK_T_DISCARD || req.type == VIRTIO_BLK_T_WRITE_ZEROES)
		check_ranges(&req, &limits);
}
