/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread waits on a condition variable while it is parked. A start hands
 * it a job under the lock; "stopping" is an atomic so that the job can look
 * at it without the lock between two requests.
 */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "thread.h"
#include "zalloc.h"

struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void (*fn)(void *arg);		/* lock; NULL: parked */
	void *arg;			/* lock */
	int wake_fd;			/* the starter's */
	bool exiting;			/* lock */
	const struct worker_entry *entry;	/* set once */
	atomic_bool stopping;
	char name[16];			/* set once */
};

static void *worker_main(void *opaque)
{
	struct worker *w = opaque;
	bool refused;

	pthread_setname_np(pthread_self(), w->name);
	refused = w->entry && w->entry->enter(w->entry);
	pthread_mutex_lock(&w->lock);
	if (refused) {
		w->exiting = true;
		w->fn = NULL;
		pthread_cond_broadcast(&w->changed);
	}
	for (;;) {
		while (!w->fn && !w->exiting)
			pthread_cond_wait(&w->changed, &w->lock);
		if (!w->fn)
			break;
		pthread_mutex_unlock(&w->lock);
		w->fn(w->arg);
		pthread_mutex_lock(&w->lock);
		w->fn = NULL;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int worker_create(struct worker **out, const char *name, const struct worker_entry *entry)
{
	struct worker *w = zalloc(1, sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	snprintf(w->name, sizeof(w->name), "%s", name);
	w->wake_fd = -1;
	w->entry = entry;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	ret = thread_create(&w->thread, worker_main, w, 0);
	if (ret) {
		free(w);
		return log_fail(ret, "%s: start a thread: %s", name, strerror(-ret));
	}
	*out = w;
	return 0;
}

void worker_leave(struct worker *w)
{
	worker_stop(w);
	pthread_mutex_lock(&w->lock);
	w->exiting = true;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_broadcast(&w->changed);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	worker_leave(w);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

int worker_pin(struct worker *w, int cpu)
{
	int ret = thread_pin(w->thread, cpu);

	return ret ? log_fail(ret, "%s: pin to CPU %d: %s", w->name, cpu, strerror(-ret)) : 0;
}

void worker_start(struct worker *w, void (*fn)(void *arg), void *arg, int wake_fd)
{
	pthread_mutex_lock(&w->lock);
	atomic_store(&w->stopping, false);
	w->wake_fd = wake_fd;
	w->arg = arg;
	w->fn = w->exiting ? NULL : fn;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void ask_locked(struct worker *w)
{
	uint64_t one = 1;
	ssize_t n;

	if (!w->fn)
		return;
	atomic_store(&w->stopping, true);
	n = write(w->wake_fd, &one, sizeof(one));	/* full is readable too */
	(void)n;
}

void worker_ask(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	ask_locked(w);
	pthread_mutex_unlock(&w->lock);
}

void worker_stop(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	ask_locked(w);
	while (w->fn)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* What the stopper wrote before, a ring's index for one, is seen by who sees this. */
bool worker_stopping(const struct worker *w)
{
	return atomic_load_explicit(&w->stopping, memory_order_acquire);
}
