/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk backend over a raw file or a block device.
 *
 * The image is locked: one writer or any number of readers (blk_lock.h). The
 * format is never guessed: what looks like another one is refused (blk_format.h).
 */
#ifndef MIMSY_BLK_FILE_H
#define MIMSY_BLK_FILE_H

#include <stdbool.h>

struct blk_backend;

struct blk_file_cfg {
	const char *path;	/* of the image; with fd >= 0 only its name in messages */
	int fd;			/* -1, or an open descriptor that is used instead of path; taken */
	bool readonly;
	bool direct;		/* O_DIRECT */
	bool format_raw;	/* the user says so: whatever it looks like */
	bool unlocked;		/* no lock is taken: the user sees to it that nobody else writes */
};

/* name ("blk0") goes in front of messages; borrowed for the call. Logs what is wrong. */
int blk_file_open(struct blk_backend **out, const struct blk_file_cfg *cfg, const char *name);

#endif
