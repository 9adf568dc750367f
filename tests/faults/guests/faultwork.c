/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest does while its host fails: one job per run, chosen by job=.
 * Requests are asked again where a sane driver would, and all data is looked
 * at. The guest leaves with RIGHT, or says what is not. See tests/faults/.
 */
#include "layout.h"
#include "net.h"
#include "print.h"
#include "subject.h"

enum result { RIGHT, WRONG_DATA, NO_ANSWER, KEEPS_FAILING, NO_FLUSH, NO_NET };

#define TRIES 4
#define PAGE_SECTORS 8u
#define NUMBER(gen, sector) ((uint64_t)(gen) << 16 | (sector))

static struct {
	uint64_t errors, refused_flushes;
} seen;

static struct vdev *disk_get(unsigned int n)
{
	struct vdev *d = vdev_get(VIRTIO_ID_BLOCK, n);

	if (!d)
		check_abort("no disk %u", n);
	return d;
}

static void leave(enum result r)
{
	print("errors %lu, refused flushes %lu\n", seen.errors, seen.refused_flushes);
	guest_exit((uint8_t)r);
}

static uint64_t features(void)
{
	return option_number("flush", 1) ? 1ull << VIRTIO_BLK_F_FLUSH | F_EVENT_IDX : F_EVENT_IDX;
}

/* false: the device refuses, or asks for a reset. */
static bool setup_messages(struct vdev *d, unsigned int n)
{
	unsigned int q;
	bool refused;

	if (!d->nr_vectors)
		return true;
	refused = msi_update(d, VIRTIO_MMIO_MSI_VECTOR_CONFIG, 0, VEC_CONFIG(d));
	for (q = 0; q < n && q + 1 < d->nr_vectors; q++)
		refused |= msi_update(d, VIRTIO_MMIO_MSI_VECTOR_QUEUE(q), 0, VEC_QUEUE(d, q));
	return !msi_enable(d, true) && !refused;
}

/* A device that could not be started says so, and can be after a reset. */
static void start_queues(struct vdev *d, unsigned int n, uint64_t wanted)
{
	unsigned int i;

	for (i = 0; i < TRIES; i++) {
		vdev_prepare(d, n, wanted);
		if (check_failed())
			guest_exit(NO_ANSWER);
		if (setup_messages(d, n)) {
			vdev_set_status(d, S_DRIVER_OK);
			if (!WAIT(vdev_status(d) & S_NEEDS_RESET, 2))
				return;
		}
		seen.errors++;
	}
	leave(NO_ANSWER);
}

static void start(struct vdev *d)
{
	start_queues(d, 1, features() | option_number("wce", 1) << VIRTIO_BLK_F_CONFIG_WCE);
}

/* Whether the device has given up meanwhile, as it may; it then starts anew. */
static bool restarted(struct vdev *d)
{
	if (!(vdev_status(d) & S_NEEDS_RESET))
		return false;
	seen.errors++;
	start(d);
	return true;
}

/* Like a driver: an error is asked again, silence is the end. */
static void request(struct vdev *d, uint32_t type, uint64_t sector, void *data, uint32_t len)
{
	unsigned int i;
	uint8_t status;

	for (i = 0; i < TRIES; i++) {
		status = blk_do(d, 0, type, sector, data, len);
		if (status == VIRTIO_BLK_S_OK)
			return;
		if (status == BLK_NO_ANSWER && !restarted(d))
			leave(NO_ANSWER);
		seen.errors++;
	}
	leave(KEEPS_FAILING);
}

/* A flush that fails once has to fail for ever: what it lost is not known. */
static void flush(struct vdev *d)
{
	unsigned int i;

	if (!option_number("flush", 1) || !option_number("send", 1) ||
	    !(d->features & 1ull << VIRTIO_BLK_F_FLUSH))
		return;
	if (blk_do(d, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0) == VIRTIO_BLK_S_OK)
		return;
	for (i = 0; i < TRIES; i++)
		seen.refused_flushes += blk_do(d, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0) ==
					VIRTIO_BLK_S_IOERR;
	leave(NO_FLUSH);
}

static void fill(uint8_t *page, uint64_t gen, uint64_t sector, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		sector_fill(page + i * SECTOR, NUMBER(gen, sector + i));
}

static void write_sectors(struct vdev *d, uint64_t gen, uint64_t sector, unsigned int n)
{
	fill(blk_page(d, 0), gen, sector, n);
	request(d, VIRTIO_BLK_T_OUT, sector, blk_page(d, 0), n * SECTOR);
}

static void read_sectors(struct vdev *d, uint64_t gen, uint64_t sector, unsigned int n)
{
	uint8_t *page = blk_page(d, 0);
	unsigned int i;

	memset(page, 0xa5, n * SECTOR);
	request(d, VIRTIO_BLK_T_IN, sector, page, n * SECTOR);
	for (i = 0; i < n; i++)
		if (!sector_is(page + i * SECTOR, NUMBER(gen, sector + i))) {
			print("sector %lu is not of generation %lu\n", sector + i, gen);
			leave(WRONG_DATA);
		}
}

/* Of 8 sectors; blk_do() has no data towards the device but in a write. */
static uint8_t do_range(struct vdev *d, uint32_t type, uint64_t sector)
{
	struct virtio_blk_discard_write_zeroes *range = (void *)blk_page(d, 0);
	struct blk_req *req = blk_req(d, 0);
	struct piece p[3] = { { &req->hdr, sizeof(req->hdr), false },
			      { range, sizeof(*range), false }, { &req->status, 1, true } };

	*range = (struct virtio_blk_discard_write_zeroes){ .sector = sector, .num_sectors = 8 };
	req->hdr = (struct virtio_blk_outhdr){ .type = type };
	req->status = BLK_NO_ANSWER;
	ring_offer(&d->ring[0], ring_chain(&d->ring[0], p, 3));
	ring_publish(&d->ring[0]);
	vdev_kick(d, 0);
	WAIT(ring_take(&d->ring[0], NULL, NULL), BLK_MS);
	return req->status;
}

static void zero_and_discard(struct vdev *d)
{
	unsigned int i, type = VIRTIO_BLK_T_WRITE_ZEROES;

	for (i = 0; i < TRIES && do_range(d, type, 64) != VIRTIO_BLK_S_OK; i++)
		seen.errors++;
	for (i = 0; i < TRIES && do_range(d, VIRTIO_BLK_T_DISCARD, 72) != VIRTIO_BLK_S_OK; i++)
		seen.errors++;
	memset(blk_page(d, 0), 0xff, SECTOR);
	request(d, VIRTIO_BLK_T_IN, 64, blk_page(d, 0), SECTOR);
	for (i = 0; i < SECTOR; i++)
		if (blk_page(d, 0)[i])
			leave(WRONG_DATA);
}

static void start_net(void)
{
	unsigned int i;

	start_queues(net.d, 2, 1ull << VIRTIO_NET_F_MAC);
	for (i = 0; i < 8; i++)
		net_offer(0, i, NET_BUF);
}

/* Frames may be lost; not for ever. */
static void talk(void)
{
	unsigned int i;

	if (!vdev_get(VIRTIO_ID_NET, 0))
		return;
	net_setup();
	start_net();
	for (i = 0; i < TRIES && !(net_arp(0) && net_ping(0, 64) && net_ping(0, 1000)); i++) {
		seen.errors++;
		if (vdev_status(net.d) & S_NEEDS_RESET)
			start_net();
	}
	if (i == TRIES)
		leave(NO_NET);
}

/* A little of everything, from reset to reset. */
static void job_sweep(void)
{
	struct vdev *d;
	unsigned int i;

	talk();		/* first, as it resets everything */
	d = disk_get(0);
	start(d);
	for (i = 0; i < 4; i++) {
		write_sectors(d, 1, 8 * i, PAGE_SECTORS);
		if (i % 2)
			flush(d);
	}
	zero_and_discard(d);
	vdev_reset(d);
	start(d);
	for (i = 0; i < 4; i++)
		read_sectors(d, 1, 8 * i, PAGE_SECTORS);
	flush(d);
	vdev_reset_all();
	leave(RIGHT);
}

/* For ever: generation g writes a page and a lone sector, flushes, and then says so. */
static void job_traffic(void)
{
	struct vdev *d = disk_get(0);
	uint64_t gen;

	start(d);
	for (gen = option_number("first", 1);; gen++) {
		write_sectors(d, gen, gen % 31 * PAGE_SECTORS, PAGE_SECTORS);
		write_sectors(d, gen, 248 + gen % 8, 1);
		if (gen % 3)
			read_sectors(d, gen, gen % 31 * PAGE_SECTORS, PAGE_SECTORS);
		flush(d);
		print("flushed %lu\n", gen);
	}
}

/* Writes and looks at random places for a number of rounds, with a table of what is where. */
static void job_verify(void)
{
	static uint16_t gen[1024];
	struct vdev *d = disk_get(0);
	uint32_t r = (uint32_t)option_number("seed", 1), sector, n;
	uint64_t i, rounds = option_number("rounds", 1000);

	start(d);
	for (i = 0; i < 1024; i += PAGE_SECTORS)
		write_sectors(d, 0, i, PAGE_SECTORS);
	for (i = 1; i <= rounds; i++) {
		r = r * 1103515245 + 12345;
		n = (r >> 8) % PAGE_SECTORS + 1;
		sector = (r >> 12) % (1024 - PAGE_SECTORS);
		if (r >> 30 & 1) {
			write_sectors(d, i & 0xffff, sector, n);
			while (n--)
				gen[sector + n] = (uint16_t)i;
		} else {
			while (n--)
				read_sectors(d, gen[sector + n], sector + n, 1);
		}
		if (i % 64 == 0)
			flush(d);
		if (i % 1000 == 0)
			print("round %lu\n", i);
	}
	leave(RIGHT);
}

/*
 * Transactions, as a journal makes them: the log, flush, the mark, flush, then the
 * place itself, flush. "acked n" promises that transaction n is never lost.
 */
static void job_journal(void)
{
	struct vdev *d = disk_get(0);
	uint64_t n, last = option_number("rounds", 12);

	start(d);
	if (option_number("wce", 1) && option_number("writethrough", 0))
		mmio_write8(d->base + VIRTIO_MMIO_CONFIG +
			    offsetof(struct virtio_blk_config, wce), 0);
	for (n = 1; n <= last; n++) {
		write_sectors(d, n, 8, PAGE_SECTORS);
		flush(d);
		write_sectors(d, n, 0, 1);
		flush(d);
		print("acked %lu\n", n);
		write_sectors(d, n, 16 + n % 8 * PAGE_SECTORS, PAGE_SECTORS);
		flush(d);
	}
	leave(RIGHT);
}

static unsigned int count_flushes(struct vdev *d)
{
	unsigned int i, n = 0;

	for (i = 0; i < 5; i++)
		n += blk_do(d, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0) == VIRTIO_BLK_S_OK;
	return n;
}

/* How many flushes succeed, before and after a reset; the power goes at the end. */
static void job_latch(void)
{
	struct vdev *d = disk_get(0);
	unsigned int before;

	start(d);
	write_sectors(d, 1, 0, PAGE_SECTORS);
	before = count_flushes(d);
	vdev_reset(d);
	start(d);
	print("flushes: %u of 5, after a reset %u of 5\n", before, count_flushes(d));
	write_sectors(d, 2, 0, PAGE_SECTORS);
	read_sectors(d, 2, 0, PAGE_SECTORS);
	print("reads and writes work\n");
	out8(LAYOUT_PORT_SLEEP, 1u << 5 | 5u << 2);
	guest_halt();
}

/* Says what a read and a write of the last page give, whenever that changes. */
static void job_watch(void)
{
	struct vdev *d = disk_get(0);
	uint64_t last = blk_capacity(d) - PAGE_SECTORS;
	int before = -1, now;

	start(d);
	for (;;) {
		now = blk_do(d, 0, VIRTIO_BLK_T_IN, last, blk_page(d, 0), 4096) * 16;
		now += blk_do(d, 0, VIRTIO_BLK_T_OUT, last, blk_page(d, 0), 4096);
		if (now != before)
			print("read %d, write %d\n", now / 16, now % 16);
		before = now;
		delay_ms(1);
	}
}

static void reset_first(void *arg)
{
	vdev_reset(arg);
	print("reset done\n");
}

/* A read of disk 0 that may hang; meanwhile disk 1 works; then a reset, from another CPU. */
static void job_hung(void)
{
	struct vdev *d = disk_get(0), *other = disk_get(1);
	unsigned int i;

	start(d);
	start(other);
	blk_submit(d, 0, VIRTIO_BLK_T_IN, 0, blk_page(d, 0), SECTOR);
	for (i = 1; i <= 20; i++) {
		write_sectors(other, i, 0, PAGE_SECTORS);
		read_sectors(other, i, 0, PAGE_SECTORS);
		flush(other);
	}
	print("disk 0 %s, disk 1 works\n", ring_nr_used(&d->ring[0]) ? "answers" : "waits");
	if (option_number("reset", 0) && cpu_start(1)) {
		cpu_run(1, reset_first, d);
		delay_ms(100);
		read_sectors(other, 20, 0, PAGE_SECTORS);
		print("disk 1 works during the reset\n");
		WAIT(false, 60000);
	}
	if (option_number("off", 0))
		out8(LAYOUT_PORT_SLEEP, 1u << 5 | 5u << 2);
	while (!WAIT(ring_nr_used(&d->ring[0]), 60000))
		;
	print("disk 0 answers %u\n", blk_req(d, 0)->status);
	leave(RIGHT);
}

/* As much as fits in flight, then the power goes. */
static void job_off(void)
{
	struct vdev *d = disk_get(0);
	struct ring *r = &d->ring[0];
	uint64_t i;

	d->queue_size = 128;
	start(d);
	for (i = 0; i < 30; i++) {
		struct blk_req *req = heap_alloc(sizeof(*req), 16);
		uint8_t *page = heap_alloc(4096, 4096);
		struct piece p[3] = { { &req->hdr, sizeof(req->hdr), false },
				      { page, 4096, false }, { &req->status, 1, true } };

		fill(page, 7, i * PAGE_SECTORS, PAGE_SECTORS);
		req->hdr = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_OUT,
						       .sector = i * PAGE_SECTORS };
		ring_offer(r, ring_chain(r, p, 3));
	}
	ring_publish(r);
	vdev_kick(d, 0);
	if (option_is("how", "i8042"))
		out8(LAYOUT_PORT_I8042, 0xfe);
	out8(LAYOUT_PORT_SLEEP, 1u << 5 | 5u << 2);
	guest_halt();
}

/* A routing change that the host refuses stops its device; the other one is as before. */
static void job_routes(void)
{
	struct vdev *d = disk_get(0), *other = disk_get(1);

	vdev_start(other, 1, 0, IRQ_MSI_UPDATE_FIRST);
	expect_queue_fires(other, 0);
	vdev_prepare(d, 1, 0);
	setup_messages(d, 1);
	vdev_set_status(d, S_DRIVER_OK);
	print("first %s\n", WAIT(vdev_status(d) & S_NEEDS_RESET, ARRIVE_MS) ? "needs reset" :
	      "runs");
	expect_queue_fires(other, 0);
	msi_update(other, msi_vector_of(other, 0), 0, VEC_QUEUE(other, 0));
	vdev_start(other, 1, 0, IRQ_MSI_ENABLE_FIRST);
	expect_queue_fires(other, 0);
	print("second %s\n", check_failed() || vdev_status(other) & S_NEEDS_RESET ? "fails" :
	      "works");
	expect_works_anew(d);
	print("first %s after a reset\n", check_failed() ? "fails" : "works");
	leave(check_failed() ? WRONG_DATA : RIGHT);
}

static const struct { const char *name; void (*run)(void); } job[] = {
	{ "sweep", job_sweep }, { "traffic", job_traffic }, { "verify", job_verify },
	{ "journal", job_journal }, { "watch", job_watch }, { "hung", job_hung },
	{ "off", job_off }, { "routes", job_routes }, { "latch", job_latch },
};

static void the_job(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(job); i++)
		if (option_is("job", job[i].name))
			job[i].run();
	check_abort("no such job");
}

CHECKS("faultwork", CHECK(the_job))
