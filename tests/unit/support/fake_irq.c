/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_irq.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util.h"

static struct fake_irq *to_fake(struct irq_sink *sink)
{
	return container_of(sink, struct fake_irq, sink);
}

static int fake_set_message(struct irq_sink *sink, unsigned int vector,
			    const struct msi_message *msg)
{
	struct fake_irq *f = to_fake(sink);
	struct fake_irq_vector *v = &f->vector[vector];

	assert(vector < sink->nr_vectors);
	if (!v->is_staged && !v->is_in_force) {
		if (!f->gsis_left)
			return -ENOSPC;
		f->gsis_left--;
	}
	v->staged = *msg;
	v->is_staged = true;
	f->nr_messages++;
	return 0;
}

static void fake_clear_message(struct irq_sink *sink, unsigned int vector)
{
	struct fake_irq *f = to_fake(sink);

	assert(vector < sink->nr_vectors);
	f->nr_clears++;
	f->gsis_left += f->vector[vector].is_staged;
	f->vector[vector] = (struct fake_irq_vector){ 0 };
}

/* true: something was not in force yet. */
static bool bring_into_force(struct fake_irq *f)
{
	bool changed = false;

	for (unsigned int i = 0; i < f->sink.nr_vectors; i++) {
		struct fake_irq_vector *v = &f->vector[i];

		if (!v->is_staged)
			continue;
		changed |= !v->is_in_force || memcmp(&v->staged, &v->in_force, sizeof(v->staged));
		v->in_force = v->staged;
		v->is_in_force = true;
	}
	return changed;
}

static bool is_settled(const struct fake_irq *f)
{
	for (unsigned int i = 0; i < f->sink.nr_vectors; i++) {
		const struct fake_irq_vector *v = &f->vector[i];

		if (v->is_staged &&
		    (!v->is_in_force || memcmp(&v->staged, &v->in_force, sizeof(v->staged))))
			return false;
	}
	return true;
}

static int fake_commit(struct irq_sink *sink)
{
	struct fake_irq *f = to_fake(sink);

	f->nr_commits++;
	if (is_settled(f))
		return 0;
	if (f->deferred) {
		f->in_progress = true;
		return -EINPROGRESS;
	}
	f->nr_changes += bring_into_force(f);
	return 0;
}

static void fake_release(struct irq_sink *sink)
{
	struct fake_irq *f = to_fake(sink);

	f->nr_releases++;
	for (unsigned int i = 0; i < sink->nr_vectors; i++) {
		f->gsis_left += f->vector[i].is_staged;
		f->vector[i] = (struct fake_irq_vector){ 0 };
	}
}

static const struct irq_sink_ops fake_ops = {
	.set_message = fake_set_message,
	.clear_message = fake_clear_message,
	.commit = fake_commit,
	.release = fake_release,
};

void fake_irq_init(struct fake_irq *f, unsigned int nr_vectors)
{
	assert(nr_vectors <= FAKE_IRQ_MAX_VECTORS);
	*f = (struct fake_irq){ .gsis_left = 1000 };
	for (unsigned int i = 0; i < nr_vectors; i++)
		f->fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->sink = (struct irq_sink){
		.ops = &fake_ops,
		.nr_vectors = nr_vectors,
		.vector_fd = f->fd,
		.line_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
}

void fake_irq_release(struct fake_irq *f)
{
	for (unsigned int i = 0; i < f->sink.nr_vectors; i++)
		close(f->fd[i]);
	close(f->sink.line_fd);
}

void fake_irq_settle(struct fake_irq *f, int result)
{
	assert(f->in_progress);
	f->in_progress = false;
	if (!result)
		f->nr_changes += bring_into_force(f);
	f->sink.settled(f->sink.owner, result);
}

static uint64_t take(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

uint64_t fake_irq_signals(struct fake_irq *f, unsigned int vector)
{
	assert(vector < f->sink.nr_vectors);
	return take(f->fd[vector]);
}

uint64_t fake_irq_line_signals(struct fake_irq *f)
{
	return take(f->sink.line_fd);
}
