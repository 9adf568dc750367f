/* SPDX-License-Identifier: Apache-2.0 */
#include "msi_bench.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sys/timerfd.h>

#include "util.h"

void msi_device_settled(void *owner, int result)
{
	struct msi_device *d = owner;

	d->nr_settled++;
	d->last_result = result;
}

void msi_device_init(struct msi_bench *b, struct msi_device *d, unsigned int nr_vectors)
{
	*d = (struct msi_device){ .last_result = 1 };
	ck_assert_int_eq(msi_sink_create(&d->sink, b->router, nr_vectors, 5), 0);
	d->sink->owner = d;
	d->sink->settled = msi_device_settled;
}

void msi_bench_init(struct msi_bench *b)
{
	fake_kvm_init(&b->fake);
	ck_assert_int_eq(msi_router_create(&b->router, &b->fake.kvm), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(b->dev); i++)
		msi_device_init(b, &b->dev[i], MSI_BENCH_VECTORS);
}

void msi_bench_release(struct msi_bench *b)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(b->dev); i++)
		msi_sink_free(b->dev[i].sink);
	msi_router_free(b->router);
}

int msi_set(struct msi_device *d, unsigned int vector, uint32_t data)
{
	struct msi_message msg = { .address_lo = MSI_BENCH_ADDRESS, .data = data };

	return d->sink->ops->set_message(d->sink, vector, &msg);
}

void msi_set_all(struct msi_device *d, uint32_t data)
{
	for (unsigned int i = 0; i < d->sink->nr_vectors; i++)
		ck_assert_int_eq(msi_set(d, i, data + i), 0);
}

void msi_clear(struct msi_device *d, unsigned int vector)
{
	d->sink->ops->clear_message(d->sink, vector);
}

int msi_commit(struct msi_device *d)
{
	return d->sink->ops->commit(d->sink);
}

void msi_release(struct msi_device *d)
{
	d->sink->ops->release(d->sink);
}

/* A round is due later: on a slow machine it may be postponed. */
static bool is_armed(int timer_fd)
{
	struct itimerspec when;

	ck_assert_int_eq(timerfd_gettime(timer_fd, &when), 0);
	return when.it_value.tv_sec || when.it_value.tv_nsec;
}

void msi_bench_run(struct msi_bench *b, int ms)
{
	struct pollfd p = { .fd = msi_fd(b->router), .events = POLLIN };

	if (poll(&p, 1, ms) == 1)
		msi_run(b->router);
}

void msi_bench_pump(struct msi_bench *b)
{
	struct pollfd p = { .fd = msi_fd(b->router), .events = POLLIN };

	while (is_armed(p.fd) || poll(&p, 1, 0) == 1) {
		poll(&p, 1, -1);
		msi_run(b->router);
	}
}

void msi_bench_enable(struct msi_bench *b, struct msi_device *d, uint32_t data)
{
	msi_set_all(d, data);
	ck_assert_int_eq(msi_commit(d), -EINPROGRESS);
	msi_bench_pump(b);
	ck_assert_int_eq(msi_commit(d), 0);
}

void msi_bench_refuse(struct msi_bench *b, struct msi_device *d, unsigned int vector)
{
	msi_set(d, vector, FAKE_KVM_POISON);
	msi_commit(d);
	log_capture_begin(&b->cap);
	msi_bench_pump(b);
	log_capture_end(&b->cap);
}

unsigned int msi_bench_gsis(struct msi_bench *b)
{
	struct msi_stats s;

	msi_router_stats(b->router, &s);
	return s.gsis_in_use;
}

void msi_bench_check(struct msi_bench *b, const struct msi_device *d, uint32_t data)
{
	for (unsigned int i = 0; i < d->sink->nr_vectors; i++) {
		const struct msi_message *msg = fake_kvm_route_of(&b->fake, d->sink->vector_fd[i]);

		ck_assert_ptr_nonnull(msg);
		ck_assert_uint_eq(msg->data, data + i);
		ck_assert_uint_eq(msg->address_lo, MSI_BENCH_ADDRESS);
	}
}
