/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver may program first and enable last, or the other way round. Either
 * way a vector passes signals once its message is in force and it is not
 * masked; until then they collect in the pending bit, so none is lost and a
 * burst becomes one interrupt.
 *
 * MASK and UNMASK touch nothing but the state word: no ioctl, no eventfd is
 * bound or unbound.
 */
#include "vmmio_msi.h"

#include <unistd.h>

#include "vmmio_msi_abi.h"

/* An x86 message: Intel SDM volume 3, 11.11. */
#define X86_MSI_ADDRESS_MASK	0xfff00000u
#define X86_MSI_ADDRESS		0xfee00000u
#define X86_MSI_DEST(lo)	((lo) >> 12 & 0xff)
#define X86_MSI_DEST_ALL	0xffu
#define X86_MSI_VECTOR(data)	((data) & 0xff)
#define X86_MSI_FIRST_VECTOR	0x10u
#define X86_MSI_MODE(data)	((data) >> 8 & 7)
#define X86_MSI_MODE_FIXED	0u
#define X86_MSI_MODE_LOWEST	1u
#define X86_MSI_LEVEL		(1u << 15)

void vmmio_msi_init(struct vmmio_msi *m, struct irq_sink *sink, struct guest_errors *errors)
{
	*m = (struct vmmio_msi){ .sink = sink, .errors = errors };
	for (unsigned int i = 0; i < VMMIO_MSI_MAX_VECTORS; i++)
		atomic_init(&m->vector[i].state, VMMIO_MSI_HELD);
}

/* Forgets signals that nobody has taken: a vector bound later must not fire at once. */
static void drain_eventfd(int fd)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)n;		/* EAGAIN: it was empty */
}

void vmmio_msi_reset(struct vmmio_msi *m)
{
	if (!m->sink->nr_vectors)
		return;
	m->sink->ops->release(m->sink);
	for (unsigned int i = 0; i < m->sink->nr_vectors; i++)
		drain_eventfd(m->sink->vector_fd[i]);
	vmmio_msi_init(m, m->sink, m->errors);
}

bool vmmio_msi_is_open(const struct vmmio_msi *m, unsigned int vector)
{
	return !(atomic_load(&m->vector[vector].state) & (VMMIO_MSI_MASKED | VMMIO_MSI_HELD));
}

int vmmio_msi_begin(struct vmmio_msi *m, unsigned int vector)
{
	struct vmmio_msi_vector *v = &m->vector[vector];
	unsigned int old = atomic_load_explicit(&v->state, memory_order_acquire);

	do {
		if (!(old & (VMMIO_MSI_MASKED | VMMIO_MSI_HELD)))
			return m->sink->vector_fd[vector];
	} while (!atomic_compare_exchange_weak(&v->state, &old, old | VMMIO_MSI_PENDING));
	return -1;
}

static void vector_block(struct vmmio_msi_vector *v, unsigned int bit)
{
	atomic_fetch_or(&v->state, bit);
}

/* Takes a blocking bit away; the last one to go lets one pending signal through. */
static void vector_unblock(struct vmmio_msi *m, unsigned int vector, unsigned int bit)
{
	struct vmmio_msi_vector *v = &m->vector[vector];
	unsigned int old = atomic_load(&v->state), next;
	uint64_t one = 1;
	ssize_t n;

	do {
		next = old & ~bit;
		if (!(next & (VMMIO_MSI_MASKED | VMMIO_MSI_HELD)))
			next &= ~VMMIO_MSI_PENDING;
	} while (!atomic_compare_exchange_weak(&v->state, &old, next));
	if (old & ~next & VMMIO_MSI_PENDING) {
		n = write(m->sink->vector_fd[vector], &one, sizeof(one));
		(void)n;	/* EAGAIN: it is signalled already */
	}
}

static void release_programmed(struct vmmio_msi *m)
{
	for (unsigned int i = 0; i < m->sink->nr_vectors; i++)
		if (m->vector[i].programmed)
			vector_unblock(m, i, VMMIO_MSI_HELD);
}

/* Brings what is staged into force, now or a little later. */
static void msi_commit(struct vmmio_msi *m)
{
	m->settling = m->sink->ops->commit(m->sink);
	if (!m->settling)
		release_programmed(m);
}

void vmmio_msi_settled(struct vmmio_msi *m)
{
	if (m->enabled && m->settling)
		msi_commit(m);
}

bool vmmio_msi_refused(struct vmmio_msi *m)
{
	if (!m->settling)
		return false;
	m->settling = false;
	m->result = VIRTIO_MMIO_MSI_E_HOST;
	return true;
}

/* Everything else could name no CPU, or do more than interrupt one: NMI, INIT, SMI. */
static bool message_is_acceptable(const struct msi_message *msg)
{
	uint32_t mode = X86_MSI_MODE(msg->data);

	if (msg->address_hi || (msg->address_lo & X86_MSI_ADDRESS_MASK) != X86_MSI_ADDRESS)
		return false;
	if (X86_MSI_VECTOR(msg->data) < X86_MSI_FIRST_VECTOR || msg->data & X86_MSI_LEVEL)
		return false;
	return mode == X86_MSI_MODE_FIXED ||
	       (mode == X86_MSI_MODE_LOWEST && X86_MSI_DEST(msg->address_lo) != X86_MSI_DEST_ALL);
}

static bool message_is_same(const struct msi_message *a, const struct msi_message *b)
{
	return a->address_lo == b->address_lo && a->address_hi == b->address_hi &&
	       a->data == b->data;
}

/* The vector stays silent until it gets a message that can be used. */
static void msi_refuse(struct vmmio_msi *m, unsigned int vector, uint16_t result)
{
	vector_block(&m->vector[vector], VMMIO_MSI_HELD);
	m->vector[vector].programmed = false;
	m->result = result;
	guest_error(m->errors, "MSI vector %u: message %08x%08x/%08x refused, result %u", vector,
		    m->staged.address_hi, m->staged.address_lo, m->staged.data, result);
}

static void msi_update(struct vmmio_msi *m, unsigned int vector)
{
	struct vmmio_msi_vector *v = &m->vector[vector];

	if (v->programmed && message_is_same(&v->msg, &m->staged))
		return;
	if (!message_is_acceptable(&m->staged)) {
		msi_refuse(m, vector, VIRTIO_MMIO_MSI_E_MESSAGE);
		return;
	}
	if (m->sink->ops->set_message(m->sink, vector, &m->staged)) {
		msi_refuse(m, vector, VIRTIO_MMIO_MSI_E_NOSPC);
		return;
	}
	v->msg = m->staged;
	v->programmed = true;
	if (!m->enabled)
		return;
	/* Nothing may go to the old target once the command has returned. */
	vector_block(v, VMMIO_MSI_HELD);
	msi_commit(m);
}

static void msi_command(struct vmmio_msi *m, uint16_t val)
{
	unsigned int vector = val & VIRTIO_MMIO_MSI_CMD_VECTOR_MASK;

	m->result = VIRTIO_MMIO_MSI_DONE;
	if (vector >= m->sink->nr_vectors) {
		m->result = VIRTIO_MMIO_MSI_E_VECTOR;
		guest_error(m->errors, "MSI vector %u: there are %u", vector, m->sink->nr_vectors);
		return;
	}
	switch (val >> VIRTIO_MMIO_MSI_CMD_CODE_SHIFT) {
	case VIRTIO_MMIO_MSI_CMD_UPDATE:
		msi_update(m, vector);
		break;
	case VIRTIO_MMIO_MSI_CMD_MASK:
		vector_block(&m->vector[vector], VMMIO_MSI_MASKED);
		break;
	case VIRTIO_MMIO_MSI_CMD_UNMASK:
		vector_unblock(m, vector, VMMIO_MSI_MASKED);
		break;
	default:
		m->result = VIRTIO_MMIO_MSI_E_COMMAND;
		guest_error(m->errors, "MSI command %#x is unknown", val);
	}
}

/* Enable: the whole cache goes to KVM at once. Disable: signals collect again. */
static void msi_control(struct vmmio_msi *m, uint16_t val, bool running)
{
	unsigned int nr_used = val & VIRTIO_MMIO_MSI_CSR_NVEC_MASK;

	if (running || nr_used > m->sink->nr_vectors) {
		m->result = VIRTIO_MMIO_MSI_E_STATE;
		guest_error(m->errors, "MSI control %#x out of turn", val);
		return;
	}
	m->result = VIRTIO_MMIO_MSI_DONE;
	if (val & VIRTIO_MMIO_MSI_CSR_ENABLE) {
		m->enabled = true;
		m->nr_used = (uint16_t)(nr_used ? nr_used : m->sink->nr_vectors);
		msi_commit(m);
		return;
	}
	m->enabled = m->settling = false;
	for (unsigned int i = 0; i < m->sink->nr_vectors; i++)
		vector_block(&m->vector[i], VMMIO_MSI_HELD);
}

uint32_t vmmio_msi_read(struct vmmio_msi *m, uint32_t off, uint32_t len)
{
	uint32_t csr = VIRTIO_MMIO_MSI_CSR_SUPPORTED | m->sink->nr_vectors;
	uint32_t cmd_off = VIRTIO_MMIO_MSI_CMD - VIRTIO_MMIO_MSI_CSR;

	if (off == 0 && len == 2)
		return csr;
	if (off == 0 && len == 4)
		return csr | (uint32_t)m->result << 16;
	if (off == cmd_off && len == 2)
		return m->result;
	guest_error(m->errors, "MSI register +%#x read with %u bytes", off, len);
	return 0;
}

/* A 32-bit write to the control register: control first, then the command if there is one. */
static void msi_control_and_command(struct vmmio_msi *m, uint32_t val, bool running)
{
	msi_control(m, (uint16_t)val, running);
	if (val >> 16)
		msi_command(m, (uint16_t)(val >> 16));
}

void vmmio_msi_write(struct vmmio_msi *m, uint32_t off, uint32_t len, uint32_t val, bool running)
{
	switch ((off + VIRTIO_MMIO_MSI_CSR) << 4 | len) {	/* register and width */
	case VIRTIO_MMIO_MSI_CSR << 4 | 2:
		msi_control(m, (uint16_t)val, running);
		break;
	case VIRTIO_MMIO_MSI_CSR << 4 | 4:
		msi_control_and_command(m, val, running);
		break;
	case VIRTIO_MMIO_MSI_CMD << 4 | 2:
		msi_command(m, (uint16_t)val);
		break;
	case VIRTIO_MMIO_MSI_ADDR_LOW << 4 | 4:
		m->staged.address_lo = val;
		break;
	case VIRTIO_MMIO_MSI_ADDR_HIGH << 4 | 4:
		m->staged.address_hi = val;
		break;
	case VIRTIO_MMIO_MSI_DATA << 4 | 4:
		m->staged.data = val;
		break;
	default:
		guest_error(m->errors, "MSI register +%#x written with %u bytes", off, len);
	}
}
