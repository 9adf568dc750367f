/* SPDX-License-Identifier: Apache-2.0 */
/* Needs /dev/net/tun and the right to make interfaces: root in a network namespace of its own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log_capture.h"
#include "net_backend.h"
#include "real_tap.h"
#include "runner.h"
#include "tap.h"
#include "virtio_net_cfg.h"

static struct virtio_net_cfg cfg;
static struct net_backend *be;

static void setup(void)
{
	real_tap_namespace();
	cfg = (struct virtio_net_cfg)VIRTIO_NET_CFG_DEFAULT;
	cfg.tap = "test0";
	be = NULL;
}

static void teardown(void)
{
	if (be)
		be->ops->free(be);
}

static void pass(int fd)
{
	cfg.tap = NULL;
	cfg.nr_fds = 1;
	cfg.fd[0] = fd;
}

/* With one of several queues, the kernel would let it in. row N14 */
START_TEST(a_tap_with_queues_of_others_is_refused)
{
	struct net_backend *other;

	real_tap_make(cfg.tap, IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
	ck_assert_int_eq(tap_open(&be, &cfg, "net0"), 0);
	cfg.pairs = _i ? 2 : 1;
	ck_assert_int_eq(tap_open(&other, &cfg, "net1"), -EBUSY);
	be->ops->free(be);
	be = NULL;
	cfg.pairs = 1;
	ck_assert_int_eq(tap_open(&be, &cfg, "net0"), 0);
}
END_TEST

/* Passed to two of them: as the same descriptor, and as two of one tap. row N14 */
START_TEST(a_passed_tap_that_another_has_is_refused)
{
	struct net_backend *other;

	pass(real_tap_attach("test0", IFF_MULTI_QUEUE));
	ck_assert_int_eq(tap_open(&be, &cfg, "net0"), 0);
	pass(_i ? fcntl(cfg.fd[0], F_DUPFD_CLOEXEC, 0)
		: real_tap_attach("test0", IFF_MULTI_QUEUE));
	ck_assert_int_eq(tap_open(&other, &cfg, "net1"), -EBUSY);
}
END_TEST

/* Killed in the middle: nothing of it stays. */
START_TEST(a_tap_whose_owner_has_ended_is_free)
{
	pid_t pid;

	pass(real_tap_attach("test0", IFF_MULTI_QUEUE));
	pid = fork();
	if (!pid)
		_exit(tap_open(&be, &cfg, "net0") ? 1 : 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(tap_open(&be, &cfg, "net0"), 0);
}
END_TEST

START_TEST(an_interface_that_does_not_exist_is_not_made)
{
	struct log_capture cap;

	cfg.tap = "typo0";
	log_capture_begin(&cap);
	ck_assert_int_eq(tap_open(&be, &cfg, "net0"), -ENODEV);
	log_capture_end(&cap);
	ck_assert_uint_eq(if_nametoindex("typo0"), 0);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "ip tuntap add dev typo0 mode tap"));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("tap owner");
	TCase *tc = tcase_create("all");

	real_tap_or_skip();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_tap_with_queues_of_others_is_refused, 0, 2);
	tcase_add_loop_test(tc, a_passed_tap_that_another_has_is_refused, 0, 2);
	tcase_add_test(tc, a_tap_whose_owner_has_ended_is_free);
	tcase_add_test(tc, an_interface_that_does_not_exist_is_not_made);
	suite_add_tcase(s, tc);
	return s;
}
