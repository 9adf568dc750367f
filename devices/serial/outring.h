/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded output that never blocks: a byte ring in front of a descriptor.
 *
 * The descriptor's own flags are left alone, since it may be shared with the
 * shell that started us. A pipe or terminal is therefore opened once more, a
 * socket asked per call not to wait; a regular file does not block. No lock.
 */
#ifndef MIMSY_OUTRING_H
#define MIMSY_OUTRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outring;

/* fd is borrowed; -1: all output is thrown away. plain: it is known not to block. */
int outring_create(struct outring **out, int fd, bool plain, uint32_t len);
void outring_free(struct outring *o);	/* NULL is allowed */

/* false: no room (or no host end any more), the byte is lost. */
bool outring_put(struct outring *o, uint8_t byte);
uint32_t outring_pending(const struct outring *o);

/* Writes what goes without blocking. false: something is left, try later. */
bool outring_flush(struct outring *o);

/* Flushing takes no other system call than write(2). */
bool outring_is_plain(const struct outring *o);

uint64_t outring_nr_writes(const struct outring *o);
uint64_t outring_nr_dropped(const struct outring *o);

#endif
