/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When output is written: at the end of a line, after 256 bytes, and 10 ms
 * after the first byte that waits (a prompt has no end of line). The timer is
 * armed at most once in these 10 ms, so a busy console costs one system call
 * a line and not one a character, and an idle one none. The same timer tells
 * the main thread that there is room for input again.
 *
 * The transmitter is always empty for the guest. The receive FIFO is the
 * front of the host-side backlog, so it refills by itself.
 *
 * The interrupt is an edge for each source that becomes pending. As on the
 * real chip, a handler must look at IIR until nothing is pending.
 */
#include "uart16550.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "log.h"
#include "outring.h"
#include "util.h"
#include "zalloc.h"

#define FIFO_LEN	16u
#define FLUSH_BYTES	256u
#define FLUSH_NS	10000000
#define IIR_FIFO_ON	0xc0
#define IER_BITS	(UART_IER_MSI | UART_IER_RLSI | UART_IER_THRI | UART_IER_RDI)
#define MCR_BITS	(UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_OUT1 | UART_MCR_RTS | \
			 UART_MCR_DTR)
#define MSR_CONNECTED	(UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

struct uart16550 {
	pthread_mutex_t lock;
	int irq_fd;			/* set once */
	int timer_fd;			/* set once */
	void (*sent)(void *ctx, uint8_t byte);	/* set once, as ctx; called with the lock */
	void *ctx;
	struct outring *out;		/* lock, as all below */
	bool timer_armed;
	bool rx_starved;		/* the host was told that there is no room */
	bool thre;			/* transmitter empty, not yet told by IIR */
	bool overrun;
	uint8_t ier, fcr, lcr, mcr, msr_delta, scr, dll, dlm;
	uint8_t pending;		/* IER bits of the sources that interrupt now */
	uint8_t loop[FIFO_LEN];		/* receive FIFO in loopback mode */
	uint32_t loop_len;
	uint32_t rx_start, rx_len;
	uint8_t rx[UART16550_RX_BACKLOG];
	struct uart16550_stats stats;
};

static void arm_timer(struct uart16550 *u, long ns)
{
	struct itimerspec when = { .it_value.tv_nsec = ns };

	timerfd_settime(u->timer_fd, 0, &when, NULL);
	u->timer_armed = true;
}

static bool is_loopback(const struct uart16550 *u)
{
	return u->mcr & UART_MCR_LOOP;
}

/* How many received bytes the guest can see. */
static uint32_t fifo_fill(const struct uart16550 *u)
{
	uint32_t depth = u->fcr & UART_FCR_ENABLE_FIFO ? FIFO_LEN : 1;

	return MIN(is_loopback(u) ? u->loop_len : u->rx_len, depth);
}

static uint8_t msr_lines(const struct uart16550 *u)
{
	if (!is_loopback(u))
		return MSR_CONNECTED;
	return (uint8_t)((u->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
			 (u->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			 (u->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
			 (u->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static uint8_t pending_sources(const struct uart16550 *u)
{
	uint8_t p = 0;

	if (u->overrun)
		p |= UART_IER_RLSI;
	if (fifo_fill(u))
		p |= UART_IER_RDI;
	if (u->thre)
		p |= UART_IER_THRI;
	if (u->msr_delta)
		p |= UART_IER_MSI;
	return p & u->ier;
}

/* OUT2 gates the interrupt line on a PC, except that loopback takes OUT2 away. */
static void update_irq(struct uart16550 *u)
{
	bool gate = u->mcr & UART_MCR_OUT2 && !is_loopback(u);
	uint8_t now = gate ? pending_sources(u) : 0;
	uint64_t one = 1;
	ssize_t n;

	if (now & ~u->pending) {
		u->stats.interrupts++;
		n = write(u->irq_fd, &one, sizeof(one));
		(void)n;	/* EAGAIN: it is signalled already */
	}
	u->pending = now;
}

static uint8_t iir_source(const struct uart16550 *u)
{
	static const uint8_t trigger[] = { 1, 4, 8, 14 };
	uint8_t p = pending_sources(u);

	if (p & UART_IER_RLSI)
		return UART_IIR_RLSI;
	if (p & UART_IER_RDI) {
		bool low = u->fcr & UART_FCR_ENABLE_FIFO && fifo_fill(u) < trigger[u->fcr >> 6];

		return low ? UART_IIR_RX_TIMEOUT : UART_IIR_RDI;
	}
	if (p & UART_IER_THRI)
		return UART_IIR_THRI;
	return p & UART_IER_MSI ? UART_IIR_MSI : UART_IIR_NO_INT;
}

static uint8_t read_iir(struct uart16550 *u)
{
	uint8_t source = iir_source(u);

	if (source == UART_IIR_THRI)
		u->thre = false;
	return source | (u->fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFO_ON : 0);
}

static uint8_t read_loop(struct uart16550 *u)
{
	uint8_t byte = u->loop[0];

	if (!u->loop_len)
		return 0;
	u->loop_len--;
	memmove(u->loop, u->loop + 1, u->loop_len);
	return byte;
}

static void drop_rx(struct uart16550 *u, uint32_t n)
{
	u->rx_len -= n;
	u->rx_start = u->rx_len ? (u->rx_start + n) % UART16550_RX_BACKLOG : 0;
	if (u->rx_starved && u->rx_len <= UART16550_RX_BACKLOG / 2) {
		u->rx_starved = false;
		arm_timer(u, 1);
	}
}

static uint8_t read_rx(struct uart16550 *u)
{
	uint8_t byte = u->rx[u->rx_start];

	if (is_loopback(u))
		return read_loop(u);
	if (!u->rx_len)
		return 0;
	u->stats.rx_bytes++;
	drop_rx(u, 1);
	return byte;
}

static uint8_t read_lsr(struct uart16550 *u)
{
	uint8_t lsr = UART_LSR_TEMT | UART_LSR_THRE;

	lsr |= fifo_fill(u) ? UART_LSR_DR : 0;
	lsr |= u->overrun ? UART_LSR_OE : 0;
	u->overrun = false;
	return lsr;
}

static uint8_t read_msr(struct uart16550 *u)
{
	uint8_t msr = msr_lines(u) | u->msr_delta;

	u->msr_delta = 0;
	return msr;
}

static uint8_t read_register(struct uart16550 *u, uint64_t reg)
{
	bool dlab = u->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:	return dlab ? u->dll : read_rx(u);
	case UART_IER:	return dlab ? u->dlm : u->ier;
	case UART_IIR:	return read_iir(u);
	case UART_LCR:	return u->lcr;
	case UART_MCR:	return u->mcr;
	case UART_LSR:	return read_lsr(u);
	case UART_MSR:	return read_msr(u);
	default:	return u->scr;
	}
}

static void send_out(struct uart16550 *u, uint8_t byte)
{
	bool behind = outring_pending(u->out) > FLUSH_BYTES;

	u->stats.tx_bytes++;
	if (u->sent)
		u->sent(u->ctx, byte);
	outring_put(u->out, byte);
	/*
	 * Once the host is behind, only the timer tries again; and a vCPU,
	 * jailed as it is, leaves sockets to the main thread.
	 */
	if (!behind && outring_is_plain(u->out) &&
	    (byte == '\n' || outring_pending(u->out) >= FLUSH_BYTES))
		outring_flush(u->out);
	if (outring_pending(u->out) && !u->timer_armed)
		arm_timer(u, FLUSH_NS);
}

static void write_thr(struct uart16550 *u, uint8_t byte)
{
	u->thre = true;
	if (!is_loopback(u)) {
		send_out(u, byte);
		return;
	}
	if (u->loop_len == (u->fcr & UART_FCR_ENABLE_FIFO ? FIFO_LEN : 1))
		u->overrun = true;
	else
		u->loop[u->loop_len++] = byte;
}

/* Allowing the transmitter interrupt raises it: the transmitter is empty. */
static void write_ier(struct uart16550 *u, uint8_t val)
{
	if (val & ~u->ier & UART_IER_THRI)
		u->thre = true;
	u->ier = val & IER_BITS;
}

static void write_fcr(struct uart16550 *u, uint8_t val)
{
	bool toggled = (val ^ u->fcr) & UART_FCR_ENABLE_FIFO;

	if (toggled || val & UART_FCR_CLEAR_RCVR) {
		if (!is_loopback(u))
			drop_rx(u, fifo_fill(u));
		u->loop_len = 0;
	}
	u->fcr = val & UART_FCR_ENABLE_FIFO ? val & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK)
					    : 0;
}

/* A changed line leaves its mark; RI only when it falls. */
static void write_mcr(struct uart16550 *u, uint8_t val)
{
	uint8_t old = msr_lines(u), changed;

	if ((val ^ u->mcr) & UART_MCR_LOOP)
		u->loop_len = 0;
	u->mcr = val & MCR_BITS;
	changed = old ^ msr_lines(u);
	if (!is_loopback(u))
		return;
	u->msr_delta |= (uint8_t)((changed & (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)) >> 4);
	if (changed & old & UART_MSR_RI)
		u->msr_delta |= UART_MSR_TERI;
}

static void write_register(struct uart16550 *u, uint64_t reg, uint8_t val)
{
	bool dlab = u->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (dlab)
			u->dll = val;
		else
			write_thr(u, val);
		break;
	case UART_IER:
		if (dlab)
			u->dlm = val;
		else
			write_ier(u, val);
		break;
	case UART_FCR:	write_fcr(u, val);	break;
	case UART_LCR:	u->lcr = val;		break;
	case UART_MCR:	write_mcr(u, val);	break;
	case UART_SCR:	u->scr = val;		break;
	default:	break;		/* LSR and MSR are read-only */
	}
}

/* The chip has an 8-bit bus: wider accesses are nobody's. */
static void uart16550_bus_read(void *ctx, uint64_t off, void *buf, uint32_t len)
{
	struct uart16550 *u = ctx;

	if (len != 1) {
		memset(buf, 0xff, len);
		return;
	}
	pthread_mutex_lock(&u->lock);
	*(uint8_t *)buf = read_register(u, off);
	update_irq(u);
	pthread_mutex_unlock(&u->lock);
}

static void uart16550_bus_write(void *ctx, uint64_t off, const void *buf, uint32_t len)
{
	struct uart16550 *u = ctx;

	if (len != 1)
		return;
	pthread_mutex_lock(&u->lock);
	write_register(u, off, *(const uint8_t *)buf);
	update_irq(u);
	pthread_mutex_unlock(&u->lock);
}

const struct bus_ops uart16550_bus_ops = {
	.read = uart16550_bus_read,
	.write = uart16550_bus_write,
};

size_t uart16550_rx_room(struct uart16550 *u)
{
	size_t room;

	pthread_mutex_lock(&u->lock);
	room = UART16550_RX_BACKLOG - u->rx_len;
	if (!room)
		u->rx_starved = true;
	pthread_mutex_unlock(&u->lock);
	return room;
}

size_t uart16550_receive(struct uart16550 *u, const void *buf, size_t len)
{
	const uint8_t *from = buf;
	size_t n;

	pthread_mutex_lock(&u->lock);
	n = MIN(len, (size_t)(UART16550_RX_BACKLOG - u->rx_len));
	for (size_t i = 0; i < n; i++)
		u->rx[(u->rx_start + u->rx_len++) % UART16550_RX_BACKLOG] = from[i];
	if (n < len)
		u->rx_starved = true;
	update_irq(u);
	pthread_mutex_unlock(&u->lock);
	return n;
}

bool uart16550_flush(struct uart16550 *u)
{
	bool all;

	pthread_mutex_lock(&u->lock);
	all = outring_flush(u->out);
	pthread_mutex_unlock(&u->lock);
	return all;
}

void uart16550_drop(struct uart16550 *u)
{
	pthread_mutex_lock(&u->lock);
	outring_drop(u->out);
	pthread_mutex_unlock(&u->lock);
}

int uart16550_event_fd(const struct uart16550 *u)
{
	return u->timer_fd;
}

void uart16550_service(struct uart16550 *u)
{
	uint64_t expired;
	ssize_t n;

	pthread_mutex_lock(&u->lock);
	n = read(u->timer_fd, &expired, sizeof(expired));
	(void)n;
	u->timer_armed = false;
	if (!outring_flush(u->out))
		arm_timer(u, FLUSH_NS);
	pthread_mutex_unlock(&u->lock);
}

void uart16550_stats(struct uart16550 *u, struct uart16550_stats *s)
{
	pthread_mutex_lock(&u->lock);
	*s = u->stats;
	s->tx_dropped = outring_nr_dropped(u->out);
	s->tx_writes = outring_nr_writes(u->out);
	pthread_mutex_unlock(&u->lock);
}

int uart16550_create(struct uart16550 **out, const struct uart16550_cfg *cfg)
{
	struct uart16550 *u = zalloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	pthread_mutex_init(&u->lock, NULL);
	u->irq_fd = cfg->irq_fd;
	u->sent = cfg->sent;
	u->ctx = cfg->ctx;
	u->dll = 1;		/* 115200 baud */
	u->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (u->timer_fd < 0) {
		ret = log_errno("timer of the serial port");
		goto fail;
	}
	ret = outring_create(&u->out, cfg->out_fd, cfg->out_socket, UART16550_TX_RING);
	if (ret)
		goto fail;
	*out = u;
	return 0;
fail:
	uart16550_free(u);
	return ret;
}

void uart16550_free(struct uart16550 *u)
{
	if (!u)
		return;
	outring_free(u->out);
	if (u->timer_fd >= 0)
		close(u->timer_fd);
	pthread_mutex_destroy(&u->lock);
	free(u);
}
