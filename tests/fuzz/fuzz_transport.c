/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register accesses of a transport with MSI, and a device that raises
 * interrupts meanwhile. Rows T1 to T19 and M1 to M12 of docs/hostile-cases.md.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#include "fake_dev.h"
#include "fuzz.h"
#include "util.h"
#include "vmmio_msi_abi.h"

#define MAX_OPS		512u
#define MAX_VECTORS	4u

static struct guest_mem *mem;

/* The device behind its registers, and what they should have done. */
struct model {
	struct fake_irq irq;
	struct fake_dev dev;
	struct vmmio *t;
	struct virtq_cfg cfg[FAKE_DEV_QUEUES];	/* as the registers were written in turn */
	bool masked[MAX_VECTORS];		/* by the driver */
	bool refused[MAX_VECTORS];		/* its last message: silent until a better one */
	uint32_t staged[3];			/* address and data as they were written */
	bool cleared[MAX_VECTORS];		/* by a message of zeroes: likewise */
	bool owed[MAX_VECTORS];			/* raised, held back, not yet delivered */
	bool enabled;
	unsigned int nr_used;
	unsigned int nr_starts;			/* that were compared with cfg */
};

static uint32_t reg(struct model *m, uint64_t off, uint32_t len)
{
	uint64_t val = 0;

	vmmio_bus_ops.read(m->t, off, &val, len);
	return (uint32_t)val;
}

static void set_reg(struct model *m, uint64_t off, uint32_t len, uint64_t val)
{
	vmmio_bus_ops.write(m->t, off, &val, len);
}

static uint32_t status(struct model *m)
{
	return reg(m, VIRTIO_MMIO_STATUS, 4);
}

static bool may_configure(struct model *m)
{
	return (status(m) & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)) ==
	       VIRTIO_CONFIG_S_FEATURES_OK;
}

static bool blocks(const struct model *m, unsigned int v)
{
	const struct fake_irq_vector *f = &m->irq.vector[v];

	return m->masked[v] || m->refused[v] || !f->is_in_force ||
	       memcmp(&f->staged, &f->in_force, sizeof(f->staged));
}

/* A signal that nobody raised is one that was held back, and only one. */
static void check_signals(struct model *m, unsigned int raised_vector, bool config_may_fire)
{
	uint64_t line = fake_irq_line_signals(&m->irq);

	FUZZ_CHECK(!line || !m->enabled);
	for (unsigned int v = 0; v < m->irq.sink.nr_vectors; v++) {
		uint64_t n = fake_irq_signals(&m->irq, v);

		FUZZ_CHECK(n <= 1 || v == 0);
		if (!n)
			continue;
		FUZZ_CHECK(!m->masked[v] && !m->cleared[v]);
		FUZZ_CHECK(m->owed[v] || v == raised_vector || (v == 0 && config_may_fire));
		m->owed[v] = false;
	}
}

/* Nothing is kept back that could be delivered. */
static void check_not_lost(struct model *m)
{
	for (unsigned int v = 1; v < m->irq.sink.nr_vectors; v++)
		if (m->owed[v] && m->enabled && !m->irq.in_progress)
			FUZZ_CHECK(blocks(m, v) || status(m) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static bool status_is_legal(uint32_t s)
{
	s &= ~(uint32_t)(VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET);
	return s == 0 || s == 1 || s == 3 || s == 11 || s == 15;
}

static void check_device(struct model *m)
{
	uint32_t s = status(m);

	FUZZ_CHECK(status_is_legal(s));
	if (m->dev.started)
		FUZZ_CHECK(s & VIRTIO_CONFIG_S_DRIVER_OK);
	FUZZ_CHECK(m->dev.nr_stops + m->dev.started <= m->dev.nr_starts);
	if (!m->dev.started || m->dev.nr_starts == m->nr_starts)
		return;
	m->nr_starts = m->dev.nr_starts;
	FUZZ_CHECK(m->dev.start.features & FAKE_VERSION_1);
	FUZZ_CHECK(!(m->dev.start.features & ~(FAKE_DEV_FEATURES | FAKE_VERSION_1)));
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++) {
		const struct virtio_queue *vq = &m->dev.start.queue[q];

		FUZZ_CHECK(!vq->vq == !m->cfg[q].ready);
		FUZZ_CHECK(!m->cfg[q].ready || (vq->cfg.desc == m->cfg[q].desc &&
						vq->cfg.avail == m->cfg[q].avail &&
						vq->cfg.used == m->cfg[q].used &&
						vq->cfg.size == m->cfg[q].size));
	}
}

static void forget(struct model *m)
{
	memset(m->cfg, 0, sizeof(m->cfg));
	memset(m->masked, 0, sizeof(m->masked));
	memset(m->refused, 0, sizeof(m->refused));
	memset(m->staged, 0, sizeof(m->staged));
	memset(m->cleared, 0, sizeof(m->cleared));
	memset(m->owed, 0, sizeof(m->owed));
	m->enabled = false;
	m->nr_used = 0;
}

/* The command in a write to the block, or 0, which is none. */
static uint32_t command_of(uint64_t off, uint32_t len, uint32_t val)
{
	if (off == VIRTIO_MMIO_MSI_CMD && len == 2)
		return val & 0xffff;
	return off == VIRTIO_MMIO_MSI_CSR && len == 4 ? val >> 16 : 0;
}

/* Before the write. */
static void note_msi(struct model *m, uint64_t off, uint32_t len, uint32_t val)
{
	uint32_t nr = m->irq.sink.nr_vectors, cmd = command_of(off, len, val);
	bool running = status(m) & VIRTIO_CONFIG_S_DRIVER_OK;

	if (off == VIRTIO_MMIO_MSI_CSR && (len == 2 || len == 4) && !running &&
	    (val & VIRTIO_MMIO_MSI_CSR_NVEC_MASK) <= nr) {
		m->enabled = val & VIRTIO_MMIO_MSI_CSR_ENABLE;
		if (m->enabled)
			m->nr_used = val & VIRTIO_MMIO_MSI_CSR_NVEC_MASK ?
				     val & VIRTIO_MMIO_MSI_CSR_NVEC_MASK : nr;
	}
	if (off >= VIRTIO_MMIO_MSI_ADDR_LOW && !(off % 4) && len == 4)
		m->staged[(off - VIRTIO_MMIO_MSI_ADDR_LOW) / 4] = val;
	if ((cmd & VIRTIO_MMIO_MSI_CMD_VECTOR_MASK) >= nr)
		return;
	if (cmd >> VIRTIO_MMIO_MSI_CMD_CODE_SHIFT == VIRTIO_MMIO_MSI_CMD_MASK)
		m->masked[cmd & VIRTIO_MMIO_MSI_CMD_VECTOR_MASK] = true;
	else if (cmd >> VIRTIO_MMIO_MSI_CMD_CODE_SHIFT == VIRTIO_MMIO_MSI_CMD_UNMASK)
		m->masked[cmd & VIRTIO_MMIO_MSI_CMD_VECTOR_MASK] = false;
}

/* After it: whether a message was taken, or taken away, which is never refused. */
static void note_update(struct model *m, uint32_t cmd)
{
	uint32_t vector = cmd & VIRTIO_MMIO_MSI_CMD_VECTOR_MASK;

	if (cmd >> VIRTIO_MMIO_MSI_CMD_CODE_SHIFT != VIRTIO_MMIO_MSI_CMD_UPDATE ||
	    vector >= m->irq.sink.nr_vectors)
		return;
	m->refused[vector] = reg(m, VIRTIO_MMIO_MSI_CMD, 2) != VIRTIO_MMIO_MSI_DONE;
	m->cleared[vector] = !(m->staged[0] | m->staged[1] | m->staged[2]);
	FUZZ_CHECK(!m->cleared[vector] || !m->refused[vector]);
}

static void write_any(struct model *m, uint64_t off, uint32_t len, uint64_t val)
{
	bool msi = m->irq.sink.nr_vectors && off >= VIRTIO_MMIO_MSI_CSR &&
		   off < VIRTIO_MMIO_MSI_END;

	if (msi)
		note_msi(m, off, len, (uint32_t)(len == 2 ? val & 0xffff : val));
	set_reg(m, off, len, val);
	if (msi)
		note_update(m, command_of(off, len, (uint32_t)val));
	if (!status(m))
		FUZZ_CHECK(!m->dev.started);
	if (off == VIRTIO_MMIO_STATUS && len == 4 && !(uint32_t)val)
		forget(m);
}

/* QueueReady was written out of turn: once it reads 0 nothing touches the queue. */
static void take_back(struct model *m, uint32_t q, bool ready)
{
	if (ready || q >= FAKE_DEV_QUEUES || !m->cfg[q].ready ||
	    !(status(m) & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	m->cfg[q].ready = false;
	FUZZ_CHECK(!m->dev.started && status(m) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* One queue, right or wrong, in the turn for it or not. */
static void set_up_queue(struct model *m, struct fuzz_input *in)
{
	uint32_t q = fuzz_u8(in) % (FAKE_DEV_QUEUES + 1), how = fuzz_u8(in);
	struct virtq_cfg c = { .desc = 0x1000, .avail = 0x2000, .used = 0x3000, .size = 16,
			       .ready = true };
	bool turn = may_configure(m) && q < FAKE_DEV_QUEUES && !m->cfg[q].ready;

	c.size = how & 1 ? fuzz_u32(in) : 1u << how % 8;
	c.desc = how & 2 ? fuzz_u64(in) : c.desc + 16u * how;
	c.avail = how & 4 ? fuzz_number(in, MIB(4)) : c.avail;
	c.used = how & 8 ? fuzz_number(in, MIB(4)) : c.used;
	c.ready = !(how & 16);
	set_reg(m, VIRTIO_MMIO_QUEUE_SEL, 4, q);
	set_reg(m, VIRTIO_MMIO_QUEUE_NUM, 4, c.size);
	set_reg(m, VIRTIO_MMIO_QUEUE_DESC_LOW, 4, (uint32_t)c.desc);
	set_reg(m, VIRTIO_MMIO_QUEUE_DESC_HIGH, 4, c.desc >> 32);
	set_reg(m, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 4, (uint32_t)c.avail);
	set_reg(m, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 4, c.avail >> 32);
	set_reg(m, VIRTIO_MMIO_QUEUE_USED_LOW, 4, (uint32_t)c.used);
	set_reg(m, VIRTIO_MMIO_QUEUE_USED_HIGH, 4, c.used >> 32);
	set_reg(m, VIRTIO_MMIO_QUEUE_READY, 4, c.ready);
	if (turn)
		m->cfg[q] = c;
	else if (may_configure(m) && q < FAKE_DEV_QUEUES)
		m->cfg[q].ready = c.ready;
	else
		take_back(m, q, c.ready);
	FUZZ_CHECK(reg(m, VIRTIO_MMIO_QUEUE_READY, 4) ==
		   (q < FAKE_DEV_QUEUES ? m->cfg[q].ready : 0));
	FUZZ_CHECK(reg(m, VIRTIO_MMIO_QUEUE_NUM_MAX, 4) ==
		   (q < FAKE_DEV_QUEUES ? FAKE_DEV_QUEUE_SIZE : 0));
}

/* The registers of queues and STATUS have their own steps: the model follows those. */
static bool is_followed(uint64_t off)
{
	return off < VIRTIO_MMIO_CONFIG &&
	       (off >= VIRTIO_MMIO_QUEUE_NUM && off < VIRTIO_MMIO_CONFIG_GENERATION) &&
	       off != VIRTIO_MMIO_QUEUE_NOTIFY && off != VIRTIO_MMIO_INTERRUPT_ACK &&
	       !(off >= VIRTIO_MMIO_MSI_CSR && off < VIRTIO_MMIO_MSI_END);
}

static void access(struct model *m, struct fuzz_input *in)
{
	static const uint8_t widths[] = { 1, 2, 4, 8, 4, 3, 4, 5 };
	uint8_t how = fuzz_u8(in);
	uint32_t len = widths[how & 7];
	uint64_t off = (how & 0x40 ? fuzz_u16(in) : fuzz_u8(in) * 4u) % (VMMIO_WINDOW_LEN - len);
	uint8_t buf[8] = { 0 };

	if (how & 0x80)
		vmmio_bus_ops.read(m->t, off, buf, len);
	else if (!is_followed(off))
		write_any(m, off, len, fuzz_u32(in));
}

static void next_status(struct model *m, struct fuzz_input *in)
{
	static const uint8_t steps[] = { 1, 3, 11, 15, 0, 0x80, 0x40, 0xff };
	uint8_t how = fuzz_u8(in);
	uint32_t before = status(m), val = how & 0x80 ? fuzz_u32(in) : steps[how & 7];

	m->dev.start_result = how & 0x40 ? -EIO : 0;
	if (!(how & 0x20)) {
		set_reg(m, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 4, 1);
		set_reg(m, VIRTIO_MMIO_DRIVER_FEATURES, 4, 1);
	}
	write_any(m, VIRTIO_MMIO_STATUS, 4, val);
	if (val)	/* bits are never taken back but by a reset */
		FUZZ_CHECK(!(before & ~status(m)));
	else
		FUZZ_CHECK(!status(m));
}

static void program(struct model *m, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in), vector = fuzz_u8(in) % (MAX_VECTORS + 1);
	uint32_t data = 0x30u + fuzz_u8(in) % 0xd0u, code = how % 4;

	if ((how & 0xe0) == 0xe0) {	/* no message */
		write_any(m, VIRTIO_MMIO_MSI_ADDR_LOW, 4, 0);
		write_any(m, VIRTIO_MMIO_MSI_ADDR_HIGH, 4, 0);
		write_any(m, VIRTIO_MMIO_MSI_DATA, 4, 0);
	} else {
		write_any(m, VIRTIO_MMIO_MSI_ADDR_LOW, 4,
			  how & 0x80 ? fuzz_u32(in) : 0xfee00000u);
		write_any(m, VIRTIO_MMIO_MSI_ADDR_HIGH, 4, how & 0x40 ? fuzz_u32(in) : 0);
		write_any(m, VIRTIO_MMIO_MSI_DATA, 4, how & 0x20 ? fuzz_u32(in) : data);
	}
	write_any(m, VIRTIO_MMIO_MSI_CMD, 2, code << VIRTIO_MMIO_MSI_CMD_CODE_SHIFT | vector);
	if (how & 0x10)
		write_any(m, VIRTIO_MMIO_MSI_CSR, 2, VIRTIO_MMIO_MSI_CSR_ENABLE | vector);
}

static unsigned int vector_of(const struct model *m, unsigned int q)
{
	return MIN(q + 1, m->nr_used - 1);
}

/* What a queue's thread does. Returns the vector it should come by. */
static unsigned int raise(struct model *m, struct fuzz_input *in)
{
	unsigned int q = fuzz_u8(in) % FAKE_DEV_QUEUES, v;

	if (!m->dev.started)
		return MAX_VECTORS;
	virtio_irq_raise(m->dev.start.queue[q].irq);
	if (!m->enabled) {
		FUZZ_CHECK(reg(m, VIRTIO_MMIO_INTERRUPT_STATUS, 4) & VIRTIO_MMIO_INT_VRING);
		FUZZ_CHECK(fake_irq_line_signals(&m->irq) <= 1);
		return MAX_VECTORS;
	}
	v = vector_of(m, q);
	m->owed[v] = true;
	return v;
}

static void config_changes(struct model *m)
{
	uint32_t before = reg(m, VIRTIO_MMIO_CONFIG_GENERATION, 4);

	if (!m->dev.started)
		return;
	virtio_config_changed(m->dev.start.transport);
	FUZZ_CHECK(reg(m, VIRTIO_MMIO_CONFIG_GENERATION, 4) != before);
}

static void host_acts(struct model *m, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	m->irq.deferred = how & 1;
	if (how & 2)
		m->irq.gsis_left = how >> 6;
	if (how & 4 && m->irq.in_progress)
		fake_irq_settle(&m->irq, how & 8 ? -EINVAL : 0);
}

static void step(struct model *m, struct fuzz_input *in)
{
	unsigned int raised = MAX_VECTORS;
	bool config = true;

	switch (fuzz_u8(in) % 8) {
	case 0:		access(m, in);			break;
	case 1:		next_status(m, in);		break;
	case 2:		set_up_queue(m, in);		break;
	case 3:		program(m, in);			break;
	case 4:		config_changes(m);		break;
	case 5:		host_acts(m, in);		break;
	default:
		raised = raise(m, in);
		config = false;
	}
	check_signals(m, raised, config || m->owed[0]);
	check_not_lost(m);
	check_device(m);
}

void fuzz_setup(void)
{
	mem = fuzz_guest(MIB(4));
}

void fuzz_one(struct fuzz_input *in)
{
	static const uint8_t nr_vectors[] = { 4, 2, 1, 0 };
	uint8_t how = fuzz_u8(in);
	struct model m = { 0 };

	fake_irq_init(&m.irq, nr_vectors[how & 3]);
	fake_dev_init(&m.dev);
	FUZZ_CHECK(!vmmio_create(&m.t, &m.dev.dev, mem, &m.irq.sink, how & 4));
	for (unsigned int i = 0; i < MAX_OPS && fuzz_left(in); i++)
		step(&m, in);
	vmmio_free(m.t);
	FUZZ_CHECK(m.dev.nr_frees == 1 && !m.dev.started);
	fake_irq_release(&m.irq);
}
