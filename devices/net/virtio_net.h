/* SPDX-License-Identifier: Apache-2.0 */
/* Network device. virtio 1.2, section 5.1. One worker thread for each pair of queues. */
#ifndef MIMSY_VIRTIO_NET_H
#define MIMSY_VIRTIO_NET_H

#include "net_backend.h"
#include "tap.h"
#include "virtio_dev.h"
#include "virtio_net_cfg.h"

/*
 * Takes backend, also when it fails. name ("net0") is the log prefix; cfg is
 * not needed afterwards. -EINVAL: a number outside its range.
 */
int virtio_net_create(struct virtio_dev **out, const struct virtio_net_cfg *cfg,
		      struct net_backend *backend, const char *name);

#endif
