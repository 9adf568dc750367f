/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same with a second vCPU that flips bits of the rings all the while.
 * Row Q14 of docs/hostile-cases.md.
 *
 * A finding depends on timing: replay its input many times (-runs=N).
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "chain_ops.h"

static struct fuzz_ring ring;
static sem_t go, stopped;
static atomic_bool stop;
static uint32_t seed;

/* Also what the sanitizers must not see as our race: it is the guest's. */
static void flip(uint32_t *state)
{
	uint8_t *ram = ring.mem->region[0].host;

	*state = *state * 1664525u + 1013904223u;
	__atomic_fetch_xor(&ram[(*state >> 16) % FUZZ_RING_DATA], 1u << (*state >> 8) % 8,
			   __ATOMIC_RELAXED);
}

static void *second_vcpu(void *arg)
{
	for (;;) {
		uint32_t state;

		while (sem_wait(&go))
			;
		state = seed;
		do
			flip(&state);
		while (!atomic_load(&stop));
		sem_post(&stopped);
	}
	return arg;
}

void fuzz_setup(void)
{
	pthread_t thread;

	fuzz_ring_create(&ring);
	sem_init(&go, 0, 0);
	sem_init(&stopped, 0, 0);
	FUZZ_CHECK(!pthread_create(&thread, NULL, second_vcpu, NULL));
	pthread_detach(thread);
}

void fuzz_one(struct fuzz_input *in)
{
	seed = fuzz_u32(in);
	atomic_store(&stop, false);
	sem_post(&go);
	chain_ops_run(&ring, in, false);
	atomic_store(&stop, true);
	while (sem_wait(&stopped))
		;
}
