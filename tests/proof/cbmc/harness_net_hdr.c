/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transmit: any header of any chain, all lengths. The rule of what may reach
 * the host's network stack is written a second time here.
 *
 * cbmc: --unwind 4 --unsigned-overflow-check --conversion-check
 * catches: 058-frame-without-header 059-frame-too-long 060-checksum-beyond-frame
 * catches: 061-offload-not-negotiated 062-segments-of-nothing 063-header-beyond-frame
 */
#include "harness.h"

#include "net_hdr.c"


#include "net_tx.c"

static bool offered(uint64_t features, unsigned int bit)
{
	return features & 1ull << bit;
}

void a_header_that_passes_names_bytes_of_its_frame_only(void)
{
	struct virtio_net_hdr_v1 hdr;
	uint64_t features = nondet_u64();
	uint32_t len = nondet_u32();
	unsigned int kind;

	if (net_hdr_check(&hdr, len, features))
		return;
	kind = hdr.gso_type & 0x7fu;
	PROVE(len >= 14 && len <= 65550, "a frame's length");
	PROVE(!(hdr.flags & ~1u) && !hdr.num_buffers, "what a device ignores is cleared");
	PROVE(hdr.hdr_len <= len, "the header lies in the frame");
	PROVE(!hdr.flags || (uint64_t)hdr.csum_start + hdr.csum_offset + 2 <= len,
	      "the checksum lies in the frame");
	PROVE(!hdr.flags || offered(features, VIRTIO_NET_F_CSUM), "checksums are negotiated");
	PROVE(!hdr.gso_type == !hdr.gso_size, "segments have a size exactly if there are any");
	if (!hdr.gso_type)
		return;
	PROVE(hdr.flags, "segments need a checksum");
	PROVE((kind == 1 && offered(features, VIRTIO_NET_F_HOST_TSO4)) ||
	      (kind == 4 && offered(features, VIRTIO_NET_F_HOST_TSO6)) ||
	      (kind == 5 && offered(features, 56)), "segments are negotiated");
	PROVE(!(hdr.gso_type & 0x80) || (kind != 5 && offered(features, VIRTIO_NET_F_HOST_ECN)),
	      "and so is ECN");
}

void a_chain_that_passes_is_one_frame_and_fits_writev(void)
{
	struct virtq_chain c;

	if (!chain_is_valid(&c))
		return;
	PROVE(!c.nr_in, "nothing to write to");
	PROVE(c.out_len - 12ull >= 14 && c.out_len - 12ull <= 65550, "a header and a frame");
	PROVE(c.nr_out + 1 <= 1024, "with the header's entry no more than writev() takes");
}
