/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --disk and --net: lists of key=value. A wrong value is answered with its
 * key's line of the help.
 */
#include "cli_device.h"

#include <errno.h>
#include <string.h>

#include "cli_value.h"
#include "util.h"

#define MAX_QUEUE_SIZE 1024u

const char cli_disk_help[] =
	"a disk; may be repeated. Keys:\n"
	"queues=N          1..64, each with a thread and an interrupt (1)\n"
	"queue-size=N      power of two, 4..1024 (256)\n"
	"readonly=on|off   (off)\n"
	"format=auto|raw   auto: what looks like qcow2 or the like is refused (auto)\n"
	"lock=on|off       off: you see to it that nobody else writes to it (on)\n"
	"discard=on|off    give space back that the guest does not need (on)\n"
	"direct=on|off     bypass the host's page cache (off)\n"
	"cache=writeback|writethrough|unsafe   when a write is stable (writeback)\n"
	"aio=auto|io_uring|threads   how the host does the I/O (auto)\n"
	"poll-us=N         look for N microseconds before sleeping (0)\n"
	"sqpoll=on|off     io_uring with a kernel thread that submits; it takes a CPU (off)\n"
	"cpus=LIST         host CPUs for the queues' threads, in turn: 0-3:8\n"
	"serial=S          at most 20 characters\n"
	"irq=msi|shared|single   instead of --irq\n"
	"fd=N              an open descriptor, 3 or more, instead of path";

const char cli_net_help[] =
	"a network interface; may be repeated. Keys:\n"
	"queues=PAIRS      1..32, each with two interrupts (1)\n"
	"queue-size=N      power of two, 32..1024 (256)\n"
	"mac=M             like 52:54:00:12:34:56 (random)\n"
	"mtu=N             68..65535, told to the guest\n"
	"vhost=auto|on|off frames are moved by the host's kernel (auto)\n"
	"inline-kick=on|off   the vCPU sends its frames itself; no vhost then (off)\n"
	"rss=on|off        the guest may spread received frames by a hash; takes root (off)\n"
	"cpus=LIST         host CPUs for the pairs' threads, in turn: 0-3:8\n"
	"irq=msi|shared|single   instead of --irq\n"
	"fd=N              an open tap queue, 3 or more; once for each pair";

static int set_fd(const char *s, int *fd)
{
	uint64_t n;

	if (cli_number(s, 3, INT32_MAX, &n))	/* 0 to 2 are the console's and the log's */
		return -EINVAL;
	*fd = (int)n;
	return 0;
}

static int set_u16(const char *s, uint64_t min, uint64_t max, uint16_t *out)
{
	uint64_t n;

	if (cli_number(s, min, max, &n))
		return -EINVAL;
	*out = (uint16_t)n;
	return 0;
}

static int set_queue_size(const char *s, uint64_t min, uint16_t *out)
{
	uint64_t n;

	if (cli_number(s, min, MAX_QUEUE_SIZE, &n) || n & (n - 1))
		return -EINVAL;
	*out = (uint16_t)n;
	return 0;
}

int cli_irq(const char *s, enum vm_irq_mode *out)
{
	static const char *const names[] = { "msi", "shared", "single", NULL };
	unsigned int i;

	if (cli_choice(s, names, &i))
		return -EINVAL;
	*out = (enum vm_irq_mode)i;
	return 0;
}

/* Keys of --disk. */

static int disk_path(void *ctx, char *v)
{
	((struct vm_disk *)ctx)->blk.file.path = v;
	return *v ? 0 : -EINVAL;
}

static int disk_fd(void *ctx, char *v)
{
	return set_fd(v, &((struct vm_disk *)ctx)->blk.file.fd);
}

static int disk_queues(void *ctx, char *v)
{
	return set_u16(v, 1, VIRTIO_BLK_MAX_QUEUES, &((struct vm_disk *)ctx)->blk.queues);
}

static int disk_queue_size(void *ctx, char *v)
{
	return set_queue_size(v, VIRTIO_BLK_MIN_SIZE, &((struct vm_disk *)ctx)->blk.queue_size);
}

static int disk_readonly(void *ctx, char *v)
{
	return cli_on_off(v, &((struct vm_disk *)ctx)->blk.file.readonly);
}

static int disk_direct(void *ctx, char *v)
{
	return cli_on_off(v, &((struct vm_disk *)ctx)->blk.file.direct);
}

static int disk_format(void *ctx, char *v)
{
	static const char *const names[] = { "auto", "raw", NULL };
	unsigned int i;

	if (cli_choice(v, names, &i))
		return -EINVAL;
	((struct vm_disk *)ctx)->blk.file.format_raw = i;
	return 0;
}

static int disk_lock(void *ctx, char *v)
{
	struct vm_disk *d = ctx;
	bool on;

	if (cli_on_off(v, &on))
		return -EINVAL;
	d->blk.file.unlocked = !on;
	return 0;
}

static int disk_discard(void *ctx, char *v)
{
	struct vm_disk *d = ctx;
	bool on;

	if (cli_on_off(v, &on))
		return -EINVAL;
	d->blk.no_discard = !on;
	return 0;
}

static int disk_serial(void *ctx, char *v)
{
	struct vm_disk *d = ctx;

	if (strlen(v) >= sizeof(d->blk.serial))
		return -EINVAL;
	strcpy(d->blk.serial, v);
	return 0;
}

static int disk_irq(void *ctx, char *v)
{
	return cli_irq(v, &((struct vm_disk *)ctx)->irq);
}

static int disk_cache(void *ctx, char *v)
{
	static const char *const names[] = { "writeback", "writethrough", "unsafe", NULL };
	unsigned int i;

	if (cli_choice(v, names, &i))
		return -EINVAL;
	((struct vm_disk *)ctx)->blk.cache = (enum virtio_blk_cache)i;
	return 0;
}

static int disk_aio(void *ctx, char *v)
{
	static const char *const names[] = { "auto", "io_uring", "threads", NULL };
	unsigned int i;

	if (cli_choice(v, names, &i))
		return -EINVAL;
	((struct vm_disk *)ctx)->blk.aio = (enum virtio_blk_aio)i;
	return 0;
}

static int disk_poll_us(void *ctx, char *v)
{
	uint64_t n;

	if (cli_number(v, 0, 1000000, &n))
		return -EINVAL;
	((struct vm_disk *)ctx)->blk.poll_us = (uint32_t)n;
	return 0;
}

static int disk_sqpoll(void *ctx, char *v)
{
	return cli_on_off(v, &((struct vm_disk *)ctx)->blk.sqpoll);
}

static int disk_cpus(void *ctx, char *v)
{
	struct vm_disk *d = ctx;

	d->blk.cpus = d->cpus;
	return cli_cpus(v, d->cpus, ARRAY_SIZE(d->cpus), &d->blk.nr_cpus);
}

static const struct cli_key disk_keys[] = {
	{ "path", disk_path, false },
	{ "fd", disk_fd, false },
	{ "queues", disk_queues, false },
	{ "queue-size", disk_queue_size, false },
	{ "readonly", disk_readonly, false },
	{ "direct", disk_direct, false },
	{ "format", disk_format, false },
	{ "lock", disk_lock, false },
	{ "discard", disk_discard, false },
	{ "cache", disk_cache, false },
	{ "aio", disk_aio, false },
	{ "poll-us", disk_poll_us, false },
	{ "sqpoll", disk_sqpoll, false },
	{ "cpus", disk_cpus, false },
	{ "serial", disk_serial, false },
	{ "irq", disk_irq, false },
};

/* Keys of --net. */

static int net_tap(void *ctx, char *v)
{
	((struct vm_net *)ctx)->net.tap = v;
	return *v ? 0 : -EINVAL;
}

static int net_queues(void *ctx, char *v)
{
	return set_u16(v, 1, VIRTIO_NET_MAX_PAIRS, &((struct vm_net *)ctx)->net.pairs);
}

static int net_queue_size(void *ctx, char *v)
{
	return set_queue_size(v, VIRTIO_NET_MIN_SIZE, &((struct vm_net *)ctx)->net.queue_size);
}

static int net_mac(void *ctx, char *v)
{
	struct vm_net *n = ctx;

	n->net.has_mac = true;
	return cli_mac(v, n->net.mac);
}

static int net_mtu(void *ctx, char *v)
{
	return set_u16(v, 68, 65535, &((struct vm_net *)ctx)->net.mtu);
}

static int net_irq(void *ctx, char *v)
{
	return cli_irq(v, &((struct vm_net *)ctx)->irq);
}

static int net_vhost(void *ctx, char *v)
{
	static const char *const names[] = { "auto", "on", "off", NULL };
	unsigned int i;

	if (cli_choice(v, names, &i))
		return -EINVAL;
	((struct vm_net *)ctx)->net.vhost = (enum virtio_net_vhost)i;
	return 0;
}

static int net_inline_kick(void *ctx, char *v)
{
	return cli_on_off(v, &((struct vm_net *)ctx)->net.inline_kick);
}

static int net_rss(void *ctx, char *v)
{
	return cli_on_off(v, &((struct vm_net *)ctx)->net.rss);
}

/* One for each pair. */
static int net_fd(void *ctx, char *v)
{
	struct vm_net *n = ctx;

	if (n->net.nr_fds == ARRAY_SIZE(n->net.fd))
		return -EINVAL;
	return set_fd(v, &n->net.fd[n->net.nr_fds++]);
}

static int net_cpus(void *ctx, char *v)
{
	struct vm_net *n = ctx;

	n->net.cpus = n->cpus;
	return cli_cpus(v, n->cpus, ARRAY_SIZE(n->cpus), &n->net.nr_cpus);
}

static const struct cli_key net_keys[] = {
	{ "tap", net_tap, false },
	{ "queues", net_queues, false },
	{ "queue-size", net_queue_size, false },
	{ "mac", net_mac, false },
	{ "mtu", net_mtu, false },
	{ "vhost", net_vhost, false },
	{ "inline-kick", net_inline_kick, false },
	{ "rss", net_rss, false },
	{ "fd", net_fd, true },
	{ "cpus", net_cpus, false },
	{ "irq", net_irq, false },
};

/* The line of an option's help that tells of a key, or "" if there is no such key. */
static const char *key_help(const char *help, const char *item, int *len)
{
	size_t key_len = strcspn(item, "=");

	for (; *help; help += strcspn(help, "\n"), help += *help == '\n') {
		*len = (int)strcspn(help, "\n");
		if (!strncmp(help, item, key_len) && help[key_len] == '=')
			return help;
	}
	*len = 0;
	return "";
}

/* What --disk and --net have in common. */
struct key_set {
	const char *option, *help;
	const struct cli_key *keys;
	size_t nr_keys;
};

static const char *nearest_key(const struct key_set *set, const char *item)
{
	const char *nearest = NULL;
	unsigned int best = CLI_FAR;

	for (size_t i = 0; i < set->nr_keys; i++) {
		unsigned int n = cli_distance(item, strcspn(item, "="), set->keys[i].key);

		if (n < best) {
			best = n;
			nearest = set->keys[i].key;
		}
	}
	return nearest;
}

static int bad_key(const struct key_set *set, const char *item, int err)
{
	const char *option = set->option;
	int len, key_len, gap;
	const char *help = key_help(set->help, item, &len);

	key_len = (int)strcspn(help, " ");
	gap = (int)strspn(help + key_len, " ");
	if (err == -EEXIST)
		log_error("--%s: \"%s\": this key is there twice", option, item);
	else if (len)
		log_error("--%s: \"%s\" is not valid: %.*s %.*s", option, item, key_len, help,
			  len - key_len - gap, help + key_len + gap);
	else if (nearest_key(set, item))
		log_error("--%s: unknown key \"%s\": did you mean %s=?", option, item,
			  nearest_key(set, item));
	else
		log_error("--%s: \"%s\" is no key=value that it takes (see mimsy run --help)",
			  option, item);
	return -E2BIG;		/* said already */
}

static const struct key_set disk_set = {
	"disk", cli_disk_help, disk_keys, ARRAY_SIZE(disk_keys),
};

static const struct key_set net_set = { "net", cli_net_help, net_keys, ARRAY_SIZE(net_keys) };

static int add_keys(struct vm_config *c, const struct key_set *set, const char *arg, void *ctx)
{
	char *text = vm_config_keep(c, arg, NULL);
	const char *bad = "";
	int ret;

	if (!text)
		return -ENOMEM;
	ret = cli_keys(text, set->keys, set->nr_keys, ctx, &bad);
	return ret ? bad_key(set, bad, ret) : 0;
}

static int said(const char *what)
{
	log_error("%s", what);
	return -E2BIG;
}

int cli_disk(struct vm_config *c, const char *arg)
{
	struct vm_disk *d = &c->disk[c->nr_disks];
	int ret;

	if (c->nr_disks == LAYOUT_VIRTIO_MAX)
		return said("--disk: at most 128 devices fit");
	*d = (struct vm_disk){ .blk = VIRTIO_BLK_CFG_DEFAULT, .irq = VM_IRQ_DEFAULT };
	ret = add_keys(c, &disk_set, arg, d);
	if (!ret && !d->blk.file.path && d->blk.file.fd < 0)
		return said("--disk: path= is missing");
	if (!ret && d->blk.file.path && d->blk.file.fd >= 0)
		return said("--disk: path= and fd= are two disks");
	if (!ret && d->blk.sqpoll && d->blk.aio == VIRTIO_BLK_AIO_THREADS)
		return said("--disk: sqpoll=on is a way of io_uring, not of aio=threads");
	if (!ret)
		c->nr_disks++;
	return ret;
}

int cli_net(struct vm_config *c, const char *arg)
{
	struct vm_net *n = &c->net[c->nr_nets];
	int ret;

	if (c->nr_nets == LAYOUT_VIRTIO_MAX)
		return said("--net: at most 128 devices fit");
	*n = (struct vm_net){ .net = VIRTIO_NET_CFG_DEFAULT, .irq = VM_IRQ_DEFAULT };
	ret = add_keys(c, &net_set, arg, n);
	if (!ret && !n->net.tap && !n->net.nr_fds)
		return said("--net: tap= is missing");
	if (!ret && n->net.tap && n->net.nr_fds)
		return said("--net: tap= and fd= are two interfaces");
	if (!ret && n->net.inline_kick && n->net.vhost == VIRTIO_NET_VHOST_ON)
		return said("--net: inline-kick=on leaves nothing to vhost=on");
	if (!ret && n->net.rss && n->net.pairs < 2)
		return said("--net: rss=on spreads frames over queues: queues=2 or more");
	if (!ret)
		c->nr_nets++;
	return ret;
}
