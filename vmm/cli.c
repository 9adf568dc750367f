/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table says everything about an option: its name, what it takes, its
 * help and its setter. The help is printed from the same table, so the two
 * cannot differ.
 */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_device.h"
#include "cli_jail.h"
#include "cli_value.h"
#include "util.h"
#include "version.h"

#define MAX_STOP_TIMEOUT 3600u

struct option_def {
	const char *name;
	const char *arg;	/* NULL: a switch */
	const char *help;	/* lines separated by \n */
	int (*set)(struct vm_config *c, const char *arg);	/* -EINVAL: bad value */
};

static int opt_kernel(struct vm_config *c, const char *arg)
{
	c->files.kernel = arg;
	c->files.kernel_fd = -1;	/* the last one holds */
	return *arg && cli_passed_fd(arg, &c->files.kernel_fd) >= 0 ? 0 : -EINVAL;
}

static int opt_initrd(struct vm_config *c, const char *arg)
{
	c->files.initrd = arg;
	c->files.initrd_fd = -1;
	return *arg && cli_passed_fd(arg, &c->files.initrd_fd) >= 0 ? 0 : -EINVAL;
}

static int opt_cmdline(struct vm_config *c, const char *arg)
{
	for (const char *p = arg; *p; p++)
		if ((unsigned char)*p < ' ')
			return -EINVAL;
	c->cmdline = c->cmdline ? vm_config_keep(c, c->cmdline, arg) : arg;
	return c->cmdline ? 0 : -ENOMEM;
}

static int opt_no_default_cmdline(struct vm_config *c, const char *arg)
{
	(void)arg;
	c->default_cmdline = false;
	return 0;
}

static int opt_entry(struct vm_config *c, const char *arg)
{
	static const char *const names[] = { "auto", "pvh", "linux64", NULL };
	unsigned int i;

	if (cli_choice(arg, names, &i))
		return -EINVAL;
	c->files.entry = (enum loader_entry)i;
	return 0;
}

static int opt_cpus(struct vm_config *c, const char *arg)
{
	uint64_t n;

	if (cli_number(arg, 1, VM_MAX_CPUS, &n))
		return -EINVAL;
	c->nr_cpus = (unsigned int)n;
	return 0;
}

static int opt_cpu_pin(struct vm_config *c, const char *arg)
{
	return cli_cpus(arg, c->vcpu_cpus, VM_MAX_CPUS, &c->nr_vcpu_cpus);
}

static int opt_memory(struct vm_config *c, const char *arg)
{
	uint64_t mib;

	if (cli_number(arg, 0, UINT64_MAX, &mib))
		return cli_size(arg, &c->memory);
	if (mib > UINT64_MAX >> 20)
		return -EINVAL;
	c->memory = MIB(mib);
	return 0;
}

static int opt_memory_backing(struct vm_config *c, const char *arg)
{
	static const char *const names[] = { "default", "thp", "hugetlb", NULL };
	unsigned int i;

	if (cli_choice(arg, names, &i))
		return -EINVAL;
	c->backing = (enum guest_mem_backing)i;
	return 0;
}

static int opt_irq(struct vm_config *c, const char *arg)
{
	return cli_irq(arg, &c->irq);
}

static int opt_describe(struct vm_config *c, const char *arg)
{
	static const char *const names[] = { "acpi", "fdt", "cmdline", NULL };
	unsigned int i;

	if (cli_choice(arg, names, &i))
		return -EINVAL;
	c->describe = (enum fw_describe)i;
	return 0;
}

static int opt_doorbells(struct vm_config *c, const char *arg)
{
	return cli_on_off(arg, &c->doorbells);
}

static int opt_stop_timeout(struct vm_config *c, const char *arg)
{
	uint64_t n;

	if (cli_number(arg, 0, MAX_STOP_TIMEOUT, &n))
		return -EINVAL;
	c->stop_timeout = (unsigned int)n;
	return 0;
}

static int opt_pit(struct vm_config *c, const char *arg)
{
	return cli_on_off(arg, &c->pit);
}

static int opt_console(struct vm_config *c, const char *arg)
{
	if (!strcmp(arg, "stdio"))
		c->console = VM_CONSOLE_STDIO;
	else if (!strcmp(arg, "none"))
		c->console = VM_CONSOLE_NONE;
	else if (!strncmp(arg, "file=", 5) && arg[5])
		c->console = VM_CONSOLE_FILE;
	else
		return -EINVAL;
	c->console_file = c->console == VM_CONSOLE_FILE ? arg + 5 : NULL;
	return 0;
}

static int opt_stats(struct vm_config *c, const char *arg)
{
	c->stats_file = arg;
	return *arg ? 0 : -EINVAL;
}

static int opt_log_level(struct vm_config *c, const char *arg)
{
	enum log_level level;

	(void)c;
	if (log_level_parse(arg, &level))
		return -EINVAL;
	log_set_level(level);
	return 0;
}

static int opt_debug_exit(struct vm_config *c, const char *arg)
{
	(void)arg;
	c->debug_exit = true;
	return 0;
}

static const struct option_def options[] = {
	{ "kernel", "F", "ELF vmlinux or bzImage to boot (required). fd=N: an open descriptor",
	  opt_kernel },
	{ "initrd", "F", "initial RAM disk; or fd=N", opt_initrd },
	{ "cmdline", "S", "appended to the default kernel command line, and to one before it",
	  opt_cmdline },
	{ "no-default-cmdline", NULL, "--cmdline is the whole line", opt_no_default_cmdline },
	{ "entry", "auto|pvh|linux64", "way into an ELF kernel: PVH if it has a note for it (auto)",
	  opt_entry },
	{ "cpus", "N", "vCPUs, 1..254 (1)", opt_cpus },
	{ "cpu-pin", "LIST", "host CPUs for the vCPUs, in turn: 0-3,8", opt_cpu_pin },
	{ "memory", "SIZE", "guest memory with K, M, G or T; a bare number is MiB (256M)",
	  opt_memory },
	{ "memory-backing", "default|thp|hugetlb", "pages behind the guest's memory",
	  opt_memory_backing },
	{ "disk", "path=F[,key=value...]", cli_disk_help, cli_disk },
	{ "net", "tap=NAME[,key=value...]", cli_net_help, cli_net },
	{ "irq", "msi|shared|single", "interrupts of all devices: one MSI per queue, one for all\n"
	  "queues, or a single line (msi). A guest driver without MSI uses the line", opt_irq },
	{ "doorbells", "on|off", "a notification address per queue (on)", opt_doorbells },
	{ "describe", "acpi|fdt|cmdline", "how the guest finds its devices (acpi)", opt_describe },
	{ "pit", "on|off", "an 8254 timer for kernels that need one (off)", opt_pit },
	{ "stop-timeout", "SECONDS", "how long a guest that gets SIGTERM may take to power off,\n"
	  "0..3600 (10); 0: it is stopped at once", opt_stop_timeout },
	{ "console", "stdio|none|file=F", "where the serial port goes (stdio); F is\n"
	  "emptied first, takes 1 GiB. On a terminal Ctrl-A x quits, Ctrl-A h helps", opt_console },
	{ "stats", "F", "write counters to F as JSON at the end", opt_stats },
	{ "log-level", "L", "error, warn, info or debug (info)", opt_log_level },
	{ "jail", "on|auto|off", "rights given up before the guest runs: all of them or no start,\n"
	  "those that host and user allow, none (on for root, else auto)", cli_jail },
	{ "jail-user", "UID[:GID]", "who the monitor is in the jail if it was root (an own id)",
	  cli_jail_user },
	{ "jail-cgroup", "DIR", "cgroup v2 to make or use, with limits on memory and threads",
	  cli_jail_cgroup },
	{ "seccomp", "kill|trap|log|off", "after a system call that is not needed: the end, a\n"
	  "message, an entry in the host's audit log; off: no filters (kill)", cli_seccomp },
	{ "kvm-fd", "N", "an open descriptor of /dev/kvm", cli_kvm_fd },
	{ "debug-exit", NULL, NULL, opt_debug_exit },	/* for our tests: no help */
};

static void print_usage(FILE *out)
{
	fputs("mimsy " MIMSY_VERSION ", a KVM microVM monitor with one MSI per virtio-mmio queue\n"
	      "\n"
	      "usage: mimsy run --kernel F [option...]   boot a guest\n"
	      "       mimsy run --help                   all options\n"
	      "       mimsy --version\n", out);
}

static void print_help_lines(const char *help)
{
	size_t len;

	for (; *help; help += len + (help[len] == '\n')) {
		len = strcspn(help, "\n");
		printf("        %.*s\n", (int)len, help);
	}
}

static void print_help(void)
{
	puts("usage: mimsy run --kernel F [option...]\n"
	     "\n"
	     "Boots a Linux guest. Defaults are in brackets.\n");
	for (unsigned int i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option_def *o = &options[i];

		if (!o->help)
			continue;
		printf("  --%s%s%s\n", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		print_help_lines(o->help);
	}
	puts("  --help, --version\n"
	     "\n"
	     "A guest that powers off or reboots ends the monitor. Exit status: 0 the guest\n"
	     "powered off, or the monitor was asked to stop (SIGINT, SIGTERM, Ctrl-A x);\n"
	     "1 monitor or host error; 2 wrong usage; 3 the guest crashed; 4 it rebooted;\n"
	     "5 its kernel panicked; 128+N signal N ended the monitor at once.\n"
	     "\n"
	     "  mimsy run --kernel vmlinuz --initrd initrd.img --cpus 4 --memory 1G \\\n"
	     "            --disk path=disk.img,queues=4 --net tap=tap0,queues=2 \\\n"
	     "            --cmdline root=/dev/vda");
}

static const struct option_def *find_option(const char *name, size_t len)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(options); i++)
		if (strlen(options[i].name) == len && !strncmp(options[i].name, name, len))
			return &options[i];
	return NULL;
}

static int unknown_option(const char *arg, const char *name, size_t len)
{
	const char *nearest = NULL;
	unsigned int best = CLI_FAR;

	for (unsigned int i = 0; i < ARRAY_SIZE(options); i++) {
		unsigned int n = cli_distance(name, len, options[i].name);

		if (n < best && options[i].help) {
			best = n;
			nearest = options[i].name;
		}
	}
	if (nearest)
		return log_fail(-EINVAL,
				"unknown option \"%s\": did you mean --%s? (see mimsy run --help)",
				arg, nearest);
	return log_fail(-EINVAL, "unknown option \"%s\" (see mimsy run --help)", arg);
}

/* One line, so the help's are joined. */
static int bad_value(const struct option_def *o, const char *value)
{
	char help[256];

	snprintf(help, sizeof(help), "%s", o->help);
	for (char *p = help; (p = strchr(p, '\n'));)
		*p = ' ';
	return log_fail(-EINVAL, "--%s: \"%s\" is not %s: %s", o->name, value, o->arg, help);
}

/* Takes argv[at], and the next one if the value stands there. Returns how many, or -EINVAL. */
static int take_option(struct vm_config *c, int argc, char **argv, int at)
{
	bool dashed = !strncmp(argv[at], "--", 2);
	const char *name = argv[at] + (dashed ? 2 : 0);
	size_t len = strcspn(name, "=");
	const struct option_def *o = dashed ? find_option(name, len) : NULL;
	const char *value = name[len] ? name + len + 1 : NULL;
	int used = 1, ret;

	if (!o)
		return unknown_option(argv[at], name, len);
	if (!o->arg && value)
		return log_fail(-EINVAL, "--%s takes no value", o->name);
	if (o->arg && !value) {
		if (at + 1 >= argc)
			return log_fail(-EINVAL, "--%s needs a value: %s", o->name, o->arg);
		value = argv[at + 1];
		used = 2;
	}
	ret = o->set(c, value);
	if (ret == -EINVAL)
		return bad_value(o, value);
	return ret ? -EINVAL : used;
}

static enum cli_result parse_run(struct vm_config *c, int argc, char **argv)
{
	for (int i = 0; i < argc;) {
		int used;

		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			print_help();
			return CLI_DONE;
		}
		if (!strcmp(argv[i], "--version")) {
			puts("mimsy " MIMSY_VERSION);
			return CLI_DONE;
		}
		used = take_option(c, argc, argv, i);
		if (used < 0)
			return CLI_USAGE;
		i += used;
	}
	return vm_config_check(c) ? CLI_USAGE : CLI_RUN;
}

enum cli_result cli_parse(struct vm_config *c, int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return CLI_USAGE;
	}
	if (!strcmp(argv[1], "run"))
		return parse_run(c, argc - 2, argv + 2);
	if (!strcmp(argv[1], "--version")) {
		puts("mimsy " MIMSY_VERSION);
		return CLI_DONE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_usage(stdout);
		return CLI_DONE;
	}
	log_error("unknown command \"%s\": mimsy run --kernel F, or mimsy --help", argv[1]);
	return CLI_USAGE;
}
