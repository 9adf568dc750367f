/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "thread.h"
#include "zalloc.h"

#define CHUNK 2048	/* on the thread's stack */

struct relay {
	pthread_t thread;
	int from, to;			/* our end of the pipe, and what is behind it; set once */
	int fd;				/* the writers' end; set once */
	const struct worker_entry *entry;	/* set once */
	const char *name;		/* set once */
	uint64_t nr_lost;		/* the thread's, until it is joined */
};

static void carry(struct relay *r, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(r->to, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r->nr_lost += len;
			return;
		}
		p += n;
		len -= (size_t)n;
	}
}

/* Until no writer is left. */
static void carry_all(struct relay *r)
{
	char buf[CHUNK];
	ssize_t n;

	while ((n = read(r->from, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			carry(r, buf, (size_t)n);
}

static void *relay_main(void *opaque)
{
	struct relay *r = opaque;

	pthread_setname_np(pthread_self(), r->name);
	if (!r->entry || !r->entry->enter(r->entry))
		carry_all(r);
	return NULL;
}

static void close_pipe(struct relay *r)
{
	close(r->fd);
	close(r->from);
	free(r);
}

int relay_create(struct relay **out, int fd, const char *name, const struct worker_entry *entry)
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
	*r = (struct relay){ .from = ends[0], .fd = ends[1], .to = fd, .entry = entry,
			     .name = name };
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
	carry_all(r);		/* a thread without its filter has left all */
	nr_lost = r->nr_lost;
	close(r->from);
	free(r);
	return nr_lost;
}
