/* SPDX-License-Identifier: Apache-2.0 */
/* What guestio's commands share. Options are key=value words; a command returns its exit status. */
#ifndef GUESTIO_H
#define GUESTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUESTIO_CPUS_MAX 64

int disk_main(int argc, char **argv);
int serve_main(int argc, char **argv);
int talk_main(int argc, char **argv);
int tap_main(int argc, char **argv);
int rss_main(int argc, char **argv);
int fail_main(int argc, char **argv);
int kexec_main(int argc, char **argv);

/* One line on stderr; returns 1, the exit status of a failure. */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

const char *option(int argc, char **argv, const char *name, const char *otherwise);
uint64_t number(int argc, char **argv, const char *name, uint64_t otherwise);

uint64_t random_next(uint64_t *state);
/* len is a multiple of 8; filled() is true if buf holds what fill() of the same seed wrote. */
void fill(void *buf, size_t len, uint64_t seed);
bool filled(const void *buf, size_t len, uint64_t seed);

/* text: "all" (those this process may use) or "0,2,3"; returns how many were stored. */
int cpu_list(const char *text, int *cpus, int max);
/* One pinned process per CPU (-1: not pinned); 0 if each work() returned 0. */
int each_cpu(const int *cpus, int nr, int (*work)(int idx, int cpu, void *ctx), void *ctx);

#endif
