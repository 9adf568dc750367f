/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout.h"
#include "loader_foreign.h"
#include "loader_priv.h"
#include "log.h"
#include "util.h"

bool loader_file_has(const struct loader_file *f, uint64_t off, uint64_t len)
{
	return off <= f->len && len <= f->len - off;
}

int loader_read(const struct loader_file *f, uint64_t off, void *buf, uint64_t len)
{
	uint8_t *to = buf;

	if (off <= f->head_len && len <= f->head_len - off) {
		memcpy(to, f->head + off, len);
		return 0;
	}
	while (len) {
		ssize_t n = pread(f->fd, to, MIN(len, MIB(64)), (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return log_errno("%s: read", f->name);
		if (!n)
			return log_fail(-EIO, "%s: became shorter while it was read", f->name);
		to += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

void *loader_place(const struct loader_target *t, gpa_t gpa, uint64_t len)
{
	gpa_t end;

	if (gpa < t->low_end || __builtin_add_overflow(gpa, len, &end) || end > LAYOUT_HOLE_END)
		return NULL;
	return guest_mem_ptr(t->mem, gpa, len);
}

int loader_no_room(const struct loader_target *t, const struct loader_file *f, gpa_t gpa,
		   uint64_t len)
{
	gpa_t ram_end = t->mem->region[0].gpa + t->mem->region[0].len, end;

	if (gpa >= t->low_end && !__builtin_add_overflow(gpa, len, &end) &&
	    end > ram_end && end <= LAYOUT_HOLE_START)
		return log_fail(-ENOSPC, "%s: %" PRIu64 "M of memory are too small: this kernel "
				"needs at least %" PRIu64 "M", f->name, ram_end >> 20,
				align_up(end, MIB(1)) >> 20);
	return log_fail(-ENOSPC, "%s: no guest RAM at 0x%" PRIx64 " for %" PRIu64
			" bytes of kernel: it may use 0x%" PRIx64 " to 0x%" PRIx64,
			f->name, gpa, len, t->low_end, ram_end);
}

static void loader_close(struct loader_file *f)
{
	if (f->owned)
		close(f->fd);
	f->owned = false;
}

/* O_NONBLOCK: a FIFO must not hold us; it has no effect on the regular files we go on with. */
static int loader_open(struct loader_file *f, const char *name, int fd)
{
	struct stat st;
	int ret;

	*f = (struct loader_file){ .name = name, .fd = fd, .owned = fd < 0 };
	if (f->owned)
		f->fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f->fd < 0) {
		f->owned = false;
		return log_errno("%s: open", name);
	}
	if (fstat(f->fd, &st))
		ret = log_errno("%s: fstat", name);
	else if (!S_ISREG(st.st_mode))
		ret = log_fail(-EINVAL, "%s: not a regular file", name);
	else if (!st.st_size)
		ret = log_fail(-EINVAL, "%s: empty file", name);
	else
		ret = 0;
	f->len = ret ? 0 : (uint64_t)st.st_size;
	if (ret)
		loader_close(f);
	return ret;
}

/* Whatever is there of the first bytes; the rest stays 0 and matches no magic. */
static int read_head(struct loader_file *f)
{
	uint32_t len = (uint32_t)MIN(sizeof(f->head), f->len);
	int ret;

	memset(f->head, 0, sizeof(f->head));
	ret = loader_read(f, 0, f->head, len);
	f->head_len = ret ? 0 : len;
	return ret;
}

static int load_open_kernel(struct loaded_kernel *out, const struct loader_target *t,
			    struct loader_file *f, enum loader_entry entry)
{
	struct setup_header header;
	int ret = read_head(f);

	if (ret)
		return ret;
	memcpy(&header, f->head + LOADER_BZ_HEADER, sizeof(header));
	if (!memcmp(f->head, ELFMAG, SELFMAG))
		return loader_elf(out, t, f, entry);
	if (loader_is_bzimage(&header))
		return loader_bzimage(out, t, f, &header, entry);
	return log_fail(-ENOEXEC, "%s: %s", f->name, loader_foreign(f));
}

static int load_kernel(struct loaded_kernel *out, const struct loader_target *t,
		       const struct loader_cfg *cfg)
{
	struct loader_file f;
	int ret = loader_open(&f, cfg->kernel, cfg->kernel_fd);

	if (ret)
		return ret;
	ret = load_open_kernel(out, t, &f, cfg->entry);
	loader_close(&f);
	return ret;
}

/* One past the highest byte that an initrd may take. */
static gpa_t initrd_limit(const struct loaded_kernel *k, const struct guest_mem *mem)
{
	gpa_t ram_end = mem->region[0].gpa + mem->region[0].len;

	return k->initrd_max < ram_end ? k->initrd_max + 1 : ram_end;
}

/* As high as allowed, so that the kernel has room to unpack and to move itself. */
static int place_initrd(struct loaded_kernel *k, const struct loader_target *t,
			const struct loader_file *f)
{
	gpa_t limit = initrd_limit(k, t->mem);
	gpa_t floor = align_up(MAX(k->end, t->low_end), GUEST_MEM_PAGE);
	gpa_t at;

	if (floor >= limit || f->len > limit - floor)
		return log_fail(-ENOSPC,
				"%s: %" PRIu64 " bytes do not fit between the kernel's end at 0x%"
				PRIx64 " and 0x%" PRIx64 "; give the guest more memory",
				f->name, f->len, k->end, limit);
	at = (limit - f->len) & ~(uint64_t)(GUEST_MEM_PAGE - 1);
	k->initrd = (struct fw_range){ .base = at, .len = f->len };
	return 0;
}

static int load_initrd(struct loaded_kernel *k, const struct loader_target *t,
		       const struct loader_cfg *cfg)
{
	struct loader_file f;
	void *to;
	int ret = loader_open(&f, cfg->initrd, cfg->initrd_fd);

	if (ret)
		return ret;
	ret = place_initrd(k, t, &f);
	if (ret)
		goto done;
	to = loader_place(t, k->initrd.base, k->initrd.len);
	ret = to ? loader_read(&f, 0, to, f.len)
		 : log_fail(-ENOSPC, "%s: does not fit into RAM", f.name);
done:
	loader_close(&f);
	return ret;
}

int loader_load(struct loaded_kernel *out, const struct guest_mem *mem,
		const struct loader_cfg *cfg, gpa_t low_end)
{
	struct loader_target t = { .mem = mem, .low_end = low_end };
	int ret;

	memset(out, 0, sizeof(*out));
	ret = load_kernel(out, &t, cfg);
	if (!ret && cfg->initrd)
		ret = load_initrd(out, &t, cfg);
	return ret;
}
