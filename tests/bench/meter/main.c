/* SPDX-License-Identifier: Apache-2.0 */
/* usage: meter [--hist EVENT=KEYS]... -- MONITOR ARG... (see meter.h) */
#define _GNU_SOURCE
#include "meter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINE 65536

struct input {
	int fd;
	char buf[MAX_LINE];
	size_t len;
};

static struct meter {
	char **argv;
	pid_t pid;
	int to_console;
	struct input console, command;
	bool done;		/* the guest has said "@done" */
} m = { .to_console = -1, .console.fd = -1 };

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int complain(const char *what)
{
	printf("error %s: %s\n", what, strerror(errno));
	fflush(stdout);
	return -1;
}

char *read_file(const char *path)
{
	size_t len = 0, max = 4096;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = fd >= 0 ? malloc(max) : NULL;
	ssize_t n = 1;

	while (text && (n = read(fd, text + len, max - len - 1)) > 0) {
		len += (size_t)n;
		if (max - len < 2) {
			char *more = realloc(text, max *= 2);

			if (!more)
				break;
			text = more;
		}
	}
	if (fd >= 0)
		close(fd);
	if (text)
		text[len] = '\0';
	return text;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	ssize_t n = fd >= 0 ? write(fd, text, strlen(text)) : -1;

	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

static void counters(const char *tag)
{
	struct tree t;

	printf("snap %s %llu\n", tag, (unsigned long long)now_ns());
	tree_read(&t, m.pid);
	trace_print();
	kvm_print(&t);
	tree_print_tasks(&t);
	printf("snapped\n");
}

static void start(void)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) {
		complain("pipe");
		return;
	}
	idle_print();
	printf("started %llu\n", (unsigned long long)now_ns());
	fflush(stdout);
	m.pid = vfork();
	if (!m.pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(m.argv[0], m.argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	m.to_console = in[1];
	m.console.fd = out[0];
	m.console.len = 0;
}

static void stop(int sig)
{
	int status = 0;
	struct tree t;

	if (m.pid <= 0)
		return;
	tree_read(&t, m.pid);
	for (unsigned int i = 0; i < t.nr; i++)
		kill(t.pid[i], i && sig != SIGKILL ? 0 : sig);
	waitpid(m.pid, &status, 0);
	idle_print();
	printf("stopped %llu %d\n", (unsigned long long)now_ns(), status);
	close(m.to_console);
	close(m.console.fd);
	m.to_console = m.console.fd = -1;
	m.pid = 0;
}

static void to_console(const char *text)
{
	char line[600];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	if (write(m.to_console, line, (size_t)n) != n)
		complain("console");
}

/* The guest's marks go out at once: whoever reads them may have a clock of its own. */
static void console_line(char *line)
{
	uint64_t now = now_ns();
	bool mark = line[0] == '@';

	if (mark)
		idle_print();
	printf("t %llu %s\n", (unsigned long long)now, line);
	if (mark)
		fflush(stdout);
	if (!strncmp(line, "@done", 5))
		m.done = true;
}

/* False at the end of the file. */
static bool take(struct input *in, void (*call)(char *))
{
	ssize_t n = read(in->fd, in->buf + in->len, sizeof(in->buf) - in->len - 1);
	char *line, *end;

	if (n <= 0)
		return false;
	in->len += (size_t)n;
	in->buf[in->len] = '\0';
	for (line = in->buf; (end = strpbrk(line, "\n")); line = end + 1) {
		*end = '\0';
		if (end > line && end[-1] == '\r')
			end[-1] = '\0';
		call(line);
	}
	in->len = strlen(line);
	memmove(in->buf, line, in->len + 1);
	if (in->len == sizeof(in->buf) - 1)
		in->len = 0;
	return true;
}

static void console_gone(void)
{
	printf("t %llu @gone\n", (unsigned long long)now_ns());
	close(m.console.fd);
	m.console.fd = -1;
}

static void phase(void)
{
	counters("before");
	idle_print();
	printf("go\n");
	fflush(stdout);
	m.done = false;
	to_console("");
	while (!m.done && m.console.fd >= 0)
		if (!take(&m.console, console_line))
			console_gone();
	counters("after");
	to_console("");
}

static void memory(const char *mib)
{
	struct tree t;

	tree_read(&t, m.pid);
	tree_print_memory(&t, strtoull(mib, NULL, 10) << 20);
}

static void obey(char *line)
{
	if (!strcmp(line, "start"))
		start();
	else if (!strncmp(line, "say ", 4))
		to_console(line + 4);
	else if (!strcmp(line, "phase"))
		phase();
	else if (!strcmp(line, "snap"))
		counters("now");
	else if (!strcmp(line, "trace on"))
		trace_on();
	else if (!strcmp(line, "trace off"))
		trace_off();
	else if (!strcmp(line, "entry on"))
		trace_first_entry();
	else if (!strcmp(line, "entry"))
		trace_print_entry();
	else if (!strncmp(line, "memory ", 7))
		memory(line + 7);
	else if (!strcmp(line, "stop"))
		stop(SIGKILL);
	else if (!strcmp(line, "end"))
		stop(SIGTERM);
	else
		printf("error no command %s\n", line);
	printf("ok\n");
	fflush(stdout);
}

static void loop(void)
{
	for (;;) {
		struct pollfd p[2] = { { .fd = m.command.fd, .events = POLLIN },
				       { .fd = m.console.fd, .events = POLLIN } };

		poll(p, 2, -1);
		if (p[1].revents && !take(&m.console, console_line))
			console_gone();
		if (p[0].revents && !take(&m.command, obey))
			return;
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i + 1 < argc && !strcmp(argv[i], "--hist"); i += 2)
		if (trace_add(argv[i + 1]))
			return 1;
	if (i + 1 >= argc || strcmp(argv[i], "--")) {
		fprintf(stderr, "usage: meter [--hist EVENT=KEYS]... -- MONITOR...\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	m.argv = argv + i + 1;
	loop();
	stop(SIGKILL);
	trace_close();
	return 0;
}
