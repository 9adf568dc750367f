/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI messages of any value, and a signal that finds its vector in any state.
 * One thread. proof_msi has the registers: a write of any value to them from
 * any state did not end here within minutes.
 *
 * cbmc: --unwind 3
 * catches: 070-init-delivered 071-lowest-to-all 072-exception-vectors
 * catches: 073-message-to-memory 074-address-high
 */
#include "harness.h"

#include <unistd.h>

#define MAX_VECTORS	2u

#include "vmmio_msi.c"

static struct vmmio_msi m;
static struct irq_sink sink;
static const int vector_fd[MAX_VECTORS];

static bool is_interrupt(const struct msi_message *msg)
{
	uint32_t mode = msg->data / 256 % 8;

	return !msg->address_hi && msg->address_lo >= 0xfee00000 && msg->address_lo <= 0xfeefffff &&
	       msg->data % 256 >= 16 && !(msg->data & 0x8000) &&
	       (mode == 0 || (mode == 1 && (msg->address_lo & 0xff000) != 0xff000));
}

static bool state_is_sound(void)
{
	for (unsigned int i = 0; i < MAX_VECTORS; i++)
		if (m.vector[i].state > 7 ||
		    (m.vector[i].programmed && !is_interrupt(&m.vector[i].msg)))
			return false;
	return m.nr_used <= sink.nr_vectors && m.result <= VIRTIO_MMIO_MSI_E_STATE &&
	       (m.enabled || !m.settling);
}

static void any_state(void)
{
	sink = (struct irq_sink){ .nr_vectors = nondet_u8(), .vector_fd = vector_fd };
	ASSUME(sink.nr_vectors && sink.nr_vectors <= MAX_VECTORS);
	m.sink = &sink;
	m.enabled = nondet_bool();
	m.settling = nondet_bool();
	m.result = nondet_u16();
	m.nr_used = nondet_u16();
	m.staged = (struct msi_message){ nondet_u32(), nondet_u32(), nondet_u32() };
	for (unsigned int i = 0; i < MAX_VECTORS; i++) {
		m.vector[i].state = nondet_u8();
		m.vector[i].programmed = nondet_bool();
		m.vector[i].msg = (struct msi_message){ nondet_u32(), nondet_u32(), nondet_u32() };
	}
	ASSUME(state_is_sound());
}

void a_message_passes_exactly_if_it_interrupts_a_cpu(void)
{
	struct msi_message msg = { nondet_u32(), nondet_u32(), nondet_u32() };

	PROVE(message_is_acceptable(&msg) == is_interrupt(&msg), "and nothing else does");
}

/* Any state in which a signal may find its vector. */
void a_signal_passes_exactly_if_nothing_holds_it(void)
{
	unsigned int v = nondet_u8(), was;
	int fd;

	any_state();
	ASSUME(v < sink.nr_vectors);
	was = m.vector[v].state;
	fd = vmmio_msi_begin(&m, v);
	PROVE((fd < 0) == !!(was & 3), "held exactly if masked or without a message");
	PROVE(m.vector[v].state == (was & 3 ? was | 4 : was), "and then it is pending");
}
