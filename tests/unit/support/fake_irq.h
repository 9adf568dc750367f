/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An irq_sink that records. It behaves like vmm/msi.c as seen from a
 * transport: messages are staged, a commit brings them into force at once or,
 * if "deferred", when the test says so; GSIs can run out.
 *
 * Called with the transport's lock held, so it needs none of its own.
 */
#ifndef MIMSY_TEST_FAKE_IRQ_H
#define MIMSY_TEST_FAKE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "irq_sink.h"

#define FAKE_IRQ_MAX_VECTORS 66u

struct fake_irq_vector {
	struct msi_message staged, in_force;
	bool is_staged, is_in_force;
};

struct fake_irq {
	struct irq_sink sink;
	int fd[FAKE_IRQ_MAX_VECTORS];
	struct fake_irq_vector vector[FAKE_IRQ_MAX_VECTORS];
	bool deferred;			/* set by the test */
	unsigned int gsis_left;		/* likewise; at first plenty */
	bool in_progress;		/* a deferred commit waits for fake_irq_settle() */
	unsigned int nr_messages, nr_clears, nr_commits, nr_releases;
	unsigned int nr_changes;	/* commits that changed something */
};

void fake_irq_init(struct fake_irq *f, unsigned int nr_vectors);
void fake_irq_release(struct fake_irq *f);

/* Ends a deferred commit: 0, or the -errno with which KVM refused it. */
void fake_irq_settle(struct fake_irq *f, int result);

/* Signals on a vector's eventfd, or on the line's, since the last call. */
uint64_t fake_irq_signals(struct fake_irq *f, unsigned int vector);
uint64_t fake_irq_line_signals(struct fake_irq *f);

#endif
