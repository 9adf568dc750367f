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
	uint64_t *sum = NULL;
	unsigned int cpu;

	if (!p)
		return;
	if (strstr(line, "CAL:"))
		sum = &i->calls;
	else if (strstr(line, "RES:"))
		sum = &i->reschedules;
	else if (strstr(line, "LOC:"))
		sum = &i->timers;
	else if (!strstr(line, "virtio"))
		return;
	for (p++, cpu = 0; cpu < i->nr_cpus; cpu++) {
		uint64_t n = strtoull(p, &p, 10);

		if (sum)
			*sum += n;
		else
			i->device[cpu] += n;
	}
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

void irqs_print(const struct irqs *before, const struct irqs *after)
{
	unsigned long long n;

	printf("@irq");
	for (unsigned int cpu = 0; cpu < after->nr_cpus; cpu++) {
		n = after->device[cpu] - before->device[cpu];
		printf(" cpu%u=%llu", cpu, n);
	}
	printf(" calls=%llu reschedules=%llu timers=%llu\n",
	       (unsigned long long)(after->calls - before->calls),
	       (unsigned long long)(after->reschedules - before->reschedules),
	       (unsigned long long)(after->timers - before->timers));
}
