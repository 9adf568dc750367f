/* SPDX-License-Identifier: Apache-2.0 */
/*
 * benchio: the whole user space of a bench guest (it is /init), and the other end of the network
 * outside of it. As /init it takes one command a line from the console:
 *
 *	nop | blk KEY=N... | rr KEY=N... | stream KEY=N... | log | off
 *
 * log and off do what they say. Each other command prepares, says "@ready", waits for a line, does
 * exactly its N operations, says "@done", waits for a line, then prints "@res KEY=N..." and "@end".
 * So whoever is at the other end can read its counters while the guest is idle, before and after.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_MAX_CPUS 64

struct args {
	char *key[16];
	uint64_t value[16];
	unsigned int nr;
};

uint64_t arg(const struct args *a, const char *key, uint64_t otherwise);

uint64_t now_ns(void);
void pin(int cpu);
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The steps of the protocol above. */
void step_ready(void);
void step_done(void);

/* Latencies: samples are kept, percentiles printed as "@lat p:ns ..." */
struct lat {
	uint32_t *ns;
	size_t nr, max;
};

int lat_init(struct lat *l, size_t max);
void lat_add(struct lat *l, uint64_t ns);
void lat_print(struct lat *l);		/* and frees */

/*
 * Interrupts by the CPU that takes them: of virtio devices, of other CPUs (function calls and
 * requests to schedule), of the timer. To be read between step_ready and step_done: the console
 * wakes processes on other CPUs.
 */
struct irqs {
	uint64_t device[BENCH_MAX_CPUS], ipis[BENCH_MAX_CPUS], timers[BENCH_MAX_CPUS];
	unsigned int nr_cpus;
};

int irqs_read(struct irqs *i);
/* "@irq" and the differences: cpu0=N .. ipi0=N .. timer0=N .. */
void irqs_print(const struct irqs *before, const struct irqs *after);

int blk_run(const struct args *a);
int rr_run(const struct args *a);
int stream_run(const struct args *a);

int net_up(const char *ip);
int serve_main(int argc, char **argv);	/* PORT [CPU] */
int tap_main(int argc, char **argv);	/* NAME PAIRS, 0 removes it */

#endif
