/* SPDX-License-Identifier: Apache-2.0 */
#include "panic_watch.h"

/* kernel/panic.c and kernel/reboot.c. No mark's first letter comes twice in it. */
static const char panic_mark[] = "Kernel panic - not syncing: ";
static const char orderly_mark[] = "reboot: ";

static bool is_mark_complete(const char *mark, unsigned int *at, uint8_t byte)
{
	if (mark[*at] == (char)byte)
		(*at)++;
	else
		*at = mark[0] == (char)byte;
	if (mark[*at])
		return false;
	*at = 0;
	return true;
}

static void read_text(struct panic_watch *w, uint8_t byte)
{
	if (byte == '\n' || byte == '\r')
		w->in_text = false;
	else if (byte >= ' ' && byte <= '~' && w->len < sizeof(w->text) - 1)
		w->text[w->len++] = (char)byte;
}

void panic_watch_byte(struct panic_watch *w, uint8_t byte)
{
	if (w->in_text) {
		read_text(w, byte);
	} else if (is_mark_complete(orderly_mark, &w->orderly_at, byte)) {
		w->panicked = false;
	} else if (is_mark_complete(panic_mark, &w->panic_at, byte) && !w->panicked) {
		*w = (struct panic_watch){ .panicked = true, .in_text = true };
	}
}
