/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_transport.h"

#include <assert.h>
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

/* RAM of two regions, the second above 4 GiB; what is not touched costs nothing. */
#define LOW_LEN GIB(3)
#define GUEST_LEN (LOW_LEN + GIB(1))
#define RINGS_LEN MIB(64)	/* where the queues' rings and buffers are */
#define WAIT_MS 5000

struct virtio_irq {
	int fd;
	atomic_bool masked;
	atomic_uint nr_raised;
	void (*on_begin)(void *arg);
	void *on_begin_arg;
};

struct virtio_transport {
	atomic_uint nr_resets, nr_config_changes;
};

struct fake_transport {
	struct virtio_dev *dev;
	struct guest_mem *mem;
	struct virtio_transport up;
	struct virtq *vq[VIRTIO_MAX_QUEUES];
	struct virtio_irq irq[VIRTIO_MAX_QUEUES];
	struct virtio_queue queue[VIRTIO_MAX_QUEUES];
	struct vdriver driver[VIRTIO_MAX_QUEUES];
	bool left_out[VIRTIO_MAX_QUEUES];
	gpa_t base;		/* of what the drivers use */
	uint16_t ring_size;
	bool started;
};

int virtio_irq_begin(struct virtio_irq *irq)
{
	if (atomic_load(&irq->masked))
		return -1;
	atomic_fetch_add(&irq->nr_raised, 1);
	if (irq->on_begin)
		irq->on_begin(irq->on_begin_arg);
	return irq->fd;
}

int virtio_irq_direct_fd(struct virtio_irq *irq)
{
	return atomic_load(&irq->masked) ? -1 : irq->fd;
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

void virtio_irq_raise(struct virtio_irq *irq)
{
	int fd = virtio_irq_begin(irq);

	if (fd >= 0)
		signal_fd(fd);
}

void virtio_needs_reset(struct virtio_transport *t)
{
	atomic_fetch_add(&t->nr_resets, 1);
}

void virtio_config_changed(struct virtio_transport *t)
{
	atomic_fetch_add(&t->nr_config_changes, 1);
}

static struct fake_transport *create(struct virtio_dev *dev, uint16_t ring_size, gpa_t base)
{
	struct fake_transport *ft = calloc(1, sizeof(*ft));

	assert(ft);
	ft->dev = dev;
	ft->ring_size = ring_size;
	ft->base = base;
	ck_assert_int_eq(guest_mem_create(&ft->mem, GUEST_LEN, LOW_LEN, GIB(4), GUEST_MEM_ANON), 0);
	for (unsigned int q = 0; q < dev->nr_queues; q++) {
		ck_assert_int_eq(virtq_create(&ft->vq[q], ft->mem, dev->queue_size_max), 0);
		ft->irq[q].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ft->queue[q].kick_fd = eventfd(0, EFD_CLOEXEC);
		ft->queue[q].irq = &ft->irq[q];
	}
	return ft;
}

struct fake_transport *fake_transport_create(struct virtio_dev *dev, uint16_t ring_size)
{
	return create(dev, ring_size, 0);
}

struct fake_transport *fake_transport_create_high(struct virtio_dev *dev, uint16_t ring_size)
{
	return create(dev, ring_size, GIB(4));
}

void fake_transport_free(struct fake_transport *ft)
{
	unsigned int nr_queues = ft->dev->nr_queues;

	fake_stop(ft);
	ft->dev->ops->free(ft->dev);
	for (unsigned int q = 0; q < nr_queues; q++) {
		virtq_free(ft->vq[q]);
		close(ft->irq[q].fd);
		close(ft->queue[q].kick_fd);
	}
	guest_mem_free(ft->mem);
	free(ft);
}

void fake_leave_out(struct fake_transport *ft, unsigned int q)
{
	ft->left_out[q] = true;
}

int fake_start(struct fake_transport *ft, uint64_t features)
{
	uint64_t share = RINGS_LEN / ft->dev->nr_queues & ~4095ull;
	struct virtio_start s = { .queue = ft->queue, .features = features,
				  .transport = &ft->up };

	for (unsigned int q = 0; q < ft->dev->nr_queues; q++) {
		vdriver_init(&ft->driver[q], ft->mem, ft->base + q * share, ft->ring_size,
			     features & 1ull << VIRTIO_RING_F_EVENT_IDX);
		ck_assert_int_eq(virtq_start(ft->vq[q], &ft->driver[q].cfg, features), 0);
		ft->queue[q].vq = ft->left_out[q] ? NULL : ft->vq[q];
		ft->queue[q].cfg = ft->driver[q].cfg;
		ft->queue[q].inline_kick = false;
	}
	ft->started = true;
	return ft->dev->ops->start(ft->dev, &s);
}

void fake_stop(struct fake_transport *ft)
{
	if (!ft->started)
		return;
	ft->dev->ops->stop(ft->dev);
	ft->started = false;
	for (unsigned int q = 0; q < ft->dev->nr_queues; q++)
		virtq_stop(ft->vq[q]);
}

struct vdriver *fake_driver(struct fake_transport *ft, unsigned int q)
{
	return &ft->driver[q];
}

void fake_force_kick(struct fake_transport *ft, unsigned int q)
{
	if (ft->started && ft->queue[q].inline_kick)
		ft->dev->ops->kick(ft->dev, q);
	else
		signal_fd(ft->queue[q].kick_fd);
}

void fake_kick(struct fake_transport *ft, unsigned int q)
{
	if (vdriver_show(&ft->driver[q]))
		fake_force_kick(ft, q);
}

bool fake_wait_irq(struct fake_transport *ft, unsigned int q, int ms)
{
	struct pollfd p = { .fd = ft->irq[q].fd, .events = POLLIN };
	uint64_t count;

	if (poll(&p, 1, ms) != 1)
		return false;
	return read(p.fd, &count, sizeof(count)) == sizeof(count);
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

void fake_wait_used(struct fake_transport *ft, unsigned int q, uint16_t *head, uint32_t *len)
{
	for (int ms = 0; !vdriver_take(&ft->driver[q], head, len); ms++) {
		ck_assert_msg(ms < WAIT_MS, "queue %u: nothing was used", q);
		sleep_ms(1);
	}
}

void fake_mask(struct fake_transport *ft, unsigned int q, bool masked)
{
	atomic_store(&ft->irq[q].masked, masked);
	if (ft->started && ft->dev->ops->irq_changed)
		ft->dev->ops->irq_changed(ft->dev);
}

void fake_on_irq(struct fake_transport *ft, unsigned int q, void (*fn)(void *arg), void *arg)
{
	ft->irq[q].on_begin = fn;
	ft->irq[q].on_begin_arg = arg;
}

unsigned int fake_nr_irqs(struct fake_transport *ft, unsigned int q)
{
	return atomic_load(&ft->irq[q].nr_raised);
}

unsigned int fake_nr_resets(struct fake_transport *ft)
{
	return atomic_load(&ft->up.nr_resets);
}

unsigned int fake_nr_config_changes(struct fake_transport *ft)
{
	return atomic_load(&ft->up.nr_config_changes);
}

bool fake_wait_reset(struct fake_transport *ft)
{
	for (int ms = 0; ms < WAIT_MS && !fake_nr_resets(ft); ms++)
		sleep_ms(1);
	return fake_nr_resets(ft);
}

struct stat_query {
	const char *key;
	uint64_t value;
};

static void match_stat(void *ctx, const char *key, uint64_t value)
{
	struct stat_query *query = ctx;

	if (!strcmp(key, query->key))
		query->value = value;
}

uint64_t fake_stat(struct fake_transport *ft, const char *key)
{
	struct stat_query query = { .key = key, .value = ~0ull };

	ft->dev->ops->stats(ft->dev, match_stat, &query);
	return query.value;
}

uint64_t fake_queue_stat(struct fake_transport *ft, unsigned int q, const char *key)
{
	struct stat_query query = { .key = key, .value = ~0ull };

	ft->dev->ops->queue_stats(ft->dev, q, match_stat, &query);
	return query.value;
}
