/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers go on after EINTR and after a short count, so a caller sees all or
 * an error; an end of file inside the disk (somebody truncated it) is EIO.
 */
#include "blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blk_backend.h"
#include "blk_format.h"
#include "blk_lock.h"
#include "iov.h"
#include "log.h"
#include "util.h"
#include "zalloc.h"

#define SECTOR 512u
#define PAGE 4096u
#define ZEROES_LEN (64 * 1024u)
#define BOUNCE_LEN (64 * 1024u)		/* untouched until a guest needs it */

struct blk_file {
	struct blk_backend be;
	bool is_block_device;		/* set once */
	uint8_t *bounce;		/* set once; its bytes: bounce_lock. NULL: not direct */
	pthread_mutex_t bounce_lock;
};

static struct blk_file *to_file(struct blk_backend *b)
{
	return container_of(b, struct blk_file, be);
}

/* A transfer: what is left of it. */
struct rest {
	struct iovec *iov;
	unsigned int nr_iov;
	uint64_t off;
	bool write;
};

static ssize_t transfer_some(int fd, const struct rest *r)
{
	if (r->write)
		return pwritev2(fd, r->iov, (int)r->nr_iov, (off_t)r->off, 0);
	return preadv(fd, r->iov, (int)r->nr_iov, (off_t)r->off);
}

/* All of it, or -errno; then r tells what was not done. */
static int transfer(const struct blk_file *f, struct rest *r)
{
	while (r->nr_iov) {
		ssize_t n = transfer_some(f->be.fd, r);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		iov_take(&r->iov, &r->nr_iov, NULL, (size_t)n);
		r->off += (uint64_t)n;
	}
	return 0;
}

static int transfer_bounced(struct blk_file *f, struct rest *r, size_t len)
{
	struct iovec whole = { f->bounce, len };
	struct rest b = { &whole, 1, r->off, r->write };
	int ret;

	pthread_mutex_lock(&f->bounce_lock);
	if (r->write)
		iov_take(&r->iov, &r->nr_iov, f->bounce, len);
	ret = transfer(f, &b);
	if (!r->write && !ret) {
		iov_copy_to(r->iov, r->nr_iov, 0, f->bounce, len);
		iov_take(&r->iov, &r->nr_iov, NULL, len);
	}
	pthread_mutex_unlock(&f->bounce_lock);
	r->off += len;
	return ret;
}

/* O_DIRECT is particular about addresses, but a guest may have its buffers anywhere. */
static int transfer_anywhere(struct blk_file *f, struct rest *r)
{
	int ret = transfer(f, r);
	uint64_t left = 0;

	if (ret != -EINVAL || !f->bounce)
		return ret;
	for (unsigned int i = 0; i < r->nr_iov; i++)
		left += r->iov[i].iov_len;
	for (ret = 0; left && !ret; left -= MIN(left, BOUNCE_LEN))
		ret = transfer_bounced(f, r, MIN(left, BOUNCE_LEN));
	return ret;
}

static int blk_file_readv(struct blk_backend *b, struct iovec *iov, int nr_iov, uint64_t off)
{
	struct rest r = { iov, (unsigned int)nr_iov, off, false };

	return transfer_anywhere(to_file(b), &r);
}

static int blk_file_writev(struct blk_backend *b, struct iovec *iov, int nr_iov, uint64_t off)
{
	struct rest r = { iov, (unsigned int)nr_iov, off, true };

	return transfer_anywhere(to_file(b), &r);
}

static int blk_file_flush(struct blk_backend *b)
{
	int ret;

	do
		ret = fdatasync(b->fd) ? -errno : 0;
	while (ret == -EINTR);
	return ret;
}

static int file_fallocate(struct blk_backend *b, int mode, uint64_t off, uint64_t len)
{
	int ret;

	do
		ret = fallocate(b->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
	while (ret && errno == EINTR);
	return ret ? -errno : 0;
}

static int blk_file_discard(struct blk_backend *b, uint64_t off, uint64_t len)
{
	uint64_t range[2] = { off, len };
	int ret = 0;

	if (!to_file(b)->is_block_device)
		ret = file_fallocate(b, FALLOC_FL_PUNCH_HOLE, off, len);
	else if (ioctl(b->fd, BLKDISCARD, range))
		ret = -errno;
	return ret == -EOPNOTSUPP || ret == -ENOTTY || ret == -EINVAL ? 0 : ret;
}

/* The host has no cheaper way. Aligned for O_DIRECT. */
static int write_plain_zeroes(struct blk_backend *b, uint64_t off, uint64_t len)
{
	static const uint8_t zeroes[ZEROES_LEN] __attribute__((aligned(PAGE))) = { 0 };

	while (len) {
		ssize_t n = pwrite(b->fd, zeroes, MIN(len, sizeof(zeroes)), (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int blk_file_write_zeroes(struct blk_backend *b, uint64_t off, uint64_t len, bool unmap)
{
	int ret = -EOPNOTSUPP;

	if (unmap)
		ret = file_fallocate(b, FALLOC_FL_PUNCH_HOLE, off, len);
	if (ret == -EOPNOTSUPP)
		ret = file_fallocate(b, FALLOC_FL_ZERO_RANGE, off, len);
	if (ret == -EOPNOTSUPP || ret == -ENODEV || ret == -EINVAL)
		ret = write_plain_zeroes(b, off, len);
	return ret;
}

static void blk_file_free(struct blk_backend *b)
{
	if (!b)
		return;
	if (b->fd >= 0)
		close(b->fd);
	free(to_file(b)->bounce);
	pthread_mutex_destroy(&to_file(b)->bounce_lock);
	free(to_file(b));
}

static const struct blk_backend_ops blk_file_ops = {
	.readv = blk_file_readv,
	.writev = blk_file_writev,
	.flush = blk_file_flush,
	.discard = blk_file_discard,
	.write_zeroes = blk_file_write_zeroes,
	.free = blk_file_free,
};

/* O_NONBLOCK lest a FIFO blocks here; io_uring would take it for RWF_NOWAIT, so it goes again. */
static int open_image(const struct blk_file_cfg *cfg, const char *name, int *fd)
{
	int access = cfg->readonly ? O_RDONLY : O_RDWR;

	if (cfg->fd >= 0) {
		*fd = cfg->fd;
		return 0;
	}
	*fd = open(cfg->path, access | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*fd < 0)
		return log_errno("%s: open %s", name, cfg->path);
	return 0;
}

static int set_flags(int fd, const struct blk_file_cfg *cfg, const char *name)
{
	int opened = (cfg->readonly ? O_RDONLY : O_RDWR) | O_NONBLOCK;	/* by open_image() */
	int flags = cfg->fd < 0 ? opened : fcntl(fd, F_GETFL);
	int wanted = (flags & ~(O_NONBLOCK | O_DIRECT)) | (cfg->direct ? O_DIRECT : 0);

	if (flags < 0)
		return log_errno("%s: %s", name, cfg->path);
	if (!cfg->readonly && (flags & O_ACCMODE) != O_RDWR)
		return log_fail(-EACCES, "%s: %s is not open for writing; use readonly=on", name,
				cfg->path);
	if (flags != wanted && fcntl(fd, F_SETFL, wanted))
		return log_errno("%s: %s%s", name, cfg->path,
				 cfg->direct ? ": direct=on is not possible here" : "");
	return 0;
}

/* The number of bytes, or -errno. */
static ssize_t try_read(const struct blk_backend *b, void *buf, uint64_t at, int flags)
{
	struct iovec iov = { buf, b->block_size };
	ssize_t n = preadv2(b->fd, &iov, 1, (off_t)at, flags);

	return n < 0 ? -errno : n;
}

static int check_format(const struct blk_backend *b, uint8_t *buf, const char *path,
			const char *name)
{
	const char *advice = NULL, *format = NULL;
	ssize_t n = try_read(b, buf, 0, 0);

	if (n >= (ssize_t)BLK_FORMAT_HEAD)
		format = blk_format_name(buf, &advice);
	if (!format && b->size >= b->block_size)
		n = try_read(b, buf, b->size - b->block_size, 0);
	if (!format && n == (ssize_t)b->block_size)
		format = blk_format_at_end(buf + n - BLK_FORMAT_TAIL, &advice);
	if (!format)
		return 0;
	return log_fail(-EINVAL, "%s: %s looks like %s: %s, or format=raw says that it is one",
			name, path, format, advice);
}

/*
 * Tried, not asked, as file systems differ in what they tell: the unit of
 * direct I/O, and whether the kernel can try a transfer without waiting. Where
 * it cannot (tmpfs, for one), io_uring hands it to a thread, which costs more
 * than doing it here; writes to the page cache it hands over on most.
 */
static void probe_reads(struct blk_file *f, uint8_t *buf)
{
	struct blk_backend *b = &f->be;
	ssize_t n = try_read(b, buf, 0, RWF_NOWAIT);

	if (n < 0 && b->direct && !f->is_block_device && try_read(b, buf, 0, 0) < 0) {
		b->block_size = b->physical_block_size = PAGE;
		n = try_read(b, buf, 0, RWF_NOWAIT);
	}
	b->async_reads = n > 0 || n == -EAGAIN;
	b->async_writes = b->async_reads && b->direct;
}

static int probe_content(struct blk_file *f, const struct blk_file_cfg *cfg, const char *name)
{
	uint8_t *buf = aligned_alloc(PAGE, MAX(PAGE, f->be.block_size));
	int ret = 0;

	if (!buf)
		return log_fail(-ENOMEM, "%s: out of memory", name);
	probe_reads(f, buf);
	if (!cfg->format_raw)
		ret = check_format(&f->be, buf, cfg->path, name);
	free(buf);
	return ret;
}

static void probe_file(struct blk_file *f, const struct stat *st)
{
	f->be.size = (uint64_t)st->st_size;
	f->be.block_size = SECTOR;
	f->be.physical_block_size = PAGE;
}

static int probe_block_device(struct blk_file *f, const struct blk_file_cfg *cfg,
			      const char *name)
{
	uint64_t size;
	int logical, protected = 0;
	unsigned int physical, optimal;
	int fd = f->be.fd;

	if (ioctl(fd, BLKGETSIZE64, &size) || ioctl(fd, BLKSSZGET, &logical) ||
	    ioctl(fd, BLKPBSZGET, &physical) || ioctl(fd, BLKIOOPT, &optimal))
		return log_errno("%s: size of the block device", name);
	if (!cfg->readonly && !ioctl(fd, BLKROGET, &protected) && protected)
		return log_fail(-EROFS, "%s: %s cannot be written; use readonly=on", name,
				cfg->path);
	f->is_block_device = true;
	f->be.size = size;
	f->be.block_size = (uint32_t)logical;
	f->be.physical_block_size = MAX(physical, (unsigned int)logical);
	f->be.optimal_io_size = optimal;
	return 0;
}

static int probe_image(struct blk_file *f, const struct blk_file_cfg *cfg, const char *name)
{
	struct stat st;
	int ret = 0;

	if (fstat(f->be.fd, &st))
		return log_errno("%s: %s", name, cfg->path);
	if (S_ISBLK(st.st_mode))
		ret = probe_block_device(f, cfg, name);
	else if (S_ISREG(st.st_mode))
		probe_file(f, &st);
	else
		return log_fail(-EINVAL, "%s: %s is neither a regular file nor a block device",
				name, cfg->path);
	f->be.identity = (struct blk_identity){
		S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev, S_ISBLK(st.st_mode) ? 0 : st.st_ino,
	};
	if (!ret)
		ret = probe_content(f, cfg, name);
	if (ret)
		return ret;
	if (!f->be.size || f->be.size % f->be.block_size)
		return log_fail(-EINVAL, "%s: %s has %llu bytes; a disk has a multiple of %u",
				name, cfg->path, (unsigned long long)f->be.size, f->be.block_size);
	return 0;
}

int blk_file_open(struct blk_backend **out, const struct blk_file_cfg *cfg, const char *name)
{
	struct blk_file *f = zalloc(1, sizeof(*f));
	struct blk_file_cfg c = *cfg;
	int ret = -ENOMEM;

	if (!f)
		return ret;
	f->be = (struct blk_backend){ .ops = &blk_file_ops, .fd = -1, .readonly = cfg->readonly,
				      .direct = cfg->direct };
	pthread_mutex_init(&f->bounce_lock, NULL);
	if (!c.path)
		c.path = "the descriptor";
	ret = open_image(&c, name, &f->be.fd);
	if (!ret)
		ret = set_flags(f->be.fd, &c, name);
	if (!ret)
		ret = probe_image(f, &c, name);
	if (!ret && !c.unlocked)
		ret = blk_lock(f->be.fd, c.readonly, f->is_block_device, c.path, name);
	if (!ret && cfg->direct) {
		f->bounce = aligned_alloc(PAGE, BOUNCE_LEN);
		ret = f->bounce ? 0 : log_fail(-ENOMEM, "%s: no memory", name);
	}
	if (ret)
		goto fail;
	*out = &f->be;
	return 0;
fail:
	blk_file_free(&f->be);
	return ret;
}
