/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tap is one device's. Two that share it would take each other's frames: the
 * kernel hands each to one of the queues that are attached, whoever has them.
 */
#ifndef MIMSY_TAP_OWNER_H
#define MIMSY_TAP_OWNER_H

#include <stdbool.h>

/*
 * Before anything is attached: -ENODEV if there is no interface ifname, -EBUSY
 * if one with multi_queue has queues already (any program's). Logs nothing.
 */
int tap_owner_check_free(const char *ifname);

/*
 * fd: all our queues. passed: they came from somebody else. -EBUSY if the
 * interface has further ones, or if a process that still runs has taken one of
 * these descriptors before; what cannot be known is no reason. Logs nothing.
 */
int tap_owner_check_alone(const int *fd, unsigned int nr, bool passed);

#endif
