/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The person's side of the serial console: terminal in raw mode and back,
 * and the keys that are for the monitor and not for the guest.
 * Main thread only, and signal handlers on it.
 *
 * A terminal belongs to the process group in its foreground. While that is
 * another's, or another monitor has the keyboard, the terminal is left alone
 * and the guest runs without keys.
 */
#ifndef MIMSY_CONSOLE_H
#define MIMSY_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * If fd (borrowed) is a terminal: a descriptor of our own for its keys, which
 * never makes its reader wait. Otherwise, or if it cannot be had: fd. Before
 * the jail.
 */
int console_open(int fd);

/*
 * From now on console_take() works. What was taken is given back when the
 * process is stopped from the keyboard or dies of a signal that it can catch,
 * and taken again when it goes on.
 */
void console_start(void);

/* Raw mode, unless the terminal is somebody else's. Whether its keys are ours. */
bool console_take(void);

/* Gives back what was taken. Safe in signal handlers. */
void console_restore(void);

/* The same for good. */
void console_close(void);

/* Whether console_open() has found one. */
bool console_is_terminal(void);

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
