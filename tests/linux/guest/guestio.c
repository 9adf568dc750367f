/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guestio: the one program of ours inside a Linux test guest, for what busybox lacks. Static; it
 * also runs outside a guest, as the network's other end and to check a disk image afterwards.
 *
 * Each command forks one worker per CPU, pins it there, and so reaches each queue that the kernel
 * maps to a CPU. Data comes from a generator seeded by place and generation, so that what is read
 * back is compared byte by byte with what was written, without keeping it.
 */
#define _GNU_SOURCE
#include "guestio.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "disk", disk_main, "PATH [cpus=N,N..|all] [ops=N] [block=BYTES] [span=BYTES] [seed=N] "
			     "[workers=N] [mode=run|check|loop]" },
	{ "serve", serve_main, "PORT" },
	{ "talk", talk_main, "HOST PORT [cpus=N,N..|all] [rounds=N] [bytes=N] [seed=N]" },
	{ "tap", tap_main, "NAME [keep=0|1]" },
	{ "rss", rss_main, "INTERFACE [queue=N]" },
	{ "fail", fail_main, "N FILE TEXT" },
	{ "kexec", kexec_main, "KERNEL INITRD CMDLINE" },
};

int complain(const char *format, ...)
{
	va_list args;

	fputs("guestio: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return 1;
}

const char *option(int argc, char **argv, const char *name, const char *otherwise)
{
	size_t len = strlen(name);
	int i;

	for (i = 0; i < argc; i++)
		if (!strncmp(argv[i], name, len) && argv[i][len] == '=')
			return argv[i] + len + 1;
	return otherwise;
}

uint64_t number(int argc, char **argv, const char *name, uint64_t otherwise)
{
	const char *text = option(argc, argv, name, NULL);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* xorshift64*: good enough to make no two blocks alike. */
uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

void fill(void *buf, size_t len, uint64_t seed)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15ULL | 1;
	uint64_t *words = buf;
	size_t i;

	for (i = 0; i < len / sizeof(*words); i++)
		words[i] = random_next(&state);
}

bool filled(const void *buf, size_t len, uint64_t seed)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15ULL | 1;
	const uint64_t *words = buf;
	size_t i;

	for (i = 0; i < len / sizeof(*words); i++)
		if (words[i] != random_next(&state))
			return false;
	return true;
}

int cpu_list(const char *text, int *cpus, int max)
{
	cpu_set_t set;
	int nr = 0, cpu;
	char *end;

	if (strcmp(text, "all")) {
		for (; *text && nr < max; text = *end ? end + 1 : end)
			cpus[nr++] = (int)strtol(text, &end, 10);
		return nr;
	}
	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (cpu = 0; cpu < CPU_SETSIZE && nr < max; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[nr++] = cpu;
	return nr;
}

/* A CPU that is offline is no failure: the worker then runs where the kernel lets it. */
static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned int)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

int each_cpu(const int *cpus, int nr, int (*work)(int idx, int cpu, void *ctx), void *ctx)
{
	int i, status, failed = 0;

	for (i = 0; i < nr; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return complain("fork: %s", strerror(errno));
		if (!pid) {
			if (cpus[i] >= 0)
				pin(cpus[i]);
			_exit(work(i, cpus[i], ctx));
		}
	}
	while (wait(&status) > 0)
		failed |= status;
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 2, argv + 2);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		complain("usage: guestio %s %s", commands[i].name, commands[i].usage);
	return 2;
}
