/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest on the ports, a host on the other side. Nothing blocks, no byte
 * comes twice or out of order. Rows C1 to C3 of docs/hostile-cases.md.
 */
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fuzz.h"
#include "uart16550.h"
#include "util.h"

#define MAX_OPS 256u

static int irq_fd, null_fd;

struct model {
	struct uart16550 *u;
	bool in_order;		/* no loopback and no cleared FIFO so far */
	uint8_t lcr;
	uint8_t next_in, next_out;	/* what the host sends next, the guest gets next */
	uint64_t nr_in, nr_out;
};

static void check_interrupts(struct model *m, uint64_t before)
{
	struct uart16550_stats s;
	eventfd_t n = 0;

	eventfd_read(irq_fd, &n);
	uart16550_stats(m->u, &s);
	FUZZ_CHECK(s.interrupts - before == n);
	FUZZ_CHECK(s.tx_dropped <= s.tx_bytes);
	FUZZ_CHECK(s.rx_bytes <= m->nr_in);
}

static void guest_reads(struct model *m, struct fuzz_input *in)
{
	static const uint8_t widths[] = { 1, 1, 1, 1, 1, 2, 4, 8 };
	uint8_t how = fuzz_u8(in), buf[8] = { 0 };
	uint32_t len = widths[how >> 5];
	uint64_t port = how % UART16550_PORTS;
	uint8_t lsr = 0;

	if (port + len > UART16550_PORTS)
		return;
	if (m->in_order && port == UART_RX && len == 1)
		uart16550_bus_ops.read(m->u, UART_LSR, &lsr, 1);
	uart16550_bus_ops.read(m->u, port, buf, len);
	if (port == UART_LSR && len == 1)
		FUZZ_CHECK((buf[0] & (UART_LSR_TEMT | UART_LSR_THRE)) ==
			   (UART_LSR_TEMT | UART_LSR_THRE));
	if (!(lsr & UART_LSR_DR) || m->lcr & UART_LCR_DLAB)
		return;
	FUZZ_CHECK(buf[0] == m->next_out++);
	FUZZ_CHECK(++m->nr_out <= m->nr_in);
}

static void guest_writes(struct model *m, struct fuzz_input *in)
{
	uint8_t port = fuzz_u8(in) % UART16550_PORTS, val = fuzz_u8(in);

	if (port == UART_LCR)
		m->lcr = val;
	if ((port == UART_FCR && val) || (port == UART_MCR && val & UART_MCR_LOOP))
		m->in_order = false;
	uart16550_bus_ops.write(m->u, port, &val, 1);
}

/* "rep outsb" of up to a few KiB. */
static void guest_floods(struct model *m, struct fuzz_input *in)
{
	uint32_t n = fuzz_u8(in) * 16u;
	uint8_t byte = fuzz_u8(in);

	while (n--)
		uart16550_bus_ops.write(m->u, UART_TX, &byte, 1);
}

static void host_sends(struct model *m, struct fuzz_input *in)
{
	static uint8_t buf[UART16550_RX_BACKLOG + 16];
	size_t len = fuzz_u8(in), room = uart16550_rx_room(m->u), n;

	len = len & 1 ? len * 32 : len;
	len = MIN(len, sizeof(buf));
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(m->next_in + i);
	n = uart16550_receive(m->u, buf, len);
	FUZZ_CHECK(n == MIN(len, room));
	m->next_in = (uint8_t)(m->next_in + n);
	m->nr_in += n;
}

static void step(struct model *m, struct fuzz_input *in)
{
	struct uart16550_stats s;

	uart16550_stats(m->u, &s);
	switch (fuzz_u8(in) % 8) {
	case 0: case 1:		guest_reads(m, in);		break;
	case 2: case 3:		guest_writes(m, in);		break;
	case 4:			guest_floods(m, in);		break;
	case 5:			host_sends(m, in);		break;
	case 6:			uart16550_service(m->u);	break;
	default:		uart16550_flush(m->u);
	}
	check_interrupts(m, s.interrupts);
}

void fuzz_setup(void)
{
	irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	FUZZ_CHECK(irq_fd >= 0 && null_fd >= 0);
}

/* Nobody reads from a pipe: the output is stuck once it is full. */
void fuzz_one(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	int fd[2] = { -1, -1 };
	struct uart16550_cfg cfg = { .irq_fd = irq_fd, .out_fd = how & 1 ? null_fd : -1 };
	struct model m = { .in_order = true };
	eventfd_t left;

	if (how % 16 == 2 && !pipe2(fd, O_CLOEXEC))
		cfg.out_fd = fd[1];
	FUZZ_CHECK(!uart16550_create(&m.u, &cfg));
	for (unsigned int i = 0; i < MAX_OPS && fuzz_left(in); i++)
		step(&m, in);
	uart16550_free(m.u);
	eventfd_read(irq_fd, &left);
	if (fd[0] >= 0) {
		close(fd[0]);
		close(fd[1]);
	}
}
