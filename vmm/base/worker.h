/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker is a thread made before the guest runs and parked until a device
 * starts. Starting and stopping a device thus creates no thread: a jailed
 * monitor needs no clone(2), and driver unbind/bind costs two futex calls.
 *
 * One thread (the transport, under its lock) calls start and stop.
 */
#ifndef MIMSY_WORKER_H
#define MIMSY_WORKER_H

#include <stdbool.h>

struct worker;

/*
 * What a thread does before anything else, such as giving up rights. Nobody
 * waits for it; who made the entry may (see sandbox_seal()). After an error
 * the thread ends and the worker never runs anything.
 */
struct worker_entry {
	int (*enter)(const struct worker_entry *e);	/* 0 or -errno, logged */
};

/*
 * The name shows in ps and is cut to 15 characters. entry (NULL: none) is
 * borrowed for the worker's life. Returns 0 or -errno, logged.
 */
int worker_create(struct worker **out, const char *name, const struct worker_entry *entry);

/*
 * Stops it and lets its thread go, without waiting; only worker_free() may
 * follow. Thousands of threads end sooner if all are told before one is joined.
 */
void worker_leave(struct worker *w);

/* NULL is allowed; stops first if it still runs. */
void worker_free(struct worker *w);

/* Pins the thread to one host CPU. -EINVAL: no such CPU. */
int worker_pin(struct worker *w, int cpu);

/*
 * Runs fn(arg) on the thread. fn returns soon after worker_stopping() became
 * true; wake_fd is an eventfd (borrowed until worker_stop) that it waits on
 * and that worker_stop writes to.
 */
void worker_start(struct worker *w, void (*fn)(void *arg), void *arg, int wake_fd);

/* Tells fn to return, and waits for nothing; worker_stop() has to follow. */
void worker_ask(struct worker *w);

/* Returns when fn has returned. Nothing happens if the worker is parked. */
void worker_stop(struct worker *w);

/* Called by fn, on the worker's thread. */
bool worker_stopping(const struct worker *w);

#endif
