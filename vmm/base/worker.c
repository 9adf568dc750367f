/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread waits on a condition variable while it is parked. A start hands
 * it a job under the lock; "stopping" is an atomic so that the job can look
 * at it without the lock between two requests.
 */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define WORKER_STACK (128 * 1024)

struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void (*fn)(void *arg);		/* lock; NULL: parked */
	void *arg;			/* lock */
	int wake_fd;			/* the starter's */
	bool exiting;			/* lock */
	const struct worker_entry *entry;	/* lock; until entered */
	int enter_result;		/* lock; 1: not entered yet */
	atomic_bool stopping;
	char name[16];			/* set once */
};

static void worker_enter_locked(struct worker *w)
{
	w->enter_result = w->entry ? w->entry->enter(w->entry) : 0;
	w->exiting |= w->enter_result != 0;
	pthread_cond_broadcast(&w->changed);
}

static int worker_wait_entered(struct worker *w)
{
	int ret;

	pthread_mutex_lock(&w->lock);
	while (w->enter_result > 0)
		pthread_cond_wait(&w->changed, &w->lock);
	ret = w->enter_result;
	pthread_mutex_unlock(&w->lock);
	return ret;
}

static void *worker_main(void *opaque)
{
	struct worker *w = opaque;

	pthread_setname_np(pthread_self(), w->name);
	pthread_mutex_lock(&w->lock);
	worker_enter_locked(w);
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

/* Workers take no signals: those belong to the main thread and the vCPUs. */
static int worker_spawn(struct worker *w)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&w->thread, &attr, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

int worker_create(struct worker **out, const char *name, const struct worker_entry *entry)
{
	struct worker *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	snprintf(w->name, sizeof(w->name), "%s", name);
	w->wake_fd = -1;
	w->entry = entry;
	w->enter_result = 1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	ret = worker_spawn(w);
	if (ret) {
		free(w);
		return log_fail(ret, "%s: start a thread: %s", name, strerror(-ret));
	}
	ret = entry ? worker_wait_entered(w) : 0;
	if (ret) {
		worker_free(w);
		return ret;
	}
	*out = w;
	return 0;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	worker_stop(w);
	pthread_mutex_lock(&w->lock);
	w->exiting = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

int worker_pin(struct worker *w, int cpu)
{
	cpu_set_t set;
	int err;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	err = pthread_setaffinity_np(w->thread, sizeof(set), &set);
	return err ? log_fail(-err, "%s: pin to CPU %d: %s", w->name, cpu, strerror(err)) : 0;
}

void worker_start(struct worker *w, void (*fn)(void *arg), void *arg, int wake_fd)
{
	pthread_mutex_lock(&w->lock);
	atomic_store(&w->stopping, false);
	w->wake_fd = wake_fd;
	w->arg = arg;
	w->fn = fn;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

void worker_stop(struct worker *w)
{
	uint64_t one = 1;
	ssize_t n;

	pthread_mutex_lock(&w->lock);
	if (w->fn) {
		atomic_store(&w->stopping, true);
		n = write(w->wake_fd, &one, sizeof(one));	/* full is readable too */
		(void)n;
		while (w->fn)
			pthread_cond_wait(&w->changed, &w->lock);
	}
	pthread_mutex_unlock(&w->lock);
}

bool worker_stopping(const struct worker *w)
{
	return atomic_load_explicit(&w->stopping, memory_order_relaxed);
}
