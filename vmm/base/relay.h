/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor that never makes its user wait, in front of one that may: a
 * pipe, and a thread that carries between it and a file. Regular files know
 * no O_NONBLOCK, and a file system may stall for as long as it likes.
 */
#ifndef MIMSY_RELAY_H
#define MIMSY_RELAY_H

#include <stdint.h>

#include "worker.h"

struct relay;

enum relay_way { RELAY_TO_FILE, RELAY_FROM_FILE };

struct relay_cfg {
	int fd;				/* borrowed */
	enum relay_way way;
	uint64_t max;			/* how long a file may become; 0: as long as it gets */
	const char *name;		/* shows in ps */
	const struct worker_entry *entry;	/* NULL: none */
};

/*
 * What is borrowed is borrowed for the relay's life. What a file has no place
 * for is dropped, counted, and said once. 0 or -errno, logged.
 */
int relay_create(struct relay **out, const struct relay_cfg *cfg);

/*
 * To be used instead of fd. A full pipe is EAGAIN; up to 4096 bytes go whole
 * or not. An empty one is EAGAIN too, also at the end of the file.
 */
int relay_fd(const struct relay *r);

/*
 * Waits until all is written and no read is under way, for ever if fd stalls
 * for ever. Returns how many bytes fd refused (a full disk, say) or had
 * no place for. NULL is allowed.
 */
uint64_t relay_free(struct relay *r);

#endif
