/* SPDX-License-Identifier: Apache-2.0 */
/* A machine to describe: 2 CPUs, 4 GiB in two regions, serial port, nr_virtio devices. */
#ifndef MIMSY_TEST_FW_FIXTURE_H
#define MIMSY_TEST_FW_FIXTURE_H

#include "fw_desc.h"

void fw_fixture_init(struct fw_desc *d, uint32_t nr_cpus, uint32_t nr_virtio);

#endif
