/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that a device makes to its transport, which only counts them.
 * It defines virtio_irq_*(), virtio_needs_reset() and virtio_config_changed().
 */
#ifndef MIMSY_FUZZ_FAKE_TRANSPORT_H
#define MIMSY_FUZZ_FAKE_TRANSPORT_H

#include "virtio_dev.h"

struct virtio_irq {
	unsigned int nr_raised;
};

struct virtio_transport {
	unsigned int nr_resets, nr_config_changes;
};

#endif
