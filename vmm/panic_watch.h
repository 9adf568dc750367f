/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells a panic from a reboot by what the guest says on its console: a kernel
 * that panics early has no driver yet that could report it, and both end in
 * the same reset. Linux names either with words that have been the same for
 * many years, and prints them whatever its log level is. The last one counts.
 *
 * The guest can lie, about itself.
 */
#ifndef MIMSY_PANIC_WATCH_H
#define MIMSY_PANIC_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define PANIC_WATCH_TEXT 96

struct panic_watch {
	unsigned int panic_at, orderly_at;	/* how much of each mark has been seen */
	bool panicked;
	bool in_text;				/* the reason is being read */
	unsigned int len;
	char text[PANIC_WATCH_TEXT];		/* the reason, without control characters */
};

void panic_watch_byte(struct panic_watch *w, uint8_t byte);

#endif
