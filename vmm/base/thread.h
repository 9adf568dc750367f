/* SPDX-License-Identifier: Apache-2.0 */
/* How all threads of the monitor are made: with a small stack, and deaf to signals but faults. */
#ifndef MIMSY_THREAD_H
#define MIMSY_THREAD_H

#include <pthread.h>

/*
 * Starts fn(arg) on a new thread. Signals belong to the main thread; only
 * signal (0: none) is delivered to this one. 0 or -errno, nothing is logged.
 */
int thread_create(pthread_t *out, void *(*fn)(void *arg), void *arg, int signal);

/* Runs it on one host CPU from now on. -EINVAL: no such CPU. */
int thread_pin(pthread_t thread, int cpu);

#endif
