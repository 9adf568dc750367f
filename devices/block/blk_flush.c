/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushes are numbered as they begin. Waking is done under the lock: one that
 * is queued stays until it is woken or looks again, so its eventfd is open.
 */
#include "blk_flush.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blk_backend.h"
#include "log.h"
#include "zalloc.h"

struct blk_flush {
	struct blk_backend *backend;		/* set once */
	pthread_mutex_t lock;			/* all below */
	pthread_cond_t ended;			/* for those that sleep */
	struct blk_flush_waiter *waiters;	/* those that do not */
	uint64_t begun, done;			/* number of the last that began, that ended */
	int error;				/* first -errno; 0: none */
};

int blk_flush_create(struct blk_flush **out, struct blk_backend *backend)
{
	struct blk_flush *f = zalloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->backend = backend;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->ended, NULL);
	*out = f;
	return 0;
}

void blk_flush_free(struct blk_flush *f)
{
	if (!f)
		return;
	pthread_cond_destroy(&f->ended);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static bool is_running(const struct blk_flush *f)
{
	return f->begun != f->done;
}

static void wake_all(struct blk_flush *f)
{
	const uint64_t one = 1;

	while (f->waiters) {
		struct blk_flush_waiter *w = f->waiters;
		ssize_t n;

		f->waiters = w->next;
		w->queued = false;
		n = write(w->wake_fd, &one, sizeof(one));	/* full is readable too */
		(void)n;
	}
	pthread_cond_broadcast(&f->ended);
}

static void end_locked(struct blk_flush *f, int result)
{
	f->error = result;	/* the first one: after an error none begins */
	f->done = f->begun;
	wake_all(f);
}

/* Without the lock: the log may be slow. */
static void say(int result)
{
	if (result)
		log_error("flush of a disk image failed, so will all later ones: %s",
			  strerror(-result));
}

int blk_flush_run(struct blk_flush *f)
{
	uint64_t ticket;
	int ret, own = 0;

	pthread_mutex_lock(&f->lock);
	ticket = f->begun + 1;
	while (!f->error && f->done < ticket) {
		if (is_running(f)) {
			pthread_cond_wait(&f->ended, &f->lock);
			continue;
		}
		f->begun++;
		pthread_mutex_unlock(&f->lock);
		own = f->backend->ops->flush(f->backend);
		pthread_mutex_lock(&f->lock);
		end_locked(f, own);
	}
	ret = f->error;
	pthread_mutex_unlock(&f->lock);
	say(own);
	return ret;
}

int blk_flush_error(struct blk_flush *f)
{
	int error;

	pthread_mutex_lock(&f->lock);
	error = f->error;
	pthread_mutex_unlock(&f->lock);
	return error;
}

uint64_t blk_flush_ticket(struct blk_flush *f)
{
	uint64_t ticket;

	pthread_mutex_lock(&f->lock);
	ticket = f->begun + 1;
	pthread_mutex_unlock(&f->lock);
	return ticket;
}

static void enqueue(struct blk_flush *f, struct blk_flush_waiter *w)
{
	if (w->queued)
		return;
	w->queued = true;
	w->next = f->waiters;
	f->waiters = w;
}

static void dequeue(struct blk_flush *f, struct blk_flush_waiter *w)
{
	struct blk_flush_waiter **at = &f->waiters;

	if (!w->queued)
		return;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->queued = false;
}

struct blk_flush_view blk_flush_look(struct blk_flush *f, uint64_t last,
				     struct blk_flush_waiter *w)
{
	struct blk_flush_view view;

	pthread_mutex_lock(&f->lock);
	dequeue(f, w);
	view = (struct blk_flush_view){ .done = f->done, .error = f->error };
	if (!f->error && f->done < last) {
		view.begin = !is_running(f);
		f->begun += view.begin;
		if (!view.begin)
			enqueue(f, w);
	}
	pthread_mutex_unlock(&f->lock);
	return view;
}

void blk_flush_end(struct blk_flush *f, int result)
{
	pthread_mutex_lock(&f->lock);
	end_locked(f, result);
	pthread_mutex_unlock(&f->lock);
	say(result);
}
