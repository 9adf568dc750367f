/* SPDX-License-Identifier: Apache-2.0 */
/* A direction gives way after its budget, however much there is to do. */
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_transport.h"
#include "net_hdr.h"
#include "net_rx.h"
#include "net_tx.h"
#include "runner.h"
#include "util.h"

#define RING 16u
#define FRAME 64u
#define NR_FRAMES 5u

static struct guest_mem *mem;
static struct virtq *vq;
static struct vdriver driver;
static struct guest_errors errors;
static int tap[2];

static void setup(void)
{
	ck_assert_int_eq(guest_mem_create(&mem, MIB(1), MIB(1), MIB(1), GUEST_MEM_ANON), 0);
	ck_assert_int_eq(virtq_create(&vq, mem, RING), 0);
	vdriver_init(&driver, mem, 0, RING, false);
	ck_assert_int_eq(virtq_start(vq, &driver.cfg, 1ull << VIRTIO_F_VERSION_1), 0);
	guest_errors_init(&errors, "net0");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, tap),
			 0);
}

static void teardown(void)
{
	virtq_free(vq);
	guest_mem_free(mem);
	close(tap[0]);
	close(tap[1]);
}

/* row N10 */
START_TEST(sending_ends_when_the_budget_is_used_up)
{
	struct net_tx *tx;
	unsigned int nr_done;

	ck_assert_int_eq(net_tx_create(&tx, tap[0], &errors, RING), 0);
	net_tx_queue(tx)->vq = vq;
	for (unsigned int i = 0; i < NR_FRAMES; i++) {
		struct vbuf buf = { vdriver_alloc(&driver, NET_HDR_LEN + FRAME),
				    NET_HDR_LEN + FRAME, false };

		vdriver_add(&driver, &buf, 1);
	}
	vdriver_show(&driver);
	ck_assert_int_eq(net_tx_run(tx, 2, &nr_done), NET_MORE);
	ck_assert_uint_eq(nr_done, 2);
	ck_assert_int_eq(net_tx_run(tx, RING, &nr_done), NET_IDLE);
	ck_assert_uint_eq(nr_done, NR_FRAMES - 2);
	net_tx_free(tx);
}
END_TEST

static unsigned int nr_used(void)
{
	uint16_t idx;

	memcpy(&idx, driver.used + 2, sizeof(idx));
	return idx;
}

/* row N10 */
START_TEST(receiving_ends_when_the_budget_is_used_up)
{
	uint8_t frame[NET_HDR_LEN + FRAME] = { 0 };
	struct net_rx *rx;

	ck_assert_int_eq(net_rx_create(&rx, tap[0], &errors, RING), 0);
	net_rx_queue(rx)->vq = vq;
	driver.avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
	net_rx_reset(rx);
	for (unsigned int i = 0; i < NR_FRAMES; i++) {
		struct vbuf buf = { vdriver_alloc(&driver, 2048), 2048, true };

		vdriver_add(&driver, &buf, 1);
		ck_assert_int_eq(write(tap[1], frame, sizeof(frame)), sizeof(frame));
	}
	vdriver_show(&driver);
	ck_assert_int_eq(net_rx_run(rx, 2), NET_MORE);
	ck_assert_uint_eq(nr_used(), 2);
	ck_assert_int_eq(net_rx_run(rx, RING), NET_NO_BUFFERS);
	ck_assert_uint_eq(nr_used(), NR_FRAMES);
	net_rx_free(rx);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("net_budget");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, sending_ends_when_the_budget_is_used_up);
	tcase_add_test(tc, receiving_ends_when_the_budget_is_used_up);
	suite_add_tcase(s, tc);
	return s;
}
