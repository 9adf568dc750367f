/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device that does nothing but remember what its transport did, and
 * a transport in front of it with the registers at hand.
 */
#ifndef MIMSY_TEST_FAKE_DEV_H
#define MIMSY_TEST_FAKE_DEV_H

#include <stdbool.h>
#include <stdint.h>

#include "fake_irq.h"
#include "guest_mem.h"
#include "vdriver.h"
#include "virtio_dev.h"
#include "vmmio.h"

#define FAKE_DEV_ID 0x2au
#define FAKE_DEV_QUEUES 3u
#define FAKE_DEV_QUEUE_SIZE 64u
#define FAKE_DEV_CONFIG_LEN 12u
#define FAKE_DEV_FEATURES (1ull << 29 | 1ull << 28 | 1ull << 5 | 1ull << 35)
#define FAKE_VERSION_1 (1ull << 32)

struct fake_dev {
	struct virtio_dev dev;
	uint8_t config[FAKE_DEV_CONFIG_LEN];
	int start_result;		/* set by the test */
	uint32_t inline_queues;		/* likewise: a bit for each that wants inline kicks */
	unsigned int nr_inline[FAKE_DEV_QUEUES];	/* kicks that came so */
	struct virtio_start start;	/* of the last start() */
	bool started;
	unsigned int nr_starts, nr_stops, nr_frees, nr_config_writes;
	void (*on_stop)(void *arg);	/* NULL, or called by stop() */
	void *on_stop_arg;
};

void fake_dev_init(struct fake_dev *d);

/* Machine, device and transport. */
struct vmmio_bench {
	struct guest_mem *mem;
	struct fake_irq irq;
	struct fake_dev dev;
	struct vmmio *t;
	struct vdriver driver[FAKE_DEV_QUEUES];
};

void bench_init(struct vmmio_bench *b, unsigned int nr_vectors, bool doorbells);
void bench_release(struct vmmio_bench *b);

/* Register accesses of any width. A read of more than 8 bytes is a mistake of the test. */
uint64_t bench_read(struct vmmio_bench *b, uint64_t off, uint32_t len);
void bench_write(struct vmmio_bench *b, uint64_t off, uint32_t len, uint64_t val);
uint32_t reg_read(struct vmmio_bench *b, uint64_t off);
void reg_write(struct vmmio_bench *b, uint64_t off, uint32_t val);
uint32_t bench_status(struct vmmio_bench *b);
uint64_t bench_guest_errors(struct vmmio_bench *b);

/* The steps of a driver. virtio 1.2, 3.1.1 */
void bench_accept_features(struct vmmio_bench *b, uint64_t features);
void bench_to_features_ok(struct vmmio_bench *b);
void bench_set_up_queue(struct vmmio_bench *b, unsigned int q);	/* selects it, too */
void bench_to_driver_ok(struct vmmio_bench *b);			/* from reset, all queues */
void bench_reset(struct vmmio_bench *b);

/* MSI: stage a message and send the command; the result register. */
void bench_msi_update(struct vmmio_bench *b, unsigned int vector, uint32_t addr, uint32_t data);
void bench_msi_command(struct vmmio_bench *b, unsigned int code, unsigned int vector);
void bench_msi_enable(struct vmmio_bench *b, unsigned int nr_used);
unsigned int bench_msi_result(struct vmmio_bench *b);

#endif
