/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGTTOU and SIGTTIN are blocked while the guest runs: nothing that the
 * monitor does to a terminal stops it. In return it asks first whose the
 * terminal is. A lock on the terminal, held while it is raw, keeps a second
 * monitor from taking our raw mode for what it has to give back.
 */
#include "console.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
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
	struct termios saved;		/* while taken is set */
	int fd;				/* -1: there is none */
	bool lockable;			/* fd is a description of our own */
	pthread_t main;
	atomic_bool taken;
} terminal = { .fd = -1 };

int console_open(int fd)
{
	char path[32];
	int own;

	if (tcgetattr(fd, &terminal.saved))
		return fd;	/* a pipe or a file */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	terminal.lockable = own >= 0;
	terminal.fd = own >= 0 ? own : fd;
	return terminal.fd;
}

bool console_is_terminal(void)
{
	return terminal.fd >= 0;
}

/* A terminal that does not control us knows no foreground. */
static bool in_foreground(void)
{
	pid_t group = tcgetpgrp(terminal.fd);

	return group < 0 || group == getpgrp();
}

static bool lock_terminal(void)
{
	return !terminal.lockable || !flock(terminal.fd, LOCK_EX | LOCK_NB);
}

static void unlock_terminal(void)
{
	if (terminal.lockable)
		flock(terminal.fd, LOCK_UN);
}

/* Signals that have to do with the terminal are blocked. */
static void take(void)
{
	bool before = atomic_exchange(&terminal.taken, false);
	struct termios raw;

	if (terminal.fd < 0)
		return;
	if (!in_foreground() || !lock_terminal()) {
		if (before)
			unlock_terminal();
		return;
	}
	if (!before && tcgetattr(terminal.fd, &terminal.saved))
		return;
	raw = terminal.saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;	/* our own log lines end in \n */
	atomic_store(&terminal.taken, !tcsetattr(terminal.fd, TCSANOW, &raw));
}

bool console_take(void)
{
	sigset_t all, old;

	if (atomic_load(&terminal.taken) && in_foreground())
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	take();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return atomic_load(&terminal.taken);
}

void console_restore(void)
{
	if (!atomic_exchange(&terminal.taken, false))
		return;
	if (in_foreground())
		tcsetattr(terminal.fd, TCSANOW, &terminal.saved);
	unlock_terminal();
}

void console_close(void)
{
	console_restore();
	terminal.fd = -1;
}

/*
 * On the thread that has crashed, with the one system call that all may make
 * to a terminal. A fault happens again when this returns, with the default
 * action. A signal that was sent has to be sent again; only the main thread
 * can, and its id is that of the process.
 */
static void on_fatal_signal(int sig, siginfo_t *info, void *ucontext)
{
	(void)ucontext;
	if (atomic_exchange(&terminal.taken, false))
		tcsetattr(terminal.fd, TCSANOW, &terminal.saved);
	if (info->si_code <= 0 && pthread_equal(pthread_self(), terminal.main))
		syscall(SYS_tgkill, getpid(), getpid(), sig);
}

static void on_stop_key(int sig)
{
	(void)sig;
	console_restore();
	syscall(SYS_tgkill, getpid(), getpid(), SIGSTOP);
}

static void on_continue(int sig)
{
	(void)sig;
	take();
}

/* What was ignored stays so, and --seccomp trap keeps its handler. */
static void handle(int sig, struct sigaction *sa)
{
	struct sigaction old;

	sigfillset(&sa->sa_mask);
	if (sigaction(sig, sa, &old))
		return;
	if (old.sa_handler == SIG_IGN || (sig == SIGSYS && old.sa_handler != SIG_DFL))
		sigaction(sig, &old, NULL);
}

void console_start(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS };
	struct sigaction crash = { .sa_sigaction = on_fatal_signal,
				   .sa_flags = (int)SA_RESETHAND | SA_SIGINFO };
	struct sigaction stop = { .sa_handler = on_stop_key };
	struct sigaction go_on = { .sa_handler = on_continue };

	if (terminal.fd < 0)
		return;
	terminal.main = pthread_self();
	for (unsigned int i = 0; i < ARRAY_SIZE(fatal); i++)
		handle(fatal[i], &crash);
	handle(SIGTSTP, &stop);
	handle(SIGCONT, &go_on);
	if (!console_take() && in_foreground())
		log_info("another monitor has the keys of this terminal until it ends");
}

static void console_help(void)
{
	log_text("\nmimsy: Ctrl-A x  quits: disks are flushed"
		 "\nmimsy: Ctrl-A Ctrl-A  sends one Ctrl-A to the guest\n");
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
