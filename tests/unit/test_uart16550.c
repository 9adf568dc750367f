/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runner.h"
#include "uart16550.h"
#include "util.h"

static struct uart16550 *u;
static int irq_fd, host_fd, guest_fd;	/* host_fd reads what the guest sends */

static void create_on(struct uart16550_cfg cfg)
{
	irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	cfg.irq_fd = irq_fd;
	ck_assert_int_eq(uart16550_create(&u, &cfg), 0);
}

static void create(int out_fd)
{
	create_on((struct uart16550_cfg){ .out_fd = out_fd });
}

static void setup(void)
{
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	host_fd = fd[0];
	guest_fd = fd[1];
	ck_assert_int_eq(fcntl(guest_fd, F_SETFL, O_NONBLOCK), 0);
	create(guest_fd);
}

static void teardown(void)
{
	uart16550_free(u);
	close(irq_fd);
	close(host_fd);
	close(guest_fd);
}

static uint8_t in(uint64_t reg)
{
	uint8_t val = 0;

	uart16550_bus_ops.read(u, reg, &val, 1);
	return val;
}

static void out(uint64_t reg, uint8_t val)
{
	uart16550_bus_ops.write(u, reg, &val, 1);
}

static uint64_t irqs(void)
{
	uint64_t count = 0;

	if (read(irq_fd, &count, sizeof(count)) < 0)
		return 0;
	return count;
}

static void say(const char *s)
{
	for (; *s; s++)
		out(UART_TX, (uint8_t)*s);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void expect_output(const char *s)
{
	char got[256] = "";

	ck_assert(readable(host_fd, 1000));
	ck_assert_int_eq(read(host_fd, got, sizeof(got) - 1), (ssize_t)strlen(s));
	ck_assert_str_eq(got, s);
}

START_TEST(a_line_is_written_at_once_in_one_write)
{
	struct uart16550_stats s;

	say("hello\n");
	expect_output("hello\n");
	uart16550_stats(u, &s);
	ck_assert_uint_eq(s.tx_writes, 1);
	ck_assert_uint_eq(s.tx_bytes, 6);
}
END_TEST

START_TEST(a_prompt_without_newline_is_written_soon)
{
	say("login: ");
	ck_assert(!readable(host_fd, 0));
	ck_assert(readable(uart16550_event_fd(u), 1000));
	uart16550_service(u);
	expect_output("login: ");
	ck_assert(!readable(uart16550_event_fd(u), 50));
}
END_TEST

START_TEST(flush_writes_what_is_pending)
{
	say("x");
	uart16550_flush(u);
	expect_output("x");
}
END_TEST

/* row C2 */
START_TEST(what_nobody_takes_can_be_dropped_and_is_counted)
{
	struct uart16550_stats s;

	for (int i = 0; i < 100000; i++)
		out(UART_TX, 'x');
	ck_assert(!uart16550_flush(u));
	uart16550_drop(u);
	ck_assert(uart16550_flush(u));
	uart16550_stats(u, &s);
	ck_assert_uint_ge(s.tx_dropped, 100000 - 65536);
}
END_TEST

/* rows C2, C5 */
START_TEST(a_reader_that_stopped_costs_bytes_but_never_blocks)
{
	enum { N = 300000 };
	struct uart16550_stats s;
	uint64_t got = 0;
	char buf[4096];

	for (int i = 0; i < N; i++)
		out(UART_TX, i % 80 ? 'x' : '\n');
	uart16550_stats(u, &s);
	ck_assert_uint_eq(s.tx_bytes, N);
	ck_assert_uint_ge(s.tx_dropped, N - UART16550_TX_RING - 65536 - 4096);
	ck_assert_uint_lt(s.tx_writes, 20000);
	while (readable(host_fd, 0) || (uart16550_flush(u), readable(host_fd, 0)))
		got += (uint64_t)read(host_fd, buf, sizeof(buf));
	ck_assert_uint_eq(got + s.tx_dropped, N);
}
END_TEST

/* row C2 */
START_TEST(output_goes_on_when_the_reader_comes_back)
{
	char buf[65536];

	for (int i = 0; i < 100000; i++)
		out(UART_TX, 'x');
	while (readable(uart16550_event_fd(u), 200)) {
		uart16550_service(u);
		while (readable(host_fd, 0))
			ck_assert_int_gt(read(host_fd, buf, sizeof(buf)), 0);
	}
	say("end\n");
	expect_output("end\n");
}
END_TEST

/* row C2 */
START_TEST(a_closed_reader_is_survived)
{
	struct uart16550_stats s;

	close(host_fd);
	say("one\ntwo\n");
	uart16550_stats(u, &s);
	ck_assert_uint_eq(s.tx_dropped, 8);
	ck_assert_uint_eq(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}
END_TEST

/* row C2 */
START_TEST(a_full_device_is_survived)
{
	struct uart16550_stats s;

	teardown();
	host_fd = guest_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	create(guest_fd);
	say("one\n");
	uart16550_stats(u, &s);
	ck_assert_uint_eq(s.tx_dropped, 4);
	host_fd = -1;
}
END_TEST

/* row C2 */
START_TEST(a_socket_that_is_full_does_not_block)
{
	int fd[2];

	teardown();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	host_fd = fd[0];
	guest_fd = fd[1];
	create_on((struct uart16550_cfg){ .out_fd = guest_fd, .out_socket = true });
	say("hi\n");
	uart16550_service(u);
	expect_output("hi\n");
	for (int i = 0; i < 1000000; i++)
		out(UART_TX, 'x');
}
END_TEST

START_TEST(no_output_descriptor_throws_all_away)
{
	struct uart16550_stats s;

	teardown();
	host_fd = guest_fd = -1;
	create(-1);
	say("hello\n");
	uart16550_stats(u, &s);
	ck_assert_uint_eq(s.tx_dropped, 6);
}
END_TEST

static char seen[8];

static void see(void *ctx, uint8_t byte)
{
	size_t *n = ctx;

	ck_assert_uint_lt(*n, sizeof(seen));
	seen[(*n)++] = (char)byte;
}

/* All of it, whether the host takes it or not, and nothing that the guest sends to itself. */
START_TEST(the_watcher_sees_what_the_guest_sends)
{
	size_t n = 0;
	struct uart16550_cfg cfg = { .irq_fd = irq_fd, .out_fd = -1, .sent = see, .ctx = &n };

	uart16550_free(u);
	ck_assert_int_eq(uart16550_create(&u, &cfg), 0);
	say("hi\n");
	out(UART_MCR, UART_MCR_LOOP);
	say("no");
	ck_assert_uint_eq(n, 3);
	ck_assert_mem_eq(seen, "hi\n", 3);
}
END_TEST

START_TEST(received_bytes_are_read_in_order)
{
	ck_assert_uint_eq(uart16550_receive(u, "abc", 3), 3);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);	/* switching clears the FIFO: one byte deep */
	ck_assert_uint_eq(in(UART_LSR) & UART_LSR_DR, UART_LSR_DR);
	ck_assert_uint_eq(in(UART_RX), 'b');
	ck_assert_uint_eq(in(UART_RX), 'c');
	ck_assert_uint_eq(in(UART_LSR) & UART_LSR_DR, 0);
	ck_assert_uint_eq(in(UART_RX), 0);
}
END_TEST

/* row C1 */
START_TEST(a_guest_that_does_not_read_stops_the_host)
{
	uint8_t buf[UART16550_RX_BACKLOG + 100];

	memset(buf, 'x', sizeof(buf));
	ck_assert_uint_eq(uart16550_rx_room(u), UART16550_RX_BACKLOG);
	ck_assert_uint_eq(uart16550_receive(u, buf, sizeof(buf)), UART16550_RX_BACKLOG);
	ck_assert_uint_eq(uart16550_rx_room(u), 0);
	ck_assert_uint_eq(uart16550_receive(u, buf, 1), 0);
}
END_TEST

START_TEST(the_host_is_told_when_there_is_room_again)
{
	uint8_t buf[UART16550_RX_BACKLOG + 1] = { 0 };

	uart16550_receive(u, buf, sizeof(buf));
	for (unsigned int i = 0; i < UART16550_RX_BACKLOG / 2 - 1; i++)
		in(UART_RX);
	ck_assert(!readable(uart16550_event_fd(u), 20));
	in(UART_RX);
	ck_assert(readable(uart16550_event_fd(u), 1000));
	uart16550_service(u);
	ck_assert_uint_eq(uart16550_rx_room(u), UART16550_RX_BACKLOG / 2);
}
END_TEST

#define INTERRUPTS_ON UART_MCR_OUT2

START_TEST(received_data_interrupts_and_is_identified)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
	out(UART_MCR, INTERRUPTS_ON);
	out(UART_IER, UART_IER_RDI);
	uart16550_receive(u, "a", 1);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_RX_TIMEOUT);
	uart16550_receive(u, "0123456789", 10);
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_RDI);
	for (int i = 0; i < 11; i++)
		in(UART_RX);
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_NO_INT);
	uart16550_receive(u, "b", 1);
	ck_assert_uint_eq(irqs(), 1);
}
END_TEST

START_TEST(data_that_was_there_before_interrupts_when_it_is_enabled)
{
	uart16550_receive(u, "a", 1);
	out(UART_MCR, INTERRUPTS_ON);
	ck_assert_uint_eq(irqs(), 0);
	out(UART_IER, UART_IER_RDI);
	ck_assert_uint_eq(irqs(), 1);
}
END_TEST

START_TEST(without_out2_nothing_interrupts)
{
	out(UART_IER, UART_IER_RDI | UART_IER_THRI);
	uart16550_receive(u, "a", 1);
	ck_assert_uint_eq(irqs(), 0);
	out(UART_MCR, INTERRUPTS_ON);
	ck_assert_uint_eq(irqs(), 1);
}
END_TEST

START_TEST(enabling_the_transmitter_interrupt_raises_it_and_reading_iir_clears_it)
{
	out(UART_MCR, INTERRUPTS_ON);
	out(UART_IER, UART_IER_THRI);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(in(UART_IIR), UART_IIR_THRI);
	ck_assert_uint_eq(in(UART_IIR), UART_IIR_NO_INT);
	out(UART_TX, 'x');
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(in(UART_IIR), UART_IIR_THRI);
}
END_TEST

START_TEST(a_burst_of_sixteen_bytes_costs_one_interrupt)
{
	out(UART_MCR, INTERRUPTS_ON);
	out(UART_IER, UART_IER_THRI);
	in(UART_IIR);
	irqs();
	say("0123456789abcdef");
	ck_assert_uint_eq(irqs(), 1);
}
END_TEST

START_TEST(the_divisor_latch_hides_data_and_ier)
{
	out(UART_LCR, UART_LCR_DLAB);
	out(UART_DLL, 0x12);
	out(UART_DLM, 0x34);
	ck_assert_uint_eq(in(UART_DLL), 0x12);
	ck_assert_uint_eq(in(UART_DLM), 0x34);
	out(UART_LCR, UART_LCR_WLEN8);
	ck_assert_uint_eq(in(UART_IER), 0);
	ck_assert_uint_eq(in(UART_LCR), UART_LCR_WLEN8);
	uart16550_flush(u);
	ck_assert(!readable(host_fd, 0));
}
END_TEST

START_TEST(only_the_low_four_bits_of_ier_exist)
{
	out(UART_IER, 0xff);
	ck_assert_uint_eq(in(UART_IER), 0x0f);
}
END_TEST

START_TEST(the_scratch_register_keeps_every_value)
{
	out(UART_SCR, (uint8_t)_i);
	ck_assert_uint_eq(in(UART_SCR), _i);
}
END_TEST

START_TEST(the_fifo_shows_in_iir_as_a_16550a)
{
	ck_assert_uint_eq(in(UART_IIR) >> 6, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	ck_assert_uint_eq(in(UART_IIR) >> 6, 3);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	ck_assert_uint_eq(in(UART_IIR) >> 5, 6);
}
END_TEST

/* What drivers do to find out whether there is a port. */
START_TEST(loopback_connects_outputs_to_inputs)
{
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	ck_assert_uint_eq(in(UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1 | UART_MCR_DTR);
	ck_assert_uint_eq(in(UART_MSR) & 0xf0, UART_MSR_RI | UART_MSR_DSR);
	out(UART_MCR, 0);
	ck_assert_uint_eq(in(UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
}
END_TEST

/* row C3 */
START_TEST(loopback_returns_bytes_and_sends_none)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, UART_MCR_LOOP);
	say("ab\n");
	ck_assert(!readable(host_fd, 0));
	ck_assert_uint_eq(in(UART_RX), 'a');
	ck_assert_uint_eq(in(UART_RX), 'b');
	ck_assert_uint_eq(in(UART_RX), '\n');
	ck_assert_uint_eq(in(UART_LSR) & UART_LSR_DR, 0);
}
END_TEST

/* row C3 */
START_TEST(too_many_looped_bytes_are_an_overrun_that_reading_lsr_clears)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, UART_MCR_LOOP);
	say("0123456789abcdefX");
	ck_assert_uint_eq(in(UART_LSR) & UART_LSR_OE, UART_LSR_OE);
	ck_assert_uint_eq(in(UART_LSR) & UART_LSR_OE, 0);
	ck_assert_uint_eq(in(UART_RX), '0');
}
END_TEST

START_TEST(clearing_the_receiver_drops_what_is_in_the_fifo)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	uart16550_receive(u, "0123456789abcdefX", 17);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	ck_assert_uint_eq(in(UART_RX), 'X');
}
END_TEST

static const uint32_t wide[] = { 2, 4, 8 };

/* row C3 */
START_TEST(wide_accesses_read_ones_and_write_nothing)
{
	uint8_t val[8] = { 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x' };
	uint8_t ones[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	uart16550_bus_ops.write(u, UART_TX, val, wide[_i]);
	uart16550_flush(u);
	ck_assert(!readable(host_fd, 0));
	uart16550_bus_ops.read(u, UART_IER, val, wide[_i]);
	ck_assert_mem_eq(val, ones, wide[_i]);
}
END_TEST

/* row C3 */
START_TEST(all_registers_take_all_values)
{
	for (unsigned int pass = 0; pass < 4; pass++) {
		for (unsigned int val = 0; val < 256; val++) {
			for (uint64_t reg = 0; reg < UART16550_PORTS; reg++) {
				out(reg, (uint8_t)(val * (2 * pass + 1)));
				in(reg);
			}
		}
	}
	out(UART_LCR, 0);
	ck_assert_uint_eq(in(UART_LSR) & UART_LSR_THRE, UART_LSR_THRE);
}
END_TEST

static void *sender(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++)
		out(UART_TX, i % 60 ? 'a' : '\n');
	return NULL;
}

START_TEST(two_vcpus_and_the_main_thread_lose_no_byte)
{
	struct uart16550_stats s;
	pthread_t thread[2];
	char buf[65536];
	uint64_t got = 0;

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, sender, NULL), 0);
	for (int ms = 0; got < 40000 && ms < 10000; ms += 10) {
		if (readable(host_fd, 10))
			got += (uint64_t)read(host_fd, buf, sizeof(buf));
		uart16550_service(u);
		uart16550_receive(u, "x", 1);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	uart16550_stats(u, &s);
	ck_assert_uint_eq(got, 40000);
	ck_assert_uint_eq(s.tx_dropped, 0);
}
END_TEST

static void add_output(TCase *tc)
{
	tcase_add_test(tc, a_line_is_written_at_once_in_one_write);
	tcase_add_test(tc, a_prompt_without_newline_is_written_soon);
	tcase_add_test(tc, flush_writes_what_is_pending);
	tcase_add_test(tc, what_nobody_takes_can_be_dropped_and_is_counted);
	tcase_add_test(tc, a_reader_that_stopped_costs_bytes_but_never_blocks);
	tcase_add_test(tc, output_goes_on_when_the_reader_comes_back);
	tcase_add_test(tc, a_closed_reader_is_survived);
	tcase_add_test(tc, a_full_device_is_survived);
	tcase_add_test(tc, a_socket_that_is_full_does_not_block);
	tcase_add_test(tc, no_output_descriptor_throws_all_away);
	tcase_add_test(tc, two_vcpus_and_the_main_thread_lose_no_byte);
}

static void add_input(TCase *tc)
{
	tcase_add_test(tc, the_watcher_sees_what_the_guest_sends);
	tcase_add_test(tc, received_bytes_are_read_in_order);
	tcase_add_test(tc, a_guest_that_does_not_read_stops_the_host);
	tcase_add_test(tc, the_host_is_told_when_there_is_room_again);
	tcase_add_test(tc, received_data_interrupts_and_is_identified);
	tcase_add_test(tc, data_that_was_there_before_interrupts_when_it_is_enabled);
	tcase_add_test(tc, without_out2_nothing_interrupts);
	tcase_add_test(tc, clearing_the_receiver_drops_what_is_in_the_fifo);
}

static void add_registers(TCase *tc)
{
	tcase_add_test(tc, enabling_the_transmitter_interrupt_raises_it_and_reading_iir_clears_it);
	tcase_add_test(tc, a_burst_of_sixteen_bytes_costs_one_interrupt);
	tcase_add_test(tc, the_divisor_latch_hides_data_and_ier);
	tcase_add_test(tc, only_the_low_four_bits_of_ier_exist);
	tcase_add_loop_test(tc, the_scratch_register_keeps_every_value, 0, 256);
	tcase_add_test(tc, the_fifo_shows_in_iir_as_a_16550a);
	tcase_add_test(tc, loopback_connects_outputs_to_inputs);
	tcase_add_test(tc, loopback_returns_bytes_and_sends_none);
	tcase_add_test(tc, too_many_looped_bytes_are_an_overrun_that_reading_lsr_clears);
	tcase_add_loop_test(tc, wide_accesses_read_ones_and_write_nothing, 0, ARRAY_SIZE(wide));
	tcase_add_test(tc, all_registers_take_all_values);
}

Suite *test_suite(void)
{
	Suite *s = suite_create("uart16550");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	add_output(tc);
	add_input(tc);
	add_registers(tc);
	suite_add_tcase(s, tc);
	return s;
}
