/* SPDX-License-Identifier: Apache-2.0 */
/* What vhost-net is told, on any machine: the kernel's part is played here. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake_ioctl.h"
#include "fake_transport.h"
#include "runner.h"
#include "util.h"
#include "virtio_net.h"

#define RING 64u
#define PAIRS 2u
#define CTRL (2 * PAIRS)
#define RX 0u
#define TX 1u
#define BIT(n) (1ull << (n))
#define ALL_RING_FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF) | \
			   BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC))

/* One for each pair. */
struct kernel_side {
	int fd;
	uint64_t features;
	unsigned int nr_regions;
	struct vhost_memory_region region;
	unsigned int num[2], base[2];
	struct vhost_vring_addr addr[2];
	int kick[2], call[2], err[2], backend[2];
};

static struct kernel_side side[PAIRS];
static uint64_t offered;		/* what the kernel can do */
static unsigned int nr_calls, fail_at;	/* the call with this number fails; 0: none */
static int eno;

static struct fake_transport *ft;
static struct virtio_dev *dev;
static struct net_backend be;
static struct virtio_net_cfg cfg;

static void take_file(int to[2], const struct vhost_vring_file *f)
{
	ck_assert_uint_lt(f->index, 2);
	to[f->index] = f->fd;
}

static void take_memory(struct kernel_side *k, const struct vhost_memory *m)
{
	k->nr_regions = m->nregions;
	k->region = m->regions[0];
}

static int record(struct kernel_side *k, unsigned long request, void *arg)
{
	const struct vhost_vring_state *state = arg;
	const struct vhost_vring_addr *addr = arg;

	switch (request) {
	case VHOST_SET_VRING_NUM:
	case VHOST_SET_VRING_BASE:
		if (k->backend[state->index] != VHOST_FILE_UNBIND)
			return -EBUSY;		/* as vhost_vring_ioctl() in the kernel */
	}
	switch (request) {
	case VHOST_GET_FEATURES:	*(uint64_t *)arg = offered;		break;
	case VHOST_SET_FEATURES:	k->features = *(uint64_t *)arg;		break;
	case VHOST_SET_OWNER:							break;
	case VHOST_SET_MEM_TABLE:	take_memory(k, arg);			break;
	case VHOST_SET_VRING_NUM:	k->num[state->index] = state->num;	break;
	case VHOST_SET_VRING_BASE:	k->base[state->index] = state->num;	break;
	case VHOST_SET_VRING_ADDR:	k->addr[addr->index] = *addr;		break;
	case VHOST_SET_VRING_KICK:	take_file(k->kick, arg);		break;
	case VHOST_SET_VRING_CALL:	take_file(k->call, arg);		break;
	case VHOST_SET_VRING_ERR:	take_file(k->err, arg);			break;
	case VHOST_NET_SET_BACKEND:	take_file(k->backend, arg);		break;
	default:			ck_abort_msg("vhost request %#lx", request);
	}
	return 0;
}

static int answer(int fd, unsigned long request, void *arg)
{
	for (unsigned int i = 0; i < PAIRS; i++) {
		if (fd != side[i].fd)
			continue;
		if (++nr_calls == fail_at)
			return -eno;
		return record(&side[i], request, arg);
	}
	return FAKE_IOCTL_PASS;
}

static void be_free(struct net_backend *b)
{
	for (unsigned int i = 0; i < PAIRS; i++)
		close(b->fd[i]);
}

static atomic_bool command_runs, hold_commands;

/* Carries a command out on pair 0's thread; with hold_commands it takes a while. */
static int set_pairs(struct net_backend *b, unsigned int n)
{
	(void)b, (void)n;
	if (!atomic_load(&hold_commands))
		return 0;
	atomic_store(&command_runs, true);
	for (int ms = 0; ms < 300 && atomic_load(&hold_commands); ms++)
		usleep(1000);
	return 0;
}

static bool link_is_up(struct net_backend *b)
{
	(void)b;
	return true;
}

static const struct net_backend_ops be_ops = {
	.set_pairs = set_pairs, .link_is_up = link_is_up, .free = be_free,
};

static void prepare(enum virtio_net_vhost vhost)
{
	be = (struct net_backend){ .ops = &be_ops, .nr_pairs = PAIRS, .is_tap = true,
				   .link_fd = -1 };
	for (unsigned int i = 0; i < PAIRS; i++) {
		memset(&side[i], 0, sizeof(side[i]));
		side[i].backend[RX] = side[i].backend[TX] = VHOST_FILE_UNBIND;
		side[i].fd = be.vhost_fd[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		be.fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);	/* never looked at */
	}
	cfg = (struct virtio_net_cfg)VIRTIO_NET_CFG_DEFAULT;
	cfg.pairs = PAIRS;
	cfg.queue_size = RING;
	cfg.vhost = vhost;
	offered = ALL_RING_FEATURES | BIT(VIRTIO_F_NOTIFY_ON_EMPTY);
	nr_calls = fail_at = 0;
	eno = EFAULT;
	fake_ioctl_set(answer);
}

static int create(void)
{
	return virtio_net_create(&dev, &cfg, &be, "net0");
}

static int start(void)
{
	return fake_start(ft, dev->features | BIT(VIRTIO_F_VERSION_1));
}

static void setup(void)
{
	prepare(VIRTIO_NET_VHOST_ON);
	ck_assert_int_eq(create(), 0);
	ft = fake_transport_create(dev, RING);
	ck_assert_int_eq(start(), 0);
}

static void teardown(void)
{
	fake_transport_free(ft);
	for (unsigned int i = 0; i < PAIRS; i++)
		close(side[i].fd);
}

START_TEST(the_kernel_gets_rings_and_memory_as_we_see_them)
{
	for (unsigned int q = 0; q < 2; q++) {
		struct vdriver *d = fake_driver(ft, q);

		ck_assert_uint_eq(side[0].num[q], RING);
		ck_assert_uint_eq(side[0].base[q], 0);
		ck_assert_uint_eq(side[0].addr[q].desc_user_addr, (uintptr_t)d->desc);
		ck_assert_uint_eq(side[0].addr[q].avail_user_addr, (uintptr_t)d->avail);
		ck_assert_uint_eq(side[0].addr[q].used_user_addr, (uintptr_t)d->used);
		ck_assert_uint_eq(side[0].addr[q].flags, 0);
	}
	ck_assert_uint_eq(side[0].nr_regions, 2);
	ck_assert_uint_eq(side[0].region.guest_phys_addr, 0);
	ck_assert_uint_eq(side[0].region.userspace_addr,
			  (uintptr_t)vdriver_ptr(fake_driver(ft, 0), 0));
}
END_TEST

START_TEST(the_kernel_gets_the_features_of_rings_and_no_others)
{
	ck_assert_uint_eq(side[0].features, ALL_RING_FEATURES);
	ck_assert_uint_eq(fake_stat(ft, "vhost"), 1);
}
END_TEST

START_TEST(only_the_first_pair_gets_its_tap_at_the_start)
{
	ck_assert_int_eq(side[0].backend[0], be.fd[0]);
	ck_assert_int_eq(side[0].backend[1], be.fd[0]);
	ck_assert_int_eq(side[1].backend[0], VHOST_FILE_UNBIND);
}
END_TEST

static uint8_t command_pairs(uint8_t n)
{
	struct vdriver *d = fake_driver(ft, CTRL);
	gpa_t gpa = vdriver_alloc(d, 5);
	struct vbuf buf[2] = { { gpa, 4, false }, { gpa + 4, 1, true } };
	uint16_t head;
	uint32_t len;

	memcpy(vdriver_ptr(d, gpa), (uint8_t[]){ VIRTIO_NET_CTRL_MQ, 0, n, 0, 0xee }, 5);
	vdriver_add(d, buf, 2);
	fake_kick(ft, CTRL);
	fake_wait_used(ft, CTRL, &head, &len);
	return *((uint8_t *)vdriver_ptr(d, gpa) + 4);
}

START_TEST(a_pair_gets_its_tap_when_the_driver_turns_it_on_and_loses_it_again)
{
	ck_assert_uint_eq(command_pairs(2), VIRTIO_NET_OK);
	ck_assert_int_eq(side[1].backend[RX], be.fd[1]);
	ck_assert_int_eq(side[1].backend[TX], be.fd[1]);
	ck_assert_uint_eq(command_pairs(1), VIRTIO_NET_OK);
	ck_assert_int_eq(side[1].backend[RX], VHOST_FILE_UNBIND);
	ck_assert_int_eq(side[0].backend[RX], be.fd[0]);
}
END_TEST

START_TEST(a_signal_goes_straight_to_the_interrupt)
{
	eventfd_write(side[0].call[RX], 1);
	ck_assert(fake_wait_irq(ft, RX, 5000));
	ck_assert_uint_eq(fake_queue_stat(ft, RX, "interrupts"), 0);
}
END_TEST

/* _i: the queue. */
START_TEST(while_masked_a_signal_takes_the_way_through_our_thread)
{
	unsigned int q = (unsigned int)_i;
	int direct = side[0].call[q];

	fake_mask(ft, q, true);
	ck_assert_int_ne(side[0].call[q], direct);
	eventfd_write(side[0].call[q], 1);
	for (int ms = 0; ms < 5000 && !fake_queue_stat(ft, q, "interrupts"); ms++)
		usleep(1000);
	ck_assert_uint_eq(fake_queue_stat(ft, q, "interrupts"), 1);
	fake_mask(ft, q, false);
	ck_assert_int_eq(side[0].call[q], direct);
}
END_TEST

/* row N11 */
START_TEST(a_ring_that_the_kernel_gave_up_asks_for_a_reset)
{
	eventfd_write(side[0].err[TX], 1);
	ck_assert(fake_wait_reset(ft));
}
END_TEST

START_TEST(a_stop_takes_the_tap_and_the_doorbells_away)
{
	fake_stop(ft);
	for (unsigned int q = 0; q < 2; q++) {
		ck_assert_int_eq(side[0].backend[q], VHOST_FILE_UNBIND);
		ck_assert_int_eq(side[0].kick[q], VHOST_FILE_UNBIND);
		ck_assert_int_eq(side[0].call[q], VHOST_FILE_UNBIND);
	}
	ck_assert_int_eq(start(), 0);
	ck_assert_int_eq(side[0].backend[RX], be.fd[0]);
}
END_TEST

/* The command would attach pair 0 again. rows N8, N11 */
START_TEST(a_stop_amid_a_command_leaves_no_ring_with_the_kernel)
{
	struct vdriver *d = fake_driver(ft, CTRL);
	gpa_t gpa = vdriver_alloc(d, 5);
	struct vbuf buf[2] = { { gpa, 4, false }, { gpa + 4, 1, true } };

	memcpy(vdriver_ptr(d, gpa), (uint8_t[]){ VIRTIO_NET_CTRL_MQ, 0, 2, 0, 0xee }, 5);
	atomic_store(&hold_commands, true);
	vdriver_add(d, buf, 2);
	fake_kick(ft, CTRL);
	while (!atomic_load(&command_runs))
		usleep(1000);
	fake_stop(ft);
	atomic_store(&hold_commands, false);
	for (unsigned int i = 0; i < PAIRS; i++)
		for (unsigned int q = 0; q < 2; q++)
			ck_assert_int_eq(side[i].backend[q], VHOST_FILE_UNBIND);
	ck_assert_int_eq(start(), 0);
	ck_assert_int_eq(side[0].backend[RX], be.fd[0]);
}
END_TEST

/* What was told of the old rings is no news of the new ones. */
START_TEST(an_error_or_a_signal_from_before_a_reset_is_forgotten)
{
	int err = side[0].err[RX], relay;

	fake_mask(ft, RX, true);
	relay = side[0].call[RX];
	fake_mask(ft, RX, false);
	fake_stop(ft);
	eventfd_write(err, 1);
	eventfd_write(relay, 1);
	ck_assert_int_eq(start(), 0);
	ck_assert_uint_eq(command_pairs(2), VIRTIO_NET_OK);
	ck_assert_uint_eq(fake_nr_resets(ft), 0);
	ck_assert_uint_eq(fake_queue_stat(ft, RX, "interrupts"), 0);
}
END_TEST

/* row N11 */
START_TEST(whichever_call_of_a_start_fails_the_next_start_works)
{
	unsigned int at = nr_calls, nr_start;

	fake_stop(ft);
	at = nr_calls;
	ck_assert_int_eq(start(), 0);
	nr_start = nr_calls - at;
	ck_assert_uint_gt(nr_start, 16);
	for (unsigned int k = 1; k <= nr_start; k++) {
		fake_stop(ft);
		fail_at = nr_calls + k;
		/* A failed change of where signals go leaves them with our thread. */
		if (start())
			ck_assert_int_eq(fake_nr_resets(ft), 0);
		fail_at = 0;
		fake_stop(ft);
		ck_assert_int_eq(start(), 0);
		ck_assert_int_eq(side[0].backend[TX], be.fd[0]);
	}
}
END_TEST

static void close_all(void)
{
	for (unsigned int i = 0; i < PAIRS; i++)
		close(side[i].fd);
}

START_TEST(a_kernel_that_lacks_a_feature_of_rings_will_not_do)
{
	prepare(VIRTIO_NET_VHOST_ON);
	offered &= ~BIT(VIRTIO_RING_F_EVENT_IDX);
	ck_assert_int_eq(create(), -EOPNOTSUPP);
	close_all();
}
END_TEST

/* _i: the call that fails. */
START_TEST(if_the_kernel_refuses_auto_does_without)
{
	prepare(VIRTIO_NET_VHOST_AUTO);
	fail_at = (unsigned int)_i;
	ck_assert_int_eq(create(), 0);
	ft = fake_transport_create(dev, RING);
	ck_assert_uint_eq(fake_stat(ft, "vhost"), 0);
	teardown();
}
END_TEST

START_TEST(if_the_kernel_refuses_on_is_an_error)
{
	prepare(VIRTIO_NET_VHOST_ON);
	fail_at = 2;
	ck_assert_int_eq(create(), -EFAULT);
	close_all();
}
END_TEST

START_TEST(once_the_first_pair_has_it_the_others_must)
{
	prepare(VIRTIO_NET_VHOST_AUTO);
	fail_at = 3;
	ck_assert_int_eq(create(), -EFAULT);
	close_all();
}
END_TEST

START_TEST(what_is_no_tap_cannot_have_it)
{
	prepare(VIRTIO_NET_VHOST_ON);
	be.is_tap = false;
	ck_assert_int_eq(create(), -ENOTSUP);
	close_all();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("net_vhost_calls");
	TCase *tc = tcase_create("running");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_kernel_gets_rings_and_memory_as_we_see_them);
	tcase_add_test(tc, the_kernel_gets_the_features_of_rings_and_no_others);
	tcase_add_test(tc, only_the_first_pair_gets_its_tap_at_the_start);
	tcase_add_test(tc, a_pair_gets_its_tap_when_the_driver_turns_it_on_and_loses_it_again);
	tcase_add_test(tc, a_signal_goes_straight_to_the_interrupt);
	tcase_add_loop_test(tc, while_masked_a_signal_takes_the_way_through_our_thread, 0, 2);
	tcase_add_test(tc, a_ring_that_the_kernel_gave_up_asks_for_a_reset);
	tcase_add_test(tc, a_stop_takes_the_tap_and_the_doorbells_away);
	tcase_add_test(tc, a_stop_amid_a_command_leaves_no_ring_with_the_kernel);
	tcase_add_test(tc, an_error_or_a_signal_from_before_a_reset_is_forgotten);
	tcase_add_test(tc, whichever_call_of_a_start_fails_the_next_start_works);
	suite_add_tcase(s, tc);
	tc = tcase_create("creating");
	tcase_add_test(tc, a_kernel_that_lacks_a_feature_of_rings_will_not_do);
	tcase_add_loop_test(tc, if_the_kernel_refuses_auto_does_without, 1, 3);
	tcase_add_test(tc, if_the_kernel_refuses_on_is_an_error);
	tcase_add_test(tc, once_the_first_pair_has_it_the_others_must);
	tcase_add_test(tc, what_is_no_tap_cannot_have_it);
	suite_add_tcase(s, tc);
	return s;
}
