/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The person's side of the serial console: terminal in raw mode and back,
 * and the keys that are for the monitor and not for the guest.
 * Main thread only.
 */
#ifndef MIMSY_CONSOLE_H
#define MIMSY_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Raw mode on fd if it is a terminal; nothing otherwise. It is undone by
 * console_restore(), also if the process dies of a signal that it can catch.
 */
int console_raw(int fd);
void console_restore(void);

/* Ctrl-A is the escape: Ctrl-A x quits, Ctrl-A Ctrl-A sends one Ctrl-A, Ctrl-A h helps. */
struct console_keys {
	bool escaped;
};

/*
 * Takes the escapes out of buf[0..*len). true: the person wants to quit; what
 * came before the escape is in buf.
 */
bool console_filter(struct console_keys *k, char *buf, size_t *len);

#endif
