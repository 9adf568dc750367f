/* SPDX-License-Identifier: Apache-2.0 */
#include "net_hdr.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>

static bool has(uint64_t features, unsigned int bit)
{
	return features >> bit & 1;
}

static bool gso_is_allowed(uint8_t gso_type, uint64_t features)
{
	if (gso_type & VIRTIO_NET_HDR_GSO_ECN && !has(features, VIRTIO_NET_F_HOST_ECN))
		return false;
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return has(features, VIRTIO_NET_F_HOST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return has(features, VIRTIO_NET_F_HOST_TSO6);
	case NET_GSO_UDP_L4:
		return has(features, NET_F_HOST_USO) && !(gso_type & VIRTIO_NET_HDR_GSO_ECN);
	default:
		return false;
	}
}

/* The 16 bits at csum_start + csum_offset lie in the frame. No sum of two 16-bit values wraps. */
static bool csum_is_inside(const struct virtio_net_hdr_v1 *hdr, uint32_t frame_len)
{
	uint32_t start = le16toh(hdr->csum_start), offset = le16toh(hdr->csum_offset);

	return start + offset + 2 <= frame_len;
}

int net_hdr_check(struct virtio_net_hdr_v1 *hdr, uint32_t frame_len, uint64_t features)
{
	bool csum = hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	hdr->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->num_buffers = 0;
	if (frame_len < NET_MIN_FRAME || frame_len > NET_MAX_FRAME)
		return -EINVAL;
	if (csum && (!has(features, VIRTIO_NET_F_CSUM) || !csum_is_inside(hdr, frame_len)))
		return -EINVAL;
	if (le16toh(hdr->hdr_len) > frame_len)
		return -EINVAL;
	if (hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		hdr->gso_size = 0;
		return 0;
	}
	if (!csum || !hdr->gso_size || !gso_is_allowed(hdr->gso_type, features))
		return -EINVAL;
	return 0;
}
