/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "thread.h"
#include "util.h"
#include "zalloc.h"

#define CHUNK 2048	/* on the thread's stack */
#define MAX_UNASKED KIB(64)	/* written before the file's length is asked for again */

struct relay {
	pthread_t thread;
	enum relay_way way;		/* set once */
	int from, to;			/* one is the file, one our end of the pipe; set once */
	int fd;				/* the users' end; set once */
	const struct worker_entry *entry;	/* set once */
	const char *name;		/* set once */
	uint64_t max;			/* set once */
	int whence;			/* set once: where the file is written to */
	uint64_t left;			/* the thread's, until it is joined: bytes before we ask */
	uint64_t nr_lost;		/* the same */
	bool full;			/* the same: it was said */
};

/* A file may have been emptied since (a log is rotated), or have other writers. */
static void ask_for_room(struct relay *r)
{
	off_t at = r->max ? lseek(r->to, 0, r->whence) : 0;

	if (!r->max || at < 0)
		r->left = MAX_UNASKED;
	else
		r->left = (uint64_t)at < r->max ? MIN(r->max - (uint64_t)at, MAX_UNASKED) : 0;
	if (r->left || r->full)
		return;
	r->full = true;
	log_warn("%s: its file has %" PRIu64 " bytes, which is all it may have: the rest is lost",
		 r->name, r->max);
}

/* false: not all could be written. */
static bool carry(struct relay *r, const char *p, size_t len)
{
	while (len) {
		ssize_t n = 0;

		if (!r->left)
			ask_for_room(r);
		if (r->left)
			n = write(r->to, p, MIN(len, r->left));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || !r->left) {
			r->nr_lost += len;
			return false;
		}
		p += n;
		len -= (size_t)n;
		r->left -= (uint64_t)n;
	}
	return true;
}

/* Until no writer is left, or the file has ended, or nobody wants more of it. */
static void carry_all(struct relay *r)
{
	char buf[CHUNK];
	ssize_t n;

	while ((n = read(r->from, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && !carry(r, buf, (size_t)n) && r->way == RELAY_FROM_FILE)
			break;
}

static void *relay_main(void *opaque)
{
	struct relay *r = opaque;

	pthread_setname_np(pthread_self(), r->name);
	if (!r->entry || !r->entry->enter(r->entry))
		carry_all(r);
	return NULL;
}

static int pipe_end(const struct relay *r)
{
	return r->way == RELAY_TO_FILE ? r->from : r->to;
}

static void close_pipe(struct relay *r)
{
	close(r->fd);
	close(pipe_end(r));
	free(r);
}

static void relay_init(struct relay *r, const struct relay_cfg *cfg, const int ends[2])
{
	bool to_file = cfg->way == RELAY_TO_FILE;
	int flags = to_file && cfg->max ? fcntl(cfg->fd, F_GETFL) : 0;

	*r = (struct relay){
		.way = cfg->way,
		.from = to_file ? ends[0] : cfg->fd,
		.to = to_file ? cfg->fd : ends[1],
		.fd = to_file ? ends[1] : ends[0],
		.entry = cfg->entry,
		.name = cfg->name,
		.max = to_file ? cfg->max : 0,
		.whence = flags & O_APPEND ? SEEK_END : SEEK_CUR,
	};
}

int relay_create(struct relay **out, const struct relay_cfg *cfg)
{
	struct relay *r = zalloc(1, sizeof(*r));
	int ends[2], ret;

	if (!r)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC)) {
		ret = log_errno("%s: pipe", cfg->name);
		free(r);
		return ret;
	}
	relay_init(r, cfg, ends);
	if (fcntl(r->fd, F_SETFL, O_NONBLOCK)) {
		ret = log_errno("%s: pipe", cfg->name);
		close_pipe(r);
		return ret;
	}
	ret = thread_create(&r->thread, relay_main, r, 0);
	if (ret) {
		close_pipe(r);
		return log_fail(ret, "%s: start a thread: %s", cfg->name, strerror(-ret));
	}
	*out = r;
	return 0;
}

int relay_fd(const struct relay *r)
{
	return r->fd;
}

uint64_t relay_free(struct relay *r)
{
	uint64_t nr_lost;

	if (!r)
		return 0;
	close(r->fd);
	pthread_join(r->thread, NULL);
	r->max = 0;	/* this thread's filter has no lseek(2), and a pipe holds little */
	if (r->way == RELAY_TO_FILE)
		carry_all(r);		/* a thread without its filter has left all */
	nr_lost = r->nr_lost;
	close(pipe_end(r));
	free(r);
	return nr_lost;
}
