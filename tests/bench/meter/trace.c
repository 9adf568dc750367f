/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histogram triggers count events by key inside the kernel: nothing is recorded and nothing is
 * lost. The trace buffer is used once, for the time of the first entry into a guest.
 */
#define _GNU_SOURCE
#include "meter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT "/sys/kernel/tracing/instances/mimsy-bench"
#define MAX_HISTS 16

static struct hist {
	char event[64], keys[96];
} hists[MAX_HISTS];
static int nr_hists, nr_on;

static void event_file(char *out, size_t len, const char *event, const char *file)
{
	snprintf(out, len, ROOT "/events/%.63s/%.15s", event, file);
}

int trace_add(const char *spec)
{
	struct hist *h = &hists[nr_hists];
	int keys = 0;

	if (nr_hists == MAX_HISTS || sscanf(spec, "%63[^=]=%n", h->event, &keys) != 1)
		return complain(spec);
	snprintf(h->keys, sizeof(h->keys), "%s", spec + keys);
	nr_hists++;
	return 0;
}

static int set_trigger(const struct hist *h, const char *prefix)
{
	char path[192], text[128];

	event_file(path, sizeof(path), h->event, "trigger");
	snprintf(text, sizeof(text), "%shist:keys=%s:size=8192", prefix, h->keys);
	return write_file(path, text);
}

int trace_on(void)
{
	if (mkdir(ROOT, 0755) && errno != EEXIST)
		return complain(ROOT);
	for (; nr_on < nr_hists; nr_on++)
		if (set_trigger(&hists[nr_on], ""))
			return complain(hists[nr_on].event);
	return 0;
}

void trace_off(void)
{
	while (nr_on)
		set_trigger(&hists[--nr_on], "!");
}

/* Lines of a histogram look like "{ key: value, ... } hitcount: N". */
static void print_hist(const struct hist *h)
{
	char path[192], *text, *save = NULL, *line;

	event_file(path, sizeof(path), h->event, "hist");
	text = read_file(path);
	if (!text)
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (line[0] == '{')
			printf("hist %s %s\n", h->event, line);
		else if (strstr(line, "Dropped:") && atol(strchr(line, ':') + 1))
			printf("hist %s dropped %s\n", h->event, line);
	free(text);
}

void trace_print(void)
{
	for (int i = 0; i < nr_on; i++)
		print_hist(&hists[i]);
}

#define ENTRY_TRIGGER ROOT "/events/kvm/kvm_entry/trigger"

/* One stack trace and no more: it is its time that is wanted. */
void trace_first_entry(void)
{
	if (mkdir(ROOT, 0755) && errno != EEXIST)
		return;
	write_file(ROOT "/trace_clock", "mono");
	write_file(ROOT "/trace", "");
	write_file(ENTRY_TRIGGER, "stacktrace:1");
}

void trace_print_entry(void)
{
	char *text = read_file(ROOT "/trace"), *save = NULL, *line;

	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save))
		if (line[0] != '#' && strstr(line, "<stack trace>")) {
			printf("trace %s\n", line);
			break;
		}
	free(text);
	write_file(ENTRY_TRIGGER, "!stacktrace:1");
}

void trace_close(void)
{
	trace_off();
	rmdir(ROOT);
}
