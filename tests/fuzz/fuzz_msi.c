/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two devices' wishes for interrupts and a KVM that refuses now and then, also
 * while one of its calls is under way. A bound irqfd always has a route, each
 * table is complete, and in the end each device has what it asked for last.
 * Rows M5, M9 to M11 and M13 of docs/hostile-cases.md.
 */
#include <errno.h>
#include <string.h>

#include "fake_kvm.h"
#include "fuzz.h"
#include "msi.h"
#include "util.h"

#define NR_DEVICES	2u
#define NR_VECTORS	3u
/* Each of these asks for one round at most; together they stay below the burst that may pass. */
#define MAX_OPS		40u
#define MAX_BETWEEN	8u

struct device {
	struct irq_sink *sink;
	struct msi_message wanted[NR_VECTORS];
	bool active[NR_VECTORS];
	bool dirty;		/* something failed since the last release: nothing is promised */
};

static struct fake_kvm kvm;
static struct msi_router *router;
static struct device dev[NR_DEVICES];
static struct fuzz_input *input;
static unsigned int nr_between;		/* steps of vCPUs while KVM was busy */

static void settled(void *owner, int result)
{
	struct device *d = owner;

	if (result)
		d->dirty = true;
}

static void set_message(struct device *d)
{
	unsigned int v = fuzz_u8(input) % NR_VECTORS;
	uint8_t how = fuzz_u8(input);
	struct msi_message msg = { .address_lo = 0xfee00000u | (how & 0xf0u) << 8,
				   .data = how % 32 == 31 ? FAKE_KVM_POISON : 0x30u + how % 8u };

	if (d->sink->ops->set_message(d->sink, v, &msg))
		return;
	d->wanted[v] = msg;
	d->active[v] = true;
}

/* An UPDATE of zeroes: in force at once, whatever else the device waits for. */
static void clear_message(struct device *d)
{
	unsigned int v = fuzz_u8(input) % NR_VECTORS;

	d->sink->ops->clear_message(d->sink, v);
	d->active[v] = false;
}

static void commit(struct device *d)
{
	int ret = d->sink->ops->commit(d->sink);

	FUZZ_CHECK(!ret || ret == -EINPROGRESS);
}

static void release(struct device *d)
{
	d->sink->ops->release(d->sink);
	memset(d->active, 0, sizeof(d->active));
}

static void vcpu_step(uint8_t op)
{
	struct device *d = &dev[op & 1];

	switch (op >> 1 & 3) {
	case 0:
		set_message(d);
		break;
	case 1:
		if (op & 0x40)
			clear_message(d);
		else
			set_message(d);
		break;
	case 2:
		commit(d);
		break;
	default:
		release(d);
	}
}

/* A vCPU comes in between while KVM is busy. */
static void during_a_call(void *arg)
{
	uint8_t op = fuzz_u8(arg);

	if (op & 0x80 && nr_between++ < MAX_BETWEEN)
		vcpu_step(op);
}

static void host_step(uint8_t op)
{
	kvm.routing_result = op & 0x10 ? -ENOMEM : 0;
	kvm.bind_result = op & 0x20 ? -ENOSPC : 0;
	kvm.bind_fails_after = kvm.nr_binds + (op >> 6);
}

static void check_kvm(void)
{
	FUZZ_CHECK(!kvm.nr_violations);
	FUZZ_CHECK(kvm.nr_bound <= NR_DEVICES * NR_VECTORS);
}

static void start(void)
{
	memset(dev, 0, sizeof(dev));
	nr_between = 0;
	fake_kvm_init(&kvm);
	kvm.on_routing = during_a_call;
	kvm.on_routing_arg = input;
	FUZZ_CHECK(!msi_router_create(&router, &kvm.kvm));
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		FUZZ_CHECK(!msi_sink_create(&dev[i].sink, router, NR_VECTORS, 5));
		dev[i].sink->owner = &dev[i];
		dev[i].sink->settled = settled;
	}
}

static void check_device(struct device *d)
{
	for (unsigned int v = 0; v < NR_VECTORS; v++) {
		const struct msi_message *msg = fake_kvm_route_of(&kvm, d->sink->vector_fd[v]);

		if (!d->active[v])
			FUZZ_CHECK(!msg);
		else if (!d->dirty)
			FUZZ_CHECK(msg && !memcmp(msg, &d->wanted[v], sizeof(*msg)));
	}
}

/* KVM takes everything again; what is asked for now is brought into force. */
static void check_end(void)
{
	struct msi_stats s;

	host_step(0);
	kvm.on_routing = NULL;
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		commit(&dev[i]);
	msi_run(router);
	check_kvm();
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		check_device(&dev[i]);
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		release(&dev[i]);
	msi_run(router);
	msi_router_stats(router, &s);
	FUZZ_CHECK(!s.gsis_in_use && !kvm.nr_bound && !kvm.nr_violations);
	FUZZ_CHECK(!s.postponed);
}

void fuzz_setup(void)
{
}

void fuzz_one(struct fuzz_input *in)
{
	input = in;
	start();
	for (unsigned int i = 0; i < MAX_OPS && fuzz_left(in); i++) {
		uint8_t op = fuzz_u8(in);

		if (op & 8)
			msi_run(router);
		else if (op % 64 == 7)
			host_step(fuzz_u8(in));
		else
			vcpu_step(op);
		check_kvm();
	}
	check_end();
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		msi_sink_free(dev[i].sink);
	msi_router_free(router);
}
