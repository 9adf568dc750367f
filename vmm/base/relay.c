/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "thread.h"
#include "zalloc.h"

#define CHUNK 2048	/* on the thread's stack */

struct relay {
	pthread_t thread;
	enum relay_way way;		/* set once */
	int from, to;			/* one is the file, one our end of the pipe; set once */
	int fd;				/* the users' end; set once */
	const struct worker_entry *entry;	/* set once */
	const char *name;		/* set once */
	uint64_t nr_lost;		/* the thread's, until it is joined */
};

/* false: not all could be written. */
static bool carry(struct relay *r, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(r->to, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r->nr_lost += len;
			return false;
		}
		p += n;
		len -= (size_t)n;
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

int relay_create(struct relay **out, int fd, enum relay_way way, const char *name,
		 const struct worker_entry *entry)
{
	struct relay *r = zalloc(1, sizeof(*r));
	int ends[2], ret;

	if (!r)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC)) {
		ret = log_errno("%s: pipe", name);
		free(r);
		return ret;
	}
	*r = (struct relay){ .way = way, .from = ends[0], .to = fd, .fd = ends[1], .entry = entry,
			     .name = name };
	if (way == RELAY_FROM_FILE) {
		r->from = fd;
		r->to = ends[1];
		r->fd = ends[0];
	}
	if (fcntl(r->fd, F_SETFL, O_NONBLOCK)) {
		ret = log_errno("%s: pipe", name);
		close_pipe(r);
		return ret;
	}
	ret = thread_create(&r->thread, relay_main, r, 0);
	if (ret) {
		close_pipe(r);
		return log_fail(ret, "%s: start a thread: %s", name, strerror(-ret));
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
	if (r->way == RELAY_TO_FILE)
		carry_all(r);		/* a thread without its filter has left all */
	nr_lost = r->nr_lost;
	close(pipe_end(r));
	free(r);
	return nr_lost;
}
