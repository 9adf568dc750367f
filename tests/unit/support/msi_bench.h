/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/msi.c over the fake KVM, with two devices. For tests that include
 * fake_kvm.h.
 */
#ifndef MIMSY_TEST_MSI_BENCH_H
#define MIMSY_TEST_MSI_BENCH_H

#include <stdint.h>

#include "fake_kvm.h"
#include "log_capture.h"
#include "msi.h"

#define MSI_BENCH_VECTORS 4u
#define MSI_BENCH_ADDRESS 0xfee00000u

/* A transport's side of a sink. */
struct msi_device {
	struct irq_sink *sink;
	unsigned int nr_settled;
	int last_result;
};

struct msi_bench {
	struct fake_kvm fake;
	struct msi_router *router;
	struct msi_device dev[2];
	struct log_capture cap;
};

void msi_bench_init(struct msi_bench *b);
void msi_bench_release(struct msi_bench *b);

void msi_device_init(struct msi_bench *b, struct msi_device *d, unsigned int nr_vectors);
void msi_device_settled(void *owner, int result);	/* the sink's callback */

/* The sink's operations. A vector's message is told by its data; vector v gets data + v. */
int msi_set(struct msi_device *d, unsigned int vector, uint32_t data);
void msi_set_all(struct msi_device *d, uint32_t data);
void msi_clear(struct msi_device *d, unsigned int vector);
int msi_commit(struct msi_device *d);
void msi_release(struct msi_device *d);

/* The main loop: one turn of at most ms, or until there is nothing more to do. */
void msi_bench_run(struct msi_bench *b, int ms);
void msi_bench_pump(struct msi_bench *b);

/* Programs all vectors and waits until they are in force. */
void msi_bench_enable(struct msi_bench *b, struct msi_device *d, uint32_t data);
/* Programs one vector so that KVM refuses, and lets it; what is logged is in cap. */
void msi_bench_refuse(struct msi_bench *b, struct msi_device *d, unsigned int vector);
/* Fails the test unless each vector's eventfd has its route. */
void msi_bench_check(struct msi_bench *b, const struct msi_device *d, uint32_t data);
unsigned int msi_bench_gsis(struct msi_bench *b);

#endif
