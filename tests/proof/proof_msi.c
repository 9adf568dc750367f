/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MSI register block: which messages get through to the host, which
 * commands touch what, and that a signal comes exactly once however it meets
 * masks and new messages. The host is a recorder (tests/unit/support/fake_irq).
 */
#include <unistd.h>

#include "fake_irq.h"
#include "proof.h"
#include "vmmio_msi.h"
#include "vmmio_msi_abi.h"

#define NR_VECTORS 3u

struct bench {
	struct fake_irq irq;
	struct guest_errors errors;
	struct vmmio_msi m;
};

static void bench_init(struct bench *b)
{
	log_set_level(LOG_LEVEL_ERROR);
	guest_errors_init(&b->errors, "proof");
	fake_irq_init(&b->irq, NR_VECTORS);
	vmmio_msi_init(&b->m, &b->irq.sink, &b->errors);
}

static void write_reg(struct bench *b, uint32_t reg, uint32_t len, uint32_t val)
{
	vmmio_msi_write(&b->m, reg - VIRTIO_MMIO_MSI_CSR, len, val, false);
}

static void command(struct bench *b, unsigned int code, unsigned int vector)
{
	write_reg(b, VIRTIO_MMIO_MSI_CMD, 2, code << VIRTIO_MMIO_MSI_CMD_CODE_SHIFT | vector);
}

static void update(struct bench *b, unsigned int vector, const struct msi_message *msg)
{
	write_reg(b, VIRTIO_MMIO_MSI_ADDR_LOW, 4, msg->address_lo);
	write_reg(b, VIRTIO_MMIO_MSI_ADDR_HIGH, 4, msg->address_hi);
	write_reg(b, VIRTIO_MMIO_MSI_DATA, 4, msg->data);
	command(b, VIRTIO_MMIO_MSI_CMD_UPDATE, vector);
}

/*
 * docs/virtio-mmio-msi.md: an edge of fixed or lowest priority delivery, with a vector that is no
 * exception's, to the local APICs below 4 GiB; never lowest priority to all.
 */
static bool may_pass(const struct msi_message *m)
{
	bool to_apic = m->address_hi == 0 && m->address_lo >= 0xfee00000 &&
		       m->address_lo <= 0xfeefffff;
	bool to_all = (m->address_lo & 0x000ff000) == 0x000ff000;
	bool edge = !(m->data & 0x8000);

	if (!to_apic || !edge || (m->data & 0xff) < 16)
		return false;
	switch (m->data & 0x700) {
	case 0x000:	return true;		/* fixed */
	case 0x100:	return !to_all;		/* lowest priority */
	default:	return false;		/* SMI, NMI, INIT, start-up, ExtINT, reserved */
	}
}

static void check_message(struct bench *b, const struct msi_message *msg)
{
	unsigned int before = b->irq.nr_messages;
	bool passed;

	b->m.vector[1].programmed = false;	/* or the same again would not be sent again */
	update(b, 1, msg);
	passed = b->irq.nr_messages != before;
	PROVE(passed == may_pass(msg), "%08x%08x/%08x", msg->address_hi, msg->address_lo,
	      msg->data);
	PROVE(b->m.result == (passed ? VIRTIO_MMIO_MSI_DONE : VIRTIO_MMIO_MSI_E_MESSAGE),
	      "result %u", b->m.result);
	PROVE(passed || !vmmio_msi_is_open(&b->m, 1), "signals pass after a refusal");
}

/* All values of the 16 bits of the data that mean something, with each other bit alone. */
static uint64_t all_data(struct bench *b, uint32_t address_lo, uint32_t address_hi)
{
	struct msi_message msg = { .address_lo = address_lo, .address_hi = address_hi };
	uint64_t cases = 0;

	for (uint32_t low = 0; low <= UINT16_MAX; low++) {
		for (unsigned int bit = 15; bit < 32; bit++, cases++) {
			msg.data = low | (bit > 15 ? 1u << bit : 0);
			check_message(b, &msg);
		}
	}
	return cases;
}

/* All pages that an address can name, and all its other bits. */
static uint64_t all_addresses(struct bench *b, uint32_t data)
{
	struct msi_message msg = { .data = data };
	uint64_t cases = 0;

	for (uint32_t page = 0; page < 1u << 20; page++, cases++) {
		msg.address_lo = page << 12 | (page & 0xfff);
		check_message(b, &msg);
	}
	for (uint32_t low = 0; low < 1u << 12; low++, cases++) {
		msg.address_lo = 0xfee01000 | low;
		check_message(b, &msg);
	}
	for (unsigned int bit = 0; bit < 32; bit++, cases++) {
		msg.address_hi = 1u << bit;
		check_message(b, &msg);
	}
	return cases;
}

static void prove_messages(struct bench *b)
{
	static const uint32_t data[] = { 0x0030, 0x0130, 0x0200, 0x0430, 0x0530, 0x8030, 0x000f };
	uint64_t cases = 0;

	write_reg(b, VIRTIO_MMIO_MSI_CSR, 2, VIRTIO_MMIO_MSI_CSR_ENABLE);
	cases += all_data(b, 0xfee00000, 0);
	cases += all_data(b, 0xfeeff000, 0);
	cases += all_data(b, 0xfed00000, 0);
	cases += all_data(b, 0xfee00000, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++)
		cases += all_addresses(b, data[i]);
	vmmio_msi_reset(&b->m);
	proved("a message reaches the host exactly if it is an interrupt to a CPU", cases);
}

static unsigned int expected_result(uint32_t cmd)
{
	unsigned int code = cmd >> 12;

	if ((cmd & 0xfff) >= NR_VECTORS)
		return VIRTIO_MMIO_MSI_E_VECTOR;
	if (code < VIRTIO_MMIO_MSI_CMD_UPDATE || code > VIRTIO_MMIO_MSI_CMD_UNMASK)
		return VIRTIO_MMIO_MSI_E_COMMAND;
	return VIRTIO_MMIO_MSI_DONE;
}

static unsigned int changed(const struct vmmio_msi *a, const struct vmmio_msi *b)
{
	unsigned int bits = 0;

	for (unsigned int i = 0; i < VMMIO_MSI_MAX_VECTORS; i++)
		if (a->vector[i].state != b->vector[i].state ||
		    a->vector[i].programmed != b->vector[i].programmed ||
		    memcmp(&a->vector[i].msg, &b->vector[i].msg, sizeof(a->vector[i].msg)))
			bits |= 1u << MIN(i, 31u);
	return bits;
}

/* The recorder refuses, by assert(), vectors that there are not. */
static void prove_commands(struct bench *b)
{
	static const struct msi_message msg = { .address_lo = 0xfee00000, .data = 0x30 };
	uint64_t cases = 0;

	for (unsigned int enabled = 0; enabled < 2; enabled++) {
		for (uint32_t cmd = 0; cmd <= UINT16_MAX; cmd++, cases++) {
			struct vmmio_msi before;
			unsigned int own;

			vmmio_msi_reset(&b->m);
			if (enabled)
				write_reg(b, VIRTIO_MMIO_MSI_CSR, 2, VIRTIO_MMIO_MSI_CSR_ENABLE);
			b->m.staged = msg;
			before = b->m;
			write_reg(b, VIRTIO_MMIO_MSI_CMD, 2, cmd);
			PROVE(b->m.result == expected_result(cmd), "command %#x: %u", cmd,
			      b->m.result);
			own = b->m.result == VIRTIO_MMIO_MSI_DONE ? 1u << (cmd & 0xfff) : 0;
			PROVE(!(changed(&before, &b->m) & ~own), "command %#x", cmd);
		}
	}
	proved("a command changes the vector that it names, if there is one, and no other", cases);
}

static void prove_control(struct bench *b)
{
	uint64_t cases = 0;

	for (unsigned int running = 0; running < 2; running++) {
		for (uint32_t val = 0; val <= UINT16_MAX; val++, cases++) {
			uint32_t nr = val & VIRTIO_MMIO_MSI_CSR_NVEC_MASK;
			bool legal = !running && nr <= NR_VECTORS;

			vmmio_msi_reset(&b->m);
			vmmio_msi_write(&b->m, 0, 2, val, running);
			PROVE(b->m.result == (legal ? VIRTIO_MMIO_MSI_DONE :
						      VIRTIO_MMIO_MSI_E_STATE), "%#x", val);
			PROVE(b->m.enabled == (legal && val & VIRTIO_MMIO_MSI_CSR_ENABLE), "%#x",
			      val);
			PROVE(!b->m.enabled || (b->m.nr_used && b->m.nr_used <= NR_VECTORS), "%#x",
			      val);
		}
	}
	proved("the mode changes only before DRIVER_OK and within the vectors there are", cases);
}

/* What can happen to a vector. */
enum op {
	OP_SIGNAL, OP_MASK, OP_UNMASK, OP_UPDATE_A, OP_UPDATE_B, OP_UPDATE_BAD, OP_SETTLE, NR_OPS
};

static void do_op(struct bench *b, enum op op)
{
	static const uint32_t data[NR_OPS] = {
		[OP_UPDATE_A] = 0x30, [OP_UPDATE_B] = 0x31, [OP_UPDATE_BAD] = 0x500,
	};
	struct msi_message msg = { .address_lo = 0xfee00000, .data = data[op] };
	uint64_t one = 1;
	int fd;

	switch (op) {
	case OP_SIGNAL:
		fd = vmmio_msi_begin(&b->m, 1);
		PROVE(fd < 0 || write(fd, &one, sizeof(one)) == sizeof(one), "eventfd");
		break;
	case OP_MASK:		command(b, VIRTIO_MMIO_MSI_CMD_MASK, 1);	break;
	case OP_UNMASK:		command(b, VIRTIO_MMIO_MSI_CMD_UNMASK, 1);	break;
	case OP_UPDATE_A:
	case OP_UPDATE_B:
	case OP_UPDATE_BAD:	update(b, 1, &msg);				break;
	default:
		if (b->irq.in_progress)
			fake_irq_settle(&b->irq, 0);
	}
}

static void settled(void *owner, int result)
{
	PROVE(!result, "%d", result);
	vmmio_msi_settled(owner);
}

/* What must be seen from outside, from the operations alone. */
struct model {
	bool masked, usable, settled, pending;
	char want, have;		/* messages: 0, 'A', 'B' */
	unsigned int due;
};

static void model_op(struct model *m, enum op op)
{
	switch (op) {
	case OP_SIGNAL:		m->pending = true;	break;
	case OP_MASK:		m->masked = true;	break;
	case OP_UNMASK:		m->masked = false;	break;
	case OP_UPDATE_A:
	case OP_UPDATE_B:
		m->usable = true;
		m->want = op == OP_UPDATE_A ? 'A' : 'B';
		break;
	case OP_UPDATE_BAD:	m->usable = false;	break;
	default:		m->have = m->want;
	}
	if (m->pending && !m->masked && m->usable && m->have == m->want) {
		m->pending = false;
		m->due++;
	}
}

/* ops: the sequence as a number to the base NR_OPS. */
static void check_sequence(struct bench *b, uint64_t ops, unsigned int len)
{
	struct model model = { .usable = false };
	uint64_t came = 0;

	vmmio_msi_reset(&b->m);
	b->irq.in_progress = false;
	write_reg(b, VIRTIO_MMIO_MSI_CSR, 2, VIRTIO_MMIO_MSI_CSR_ENABLE);
	for (unsigned int i = 0; i < len; i++, ops /= NR_OPS) {
		do_op(b, ops % NR_OPS);
		model_op(&model, ops % NR_OPS);
		PROVE(vmmio_msi_is_open(&b->m, 1) == (!model.masked && model.usable &&
						      model.have == model.want),
		      "%" PRIu64 " operations to go: %" PRIu64, (uint64_t)(len - i - 1), ops);
	}
	came = fake_irq_signals(&b->irq, 1);
	PROVE(came == model.due, "%" PRIu64 " signals, not %u", came, model.due);
}

static void prove_signals(struct bench *b, unsigned int max_len)
{
	uint64_t cases = 0, n = 1;

	b->irq.deferred = true;
	b->irq.sink.owner = &b->m;
	b->irq.sink.settled = settled;
	for (unsigned int len = 1; len <= max_len; len++) {
		n *= NR_OPS;
		for (uint64_t ops = 0; ops < n; ops++, cases++)
			check_sequence(b, ops, len);
	}
	proved("in each sequence of signals, masks, messages and commits a signal comes once",
	       cases);
}

int main(int argc, char **argv)
{
	struct bench b;

	bench_init(&b);
	prove_messages(&b);
	prove_commands(&b);
	prove_control(&b);
	prove_signals(&b, proof_is_full(argc, argv) ? 8 : 6);
	fake_irq_release(&b.irq);
	return 0;
}
