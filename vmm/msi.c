/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each vector has a wanted state, written under the lock by whoever runs the
 * device's registers, and an actual state, touched by the main thread alone.
 * A round copies the wanted states of one sink, works without the lock (KVM
 * synchronises SRCU in these calls, which may take milliseconds), then
 * compares again. So vCPUs never wait here.
 *
 * The routing table is kept as KVM wants it; a round changes some entries in
 * place and puts them back if KVM refuses. A refused message thus fails its
 * own device only.
 */
#include "msi.h"

#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "gsi_pool.h"
#include "kvm.h"
#include "layout.h"
#include "log.h"
#include "util.h"
#include "zalloc.h"

#define NR_PIC_PINS	16u
#define NR_FIXED	(LAYOUT_NR_IOAPIC_PINS + NR_PIC_PINS)
#define MAX_ROUTES	4096u		/* KVM's, checked by KVM_SET_GSI_ROUTING */
#define NO_GSI		0u		/* GSI 0 is a pin, never an MSI's */
#define NO_ENTRY	UINT32_MAX

_Static_assert(NR_FIXED + NR_MSI_GSIS <= MAX_ROUTES, "the last devices would be refused");

/*
 * Rounds: a burst for the boot of a large machine, then a steady rate. One that
 * takes long counts as several, so that half of the main thread's time is left
 * at least. And it looks up after a few.
 */
#define ROUND_BURST	64u
#define ROUND_PERIOD_NS	5000000ull	/* 200 a second */
#define ROUNDS_AT_ONCE	8u

struct msi_wanted {
	bool active;
	struct msi_message msg;
};

struct msi_vector {
	uint32_t gsi;			/* router's lock: NO_GSI, or ours till given back */
	struct msi_wanted wanted;	/* router's lock */
	struct msi_wanted actual;	/* main thread writes, under the lock */
	struct msi_wanted now;		/* main thread: what this round brings about */
	bool bound;			/* main thread writes, under the lock */
	uint32_t entry;			/* main thread: index in the table, or NO_ENTRY */
	struct kvm_irq_routing_entry saved;	/* main thread, within a round */
};

struct msi_sink {
	struct irq_sink base;
	struct msi_router *router;
	struct msi_sink *next;		/* router's lock: in the list of sinks to settle */
	bool queued;			/* router's lock */
	bool in_round;			/* router's lock: a round works on an older wish */
	int *fd;			/* nr_vectors eventfds, set once */
	struct msi_vector vector[];
};

struct msi_router {
	struct kvm *kvm;
	pthread_mutex_t lock;
	struct msi_sink *queue;		/* lock */
	int wake_fd;			/* timerfd: armed for now, or for the next token */
	uint64_t bucket_ns;		/* main thread: time at which the bucket is empty again */
	struct msi_stats stats;		/* lock */
	int line_fd[LAYOUT_NR_IOAPIC_PINS];	/* set before the VM runs */
	struct gsi_pool gsis;		/* lock */
	struct msi_vector **owner;	/* main thread: table entry -> its vector */
	struct kvm_irq_routing *table;	/* main thread */
};

static struct msi_sink *to_sink(struct irq_sink *base)
{
	return container_of(base, struct msi_sink, base);
}

/* Makes wake_fd readable after delay_ns. */
static void router_wake(struct msi_router *r, uint64_t delay_ns)
{
	struct itimerspec when = {
		.it_value.tv_sec = (time_t)(delay_ns / 1000000000u),
		.it_value.tv_nsec = (long)(delay_ns % 1000000000u) + 1,
	};

	timerfd_settime(r->wake_fd, 0, &when, NULL);
}

static bool message_is_same(const struct msi_message *a, const struct msi_message *b)
{
	return a->address_lo == b->address_lo && a->address_hi == b->address_hi &&
	       a->data == b->data;
}

static bool wish_is_same(const struct msi_wanted *a, const struct msi_wanted *b)
{
	return a->active == b->active && (!a->active || message_is_same(&a->msg, &b->msg));
}

static bool vector_is_settled(const struct msi_vector *v)
{
	if (!v->wanted.active)
		return !v->actual.active && !v->bound && v->gsi == NO_GSI;
	return v->bound && v->actual.active &&
	       message_is_same(&v->wanted.msg, &v->actual.msg);
}

static bool sink_is_settled(const struct msi_sink *s)
{
	for (unsigned int i = 0; i < s->base.nr_vectors; i++)
		if (!vector_is_settled(&s->vector[i]))
			return false;
	return true;
}

/* At the end, so a device that always wants more keeps nobody waiting. */
static void sink_queue(struct msi_sink *s)
{
	struct msi_sink **at = &s->router->queue;

	if (s->queued)
		return;
	if (!*at)
		router_wake(s->router, 0);
	while (*at)
		at = &(*at)->next;
	s->queued = true;
	s->next = NULL;
	*at = s;
}

static int sink_set_message(struct irq_sink *base, unsigned int vector,
			    const struct msi_message *msg)
{
	struct msi_sink *s = to_sink(base);
	struct msi_vector *v = &s->vector[vector];
	int ret = 0;

	pthread_mutex_lock(&s->router->lock);
	if (v->gsi == NO_GSI)
		ret = gsi_alloc(&s->router->gsis, &v->gsi);
	if (!ret)
		v->wanted = (struct msi_wanted){ .active = true, .msg = *msg };
	pthread_mutex_unlock(&s->router->lock);
	return ret;
}

static void sink_clear_message(struct irq_sink *base, unsigned int vector)
{
	struct msi_sink *s = to_sink(base);
	struct msi_vector *v = &s->vector[vector];

	pthread_mutex_lock(&s->router->lock);
	v->wanted.active = false;
	if (!vector_is_settled(v))
		sink_queue(s);
	pthread_mutex_unlock(&s->router->lock);
}

static int sink_commit(struct irq_sink *base)
{
	struct msi_sink *s = to_sink(base);
	int ret = 0;

	pthread_mutex_lock(&s->router->lock);
	if (s->in_round || !sink_is_settled(s)) {
		sink_queue(s);
		ret = -EINPROGRESS;
	}
	pthread_mutex_unlock(&s->router->lock);
	return ret;
}

static void sink_release(struct irq_sink *base)
{
	struct msi_sink *s = to_sink(base);

	pthread_mutex_lock(&s->router->lock);
	for (unsigned int i = 0; i < base->nr_vectors; i++)
		s->vector[i].wanted.active = false;
	if (s->in_round || !sink_is_settled(s))
		sink_queue(s);
	pthread_mutex_unlock(&s->router->lock);
}

static const struct irq_sink_ops msi_sink_ops = {
	.set_message = sink_set_message,
	.clear_message = sink_clear_message,
	.commit = sink_commit,
	.release = sink_release,
};

static struct kvm_irq_routing_entry pin_route(uint32_t gsi, uint32_t chip, uint32_t pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

static struct kvm_irq_routing_entry msi_route(uint32_t gsi, const struct msi_message *msg)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = msg->address_lo, .address_hi = msg->address_hi,
			   .data = msg->data },
	};
}

/* What KVM sets up by itself for its irqchip; a new table replaces all of it. */
static void table_add_pins(struct kvm_irq_routing *t)
{
	for (uint32_t pin = 0; pin < LAYOUT_NR_IOAPIC_PINS; pin++)
		t->entries[t->nr++] = pin_route(pin, KVM_IRQCHIP_IOAPIC, pin);
	for (uint32_t pin = 0; pin < NR_PIC_PINS; pin++)
		t->entries[t->nr++] = pin_route(pin, pin < 8 ? KVM_IRQCHIP_PIC_MASTER :
						KVM_IRQCHIP_PIC_SLAVE, pin % 8);
}

/* The last entry takes the removed one's place. */
static void table_remove(struct msi_router *r, struct msi_vector *v)
{
	uint32_t last = --r->table->nr;

	r->table->entries[v->entry] = r->table->entries[last];
	r->owner[v->entry] = r->owner[last];
	r->owner[v->entry]->entry = v->entry;
	v->entry = NO_ENTRY;
}

static void table_put(struct msi_router *r, struct msi_vector *v, const struct msi_message *msg)
{
	if (v->entry == NO_ENTRY) {
		v->entry = r->table->nr++;
		r->owner[v->entry] = v;
	}
	r->table->entries[v->entry] = msi_route(v->gsi, msg);
}

/* Step 1 of a round: irqfds go before their routes. */
static void round_unbind(struct msi_sink *s)
{
	struct msi_router *r = s->router;

	for (unsigned int i = 0; i < s->base.nr_vectors; i++) {
		struct msi_vector *v = &s->vector[i];

		if (v->now.active || !v->bound)
			continue;
		kvm_irqfd_unbind(r->kvm, s->fd[i], v->gsi);
		pthread_mutex_lock(&r->lock);
		v->bound = false;
		r->stats.irqfd_unbinds++;
		pthread_mutex_unlock(&r->lock);
	}
}

static bool route_changes(const struct msi_vector *v)
{
	return v->now.active &&
	       !(v->actual.active && message_is_same(&v->now.msg, &v->actual.msg));
}

/* The vector is unbound, so KVM may keep the route until the next call. */
static void route_drop(struct msi_router *r, struct msi_vector *v)
{
	table_remove(r, v);
	pthread_mutex_lock(&r->lock);
	v->actual.active = false;
	pthread_mutex_unlock(&r->lock);
}

/* Takes the candidate's entries out again. */
static void routes_restore(struct msi_sink *s)
{
	struct msi_router *r = s->router;

	for (unsigned int i = s->base.nr_vectors; i-- > 0;) {
		struct msi_vector *v = &s->vector[i];

		if (!route_changes(v))
			continue;
		if (v->actual.active)
			r->table->entries[v->entry] = v->saved;
		else
			table_remove(r, v);
	}
}

/* Step 2: all changed routes at once; none changed, no call. Stale ones just drop out. */
static int round_route(struct msi_sink *s)
{
	struct msi_router *r = s->router;
	bool changed = false;
	int ret = 0;

	for (unsigned int i = 0; i < s->base.nr_vectors; i++) {
		struct msi_vector *v = &s->vector[i];

		if (!v->now.active && v->entry != NO_ENTRY)
			route_drop(r, v);
		if (!route_changes(v))
			continue;
		if (v->entry != NO_ENTRY)
			v->saved = r->table->entries[v->entry];
		table_put(r, v, &v->now.msg);
		changed = true;
	}
	if (changed)
		ret = kvm_set_routing(r->kvm, r->table);
	if (ret) {
		guest_fail(&r->kvm->errors, ret, "KVM_SET_GSI_ROUTING of %u entries",
			   r->table->nr);
		routes_restore(s);
	}
	pthread_mutex_lock(&r->lock);
	r->stats.routing_calls += changed;
	for (unsigned int i = 0; !ret && i < s->base.nr_vectors; i++)
		s->vector[i].actual = s->vector[i].now;
	pthread_mutex_unlock(&r->lock);
	return ret;
}

/* Step 3. */
static int round_bind(struct msi_sink *s)
{
	struct msi_router *r = s->router;
	int ret = 0;

	for (unsigned int i = 0; i < s->base.nr_vectors && !ret; i++) {
		struct msi_vector *v = &s->vector[i];

		if (!v->actual.active || v->bound)
			continue;
		ret = kvm_irqfd_bind(r->kvm, s->fd[i], v->gsi);
		pthread_mutex_lock(&r->lock);
		v->bound = !ret;
		r->stats.irqfd_binds += !ret;
		pthread_mutex_unlock(&r->lock);
	}
	return ret;
}

/*
 * Step 4, with the lock: what is not wanted any more, nor was asked for again
 * meanwhile, gives its GSI back, and its entry goes with it: that of a vector
 * which could not be bound is there still. What failed is not wanted any more.
 */
static void round_close(struct msi_sink *s, int result)
{
	for (unsigned int i = 0; i < s->base.nr_vectors; i++) {
		struct msi_vector *v = &s->vector[i];

		if (result && wish_is_same(&v->wanted, &v->now))
			v->wanted = v->actual;
		if (v->wanted.active || v->bound || v->gsi == NO_GSI)
			continue;
		v->actual.active = false;
		if (v->entry != NO_ENTRY)
			table_remove(s->router, v);
		gsi_free(&s->router->gsis, v->gsi);
		v->gsi = NO_GSI;
	}
}

static void sink_round(struct msi_sink *s)
{
	struct msi_router *r = s->router;
	int ret;

	pthread_mutex_lock(&r->lock);
	s->in_round = true;
	for (unsigned int i = 0; i < s->base.nr_vectors; i++)
		s->vector[i].now = s->vector[i].wanted;
	pthread_mutex_unlock(&r->lock);

	round_unbind(s);
	ret = round_route(s);
	if (!ret)
		ret = round_bind(s);

	pthread_mutex_lock(&r->lock);
	if (s->queued)
		ret = 0;	/* there is a newer wish: the round for it will tell */
	round_close(s, ret);
	s->in_round = false;
	pthread_mutex_unlock(&r->lock);
	s->base.settled(s->base.owner, ret);
}

/* A leaky bucket that holds ROUND_BURST rounds. 0: go on; else: wait so long. */
static uint64_t round_delay(struct msi_router *r)
{
	uint64_t now = clock_now_ns();
	uint64_t full = now + ROUND_BURST * ROUND_PERIOD_NS;

	if (r->bucket_ns < now)
		r->bucket_ns = now;
	if (r->bucket_ns + ROUND_PERIOD_NS > full)
		return r->bucket_ns + ROUND_PERIOD_NS - full;
	r->bucket_ns += ROUND_PERIOD_NS;
	return 0;
}

/* Charges a round that began at begin_ns with more than the usual, if it took longer. */
static void charge_round(struct msi_router *r, uint64_t begin_ns)
{
	uint64_t cost = 2 * (clock_now_ns() - begin_ns);

	if (cost > ROUND_PERIOD_NS)
		r->bucket_ns += cost - ROUND_PERIOD_NS;
}

/* NULL: nothing to do, or not yet; the timer is set for then. */
static struct msi_sink *router_next(struct msi_router *r)
{
	struct msi_sink *s;
	uint64_t delay;

	pthread_mutex_lock(&r->lock);
	s = r->queue;
	delay = s ? round_delay(r) : 0;
	if (delay) {
		r->stats.postponed++;
		router_wake(r, delay);
		s = NULL;
	}
	if (s) {
		r->queue = s->next;
		s->queued = false;
	}
	pthread_mutex_unlock(&r->lock);
	return s;
}

int msi_fd(const struct msi_router *r)
{
	return r->wake_fd;
}

void msi_run(struct msi_router *r)
{
	struct msi_sink *s;
	uint64_t expirations, begin;
	ssize_t n = read(r->wake_fd, &expirations, sizeof(expirations));

	(void)n;		/* EAGAIN: somebody set the timer anew; look all the same */
	for (unsigned int i = 0; i < ROUNDS_AT_ONCE; i++) {
		s = router_next(r);
		if (!s)
			return;
		begin = clock_now_ns();
		sink_round(s);
		charge_round(r, begin);
	}
	router_wake(r, 0);
}

int msi_router_line(struct msi_router *r, uint32_t gsi, int *fd)
{
	int ret;

	assert(gsi < LAYOUT_NR_IOAPIC_PINS);
	if (r->line_fd[gsi] < 0) {
		r->line_fd[gsi] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (r->line_fd[gsi] < 0)
			return log_errno("eventfd for interrupt line %u", gsi);
		ret = kvm_irqfd_bind(r->kvm, r->line_fd[gsi], gsi);
		if (ret)
			return ret;
	}
	*fd = r->line_fd[gsi];
	return 0;
}

int msi_router_create(struct msi_router **out, struct kvm *kvm)
{
	struct msi_router *r = zalloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->kvm = kvm;
	pthread_mutex_init(&r->lock, NULL);
	for (unsigned int i = 0; i < LAYOUT_NR_IOAPIC_PINS; i++)
		r->line_fd[i] = -1;
	r->table = zalloc(1, sizeof(*r->table) +
			  (NR_FIXED + NR_MSI_GSIS) * sizeof(r->table->entries[0]));
	/* An array of pointers. NOLINTNEXTLINE(bugprone-sizeof-expression) */
	r->owner = zalloc(NR_FIXED + NR_MSI_GSIS, sizeof(*r->owner));
	r->wake_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (!r->table || !r->owner || r->wake_fd < 0) {
		int ret = r->wake_fd < 0 ? log_errno("timerfd for interrupt routes") : -ENOMEM;

		msi_router_free(r);
		return ret;
	}
	table_add_pins(r->table);
	*out = r;
	return 0;
}

void msi_router_free(struct msi_router *r)
{
	if (!r)
		return;
	for (unsigned int i = 0; i < LAYOUT_NR_IOAPIC_PINS; i++)
		if (r->line_fd[i] >= 0)
			close(r->line_fd[i]);
	if (r->wake_fd >= 0)
		close(r->wake_fd);
	free(r->table);
	free(r->owner);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int msi_sink_create(struct irq_sink **out, struct msi_router *r, unsigned int nr_vectors,
		    uint32_t line_gsi)
{
	struct msi_sink *s = zalloc(1, sizeof(*s) + nr_vectors * sizeof(s->vector[0]));
	int ret;

	if (!s)
		return -ENOMEM;
	s->router = r;
	s->base = (struct irq_sink){ .ops = &msi_sink_ops, .nr_vectors = nr_vectors };
	s->fd = malloc((nr_vectors + 1) * sizeof(*s->fd));
	if (!s->fd) {
		free(s);
		return log_fail(-ENOMEM, "out of memory: %u vectors", nr_vectors);
	}
	for (unsigned int i = 0; i < nr_vectors; i++) {
		s->fd[i] = -1;
		s->vector[i].entry = NO_ENTRY;
	}
	s->base.vector_fd = s->fd;
	for (unsigned int i = 0; i < nr_vectors; i++) {
		s->fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (s->fd[i] < 0) {
			ret = log_errno("eventfd for an MSI vector");
			goto fail;
		}
	}
	ret = msi_router_line(r, line_gsi, &s->base.line_fd);
	if (ret)
		goto fail;
	*out = &s->base;
	return 0;
fail:
	msi_sink_free(&s->base);
	return ret;
}

/* Closing an eventfd unbinds its irqfd in KVM. The VM does not run any more. */
void msi_sink_free(struct irq_sink *base)
{
	struct msi_sink *s;

	if (!base)
		return;
	s = to_sink(base);
	for (unsigned int i = 0; i < base->nr_vectors; i++)
		if (s->fd[i] >= 0)
			close(s->fd[i]);
	free(s->fd);
	free(s);
}

void msi_router_stats(struct msi_router *r, struct msi_stats *s)
{
	pthread_mutex_lock(&r->lock);
	*s = r->stats;
	s->gsis_in_use = r->gsis.nr_used;
	pthread_mutex_unlock(&r->lock);
}
