/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk requests, from the ring to an image in memory, or to the backend for
 * files over one that is in memory. No byte outside the image is asked for, a
 * read-only one stays as it is, a file keeps its size. Rows B1 to B9 of
 * docs/hostile-cases.md.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blk_file.h"
#include "blk_queue_priv.h"
#include "fuzz_fake_transport.h"
#include "fuzz_ring.h"
#include "util.h"

#define NR_SECTORS	32u
#define IMAGE_LEN	(NR_SECTORS * BLK_SECTOR)
#define HUGE_SECTORS	(1ull << 54)	/* bytes: what off_t can tell */
#define MAX_OPS		64u

static struct fuzz_ring ring;
static uint8_t *image;			/* exactly as long as it is: the sanitizer sees the rest */
static uint8_t before[IMAGE_LEN];
static struct blk_queue *queue;
static struct fuzz_input *input;	/* the host fails when it says so */
static struct blk_backend *file;
static bool use_file;
static uint64_t disk_len;		/* IMAGE_LEN, or more than a request can be */

static int host_result(void)
{
	uint8_t how = fuzz_u8(input);

	return how < 240 ? 0 : how & 1 ? -EIO : -EOPNOTSUPP;
}

static void check_range(uint64_t off, uint64_t len)
{
	FUZZ_CHECK(off <= disk_len && len <= disk_len - off);
}

static void check_transfer(const struct iovec *iov, int nr_iov, uint64_t off)
{
	FUZZ_CHECK(nr_iov > 0 && nr_iov <= BLK_MAX_IOV);
	FUZZ_CHECK(fuzz_ring_owns(&ring, iov, (unsigned int)nr_iov));
	for (int i = 0; i < nr_iov; off += iov[i++].iov_len)
		check_range(off, iov[i].iov_len);
}

static int image_readv(struct blk_backend *b, struct iovec *iov, int nr_iov, uint64_t off)
{
	(void)b;
	check_transfer(iov, nr_iov, off);
	if (use_file)
		return file->ops->readv(file, iov, nr_iov, off);
	for (int i = 0; i < nr_iov && disk_len == IMAGE_LEN; i++) {
		memcpy(iov[i].iov_base, image + off, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	return host_result();
}

static int image_writev(struct blk_backend *b, struct iovec *iov, int nr_iov, uint64_t off)
{
	FUZZ_CHECK(!b->readonly);
	check_transfer(iov, nr_iov, off);
	if (use_file)
		return file->ops->writev(file, iov, nr_iov, off);
	for (int i = 0; i < nr_iov && disk_len == IMAGE_LEN; i++) {
		memcpy(image + off, iov[i].iov_base, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	return host_result();
}

static int image_flush(struct blk_backend *b)
{
	(void)b;
	return use_file ? file->ops->flush(file) : host_result();
}

static int image_discard(struct blk_backend *b, uint64_t off, uint64_t len)
{
	FUZZ_CHECK(!b->readonly);
	check_range(off, len);
	return use_file ? file->ops->discard(file, off, len) : host_result();
}

static int image_write_zeroes(struct blk_backend *b, uint64_t off, uint64_t len, bool unmap)
{
	FUZZ_CHECK(!b->readonly);
	check_range(off, len);
	if (use_file)
		return file->ops->write_zeroes(file, off, len, unmap);
	if (disk_len == IMAGE_LEN)
		memset(image + off, 0, len);
	return host_result();
}

static const struct blk_backend_ops image_ops = {
	.readv = image_readv,
	.writev = image_writev,
	.flush = image_flush,
	.discard = image_discard,
	.write_zeroes = image_write_zeroes,
};

/* Header, data, status as they should be but for a type and a sector from the input. */
static void add_sound_request(struct fuzz_input *in)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH,
					  VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_DISCARD,
					  VIRTIO_BLK_T_WRITE_ZEROES };
	uint8_t how = fuzz_u8(in);
	gpa_t gpa = FUZZ_RING_DATA + 64u * (how >> 4);
	struct virtio_blk_outhdr hdr = {
		.type = how & 8 ? fuzz_u32(in) : types[how & 7 & (how & 4 ? 5 : 7)],
		.sector = fuzz_number(in, disk_len / BLK_SECTOR),
	};
	bool inbound = hdr.type == VIRTIO_BLK_T_IN || hdr.type == VIRTIO_BLK_T_GET_ID;
	uint32_t len = (uint32_t)fuzz_number(in, IMAGE_LEN) & (how & 1 ? ~511u : ~15u);
	struct vbuf buf[] = { { gpa, sizeof(hdr), false }, { gpa + 0x1000, len, inbound },
			      { gpa + 32, 1, true } };

	guest_mem_write(ring.mem, gpa, &hdr, sizeof(hdr));
	if (how & 2)
		fuzz_bytes(in, guest_mem_ptr(ring.mem, gpa + 0x1000, 32), 32);
	fuzz_ring_add_sound(&ring, buf, ARRAY_SIZE(buf));
}

/* The same with data of nearly 4 GiB, or a little more, on a disk that has as much. */
static void add_huge_request(struct fuzz_input *in)
{
	gpa_t gpa = FUZZ_RING_DATA;
	uint8_t how = fuzz_u8(in);
	struct virtio_blk_outhdr hdr = {
		.type = how & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
		.sector = fuzz_number(in, disk_len / BLK_SECTOR),
	};
	struct vbuf buf[2 + GIB(4) / FUZZ_REGION_LEN] = { { gpa, sizeof(hdr), false } };
	unsigned int n = 1;

	if (ring.d.size < ARRAY_SIZE(buf))
		return;
	while (n < ARRAY_SIZE(buf) - 1)
		buf[n++] = (struct vbuf){ FUZZ_HOLE_END, FUZZ_REGION_LEN, !(how & 1) };
	buf[n - 1].len -= how & 2 ? 512u * (how >> 2) : fuzz_u8(in);
	buf[n++] = (struct vbuf){ gpa + 32, 1, true };
	guest_mem_write(ring.mem, gpa, &hdr, sizeof(hdr));
	fuzz_ring_add_sound(&ring, buf, n);
}

static void serve(void)
{
	struct blk_req req;
	uint16_t head;
	enum blk_taken taken = blk_queue_take(queue, &req, &head, queue->iov);
	int ret;

	if (taken == BLK_TAKEN_TODO) {
		if (req.type == VIRTIO_BLK_T_IN || req.type == VIRTIO_BLK_T_OUT)
			check_range(req.sector * BLK_SECTOR, req.data_len);
		ret = blk_queue_execute(queue, &req);
		if (!ret && blk_queue_needs_flush(queue, &req))
			ret = image_flush(queue->disk->backend);
		blk_queue_complete(queue, &req, head, ret);
	}
	virtq_publish(queue->vq);
}

static void open_file(void)
{
	struct blk_file_cfg cfg = { .fd = memfd_create("image", MFD_CLOEXEC) };

	FUZZ_CHECK(cfg.fd >= 0 && !ftruncate(cfg.fd, IMAGE_LEN));
	FUZZ_CHECK(!blk_file_open(&file, &cfg, "blk0"));
}

static void check_file(void)
{
	struct stat st;

	FUZZ_CHECK(!fstat(file->fd, &st) && st.st_size == IMAGE_LEN);
}

void fuzz_setup(void)
{
	fuzz_ring_create(&ring);
	open_file();
	image = malloc(IMAGE_LEN);
	queue = calloc(1, sizeof(*queue) + FUZZ_RING_MAX * sizeof(queue->iov[0]));
	FUZZ_CHECK(image && queue);
}

void fuzz_one(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	uint64_t nr_sectors = how & 32 ? HUGE_SECTORS : NR_SECTORS;
	struct blk_backend be = { .ops = &image_ops, .size = nr_sectors * BLK_SECTOR,
				  .block_size = BLK_SECTOR, .readonly = how & 1 };
	struct virtio_transport transport = { 0 };
	struct guest_errors errors;
	struct blk_disk disk = { .backend = &be, .errors = &errors, .serial = "serial",
				 .limits = { .nr_sectors = nr_sectors, .readonly = how & 1 },
				 .ignore_flush = how & 2, .stable_writes = how & 4 };

	guest_errors_init(&errors, "blk0");
	memset(image, 0xaa, IMAGE_LEN);
	memset(before, 0xaa, IMAGE_LEN);
	fuzz_ring_start(&ring, fuzz_ring_size(in),
			how & 8 ? 1ull << VIRTIO_RING_F_INDIRECT_DESC : 0);
	*queue = (struct blk_queue){ .disk = &disk, .vq = ring.vq, .transport = &transport,
				     .max_iov = FUZZ_RING_MAX };
	input = in;
	use_file = how & 16 && !(how & 32);
	disk_len = be.size;
	if (use_file)
		FUZZ_CHECK(pwrite(file->fd, image, IMAGE_LEN, 0) == IMAGE_LEN);
	for (unsigned int i = 0; i < MAX_OPS && fuzz_left(in); i++) {
		switch (fuzz_u8(in) % 8) {
		case 0:				fuzz_ring_add(&ring, in);	break;
		case 1:
			if (disk_len == IMAGE_LEN)
				fuzz_ring_add(&ring, in);
			else
				add_huge_request(in);
			break;
		case 2: case 3: case 4:		add_sound_request(in);		break;
		case 5:				fuzz_ring_poke(&ring, in);	break;
		default:			serve();
		}
	}
	for (unsigned int i = 0; i < MAX_OPS; i++)
		serve();
	check_file();
	if (be.readonly)
		FUZZ_CHECK(!memcmp(before, image, IMAGE_LEN));
	FUZZ_CHECK(!virtq_nr_inflight(ring.vq) || queue->broken);
	FUZZ_CHECK(queue->broken == (transport.nr_resets == 1));
	virtq_stop(ring.vq);
}
