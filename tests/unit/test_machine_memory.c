/* SPDX-License-Identifier: Apache-2.0 */
/* What devices may come to use, against what is counted for the limit of a cgroup. */
#include <fcntl.h>
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

/* A cgroup that had no room for them would kill the monitor. */
START_TEST(images_on_tmpfs_that_are_written_to_are_memory)
{
	int tmpfs = memfd_create("disk", MFD_CLOEXEC), other = open("/proc/self/maps", O_RDONLY);
	struct blk_backend disk[] = {
		{ .size = MIB(5), .fd = tmpfs },
		{ .size = MIB(70), .fd = tmpfs, .readonly = true },
		{ .size = MIB(900), .fd = other },
		{ .size = MIB(8000), .fd = -1 },
	};
	struct machine m = { .disk = { &disk[0], &disk[1], &disk[2], &disk[3] } };

	ck_assert_uint_eq(machine_image_memory(&m), MIB(5));
	ck_assert_uint_eq(machine_file_memory(tmpfs, GIB(1)), GIB(1));
	ck_assert_uint_eq(machine_file_memory(other, GIB(1)), 0);
	close(tmpfs);
	close(other);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("machine memory");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, images_on_tmpfs_that_are_written_to_are_memory);
	tcase_add_loop_test(tc, a_disk_needs_no_more_than_is_counted, 0, ARRAY_SIZE(sizes));
	tcase_add_test(tc, an_interface_needs_no_more_than_is_counted);
	suite_add_tcase(s, tc);
	return s;
}
