/* SPDX-License-Identifier: Apache-2.0 */
/* benchio as the guest's first process: the console's commands, see bench.h. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define GUEST_IP "10.9.0.2"

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int fail(const char *format, ...)
{
	va_list args;

	printf("@fail ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": %s\n", strerror(errno));
	return 1;
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned int)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("pin to CPU %d", cpu);
}

uint64_t arg(const struct args *a, const char *key, uint64_t otherwise)
{
	for (unsigned int i = 0; i < a->nr; i++)
		if (!strcmp(a->key[i], key))
			return a->value[i];
	return otherwise;
}

/* Byte by byte: nothing of a later line may be taken. */
static int read_line(char *buf, size_t max)
{
	size_t n = 0;

	while (n < max - 1) {
		if (read(STDIN_FILENO, buf + n, 1) != 1)
			return -1;
		if (buf[n] == '\n' || buf[n] == '\r')
			break;
		n++;
	}
	buf[n] = '\0';
	return (int)n;
}

static void say(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
}

void step_ready(void)
{
	char line[16];

	say("@ready\n");
	read_line(line, sizeof(line));
}

void step_done(void)
{
	char line[16];

	say("@done\n");
	read_line(line, sizeof(line));
}

/* What the marks of a phase cost by themselves. */
static int nop_run(const struct args *a)
{
	struct irqs before, after;

	(void)a;
	step_ready();
	irqs_read(&before);
	irqs_read(&after);
	step_done();
	return 0;
}

/* The kernel's log, for whoever asks where a boot's time goes. */
static int log_run(const struct args *a)
{
	static char text[1 << 18];
	int len = klogctl(3, text, sizeof(text) - 1);
	char *save = NULL, *line;

	(void)a;
	text[len < 0 ? 0 : len] = '\0';
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		printf("@log %s\n", line);
	return 0;
}

static void parse(char *line, char **verb, struct args *a)
{
	char *save = NULL, *word, *eq;

	*verb = strtok_r(line, " ", &save);
	a->nr = 0;
	while ((word = strtok_r(NULL, " ", &save)) && a->nr < 16) {
		eq = strchr(word, '=');
		if (!eq)
			continue;
		*eq = '\0';
		a->key[a->nr] = word;
		a->value[a->nr++] = strtoull(eq + 1, NULL, 0);
	}
}

static const struct command {
	const char *name;
	int (*run)(const struct args *a);
} commands[] = {
	{ "nop", nop_run },
	{ "blk", blk_run },
	{ "rr", rr_run },
	{ "stream", stream_run },
	{ "log", log_run },
};

static void obey(char *line)
{
	struct args a;
	char *verb;

	parse(line, &verb, &a);
	if (!verb)
		return;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(verb, commands[i].name))
			continue;
		if (!commands[i].run(&a))
			say("@end\n");
		fflush(stdout);
		return;
	}
	if (!strcmp(verb, "off"))
		reboot(RB_POWER_OFF);
	errno = EINVAL;
	fail("no command %s", verb);
	fflush(stdout);
}

static void raw_console(void)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &t))
		return;
	cfmakeraw(&t);
	t.c_oflag |= OPOST | ONLCR;
	tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

static void guest_main(void)
{
	char line[256];

	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	raw_console();
	if (net_up(GUEST_IP))
		fail("network");
	printf("@up %llu\n", (unsigned long long)now_ns());
	fflush(stdout);
	while (read_line(line, sizeof(line)) >= 0)
		obey(line);
	reboot(RB_POWER_OFF);
}

int main(int argc, char **argv)
{
	if (getpid() == 1)
		guest_main();
	if (argc > 2 && !strcmp(argv[1], "serve"))
		return serve_main(argc - 2, argv + 2);
	if (argc > 3 && !strcmp(argv[1], "tap"))
		return tap_main(argc - 2, argv + 2);
	fprintf(stderr, "usage: benchio serve PORT [CPU] | tap NAME PAIRS\n");
	return 2;
}
