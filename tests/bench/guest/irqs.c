/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc/interrupts says: a column per CPU, then chip and name. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned int count_cpus(const char *head)
{
	unsigned int n = 0;

	while ((head = strstr(head, "CPU"))) {
		head += 3;
		n++;
	}
	return n < BENCH_MAX_CPUS ? n : BENCH_MAX_CPUS;
}

static void add_line(struct irqs *i, char *line)
{
	char *p = strchr(line, ':');
	uint64_t *counts;
	unsigned int cpu;

	if (!p)
		return;
	if (strstr(line, "CAL:") || strstr(line, "RES:"))
		counts = i->ipis;
	else if (strstr(line, "LOC:"))
		counts = i->timers;
	else if (strstr(line, "virtio"))
		counts = i->device;
	else
		return;
	for (p++, cpu = 0; cpu < i->nr_cpus; cpu++)
		counts[cpu] += strtoull(p, &p, 10);
}

int irqs_read(struct irqs *i)
{
	FILE *f = fopen("/proc/interrupts", "r");
	char *line = NULL;
	size_t len = 0;

	memset(i, 0, sizeof(*i));
	if (!f)
		return fail("/proc/interrupts");
	if (getline(&line, &len, f) > 0)
		i->nr_cpus = count_cpus(line);
	while (getline(&line, &len, f) > 0)
		add_line(i, line);
	free(line);
	fclose(f);
	return 0;
}

static void print_difference(const char *name, const uint64_t *before, const uint64_t *after,
			     unsigned int nr)
{
	for (unsigned int cpu = 0; cpu < nr; cpu++)
		printf(" %s%u=%llu", name, cpu, (unsigned long long)(after[cpu] - before[cpu]));
}

void irqs_print(const struct irqs *before, const struct irqs *after)
{
	printf("@irq");
	print_difference("cpu", before->device, after->device, after->nr_cpus);
	print_difference("ipi", before->ipis, after->ipis, after->nr_cpus);
	print_difference("timer", before->timers, after->timers, after->nr_cpus);
	printf("\n");
}
