/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces of the host, in a network namespace of the test's own. Needs
 * /dev/net/tun and root.
 */
#ifndef MIMSY_TEST_REAL_TAP_H
#define MIMSY_TEST_REAL_TAP_H

#include <stdbool.h>

/* Ends the program with "skipped" where no interface can be made. */
void real_tap_or_skip(void);
bool real_tap_possible(void);

/* This process moves to a network namespace of its own. */
void real_tap_namespace(void);

/* A persistent interface, as "ip tuntap add" makes it. */
void real_tap_make(const char *name, short flags);
/* A queue of a tap with IFF_NO_PI and IFF_VNET_HDR, made if it does not exist. */
int real_tap_attach(const char *name, short flags);
void real_tap_set_up(const char *name, bool up);
void real_tap_delete(const char *name);
int real_tap_index(const char *name);

#endif
