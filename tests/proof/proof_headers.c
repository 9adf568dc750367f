/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two parsers of what guests put in front of their data, each against its
 * rule in sums that cannot wrap. The lists of buffers that the disk's parser
 * gets are sound: proof_virtq_chain.c shows that a queue lets no others pass.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>

#include "blk_req.h"
#include "net_hdr.h"
#include "proof.h"

struct header {
	uint32_t type, reserved;
	uint64_t sector;
} __attribute__((packed));

#define OUT_MAX (sizeof(struct header) + 16 * (BLK_MAX_RANGES + 2))

/* A request as a driver would describe it, cut into buffers in some way. */
struct request {
	uint8_t out[OUT_MAX];		/* header and ranges; of the data only the length counts */
	uint32_t out_len, in_len;
	uint32_t cut[2];		/* where the readable part is cut, and the writable one */
	uint32_t in_cut;
};

/* Nothing is read or written there but headers, ranges and the status byte. */
static uint8_t *far_away(uint64_t at)
{
	return (uint8_t *)(uintptr_t)(0x100000000000ull + at);
}

static void add(struct iovec *iov, uint16_t *nr, void *base, uint64_t len)
{
	if (len)
		iov[(*nr)++] = (struct iovec){ base, len };
}

static void cut_up(struct request *r, struct virtq_chain *c, struct iovec *iov)
{
	uint32_t a = MIN(r->cut[0], r->out_len), b = MIN(MAX(r->cut[1], a), r->out_len);
	uint32_t i = MIN(r->in_cut, r->in_len);

	*c = (struct virtq_chain){ .out_len = r->out_len, .in_len = r->in_len };
	add(iov, &c->nr_out, r->out, a);
	add(iov, &c->nr_out, r->out + a, b - a);
	add(iov, &c->nr_out, r->out + b, r->out_len - b);
	add(iov + c->nr_out, &c->nr_in, far_away(0), i);
	add(iov + c->nr_out, &c->nr_in, far_away(0x200000000ull), r->in_len - i);
}

static bool is_on_disk(uint64_t sector, uint64_t bytes, uint64_t nr_sectors)
{
	return (proof_wide)sector * 512 + bytes <= (proof_wide)nr_sectors * 512;
}

static int transfer_status(uint64_t sector, uint32_t len, const struct blk_limits *l)
{
	return len && len % 512 == 0 && is_on_disk(sector, len, l->nr_sectors) ?
	       VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

static int ranges_status(const struct request *r, uint32_t type, uint32_t len,
			 const struct blk_limits *l)
{
	uint64_t max = type == VIRTIO_BLK_T_DISCARD ? BLK_MAX_DISCARD : BLK_MAX_WRITE_ZEROES;

	if (!len || len % 16 || len / 16 > BLK_MAX_RANGES)
		return VIRTIO_BLK_S_IOERR;
	for (uint32_t i = 0; i < len / 16; i++) {
		struct virtio_blk_discard_write_zeroes raw;

		memcpy(&raw, r->out + sizeof(struct header) + 16 * i, sizeof(raw));
		if (le32toh(raw.flags) > (type == VIRTIO_BLK_T_DISCARD ? 0 : 1))
			return VIRTIO_BLK_S_UNSUPP;
		if (!raw.num_sectors || le32toh(raw.num_sectors) > max ||
		    !is_on_disk(le64toh(raw.sector), 512ull * le32toh(raw.num_sectors),
				l->nr_sectors))
			return VIRTIO_BLK_S_IOERR;
	}
	return VIRTIO_BLK_S_OK;
}

/* virtio 1.2, 5.2.6, and that data goes one way only. */
static int expected(const struct request *r, const struct blk_limits *l)
{
	uint32_t in = r->in_len - 1, out = r->out_len - (uint32_t)sizeof(struct header);
	struct header h;

	if (!r->in_len)
		return -EPROTO;
	if (r->out_len < sizeof(h))
		return VIRTIO_BLK_S_IOERR;
	memcpy(&h, r->out, sizeof(h));
	switch (le32toh(h.type)) {
	case VIRTIO_BLK_T_IN:
		return out ? VIRTIO_BLK_S_IOERR : transfer_status(le64toh(h.sector), in, l);
	case VIRTIO_BLK_T_OUT:
		return in || l->readonly ? VIRTIO_BLK_S_IOERR :
					   transfer_status(le64toh(h.sector), out, l);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return in || l->readonly ? VIRTIO_BLK_S_IOERR :
					   ranges_status(r, le32toh(h.type), out, l);
	case VIRTIO_BLK_T_GET_ID:
		return out || in < BLK_ID_LEN ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_FLUSH:
		return VIRTIO_BLK_S_OK;
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* The status byte is the last writable one and belongs to no data. */
static void check_places(const struct request *r, const struct blk_req *req)
{
	uint32_t i = MIN(r->in_cut, r->in_len);
	uint8_t *last = r->in_len > i ? far_away(0x200000000ull + r->in_len - i - 1) :
					far_away(i - 1);
	uint64_t total = 0;

	PROVE(req->status == last, "status at %p, not %p", (void *)req->status, (void *)last);
	if (r->out_len < sizeof(struct header) || req->nr_ranges)
		return;		/* no data; ranges were copied */
	for (int n = 0; n < req->nr_iov; n++) {
		uint8_t *base = req->iov[n].iov_base;

		total += req->iov[n].iov_len;
		PROVE(last < base || last >= base + req->iov[n].iov_len, "status is data");
	}
	PROVE(total == req->data_len, "%" PRIu64 " bytes of data, not %u", total, req->data_len);
}

static void check_request(struct request *r, const struct blk_limits *l)
{
	struct virtq_chain c;
	struct iovec iov[8];
	struct blk_req req;
	int ret, want = expected(r, l);

	cut_up(r, &c, iov);
	memset(&req, 0, sizeof(req));
	ret = blk_req_parse(&req, l, &c, iov);
	PROVE(ret == want, "%d, not %d: readable %u, writable %u, cut %u %u %u, disk of %" PRIu64,
	      ret, want, r->out_len, r->in_len, r->cut[0], r->cut[1], r->in_cut, l->nr_sectors);
	if (ret >= 0)
		check_places(r, &req);
	if (ret >= 0)
		PROVE(req.in_len == r->in_len - 1, "%u before the status of %u", req.in_len,
		      r->in_len);
}

static void set_header(struct request *r, uint32_t type, uint64_t sector)
{
	struct header h = { .type = htole32(type), .sector = htole64(sector) };

	memcpy(r->out, &h, sizeof(h));
}

/* Each way to cut the header, and the first bytes behind it, in three. */
static uint64_t all_cuts(struct request *r, const struct blk_limits *l)
{
	uint64_t cases = 0;

	for (r->cut[0] = 0; r->cut[0] <= MIN(r->out_len, 18u); r->cut[0]++)
		for (r->cut[1] = r->cut[0]; r->cut[1] <= MIN(r->out_len, 18u); r->cut[1]++)
			for (r->in_cut = 0; r->in_cut <= MIN(r->in_len, 3u); r->in_cut++, cases++)
				check_request(r, l);
	r->cut[0] = r->cut[1] = r->in_cut = 0;
	return cases;
}

static const uint32_t types[] = { 0, 1, 2, 3, 4, 5, 8, 10, 11, 12, 13, 14, 0x100, 0x10000,
				  0x80000000, 0x80000001, UINT32_MAX };
static const uint64_t disks[] = { 0, 1, 2, 3, 8, 1ull << 23, 1ull << 32, (1ull << 55) - 1 };

/* Sectors near the start, the end and where a sum or a product would wrap. */
static unsigned int sectors_near(uint64_t *out, uint64_t nr_sectors)
{
	const uint64_t base[] = { 0, nr_sectors, nr_sectors / 2, 1ull << 55, 1ull << 63, 0 - 8ull,
				  1ull << 23, 0 - (1ull << 23), 1ull << 32 };
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(base); i++)
		for (int d = -2; d <= 2; d++)
			out[n++] = base[i] + (uint64_t)(int64_t)d;
	return n;
}

/* In one buffer, or the header and the first sector in their own. */
static void check_one_and_many(struct request *r, const struct blk_limits *l)
{
	check_request(r, l);
	r->cut[0] = sizeof(struct header);
	r->cut[1] = sizeof(struct header) + 512;
	r->in_cut = 512;
	check_request(r, l);
	r->cut[0] = r->cut[1] = r->in_cut = 0;
}

static uint64_t check_type(struct request *r, uint32_t type, const struct blk_limits *l)
{
	static const uint32_t lens[] = { 0, 1, 15, 16, 17, 19, 20, 21, 36, 37, 511, 512, 513, 514,
					 528, 1024, 1025, 1040, 1u << 30, UINT32_MAX - 511,
					 UINT32_MAX - 510, UINT32_MAX - 495, UINT32_MAX };
	uint64_t sector[64], cases = 0;
	unsigned int nr = sectors_near(sector, l->nr_sectors);

	for (unsigned int s = 0; s < nr; s++) {
		set_header(r, type, sector[s]);
		for (unsigned int o = 0; o < ARRAY_SIZE(lens); o++) {
			for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++, cases += 2) {
				bool ranges = type == VIRTIO_BLK_T_DISCARD ||
					      type == VIRTIO_BLK_T_WRITE_ZEROES;

				r->out_len = ranges ? MIN(lens[o], (uint32_t)OUT_MAX) : lens[o];
				r->in_len = lens[i];
				check_one_and_many(r, l);
			}
		}
	}
	return cases;
}

static void prove_requests(struct request *r)
{
	uint64_t cases = 0;

	for (unsigned int readonly = 0; readonly < 2; readonly++) {
		for (unsigned int d = 0; d < ARRAY_SIZE(disks); d++) {
			struct blk_limits l = { disks[d], readonly, false };

			for (unsigned int t = 0; t < ARRAY_SIZE(types); t++)
				cases += check_type(r, types[t], &l);
		}
	}
	proved("a request is carried out exactly if it is whole, known, allowed and on the disk",
	       cases);
}

static void prove_cuts(struct request *r)
{
	struct blk_limits l = { 8, false, false };
	uint64_t cases = 0;

	memset(r, 0, sizeof(*r));
	for (unsigned int t = 0; t < ARRAY_SIZE(types); t++) {
		set_header(r, types[t], 1);
		for (r->out_len = 0; r->out_len <= OUT_MAX; r->out_len++)
			for (r->in_len = 0; r->in_len <= 24; r->in_len++)
				cases += r->out_len < 36 || r->in_len < 3 ? all_cuts(r, &l) : 0;
	}
	proved("however its buffers are cut; the status byte is never data", cases);
}

static void set_range(struct request *r, unsigned int i, uint64_t sector, uint32_t nr,
		      uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes raw = { htole64(sector), htole32(nr),
						       htole32(flags) };

	memcpy(r->out + sizeof(struct header) + 16 * i, &raw, sizeof(raw));
}

static uint64_t all_ranges(struct request *r, const struct blk_limits *l)
{
	static const uint32_t nrs[] = { 0, 1, 2, 8, BLK_MAX_WRITE_ZEROES, BLK_MAX_WRITE_ZEROES + 1,
					BLK_MAX_DISCARD, BLK_MAX_DISCARD + 1, UINT32_MAX };
	static const uint32_t flags[] = { 0, 1, 2, 3, 0x80000000, UINT32_MAX };
	uint64_t sector[64], cases = 0;
	unsigned int nr_sectors = sectors_near(sector, l->nr_sectors);

	for (unsigned int s = 0; s < nr_sectors; s++) {
		for (unsigned int n = 0; n < ARRAY_SIZE(nrs); n++) {
			for (unsigned int f = 0; f < ARRAY_SIZE(flags); f++, cases++) {
				set_range(r, r->out_len / 16 - 2, sector[s], nrs[n], flags[f]);
				check_request(r, l);
			}
		}
	}
	return cases;
}

/* One range of any kind behind none, one or fifteen that are sound. */
static void prove_ranges(struct request *r)
{
	static const unsigned int nr[] = { 1, 2, BLK_MAX_RANGES, BLK_MAX_RANGES + 1 };
	uint64_t cases = 0;

	memset(r, 0, sizeof(*r));
	r->in_len = 1;
	for (unsigned int type = 11; type <= 13; type += 2) {
		set_header(r, type, 0);
		for (unsigned int d = 1; d < ARRAY_SIZE(disks); d++) {
			struct blk_limits l = { disks[d], false, false };

			for (unsigned int i = 0; i < BLK_MAX_RANGES + 1; i++)
				set_range(r, i, 0, 1, 0);
			for (unsigned int n = 0; n < ARRAY_SIZE(nr); n++) {
				r->out_len = 16 + 16 * nr[n];
				cases += all_ranges(r, &l);
				set_range(r, nr[n] - 1, 0, 1, 0);
			}
		}
	}
	proved("a range is carried out exactly if it is known, of a size that is offered and on "
	       "the disk", cases);
}

/* virtio 1.2, 5.1.6.2.1, and what a tap would otherwise have to trust. */
static bool may_send(const struct virtio_net_hdr_v1 *h, uint32_t len, uint64_t features)
{
	bool csum = h->flags & 1, ecn = h->gso_type & 0x80;
	unsigned int kind = h->gso_type & 0x7f;

	if (len < 14 || len > NET_MAX_FRAME || h->hdr_len > len)
		return false;
	if (csum && (!(features >> VIRTIO_NET_F_CSUM & 1) ||
		     (proof_wide)h->csum_start + h->csum_offset + 2 > len))
		return false;
	if (!h->gso_type)
		return true;
	if (!csum || !h->gso_size || (ecn && !(features >> VIRTIO_NET_F_HOST_ECN & 1)))
		return false;
	return (kind == 1 && features >> VIRTIO_NET_F_HOST_TSO4 & 1) ||
	       (kind == 4 && features >> VIRTIO_NET_F_HOST_TSO6 & 1) ||
	       (kind == NET_GSO_UDP_L4 && !ecn && features >> NET_F_HOST_USO & 1);
}

static void check_frame(const struct virtio_net_hdr_v1 *h, uint32_t len, uint64_t features)
{
	struct virtio_net_hdr_v1 sent = *h;
	bool passed = !net_hdr_check(&sent, len, features);

	PROVE(passed == may_send(h, len, features), "flags %#x gso %#x size %u hdr %u csum %u+%u "
	      "of %u, features %#" PRIx64, h->flags, h->gso_type, h->gso_size, h->hdr_len,
	      h->csum_start, h->csum_offset, len, features);
	PROVE(!passed || !(sent.flags & ~1u), "flags %#x", sent.flags);
	PROVE(!passed || sent.gso_type || !sent.gso_size, "a size of segments without any");
}

/* Offsets and lengths at the bounds of the frame and of 16 bits. */
static uint64_t all_offsets(struct virtio_net_hdr_v1 *h, uint32_t len, uint64_t features)
{
	const uint16_t near[] = { 0, 1, (uint16_t)(len / 2), (uint16_t)(len - 2),
				  (uint16_t)(len - 1), (uint16_t)len, (uint16_t)(len + 1), 0x7fff,
				  UINT16_MAX };
	uint64_t cases = 0;

	for (unsigned int a = 0; a < ARRAY_SIZE(near); a++) {
		for (unsigned int b = 0; b < ARRAY_SIZE(near); b++) {
			for (unsigned int c = 0; c < ARRAY_SIZE(near); c++, cases++) {
				h->hdr_len = near[a];
				h->csum_start = near[b];
				h->csum_offset = near[c];
				check_frame(h, len, features);
			}
		}
	}
	return cases;
}

static uint64_t features_of(unsigned int set)
{
	static const unsigned int bit[] = { VIRTIO_NET_F_CSUM, VIRTIO_NET_F_HOST_TSO4,
					    VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_ECN,
					    NET_F_HOST_USO };
	uint64_t features = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(bit); i++)
		features |= (uint64_t)(set >> i & 1) << bit[i];
	return features;
}

static void prove_frames(void)
{
	static const uint32_t lens[] = { 0, 1, 13, 14, 15, 64, 1514, NET_MAX_FRAME,
					 NET_MAX_FRAME + 1, UINT32_MAX };
	static const uint8_t flags[] = { 0, 1, 2, 0xfe, 0xff };
	struct virtio_net_hdr_v1 h = { 0 };
	uint64_t cases = 0;

	for (unsigned int set = 0; set < 32; set++) {
		for (unsigned int gso = 0; gso < 256; gso++) {
			h.gso_type = (uint8_t)gso;
			h.gso_size = gso & 1 ? 1448 : 1;
			h.hdr_len = h.csum_start = h.csum_offset = 0;
			for (unsigned int f = 0; f < 256; f++, cases++) {
				h.flags = (uint8_t)f;
				check_frame(&h, 64, features_of(set));
			}
		}
	}
	for (unsigned int set = 0; set < 32; set++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(lens) * ARRAY_SIZE(flags) * 8; i++) {
			static const uint8_t gso[] = { 0, 1, 3, 4, 5, 0x81, 0x84, 0x85 };

			h.gso_type = gso[i % 8];
			h.flags = flags[i / 8 % ARRAY_SIZE(flags)];
			for (h.gso_size = 0; h.gso_size < 2; h.gso_size++)
				cases += all_offsets(&h, lens[i / 8 / ARRAY_SIZE(flags)],
						     features_of(set));
		}
	}
	proved("a frame is sent exactly if it is one, within its bounds, with what was negotiated",
	       cases);
}

int main(void)
{
	struct request r = { .out_len = 0 };

	prove_requests(&r);
	prove_cuts(&r);
	prove_ranges(&r);
	prove_frames();
	return 0;
}
