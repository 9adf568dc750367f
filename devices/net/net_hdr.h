/* SPDX-License-Identifier: Apache-2.0 */
/* The header in front of each frame that the guest sends. virtio 1.2, 5.1.6.2. Pure. */
#ifndef MIMSY_NET_HDR_H
#define MIMSY_NET_HDR_H

#include <linux/virtio_net.h>
#include <stdint.h>

#define NET_HDR_LEN	12u		/* sizeof(struct virtio_net_hdr_v1) */
#define NET_MIN_FRAME	14u		/* an Ethernet header */
#define NET_MAX_FRAME	65550u		/* the longest that 5.1.6.3.1 has drivers expect */

/* Feature bits and GSO type of UDP segmentation; newer than the headers we build with. */
#define NET_F_GUEST_USO4	54
#define NET_F_GUEST_USO6	55
#define NET_F_HOST_USO		56
#define NET_GSO_UDP_L4		5

/*
 * Checks hdr (a private copy) for a frame of frame_len bytes and clears what
 * a device ignores. features: negotiated. 0 or -EINVAL.
 */
int net_hdr_check(struct virtio_net_hdr_v1 *hdr, uint32_t frame_len, uint64_t features);

#endif
