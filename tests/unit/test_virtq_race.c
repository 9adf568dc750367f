/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue against a driver that runs at the same time: an honest one, which
 * no completion and no wake-up may be lost to (rows Q16 and Q18), and a hostile
 * one, which rewrites descriptors as they are read (row Q14).
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "race.h"
#include "runner.h"
#include "util.h"
#include "vdriver.h"
#include "virtq.h"

#define LOW MIB(1)		/* RAM: 0..1 MiB and 8..9 MiB */
#define HIGH MIB(8)
#define BASE 0x10000u
#define SIZE 16u

static struct guest_mem *mem;
static struct virtq *q;
static struct vdriver d;
static struct iovec iov[SIZE];

static void start(uint64_t features)
{
	ck_assert_int_eq(guest_mem_create(&mem, MIB(2), LOW, HIGH, GUEST_MEM_ANON), 0);
	ck_assert_int_eq(virtq_create(&q, mem, SIZE), 0);
	vdriver_init(&d, mem, BASE, SIZE, features & 1ull << VIRTIO_RING_F_EVENT_IDX);
	ck_assert_int_eq(virtq_start(q, &d.cfg, features), 0);
}

static void finish(void)
{
	virtq_free(q);
	guest_mem_free(mem);
}

/* A doorbell or an interrupt: sleeps until it was rung, like an eventfd. */
struct bell {
	pthread_mutex_t lock;
	pthread_cond_t rung;
	unsigned int count;
};

static struct bell doorbell = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
static struct bell irq = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

static void ring(struct bell *b)
{
	pthread_mutex_lock(&b->lock);
	b->count++;
	pthread_cond_signal(&b->rung);
	pthread_mutex_unlock(&b->lock);
}

static void await(struct bell *b)
{
	pthread_mutex_lock(&b->lock);
	while (!b->count)
		pthread_cond_wait(&b->rung, &b->lock);
	b->count = 0;
	pthread_mutex_unlock(&b->lock);
}

static atomic_uint rounds;	/* the driver lowers it when its time is up */

/* The device: sleeps only if it has asked for a doorbell and nothing came meanwhile. */
static void *device(void *arg)
{
	uint32_t done = 0;

	(void)arg;
	while (done < atomic_load(&rounds)) {
		struct virtq_chain c;
		int ret = virtq_pop(q, &c, iov, SIZE);

		if (ret == -EAGAIN) {
			if (!virtq_enable_kick(q))
				await(&doorbell);
			virtq_disable_kick(q);
			continue;
		}
		if (ret)
			return "the ring broke";
		memcpy(iov[0].iov_base, &done, sizeof(done));
		virtq_push(q, c.head, sizeof(done));
		done++;
		if (virtq_publish(q))
			ring(&irq);
	}
	return NULL;
}

static void driver_fill(gpa_t gpa, uint32_t *sent)
{
	while (*sent < atomic_load(&rounds) && d.nr_free) {
		struct vbuf buf = { .gpa = gpa + 16ull * (*sent % SIZE), .len = 16, .write = true };

		vdriver_add(&d, &buf, 1);
		++*sent;
	}
	if (vdriver_show(&d))
		ring(&doorbell);
}

/* Takes what there is. false: a buffer does not hold what the device wrote. */
static bool driver_drain(uint32_t *seen)
{
	uint16_t head;
	uint32_t len, value;

	while (vdriver_take(&d, &head, &len)) {
		memcpy(&value, vdriver_ptr(&d, d.desc[head].addr), sizeof(value));
		if (value != *seen || len != sizeof(value))
			return false;
		++*seen;
	}
	return true;
}

/* Sleeps for an interrupt unless something was used while it was being asked for. */
static void driver_wait(void)
{
	vdriver_want_irq_at(&d, d.used_seen);
	if (__atomic_load_n((uint16_t *)(void *)(d.used + 2), __ATOMIC_ACQUIRE) == d.used_seen)
		await(&irq);
}

START_TEST(no_completion_and_no_wakeup_is_lost_between_two_threads)
{
	struct race race = race_begin(3000);
	uint32_t sent = 0, seen = 0;
	pthread_t t;
	void *problem;

	start(_i ? 1ull << VIRTIO_RING_F_EVENT_IDX : 0);
	atomic_store(&rounds, 1u << 17);
	pthread_create(&t, NULL, device, NULL);
	while (seen < atomic_load(&rounds)) {
		driver_fill(0x80000, &sent);
		if (!driver_drain(&seen))
			ck_abort_msg("completion %u is wrong", seen);
		if (sent - seen == SIZE || sent == atomic_load(&rounds))
			if (seen < sent)
				driver_wait();
		if (!race_goes_on(&race))
			atomic_store(&rounds, sent);
	}
	ring(&doorbell);		/* the device may be asleep, with nothing left to come */
	pthread_join(t, &problem);
	ck_assert_ptr_null(problem);
	ck_assert_uint_eq(virtq_nr_inflight(q), 0);
	finish();
}
END_TEST

/* Thread sanitizers see the attack itself, which is the test's intention. */
#if defined(__SANITIZE_THREAD__)
#define HOSTILE_TESTS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOSTILE_TESTS 0
#endif
#endif
#ifndef HOSTILE_TESTS
#define HOSTILE_TESTS 1
#endif

static atomic_bool attacking;

struct attack {
	struct vring_desc a, b;		/* a good version of a descriptor and a bad one */
	struct vring_desc *victim;
};

/* Rewrites the victim field by field, so the reader may meet any mix of the two. */
static void *flip(void *arg)
{
	struct attack *at = arg;
	volatile struct vring_desc *v = at->victim;

	while (atomic_load_explicit(&attacking, memory_order_relaxed)) {
		const struct vring_desc *from = &at->a;

		for (int i = 0; i < 2; i++, from = &at->b) {
			v->addr = from->addr;
			v->len = from->len;
			v->flags = from->flags;
			v->next = from->next;
		}
	}
	return NULL;
}

/* Whatever the mix, each buffer handed out is RAM: not a byte beyond is touched. */
static bool chain_is_inside_ram(const struct virtq_chain *c)
{
	const struct guest_mem_region *r = mem->region;

	for (int i = 0; i < c->nr_out + c->nr_in; i++) {
		const uint8_t *p = iov[i].iov_base;
		size_t len = iov[i].iov_len;
		bool low = p >= r[0].host && p < r[0].host + r[0].len &&
			   len <= (size_t)(r[0].host + r[0].len - p);
		bool high = p >= r[1].host && p < r[1].host + r[1].len &&
			    len <= (size_t)(r[1].host + r[1].len - p);

		if (!len || !(low || high))
			return false;
	}
	return true;
}

#define TABLE 0x40000u

static const struct {
	struct vring_desc a, b;
	bool in_table;			/* the victim is entry 0 of an indirect table */
} attack[] = {
	/* address and length */
	{ { 0x100, 16, 0, 0 }, { LOW - 16, 4096, 0, 0 }, false },
	{ { LOW - 4096, 4096, 0, 0 }, { LOW - 16, 16, 0, 0 }, false },
	{ { HIGH, 16, VRING_DESC_F_WRITE, 0 }, { UINT64_MAX - 15, 32, 0, 0 }, false },
	/* flags and next */
	{ { 0x100, 16, VRING_DESC_F_NEXT, 1 }, { 0x100, 16, 0, 0xffff }, false },
	{ { 0x100, 16, VRING_DESC_F_NEXT, 0 }, { 0x100, 0, VRING_DESC_F_NEXT, 1 }, false },
	/* a buffer that becomes a table */
	{ { TABLE, 16 * SIZE, VRING_DESC_F_INDIRECT, 0 }, { 0x100, 15, 0, 0 }, false },
	{ { TABLE, 16, VRING_DESC_F_INDIRECT, 0 },
	  { LOW - 16, 16 * SIZE, VRING_DESC_F_INDIRECT, 0 }, false },
	/* inside a table */
	{ { 0x100, 16, VRING_DESC_F_NEXT, 1 }, { LOW - 1, 2, VRING_DESC_F_NEXT, 0xffff }, true },
	{ { 0x100, 16, 0, 0 }, { TABLE, 16, VRING_DESC_F_INDIRECT, 0 }, true },
};

static void lay_out(struct attack *at, bool in_table)
{
	struct vring_desc *table = guest_mem_ptr(mem, TABLE, 16 * SIZE);

	for (unsigned int i = 0; i < SIZE; i++)
		table[i] = d.desc[i] = (struct vring_desc){ .addr = 0x200, .len = 16 };
	if (in_table)
		d.desc[0] = (struct vring_desc){ .addr = TABLE, .len = 32,
						 .flags = VRING_DESC_F_INDIRECT };
	at->victim = in_table ? table : d.desc;
}

/* row Q14 */
START_TEST(a_descriptor_rewritten_as_it_is_read_stays_inside_ram)
{
	struct attack at = { .a = attack[_i].a, .b = attack[_i].b };
	unsigned int taken = 0, refused = 0;
	pthread_t t;

	start(1ull << VIRTIO_RING_F_INDIRECT_DESC);
	lay_out(&at, attack[_i].in_table);
	atomic_store(&attacking, true);
	pthread_create(&t, NULL, flip, &at);
	for (int i = 0; i < 50000; i++) {
		struct virtq_chain c;

		virtq_start(q, &d.cfg, 1ull << VIRTIO_RING_F_INDIRECT_DESC);
		d.avail[1] = 1;
		if (virtq_pop(q, &c, iov, SIZE)) {
			refused++;
			continue;
		}
		taken++;
		if (!chain_is_inside_ram(&c))
			ck_abort_msg("a buffer outside RAM after %d rounds", i);
		virtq_push(q, c.head, 0);
		virtq_publish(q);
		if (i % 1024 == 0)
			sched_yield();
	}
	atomic_store(&attacking, false);
	pthread_join(t, NULL);
	ck_assert_uint_eq(taken + refused, 50000);
	finish();
}
END_TEST

static void *scribble(void *arg)
{
	volatile uint8_t *ring_bytes = arg;

	for (uint32_t i = 1; atomic_load_explicit(&attacking, memory_order_relaxed); i++)
		ring_bytes[(i * 2654435761u) % 1024] = (uint8_t)(i >> 8);
	return NULL;
}

/* Q15: everything the guest can write about the queue changes all the time. */
/* rows Q14, Q15 */
START_TEST(rings_scribbled_over_at_random_neither_hang_nor_escape)
{
	struct virtq_chain c;
	pthread_t t;

	start(1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX);
	atomic_store(&attacking, true);
	pthread_create(&t, NULL, scribble, guest_mem_ptr(mem, BASE, 1024));
	for (int i = 0; i < 100000; i++) {
		if (virtq_pop(q, &c, iov, SIZE)) {
			virtq_start(q, &d.cfg, 1ull << VIRTIO_RING_F_INDIRECT_DESC);
			continue;
		}
		if (!chain_is_inside_ram(&c))
			ck_abort_msg("a buffer outside RAM after %d rounds", i);
		virtq_push(q, c.head, 1);
		virtq_publish(q);
		virtq_enable_kick(q);
	}
	atomic_store(&attacking, false);
	pthread_join(t, NULL);
	finish();
}
END_TEST

/*
 * Q18: the indices wrap 3 times. _i: log2 of the size, up to the largest there
 * is. The driver is spelt out, since vdriver's rings are smaller.
 */
/* row Q18 */
START_TEST(every_size_is_byte_exact_across_the_wrap_of_the_indices)
{
	uint32_t n = 1u << _i, total = 3 * 65536 + 5, batch = n < 64 ? n : n / 2 + 1;
	gpa_t avail = 16ull * n, used = align_up(avail + 6 + 2 * n, 4);
	struct virtq_cfg cfg = { .avail = avail, .used = used, .size = n };
	struct vring_desc *desc;
	struct virtq_chain c;
	uint16_t *ring16;
	uint8_t *elems;

	ck_assert_int_eq(guest_mem_create(&mem, MIB(8), GIB(3), GIB(4), GUEST_MEM_ANON), 0);
	ck_assert_int_eq(virtq_create(&q, mem, VIRTQ_MAX_SIZE), 0);
	ck_assert_int_eq(virtq_start(q, &cfg, 0), 0);
	desc = guest_mem_ptr(mem, 0, 16ull * n);
	ring16 = guest_mem_ptr(mem, avail, 6 + 2ull * n);
	elems = guest_mem_ptr(mem, used, 6 + 8ull * n);
	for (uint32_t i = 0; i < n; i++)
		desc[i] = (struct vring_desc){ .addr = MIB(2) + 4 * i, .len = 4 };
	for (uint32_t done = 0; done < total; done += batch) {
		for (uint32_t i = done; i < done + batch; i++) {
			/* Heads in an order of their own, but each once per lap of the table. */
			ring16[2 + (i & (n - 1))] = (uint16_t)((i * 5) & (n - 1));
			memcpy(guest_mem_ptr(mem, desc[(i * 5) & (n - 1)].addr, 4), &i, 4);
		}
		ring16[1] = (uint16_t)(done + batch);
		for (uint32_t i = done; i < done + batch; i++) {
			if (virtq_pop(q, &c, iov, SIZE) || memcmp(iov[0].iov_base, &i, 4))
				ck_abort_msg("size %u: chain %u is wrong", n, i);
			virtq_push(q, c.head, i);
		}
		virtq_publish(q);
		for (uint32_t i = done; i < done + batch; i++) {
			struct vring_used_elem e;

			memcpy(&e, elems + 4 + 8 * (i & (n - 1)), sizeof(e));
			if (e.id != ((i * 5) & (n - 1)) || e.len != i)
				ck_abort_msg("size %u: used element %u is wrong", n, i);
		}
	}
	finish();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtq races");
	TCase *tc = tcase_create("races");

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, no_completion_and_no_wakeup_is_lost_between_two_threads, 0, 2);
	if (HOSTILE_TESTS) {
		tcase_add_loop_test(tc, a_descriptor_rewritten_as_it_is_read_stays_inside_ram, 0,
				    ARRAY_SIZE(attack));
		tcase_add_test(tc, rings_scribbled_over_at_random_neither_hang_nor_escape);
	}
	if (HOSTILE_TESTS)	/* one thread only, and slow when watched */
		tcase_add_loop_test(tc, every_size_is_byte_exact_across_the_wrap_of_the_indices,
				    0, 16);
	suite_add_tcase(s, tc);
	return s;
}
