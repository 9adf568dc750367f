/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded output that never blocks: a byte ring in front of a descriptor.
 *
 * Whoever gives the descriptor sees to it that a write to it never waits; a
 * socket is asked so per call. No lock.
 */
#ifndef MIMSY_OUTRING_H
#define MIMSY_OUTRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outring;

/* fd is borrowed and has O_NONBLOCK, or is a socket; -1: all output is thrown away. */
int outring_create(struct outring **out, int fd, bool is_socket, uint32_t len);
void outring_free(struct outring *o);	/* NULL is allowed. Writes what goes at once. */

/* false: no room (or no host end any more), the byte is lost. */
bool outring_put(struct outring *o, uint8_t byte);
uint32_t outring_pending(const struct outring *o);

/* Writes what goes without blocking. false: something is left, try later. */
bool outring_flush(struct outring *o);

/* What is left goes nowhere. */
void outring_drop(struct outring *o);

/* Flushing takes no other system call than write(2). */
bool outring_is_plain(const struct outring *o);

uint64_t outring_nr_writes(const struct outring *o);
uint64_t outring_nr_dropped(const struct outring *o);

#endif
