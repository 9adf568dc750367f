/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's processes and threads, their memory, and KVM's counters of their VMs. */
#define _GNU_SOURCE
#include "meter.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KVM_DIR "/sys/kernel/debug/kvm"

static bool has(const struct tree *t, pid_t pid)
{
	for (unsigned int i = 0; i < t->nr; i++)
		if (t->pid[i] == pid)
			return true;
	return false;
}

static pid_t parent_of(const char *pid)
{
	char path[300], *text, *p;
	pid_t parent = 0;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	text = read_file(path);
	p = text ? strrchr(text, ')') : NULL;
	if (p)
		sscanf(p, ") %*c %d", &parent);
	free(text);
	return parent;
}

/* Children have mostly larger numbers; a second pass finds the others. */
void tree_read(struct tree *t, pid_t root)
{
	struct dirent *e;
	DIR *d;

	t->nr = 0;
	t->pid[t->nr++] = root;
	for (int pass = 0; pass < 2; pass++) {
		d = opendir("/proc");
		while (d && (e = readdir(d)) && t->nr < METER_MAX_TASKS) {
			pid_t pid = atoi(e->d_name);

			if (pid > 0 && !has(t, pid) && has(t, parent_of(e->d_name)))
				t->pid[t->nr++] = pid;
		}
		if (d)
			closedir(d);
	}
}

static void print_threads(pid_t pid)
{
	char path[300], *comm;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", pid, e->d_name);
		comm = read_file(path);
		if (comm)
			printf("task %d %s %s", pid, e->d_name, comm);
		free(comm);
	}
	if (d)
		closedir(d);
}

void tree_print_tasks(const struct tree *t)
{
	for (unsigned int i = 0; i < t->nr; i++)
		print_threads(t->pid[i]);
}

struct memory {
	uint64_t ram_size, own, alone, pss, rss, skipped;
};

/*
 * A mapping as large as guest memory is guest memory. "own" is what one more monitor of this kind
 * adds: of mapped files only the pages it has changed, since the others are the same for all.
 * "alone" is all that is private while no other runs, so pages of programs and libraries as well.
 */
static void add_smaps(struct memory *m, char *text)
{
	char *save = NULL, *line, name[32];
	unsigned long long from, to, kib;
	bool skip = false, file = false;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%llx-%llx ", &from, &to) == 2) {
			file = strchr(line, '/') && !strstr(line, "/memfd:") &&
			       !strstr(line, "/dev/");
			skip = to - from >= m->ram_size / 2;
			m->skipped += skip ? to - from : 0;
			continue;
		}
		if (skip || sscanf(line, "%31[^:]: %llu kB", name, &kib) != 2)
			continue;
		if (!strcmp(name, "Anonymous"))
			m->own += file ? kib << 10 : 0;
		else if (!strncmp(name, "Private_C", 9) || !strncmp(name, "Private_D", 9)) {
			m->own += file ? 0 : kib << 10;
			m->alone += kib << 10;
		} else if (!strcmp(name, "Pss"))
			m->pss += kib << 10;
		else if (!strcmp(name, "Rss"))
			m->rss += kib << 10;
	}
}

void tree_print_memory(const struct tree *t, uint64_t ram)
{
	struct memory m = { .ram_size = ram };
	char path[64], *text;

	for (unsigned int i = 0; i < t->nr; i++) {
		snprintf(path, sizeof(path), "/proc/%d/smaps", t->pid[i]);
		text = read_file(path);
		if (text)
			add_smaps(&m, text);
		free(text);
	}
	printf("mem own %llu\nmem alone %llu\nmem pss %llu\nmem rss %llu\nmem guest %llu\n",
	       (unsigned long long)m.own, (unsigned long long)m.alone,
	       (unsigned long long)m.pss, (unsigned long long)m.rss,
	       (unsigned long long)m.skipped);
}

static void print_counters(const char *dir)
{
	char path[600], *text;
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		if (e->d_type != DT_REG)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		text = read_file(path);
		if (text && isdigit((unsigned char)text[0]) && strlen(text) < 24)
			printf("kvm %s %s\n", e->d_name, strtok(text, "\n"));
		free(text);
	}
	if (d)
		closedir(d);
}

/* A VM's directory is named PID-FD after the thread that made it. */
void kvm_print(const struct tree *t)
{
	char path[300];
	struct dirent *e;
	DIR *d = opendir(KVM_DIR);

	while (d && (e = readdir(d))) {
		if (!strchr(e->d_name, '-') || !has(t, atoi(e->d_name)))
			continue;
		snprintf(path, sizeof(path), KVM_DIR "/%s", e->d_name);
		print_counters(path);
	}
	if (d)
		closedir(d);
}

void idle_print(void)
{
	char *text = read_file("/proc/stat");
	unsigned long long idle, wait;

	if (text && sscanf(text, "cpu %*u %*u %*u %llu %llu", &idle, &wait) == 2)
		printf("idle %.2f\n", (double)(idle + wait) / (double)sysconf(_SC_CLK_TCK));
	free(text);
}
