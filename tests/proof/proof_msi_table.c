/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of interrupt routes of two devices: every short sequence of what
 * they can ask for and of what KVM can answer. At each step a bound irqfd has
 * its route, no GSI is there twice and the table has the irqchip's pins (the
 * fake KVM counts what is not so). In the end each device has what it asked
 * for last, unless its own wish was refused; a refusal never touches the other
 * device; and after a release nothing is left.
 */
#include <errno.h>

#include "fake_kvm.h"
#include "log.h"
#include "msi.h"
#include "proof.h"

#define NR_DEVICES	2u
#define NR_VECTORS	2u

enum op {
	/* device 0 */
	OP_SET_A, OP_SET_B, OP_SET_POISON, OP_SET_SECOND, OP_CLEAR, OP_COMMIT, OP_RELEASE,
	/* device 1 */
	OP_OTHER_SET, OP_OTHER_COMMIT, OP_OTHER_RELEASE,
	/* the main thread and KVM */
	OP_RUN, OP_RUN_NO_ROUTE, OP_RUN_NO_BIND, NR_OPS
};

struct device {
	struct irq_sink *sink;
	uint32_t wanted[NR_VECTORS];	/* its data; 0: nothing */
	bool refused;			/* since the last release: nothing is promised */
};

struct bench {
	struct fake_kvm *kvm;
	struct msi_router *router;
	struct device dev[NR_DEVICES];
};

static void settled(void *owner, int result)
{
	((struct device *)owner)->refused |= result != 0;
}

static void start(struct bench *b)
{
	fake_kvm_init(b->kvm);
	PROVE(!msi_router_create(&b->router, &b->kvm->kvm), "no router");
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		struct device *d = &b->dev[i];

		*d = (struct device){ .refused = false };
		PROVE(!msi_sink_create(&d->sink, b->router, NR_VECTORS, 5), "no sink");
		d->sink->owner = d;
		d->sink->settled = settled;
	}
}

static void end(struct bench *b)
{
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		msi_sink_free(b->dev[i].sink);
	msi_router_free(b->router);
}

static void set(struct device *d, unsigned int vector, uint32_t data)
{
	struct msi_message msg = { .address_lo = 0xfee00000, .data = data };

	PROVE(!d->sink->ops->set_message(d->sink, vector, &msg), "no GSI");
	d->wanted[vector] = data;
}

/* What an UPDATE of zeroes asks for: no commit belongs to it. */
static void clear(struct device *d, unsigned int vector)
{
	d->sink->ops->clear_message(d->sink, vector);
	d->wanted[vector] = 0;
}

static void release(struct device *d)
{
	d->sink->ops->release(d->sink);
	memset(d->wanted, 0, sizeof(d->wanted));
}

static void run(struct bench *b, int routing_result, int bind_result)
{
	b->kvm->routing_result = routing_result;
	b->kvm->bind_result = bind_result;
	b->kvm->bind_fails_after = b->kvm->nr_binds;
	msi_run(b->router);
	b->kvm->routing_result = b->kvm->bind_result = 0;
}

static void do_op(struct bench *b, enum op op)
{
	struct device *d = &b->dev[op >= OP_OTHER_SET && op <= OP_OTHER_RELEASE];

	switch (op) {
	case OP_SET_A:		set(d, 0, 0x30);			break;
	case OP_SET_B:		set(d, 0, 0x31);			break;
	case OP_SET_POISON:	set(d, 0, FAKE_KVM_POISON);		break;
	case OP_SET_SECOND:	set(d, 1, 0x32);			break;
	case OP_OTHER_SET:	set(d, 1, 0x40);			break;
	case OP_CLEAR:		clear(d, 0);				break;
	case OP_COMMIT:
	case OP_OTHER_COMMIT:	d->sink->ops->commit(d->sink);		break;
	case OP_RELEASE:
	case OP_OTHER_RELEASE:	release(d);				break;
	case OP_RUN:		run(b, 0, 0);				break;
	case OP_RUN_NO_ROUTE:	run(b, -ENOMEM, 0);			break;
	default:		run(b, 0, -ENOSPC);
	}
}

static void check_device(struct bench *b, const struct device *d, uint64_t ops)
{
	for (unsigned int v = 0; v < NR_VECTORS; v++) {
		const struct msi_message *m = fake_kvm_route_of(b->kvm, d->sink->vector_fd[v]);

		if (!d->wanted[v])
			PROVE(!m, "sequence %" PRIu64 ": a route for nothing", ops);
		else if (!d->refused)
			PROVE(m && m->data == d->wanted[v], "sequence %" PRIu64 ": vector %u", ops,
			      v);
	}
}

static void check_end(struct bench *b, uint64_t ops, bool host_failed)
{
	struct msi_stats s;

	for (unsigned int i = 0; i < NR_DEVICES; i++)
		b->dev[i].sink->ops->commit(b->dev[i].sink);
	run(b, 0, 0);
	PROVE(host_failed || !b->dev[1].refused, "sequence %" PRIu64 ": the other's fault", ops);
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		check_device(b, &b->dev[i], ops);
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		release(&b->dev[i]);
	run(b, 0, 0);
	msi_router_stats(b->router, &s);
	PROVE(!s.gsis_in_use && !b->kvm->nr_bound, "sequence %" PRIu64 ": leaks", ops);
	PROVE(!b->kvm->nr_violations, "sequence %" PRIu64, ops);
}

/* ops: the sequence as a number to the base NR_OPS. */
static void check_sequence(struct bench *b, uint64_t ops, unsigned int len)
{
	bool host_failed = false;
	uint64_t left = ops;

	start(b);
	for (unsigned int i = 0; i < len; i++, left /= NR_OPS) {
		enum op op = left % NR_OPS;

		do_op(b, op);
		host_failed |= op == OP_RUN_NO_ROUTE || op == OP_RUN_NO_BIND;
		PROVE(!b->kvm->nr_violations, "sequence %" PRIu64 ", step %u", ops, i);
	}
	check_end(b, ops, host_failed);
	end(b);
}

/* The log tells of each refusal: as many as there are here nobody wants to read. */
static void be_quiet(void)
{
	PROVE(freopen("/dev/null", "w", stderr), "no /dev/null");
}

int main(int argc, char **argv)
{
	unsigned int max_len = proof_is_full(argc, argv) ? 5 : 4;
	uint64_t cases = 0, n = 1;
	struct bench b;

	be_quiet();
	b.kvm = calloc(1, sizeof(*b.kvm));
	PROVE(b.kvm, "no memory");
	for (unsigned int len = 1; len <= max_len; len++) {
		n *= NR_OPS;
		for (uint64_t ops = 0; ops < n; ops++, cases++)
			check_sequence(&b, ops, len);
	}
	free(b.kvm);
	proved("whatever two devices ask for and KVM refuses, bound irqfds have routes and no "
	       "wish is lost", cases);
	return 0;
}
