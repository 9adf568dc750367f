/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16550A serial port.
 *
 * Neither side ever waits for the other. What the guest sends is gathered and
 * written without blocking; what the host cannot take in time is dropped and
 * counted. What the host sends is held up to UART16550_RX_BACKLOG bytes; the
 * caller reads no more from the host than uart16550_rx_room() allows.
 *
 * vCPU threads use the bus ops, the main thread the functions. One lock.
 */
#ifndef MIMSY_UART16550_H
#define MIMSY_UART16550_H

#include <stddef.h>
#include <stdint.h>

#include "bus.h"

#define UART16550_PORTS		8u
#define UART16550_RX_BACKLOG	4096u
#define UART16550_TX_RING	(64u * 1024)

struct uart16550;

struct uart16550_cfg {
	int irq_fd;	/* eventfd of the (edge) interrupt; borrowed */
	int out_fd;	/* O_NONBLOCK, or a socket; -1: output is thrown away; borrowed */
	bool out_socket;
	void (*sent)(void *ctx, uint8_t byte);	/* sees what the guest sends; NULL: nobody */
	void *ctx;
};

int uart16550_create(struct uart16550 **out, const struct uart16550_cfg *cfg);

/* Writes what can be written at once. NULL is allowed. */
void uart16550_free(struct uart16550 *u);

/* ctx is the struct uart16550; the window is UART16550_PORTS long. */
extern const struct bus_ops uart16550_bus_ops;

/*
 * Becomes readable when uart16550_service() has something to do: output is
 * left over, or there is room again for input that was refused.
 */
int uart16550_event_fd(const struct uart16550 *u);
void uart16550_service(struct uart16550 *u);

/* Gives the guest up to len bytes. Returns how many it took. */
size_t uart16550_receive(struct uart16550 *u, const void *buf, size_t len);
size_t uart16550_rx_room(struct uart16550 *u);

/* Writes pending output as far as it goes without blocking. false: something is left. */
bool uart16550_flush(struct uart16550 *u);
void uart16550_drop(struct uart16550 *u);	/* what is left is lost, and counted so */

struct uart16550_stats {
	uint64_t tx_bytes;	/* accepted from the guest */
	uint64_t tx_dropped;	/* of these: the host did not take them */
	uint64_t tx_writes;	/* write(2) calls */
	uint64_t rx_bytes;	/* delivered to the guest */
	uint64_t interrupts;
};

void uart16550_stats(struct uart16550 *u, struct uart16550_stats *s);

#endif
