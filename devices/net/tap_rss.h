/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steering of a tap's frames by the guest's hash: a BPF program in the kernel,
 * and its tables, which are memory shared with it. bpf(2) is called at the
 * beginning only; from then on the tables are written, and the program is
 * attached to the tap or not.
 */
#ifndef MIMSY_TAP_RSS_H
#define MIMSY_TAP_RSS_H

struct net_rss;
struct tap_rss;

/* name ("net0") goes in front of messages. Logs what is wrong. */
int tap_rss_open(struct tap_rss **out, const char *name);
void tap_rss_free(struct tap_rss *t);	/* NULL is allowed */

/* The program, for TUNSETSTEERINGEBPF. */
int tap_rss_fd(const struct tap_rss *t);

/* Frames that come from now on are steered so. One thread at a time. */
void tap_rss_write(struct tap_rss *t, const struct net_rss *r);

#endif
