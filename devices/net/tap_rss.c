/* SPDX-License-Identifier: Apache-2.0 */
#include "tap_rss.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "tap_rss_prog.h"
#include "zalloc.h"

struct tap_rss {
	struct tap_rss_map *map;	/* set once; MAP_FAILED: none */
	int prog_fd;			/* set once */
};

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* Without CAP_PERFMON the kernel follows what a CPU may only guess as well: far too many paths. */
static int explain(const char *name, const char *what)
{
	int err = errno;

	if (err == EPERM || err == E2BIG)
		return log_fail(-err, "%s: rss=on: %s: not permitted; it takes root, or CAP_BPF "
				"and CAP_PERFMON", name, what);
	return log_fail(-err, "%s: rss=on: %s: %s", name, what, strerror(err));
}

/* Returns the map's descriptor. */
static int make_map(const char *name)
{
	union bpf_attr a;
	int fd;

	memset(&a, 0, sizeof(a));
	a.map_type = BPF_MAP_TYPE_ARRAY;
	a.key_size = sizeof(uint32_t);
	a.value_size = sizeof(struct tap_rss_map);
	a.max_entries = 1;
	a.map_flags = BPF_F_MMAPABLE;
	strcpy(a.map_name, "mimsy_rss");
	fd = bpf(BPF_MAP_CREATE, &a);
	return fd < 0 ? explain(name, "make a BPF map") : fd;
}

static int load_prog(struct tap_rss *t, int map_fd, const char *name)
{
	static const char license[] = "Apache-2.0";
	struct bpf_insn insn[TAP_RSS_PROG_MAX];
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	a.insn_cnt = tap_rss_prog(insn, map_fd);
	a.insns = (uintptr_t)insn;
	a.license = (uintptr_t)license;
	strcpy(a.prog_name, "mimsy_rss");
	t->prog_fd = bpf(BPF_PROG_LOAD, &a);
	return t->prog_fd < 0 ? explain(name, "load a BPF program") : 0;
}

/* Program and mapping keep the map; nobody needs its descriptor. */
static int open_map(struct tap_rss *t, const char *name)
{
	int ret, fd = make_map(name);

	if (fd < 0)
		return fd;
	t->map = mmap(NULL, sizeof(*t->map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t->map == MAP_FAILED)
		ret = explain(name, "map a BPF map");
	else
		ret = load_prog(t, fd, name);
	close(fd);
	return ret;
}

int tap_rss_open(struct tap_rss **out, const char *name)
{
	struct tap_rss *t = zalloc(1, sizeof(*t));
	int ret;

	if (!t)
		return -ENOMEM;
	t->map = MAP_FAILED;
	t->prog_fd = -1;
	ret = open_map(t, name);
	if (ret) {
		tap_rss_free(t);
		return ret;
	}
	*out = t;
	return 0;
}

void tap_rss_free(struct tap_rss *t)
{
	if (!t)
		return;
	if (t->map != MAP_FAILED)
		munmap(t->map, sizeof(*t->map));
	if (t->prog_fd >= 0)
		close(t->prog_fd);
	free(t);
}

int tap_rss_fd(const struct tap_rss *t)
{
	return t->prog_fd;
}

/* Into the table that is not looked at, which then becomes the one that is. */
void tap_rss_write(struct tap_rss *t, const struct net_rss *r)
{
	uint32_t other = !__atomic_load_n(&t->map->current, __ATOMIC_RELAXED);
	struct tap_rss_table *table = &t->map->table[other];

	table->hash_types = r->hash_types;
	table->mask = r->mask;
	table->unclassified = r->unclassified;
	memcpy(table->queue, r->queue, (r->mask + 1u) * sizeof(r->queue[0]));
	net_rss_toeplitz(&table->toeplitz, r->key);
	__atomic_store_n(&t->map->current, other, __ATOMIC_RELEASE);
}
