/* SPDX-License-Identifier: Apache-2.0 */
#include "console.h"

#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define ESCAPE 0x01	/* Ctrl-A */

/*
 * What a signal handler needs to give the terminal back. Handlers take no
 * context, so this is file scope, like the log level.
 */
static struct {
	struct termios saved;
	volatile sig_atomic_t fd;	/* -1: nothing to restore */
} terminal = { .fd = -1 };

void console_restore(void)
{
	if (terminal.fd >= 0)
		tcsetattr(terminal.fd, TCSANOW, &terminal.saved);
	terminal.fd = -1;
}

static void on_fatal_signal(int sig)
{
	console_restore();
	raise(sig);		/* SA_RESETHAND: the default action this time */
}

int console_raw(int fd)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGQUIT, SIGSYS };
	struct sigaction sa = { .sa_handler = on_fatal_signal, .sa_flags = (int)SA_RESETHAND };
	struct termios raw;

	if (tcgetattr(fd, &terminal.saved))
		return 0;	/* a pipe or a file */
	raw = terminal.saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;	/* our own log lines end in \n */
	if (tcsetattr(fd, TCSANOW, &raw))
		return log_errno("terminal into raw mode");
	terminal.fd = fd;
	for (unsigned int i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &sa, NULL);
	return 0;
}

static void console_help(void)
{
	static const char text[] =
		"\nmimsy: Ctrl-A x  quits: disks are flushed"
		"\nmimsy: Ctrl-A Ctrl-A  sends one Ctrl-A to the guest\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)n;
}

bool console_filter(struct console_keys *k, char *buf, size_t *len)
{
	size_t kept = 0;

	for (size_t i = 0; i < *len; i++) {
		char c = buf[i];

		if (!k->escaped) {
			k->escaped = c == ESCAPE;
			if (!k->escaped)
				buf[kept++] = c;
			continue;
		}
		k->escaped = false;
		if (c == 'x' || c == 'X') {
			*len = kept;
			return true;
		}
		if (c == 'h' || c == '?')
			console_help();
		else
			buf[kept++] = c;
	}
	*len = kept;
	return false;
}
