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
	*m = (struct vmmio_msi){
		.sink = sink,
		.errors = errors,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
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
	pthread_mutex_lock(&m->lock);
	m->sink->ops->release(m->sink);
	m->enabled = m->settling = false;
	m->nr_used = m->result = 0;
	m->staged = (struct msi_message){ 0 };
	for (unsigned int i = 0; i < m->sink->nr_vectors; i++) {
		drain_eventfd(m->sink->vector_fd[i]);
		m->vector[i].programmed = false;
		m->vector[i].msg = (struct msi_message){ 0 };
		atomic_store(&m->vector[i].state, VMMIO_MSI_HELD);
	}
	pthread_mutex_unlock(&m->lock);
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

/* From here to msi_control(): with the lock. */

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

static bool is_no_message(const struct msi_message *msg)
{
	return !(msg->address_lo | msg->address_hi | msg->data);
}

/* What becomes due is kept for the next message. */
static uint16_t msi_clear(struct vmmio_msi *m, unsigned int vector)
{
	vector_block(&m->vector[vector], VMMIO_MSI_HELD);
	m->vector[vector].programmed = false;
	m->sink->ops->clear_message(m->sink, vector);
	return VIRTIO_MMIO_MSI_DONE;
}

/* A refused vector stays silent until it gets a message that can be used. */
static uint16_t msi_update(struct vmmio_msi *m, unsigned int vector)
{
	struct vmmio_msi_vector *v = &m->vector[vector];
	uint16_t result = VIRTIO_MMIO_MSI_DONE;

	if (v->programmed && message_is_same(&v->msg, &m->staged))
		return result;
	if (is_no_message(&m->staged))
		return msi_clear(m, vector);
	if (!message_is_acceptable(&m->staged))
		result = VIRTIO_MMIO_MSI_E_MESSAGE;
	else if (m->sink->ops->set_message(m->sink, vector, &m->staged))
		result = VIRTIO_MMIO_MSI_E_NOSPC;
	v->programmed = !result;
	if (result || m->enabled)
		vector_block(v, VMMIO_MSI_HELD);
	if (result)
		return result;
	v->msg = m->staged;
	if (m->enabled)
		msi_commit(m);
	return result;
}

static uint16_t msi_command(struct vmmio_msi *m, unsigned int code, unsigned int vector)
{
	if (vector >= m->sink->nr_vectors)
		return VIRTIO_MMIO_MSI_E_VECTOR;
	switch (code) {
	case VIRTIO_MMIO_MSI_CMD_UPDATE:
		return msi_update(m, vector);
	case VIRTIO_MMIO_MSI_CMD_MASK:
		vector_block(&m->vector[vector], VMMIO_MSI_MASKED);
		return VIRTIO_MMIO_MSI_DONE;
	case VIRTIO_MMIO_MSI_CMD_UNMASK:
		vector_unblock(m, vector, VMMIO_MSI_MASKED);
		return VIRTIO_MMIO_MSI_DONE;
	}
	return VIRTIO_MMIO_MSI_E_COMMAND;
}

/* Enable: the whole cache goes to KVM at once. Disable: signals collect again. */
static uint16_t msi_control(struct vmmio_msi *m, uint16_t val, bool running)
{
	unsigned int nr_used = val & VIRTIO_MMIO_MSI_CSR_NVEC_MASK;

	if (running || nr_used > m->sink->nr_vectors)
		return VIRTIO_MMIO_MSI_E_STATE;
	if (val & VIRTIO_MMIO_MSI_CSR_ENABLE) {
		m->enabled = true;
		m->nr_used = (uint16_t)(nr_used ? nr_used : m->sink->nr_vectors);
		msi_commit(m);
		return VIRTIO_MMIO_MSI_DONE;
	}
	m->enabled = m->settling = false;
	for (unsigned int i = 0; i < m->sink->nr_vectors; i++)
		vector_block(&m->vector[i], VMMIO_MSI_HELD);
	return VIRTIO_MMIO_MSI_DONE;
}

/* Without the lock: a line of the log may wait for whoever reads it. */
static void complain(struct vmmio_msi *m, uint16_t val, uint16_t result)
{
	unsigned int vector = val & VIRTIO_MMIO_MSI_CMD_VECTOR_MASK;

	switch (result) {
	case VIRTIO_MMIO_MSI_DONE:
		break;
	case VIRTIO_MMIO_MSI_E_VECTOR:
		guest_error(m->errors, "MSI vector %u: there are %u", vector, m->sink->nr_vectors);
		break;
	case VIRTIO_MMIO_MSI_E_COMMAND:
		guest_error(m->errors, "MSI command %#x is unknown", val);
		break;
	case VIRTIO_MMIO_MSI_E_STATE:
		guest_error(m->errors, "MSI control %#x out of turn", val);
		break;
	default:
		guest_error(m->errors, "MSI vector %u: message %08x%08x/%08x refused, result %u",
			    vector, m->staged.address_hi, m->staged.address_lo, m->staged.data,
			    result);
	}
}

static void write_command(struct vmmio_msi *m, uint16_t val)
{
	uint16_t result;

	pthread_mutex_lock(&m->lock);
	result = msi_command(m, val >> VIRTIO_MMIO_MSI_CMD_CODE_SHIFT,
			     val & VIRTIO_MMIO_MSI_CMD_VECTOR_MASK);
	m->result = result;
	pthread_mutex_unlock(&m->lock);
	complain(m, val, result);
}

static void write_control(struct vmmio_msi *m, uint16_t val, bool running)
{
	uint16_t result;

	pthread_mutex_lock(&m->lock);
	result = msi_control(m, val, running);
	m->result = result;
	pthread_mutex_unlock(&m->lock);
	complain(m, val, result);
}

static uint16_t read_result(struct vmmio_msi *m)
{
	uint16_t result;

	pthread_mutex_lock(&m->lock);
	result = m->result;
	pthread_mutex_unlock(&m->lock);
	return result;
}

uint32_t vmmio_msi_read(struct vmmio_msi *m, uint32_t off, uint32_t len)
{
	uint32_t csr = VIRTIO_MMIO_MSI_CSR_SUPPORTED | m->sink->nr_vectors;
	uint32_t cmd_off = VIRTIO_MMIO_MSI_CMD - VIRTIO_MMIO_MSI_CSR;

	if (off == 0 && len == 2)
		return csr;
	if (off == 0 && len == 4)
		return csr | (uint32_t)read_result(m) << 16;
	if (off == cmd_off && len == 2)
		return read_result(m);
	guest_error(m->errors, "MSI register +%#x read with %u bytes", off, len);
	return 0;
}

/* A 32-bit write to the control register: control first, then the command if there is one. */
static void write_both(struct vmmio_msi *m, uint32_t val, bool running)
{
	write_control(m, (uint16_t)val, running);
	if (val >> 16)
		write_command(m, (uint16_t)(val >> 16));
}

void vmmio_msi_write(struct vmmio_msi *m, uint32_t off, uint32_t len, uint32_t val, bool running)
{
	switch ((off + VIRTIO_MMIO_MSI_CSR) << 4 | len) {	/* register and width */
	case VIRTIO_MMIO_MSI_CSR << 4 | 2:
		write_control(m, (uint16_t)val, running);
		break;
	case VIRTIO_MMIO_MSI_CSR << 4 | 4:
		write_both(m, val, running);
		break;
	case VIRTIO_MMIO_MSI_CMD << 4 | 2:
		write_command(m, (uint16_t)val);
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
