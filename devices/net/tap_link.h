/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link of a tap. Whether it is up is asked of the tap's own descriptor,
 * wherever the interface is and however it is called by now. That it may have
 * changed is told by a socket that hears of this one interface, and hands over
 * nothing else whatever it is asked for: it goes into the jail.
 */
#ifndef MIMSY_TAP_LINK_H
#define MIMSY_TAP_LINK_H

#include <stdbool.h>

/*
 * Returns a descriptor that becomes readable with news of the link, or -1 (and
 * says so): there is no way to hear of it. passed: tap_fd came from somebody
 * else, and may belong to another network namespace. name goes in front of
 * messages.
 */
int tap_link_open(int tap_fd, bool passed, const char *name);

/* The interface's index, if it is in our network namespace; else -errno. */
int tap_link_find(int tap_fd, bool passed);

/* Takes all news. Returns whether the interface has gone, deleted or out of earshot. */
bool tap_link_take_news(int link_fd);

/* A tap that was deleted is down. gone: if it still exists nobody knows, so it is up. */
bool tap_link_is_up(int tap_fd, bool gone);

#endif
