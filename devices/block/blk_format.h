/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are no raw image: taken for one they would be garbage to a guest
 * that reads, and destroyed by one that writes.
 *
 * Nothing is ever read as what it looks like, since a guest may write these
 * bytes into its own disk; it is refused, unless the user says that it is raw.
 */
#ifndef MIMSY_BLK_FORMAT_H
#define MIMSY_BLK_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define BLK_FORMAT_HEAD 512u	/* bytes looked at, at the start ... */
#define BLK_FORMAT_TAIL 512u	/* ... and at the end */

/*
 * The name of the format ("qcow2") of a file with these first bytes, or NULL: it
 * may well be raw. *advice: how to make a raw image of it.
 */
const char *blk_format_name(const uint8_t head[BLK_FORMAT_HEAD], const char **advice);

/* Some have their mark in the last bytes only. */
const char *blk_format_at_end(const uint8_t tail[BLK_FORMAT_TAIL], const char **advice);

#endif
