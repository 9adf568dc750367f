/* SPDX-License-Identifier: Apache-2.0 */
/* Network backend over a tap interface, a file descriptor for each pair of queues. */
#ifndef MIMSY_TAP_H
#define MIMSY_TAP_H

struct net_backend;
struct virtio_net_cfg;

/*
 * Attaches to cfg->tap, which exists and which nobody else has, or
 * takes cfg->fd. name ("net0") goes in front of messages. Logs what is wrong.
 */
int tap_open(struct net_backend **out, const struct virtio_net_cfg *cfg, const char *name);

#endif
