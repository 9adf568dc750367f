/* SPDX-License-Identifier: Apache-2.0 */
/* What devices may come to use, against what is counted for the limit of a cgroup. */
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk_file.h"
#include "config.h"
#include "fake_transport.h"
#include "machine.h"
#include "net_fixture.h"
#include "runner.h"
#include "util.h"
#include "virtio_blk.h"

static struct vm_config c;

static uint64_t in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* The largest that the options allow, and the smallest. */
static const uint16_t sizes[] = { 1024, 256, 32 };

START_TEST(a_disk_needs_no_more_than_is_counted)
{
	struct virtio_blk_cfg *cfg = &c.disk[0].blk;
	uint64_t before = in_use();
	struct blk_backend *be;
	struct virtio_dev *dev;

	c.nr_disks = 1;
	*cfg = (struct virtio_blk_cfg)VIRTIO_BLK_CFG_DEFAULT;
	cfg->queues = 64;
	cfg->queue_size = sizes[_i];
	cfg->file.path = "memory";
	cfg->file.fd = memfd_create("disk", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(cfg->file.fd, 1 << 20), 0);
	ck_assert_int_eq(blk_file_open(&be, &cfg->file, "blk0"), 0);
	ck_assert_int_eq(virtio_blk_create(&dev, cfg, be, "blk0"), 0);
	ck_assert_uint_le(in_use() - before, machine_memory(&c));
	dev->ops->free(dev);
}
END_TEST

START_TEST(an_interface_needs_no_more_than_is_counted)
{
	uint64_t before = in_use();
	struct net_fixture *f = net_fixture_create(32);

	c.nr_nets = 1;
	c.net[0].net = (struct virtio_net_cfg)VIRTIO_NET_CFG_DEFAULT;
	c.net[0].net.pairs = 32;
	c.net[0].net.queue_size = NET_RING;
	ck_assert_uint_le(in_use() - before, machine_memory(&c));
	net_fixture_free(f);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("machine memory");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_disk_needs_no_more_than_is_counted, 0, ARRAY_SIZE(sizes));
	tcase_add_test(tc, an_interface_needs_no_more_than_is_counted);
	suite_add_tcase(s, tc);
	return s;
}
