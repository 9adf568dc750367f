/* SPDX-License-Identifier: Apache-2.0 */
/* Every option with values that are right and wrong; rows K1 to K4 of docs/hostile-cases.md. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

#define MAX_ARGS 600

static struct vm_config c;
static struct log_capture cap;
static char out[32768];		/* what went to stdout */

static void setup(void)
{
	vm_config_init(&c);
}

static void teardown(void)
{
	vm_config_release(&c);
}

/* Runs the parser on argv, which ends with NULL, and keeps what it prints. */
static enum cli_result parse(const char *const *argv)
{
	int fd = memfd_create("out", MFD_CLOEXEC), saved = dup(STDOUT_FILENO), argc = 0;
	static char *copy[MAX_ARGS];
	enum cli_result result;
	ssize_t n;

	for (; argv[argc]; argc++)
		copy[argc] = strdup(argv[argc]);
	copy[argc] = NULL;
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	log_capture_begin(&cap);
	result = cli_parse(&c, argc, copy);
	log_capture_end(&cap);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	n = pread(fd, out, sizeof(out) - 1, 0);
	ck_assert_int_ge(n, 0);
	out[n] = 0;
	close(fd);
	close(saved);
	return result;		/* the copies live as long as the process, as argv does */
}

/* mimsy run --kernel vmlinux OPTION [VALUE] */
static enum cli_result parse_option(const char *option, const char *value)
{
	const char *argv[] = { "mimsy", "run", "--kernel", "vmlinux", option, value, NULL };

	return parse(argv);
}

START_TEST(a_kernel_is_all_it_takes)
{
	const char *argv[] = { "mimsy", "run", "--kernel", "vmlinux", NULL };

	ck_assert_int_eq(parse(argv), CLI_RUN);
	ck_assert_str_eq(c.files.kernel, "vmlinux");
	ck_assert_uint_eq(c.nr_cpus, 1);
	ck_assert_uint_eq(c.memory, MIB(256));
	ck_assert_int_eq(c.irq, VM_IRQ_MSI);
	ck_assert_int_eq(c.console, VM_CONSOLE_STDIO);
	ck_assert(c.doorbells);
	ck_assert(!c.debug_exit);
	ck_assert_str_eq(cap.text, "");
	ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(a_value_may_follow_an_equals_sign)
{
	ck_assert_int_eq(parse_option("--cpus=7", NULL), CLI_RUN);
	ck_assert_uint_eq(c.nr_cpus, 7);
}
END_TEST

/* Numbers that an option sets, wherever they are. */
static const struct {
	const char *option, *value;
	const void *field;
	size_t len;
	uint64_t expected;
} sets[] = {
#define FIELD(f) &c.f, sizeof(c.f)
	{ "--cpus", "1", FIELD(nr_cpus), 1 },
	{ "--cpus", "254", FIELD(nr_cpus), 254 },
	{ "--memory", "4M", FIELD(memory), MIB(4) },
	{ "--memory", "64", FIELD(memory), MIB(64) },
	{ "--memory", "128m", FIELD(memory), MIB(128) },
	{ "--memory", "65536K", FIELD(memory), MIB(64) },
	{ "--memory-backing", "default", FIELD(backing), GUEST_MEM_ANON },
	{ "--memory-backing", "thp", FIELD(backing), GUEST_MEM_THP },
	{ "--memory-backing", "hugetlb", FIELD(backing), GUEST_MEM_HUGETLB },
	{ "--irq", "msi", FIELD(irq), VM_IRQ_MSI },
	{ "--irq", "shared", FIELD(irq), VM_IRQ_SHARED },
	{ "--irq", "single", FIELD(irq), VM_IRQ_SINGLE },
	{ "--describe", "acpi", FIELD(describe), FW_DESCRIBE_ACPI },
	{ "--describe", "fdt", FIELD(describe), FW_DESCRIBE_FDT },
	{ "--describe", "cmdline", FIELD(describe), FW_DESCRIBE_CMDLINE },
	{ "--entry", "auto", FIELD(files.entry), LOADER_ENTRY_AUTO },
	{ "--entry", "pvh", FIELD(files.entry), LOADER_ENTRY_PVH },
	{ "--entry", "linux64", FIELD(files.entry), LOADER_ENTRY_LINUX64 },
	{ "--doorbells", "off", FIELD(doorbells), false },
	{ "--doorbells", "on", FIELD(doorbells), true },
	{ "--stop-timeout", "0", FIELD(stop_timeout), 0 },
	{ "--stop-timeout", "3600", FIELD(stop_timeout), 3600 },
	{ "--pit", "on", FIELD(pit), true },
	{ "--pit", "off", FIELD(pit), false },
	{ "--console", "none", FIELD(console), VM_CONSOLE_NONE },
	{ "--console", "stdio", FIELD(console), VM_CONSOLE_STDIO },
	{ "--console", "file=/tmp/log", FIELD(console), VM_CONSOLE_FILE },
	{ "--debug-exit", NULL, FIELD(debug_exit), true },
	{ "--no-default-cmdline", NULL, FIELD(default_cmdline), false },
	{ "--kvm-fd", "9", FIELD(kvm_fd), 9 },
	{ "--disk", "path=a", FIELD(nr_disks), 1 },
	{ "--disk", "path=a", FIELD(disk[0].irq), VM_IRQ_DEFAULT },
	{ "--disk", "path=a,irq=shared", FIELD(disk[0].irq), VM_IRQ_SHARED },
	{ "--disk", "path=a", FIELD(disk[0].blk.queues), 1 },
	{ "--disk", "path=a,queues=64", FIELD(disk[0].blk.queues), 64 },
	{ "--disk", "path=a", FIELD(disk[0].blk.queue_size), 256 },
	{ "--disk", "path=a,queue-size=4", FIELD(disk[0].blk.queue_size), 4 },
	{ "--disk", "path=a,queue-size=1024", FIELD(disk[0].blk.queue_size), 1024 },
	{ "--disk", "path=a,readonly=on", FIELD(disk[0].blk.file.readonly), true },
	{ "--disk", "path=a,direct=on", FIELD(disk[0].blk.file.direct), true },
	{ "--disk", "path=a,poll-us=50", FIELD(disk[0].blk.poll_us), 50 },
	{ "--disk", "path=a,sqpoll=on", FIELD(disk[0].blk.sqpoll), 1 },
	{ "--disk", "path=a,sqpoll=off,aio=threads", FIELD(disk[0].blk.sqpoll), 0 },
	{ "--disk", "path=a,format=raw", FIELD(disk[0].blk.file.format_raw), true },
	{ "--disk", "path=a,format=auto", FIELD(disk[0].blk.file.format_raw), false },
	{ "--disk", "path=a,lock=off", FIELD(disk[0].blk.file.unlocked), true },
	{ "--disk", "path=a,discard=off", FIELD(disk[0].blk.no_discard), true },
	{ "--disk", "fd=5", FIELD(disk[0].blk.file.fd), 5 },
	{ "--disk", "path=a,cache=writeback", FIELD(disk[0].blk.cache), 0 },
	{ "--disk", "path=a,cache=writethrough", FIELD(disk[0].blk.cache), 1 },
	{ "--disk", "path=a,cache=unsafe", FIELD(disk[0].blk.cache), 2 },
	{ "--disk", "path=a,aio=auto", FIELD(disk[0].blk.aio), 0 },
	{ "--disk", "path=a,aio=io_uring", FIELD(disk[0].blk.aio), 1 },
	{ "--disk", "path=a,aio=threads", FIELD(disk[0].blk.aio), 2 },
	{ "--disk", "path=a,cpus=0-2", FIELD(disk[0].blk.nr_cpus), 3 },
	{ "--net", "tap=t0,cpus=1:3", FIELD(net[0].net.nr_cpus), 2 },
	{ "--net", "tap=t0,vhost=on", FIELD(net[0].net.vhost), 1 },
	{ "--net", "tap=t0,vhost=off", FIELD(net[0].net.vhost), 2 },
	{ "--net", "tap=t0,queues=2,rss=on", FIELD(net[0].net.rss), true },
	{ "--net", "tap=t0,queues=2", FIELD(net[0].net.rss), false },
	{ "--net", "tap=t0,rss=off", FIELD(net[0].net.rss), false },
	{ "--jail", "on", FIELD(jail.mode), SANDBOX_ON },
	{ "--jail", "auto", FIELD(jail.mode), SANDBOX_AUTO },
	{ "--jail", "off", FIELD(jail.mode), SANDBOX_OFF },
	{ "--jail-user", "1000", FIELD(jail.gid), 1000 },
	{ "--jail-user", "1000:7", FIELD(jail.gid), 7 },
	{ "--jail-user", "1000:7", FIELD(jail.uid), 1000 },
	{ "--seccomp", "kill", FIELD(jail.seccomp), SANDBOX_KILL },
	{ "--seccomp", "off", FIELD(jail.seccomp), SANDBOX_UNFILTERED },
	{ "--kernel", "fd=4", FIELD(files.kernel_fd), 4 },
	{ "--initrd", "fd=3", FIELD(files.initrd_fd), 3 },
	{ "--net", "tap=t0", FIELD(nr_nets), 1 },
	{ "--net", "tap=t0,queues=32", FIELD(net[0].net.pairs), 32 },
	{ "--net", "tap=t0,queue-size=512", FIELD(net[0].net.queue_size), 512 },
	{ "--net", "tap=t0,queue-size=32", FIELD(net[0].net.queue_size), 32 },
	{ "--net", "tap=t0,mtu=9000", FIELD(net[0].net.mtu), 9000 },
	{ "--net", "tap=t0,irq=single", FIELD(net[0].irq), VM_IRQ_SINGLE },
	{ "--net", "tap=t0,mac=02:00:00:00:00:01", FIELD(net[0].net.has_mac), true },
	{ "--cpu-pin", "0-3", FIELD(nr_vcpu_cpus), 4 },
};

START_TEST(an_option_sets_its_field)
{
	uint64_t value = 0;

	ck_assert_int_eq(parse_option(sets[_i].option, sets[_i].value), CLI_RUN);
	memcpy(&value, sets[_i].field, sets[_i].len);
	ck_assert_uint_eq(value, sets[_i].expected);
	ck_assert_str_eq(cap.text, "");
}
END_TEST

START_TEST(strings_are_kept_as_they_are)
{
	const char *argv[] = { "mimsy", "run", "--kernel", "/a b/vmlinux", "--initrd", "i=j",
			       "--cmdline", "root=/dev/vda \"q\" \xc3\xa4", "--stats", "s.json",
			       "--console", "file=a,b", "--disk", "path=x,,y.img,serial=S-1",
			       "--net", "tap=tap0", NULL };

	ck_assert_int_eq(parse(argv), CLI_RUN);
	ck_assert_str_eq(c.files.kernel, "/a b/vmlinux");
	ck_assert_str_eq(c.files.initrd, "i=j");
	ck_assert_str_eq(c.cmdline, "root=/dev/vda \"q\" \xc3\xa4");
	ck_assert_str_eq(c.stats_file, "s.json");
	ck_assert_str_eq(c.console_file, "a,b");
	ck_assert_str_eq(c.disk[0].blk.file.path, "x,y.img");
	ck_assert_str_eq(c.disk[0].blk.serial, "S-1");
	ck_assert_str_eq(c.net[0].net.tap, "tap0");
}
END_TEST

START_TEST(command_lines_are_joined)
{
	const char *argv[] = { "mimsy", "run", "--kernel", "k", "--cmdline", "quiet", "--disk",
			       "path=a", "--cmdline", "root=/dev/vda", "--cmdline=single", NULL };

	ck_assert_int_eq(parse(argv), CLI_RUN);
	ck_assert_str_eq(c.cmdline, "quiet root=/dev/vda single");
}
END_TEST

static const struct {
	const char *option, *value, *text;
} answers[] = {
	{ "--console", "pty", "takes 1 GiB. On a terminal Ctrl-A x quits, Ctrl-A h helps\n" },
	{ "--jail", "maybe", "none (on for root, else auto)\n" },
	{ "--disk", "path=a,queues=0", ": queues=N 1..64, each with a thread and" },
	{ "--disk", "path=a,cache=x", ": cache=writeback|writethrough|unsafe when a write" },
	{ "--disk", "path=a,queues=2,queues=3", "\"queues=3\": this key is there twice" },
};

START_TEST(a_wrong_value_is_answered_with_whole_sentences)
{
	ck_assert_int_eq(parse_option(answers[_i].option, answers[_i].value), CLI_USAGE);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_msg(strstr(cap.text, answers[_i].text), "%s", cap.text);
	ck_assert_ptr_null(strstr(cap.text, "  "));
}
END_TEST

START_TEST(devices_keep_their_order)
{
	const char *argv[] = { "mimsy", "run", "--disk", "path=a", "--net", "tap=t", "--disk",
			       "path=b", "--kernel", "k", "--disk", "path=c", NULL };

	ck_assert_int_eq(parse(argv), CLI_RUN);
	ck_assert_uint_eq(c.nr_disks, 3);
	ck_assert_uint_eq(c.nr_nets, 1);
	ck_assert_str_eq(c.disk[0].blk.file.path, "a");
	ck_assert_str_eq(c.disk[1].blk.file.path, "b");
	ck_assert_str_eq(c.disk[2].blk.file.path, "c");
}
END_TEST

/* K1, K2, K4 and everything else that is wrong: the option is named, in one line. */
static const struct {
	const char *option, *value;
} wrong[] = {
	{ "--kernel", "" },
	{ "--initrd", "" },
	{ "--stats", "" },
	{ "--cpus", "0" }, { "--cpus", "255" }, { "--cpus", "-1" }, { "--cpus", "" },
	{ "--cpus", "two" }, { "--cpus", "1.0" }, { "--cpus", "99999999999999999999" },
	{ "--memory", "" }, { "--memory", "0" }, { "--memory", "1" }, { "--memory", "4095K" },
	{ "--memory", "4194305" }, { "--memory", "-1G" }, { "--memory", "1GG" },
	{ "--memory", "9223372036854775808" }, { "--memory", "18446744073709551615" },
	{ "--memory", "16777215T" }, { "--memory", "3" }, { "--memory", "17592186044416" },
	{ "--memory", "64X" },
	{ "--memory-backing", "" }, { "--memory-backing", "huge" },
	{ "--irq", "" }, { "--irq", "default" }, { "--irq", "MSI" },
	{ "--describe", "" }, { "--describe", "mptable" },
	{ "--entry", "" }, { "--entry", "elf" },
	{ "--doorbells", "" }, { "--doorbells", "yes" },
	{ "--pit", "2" },
	{ "--stop-timeout", "3601" },
	{ "--stop-timeout", "10s" },
	{ "--console", "" }, { "--console", "tty" }, { "--console", "file=" },
	{ "--console", "stdio " },
	{ "--log-level", "" }, { "--log-level", "verbose" },
	{ "--cmdline", "a\nb" }, { "--cmdline", "\t" }, { "--cmdline", "\033[2J" },
	{ "--cpu-pin", "" }, { "--cpu-pin", "0," }, { "--cpu-pin", "3-1" },
	{ "--cpu-pin", "0-300" },
	{ "--kvm-fd", "" }, { "--kvm-fd", "-1" }, { "--kvm-fd", "2147483648" },
	{ "--jail", "" }, { "--jail", "maybe" },
	{ "--jail-user", "" }, { "--jail-user", "nobody?" }, { "--jail-user", "1:2:3" },
	{ "--seccomp", "" }, { "--seccomp", "on" },
	{ "--jail-user", "0" }, { "--jail-user", "4294967295" }, { "--jail-cgroup", "" },
	{ "--kernel", "fd=" }, { "--kernel", "fd=2" }, { "--initrd", "fd=x" },
	{ "--disk", "path=a,cpus=" }, { "--net", "tap=t,cpus=9-1" }, { "--net", "tap=t,vhost=yes" },
	{ "--net", "tap=t,rss=on" }, { "--net", "rss=on,tap=t,queues=1" },
	{ "--net", "tap=t,queues=2,rss=yes" }, { "--net", "tap=t,queues=2,rss" },
	{ "--disk", "path=a,queues=2,queues=2" }, { "--net", "tap=t,mtu=1400,mtu=1500" },
	{ "--disk", "fd=0" }, { "--disk", "fd=2" }, { "--net", "fd=1" },
	{ "--disk", "path=a,format=qcow2" }, { "--disk", "path=a,lock=no" },
	{ "--disk", "" }, { "--disk", "a.img" }, { "--disk", "path=" }, { "--disk", "path" },
	{ "--disk", "queues=2" }, { "--disk", "path=a,queues=0" }, { "--disk", "path=a,queues=65" },
	{ "--disk", "path=a,queue-size=0" }, { "--disk", "path=a,queue-size=2" },
	{ "--disk", "path=a,queue-size=3" }, { "--disk", "path=a,queue-size=2048" },
	{ "--disk", "path=a,queue-size=65540" }, { "--disk", "path=a,readonly" },
	{ "--disk", "path=a,readonly=1" }, { "--disk", "path=a,direct=" },
	{ "--disk", "path=a,cache=none" }, { "--disk", "path=a,aio=native" },
	{ "--disk", "path=a,sqpoll=on,aio=threads" }, { "--disk", "path=a,sqpoll=1" },
	{ "--disk", "path=a,poll-us=1000001" }, { "--disk", "path=a,irq=line" },
	{ "--disk", "path=a,serial=123456789012345678901" }, { "--disk", "path=a,,queues=2,x" },
	{ "--disk", "path=a," }, { "--disk", ",path=a" }, { "--disk", "fd=-1" },
	{ "--disk", "fd=x" }, { "--disk", "path=a,fd=5" }, { "--disk", "fd=5,path=a" },
	{ "--net", "tap=t,fd=5" },
	{ "--disk", "path=a,size=1G" }, { "--disk", "PATH=a" },
	{ "--net", "" }, { "--net", "tap0" }, { "--net", "tap=" }, { "--net", "queues=1" },
	{ "--net", "tap=t,queues=0" }, { "--net", "tap=t,queues=33" },
	{ "--net", "tap=t,queue-size=16" }, { "--net", "tap=t,queue-size=4" },
	{ "--net", "tap=t,queue-size=48" }, { "--net", "tap=t,mtu=67" },
	{ "--net", "tap=t,mtu=65536" }, { "--net", "tap=t,mac=0" },
	{ "--net", "tap=t,mac=ff:ff:ff:ff:ff:ff" }, { "--net", "tap=t,irq=" },
	{ "--net", "tap=t,path=a" },
};

/* rows K1, K2 */
START_TEST(a_wrong_value_is_refused_with_one_line_that_names_the_option)
{
	ck_assert_int_eq(parse_option(wrong[_i].option, wrong[_i].value), CLI_USAGE);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, wrong[_i].option));
	ck_assert_str_eq(out, "");
}
END_TEST

static const char *const wants_value[] = {
	"--kernel", "--initrd", "--cmdline", "--entry", "--cpus", "--cpu-pin", "--memory",
	"--memory-backing", "--disk", "--net", "--irq", "--doorbells", "--describe", "--pit",
	"--stop-timeout",
	"--console", "--stats", "--log-level", "--jail", "--jail-user", "--jail-cgroup",
	"--seccomp", "--kvm-fd",
};

START_TEST(an_option_without_its_value_says_what_it_needs)
{
	ck_assert_int_eq(parse_option(wants_value[_i], NULL), CLI_USAGE);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, wants_value[_i]));
	ck_assert_ptr_nonnull(strstr(cap.text, "needs a value"));
}
END_TEST

START_TEST(a_switch_takes_no_value)
{
	ck_assert_int_eq(parse_option("--debug-exit=1", NULL), CLI_USAGE);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "--debug-exit takes no value"));
}
END_TEST

static const char *const unknown[] = {
	"--cpu", "--cpuss", "--CPUS", "-cpus", "cpus", "--", "-", "", "---cpus", "--=", "vmlinux",
};

START_TEST(an_unknown_option_is_named)
{
	ck_assert_int_eq(parse_option(unknown[_i], "1"), CLI_USAGE);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, unknown[_i]));
	ck_assert_ptr_nonnull(strstr(cap.text, "--help"));
}
END_TEST

START_TEST(a_kernel_is_required)
{
	const char *argv[] = { "mimsy", "run", NULL };

	ck_assert_int_eq(parse(argv), CLI_USAGE);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "--kernel"));
}
END_TEST

START_TEST(no_command_shows_the_usage_on_stderr)
{
	const char *argv[] = { "mimsy", NULL };

	ck_assert_int_eq(parse(argv), CLI_USAGE);
	ck_assert_ptr_nonnull(strstr(cap.text, "mimsy run --kernel"));
	ck_assert_str_eq(out, "");
}
END_TEST

static const struct {
	const char *option, *value, *text;
} misspelt[] = {
	{ "--cpu", "2", "did you mean --cpus?" },
	{ "--kernl", "k", "did you mean --kernel?" },
	{ "--disk", "path=a,queue=2", "\"queue=2\": did you mean queues=?" },
	{ "--net", "tap=t,quues=2", "did you mean queues=?" },
};

START_TEST(the_nearest_name_is_offered)
{
	ck_assert_int_eq(parse_option(misspelt[_i].option, misspelt[_i].value), CLI_USAGE);
	ck_assert_ptr_nonnull(strstr(cap.text, misspelt[_i].text));
	ck_assert_uint_eq(cap.nr_lines, 1);
}
END_TEST

START_TEST(an_unknown_command_is_named)
{
	const char *argv[] = { "mimsy", "boot", NULL };

	ck_assert_int_eq(parse(argv), CLI_USAGE);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "boot"));
}
END_TEST

START_TEST(help_names_every_option)
{
	const char *argv[] = { "mimsy", "run", "--help", NULL };

	ck_assert_int_eq(parse(argv), CLI_DONE);
	ck_assert_str_eq(cap.text, "");
	for (unsigned int i = 0; i < ARRAY_SIZE(wants_value); i++)
		ck_assert_msg(strstr(out, wants_value[i]), "%s", wants_value[i]);
	ck_assert_ptr_nonnull(strstr(out, "--no-default-cmdline"));
	ck_assert_ptr_nonnull(strstr(out, "--version"));
	ck_assert_ptr_null(strstr(out, "--debug-exit"));	/* for our tests only */
}
END_TEST

START_TEST(help_names_every_key_of_a_device)
{
	static const char *const key[] = {
		"path=", "fd=", "queues=", "queue-size=", "readonly=", "direct=", "cache=",
		"aio=", "poll-us=", "sqpoll=", "serial=", "irq=", "tap=", "mac=", "mtu=",
	};
	const char *argv[] = { "mimsy", "run", "-h", NULL };

	ck_assert_int_eq(parse(argv), CLI_DONE);
	for (unsigned int i = 0; i < ARRAY_SIZE(key); i++)
		ck_assert_msg(strstr(out, key[i]), "%s", key[i]);
}
END_TEST

START_TEST(help_fits_into_100_columns)
{
	const char *argv[] = { "mimsy", "run", "--help", NULL };
	char *save;

	parse(argv);
	for (char *line = strtok_r(out, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		ck_assert_msg(strlen(line) <= 100, "%s", line);
}
END_TEST

START_TEST(help_wins_over_what_comes_behind_it)
{
	const char *argv[] = { "mimsy", "run", "--help", "--nonsense", NULL };

	ck_assert_int_eq(parse(argv), CLI_DONE);
}
END_TEST

static const char *const command[] = { "--help", "-h", "help", "--version" };

START_TEST(help_and_version_are_commands_too)
{
	const char *argv[] = { "mimsy", command[_i], NULL };

	ck_assert_int_eq(parse(argv), CLI_DONE);
	ck_assert_int_eq(strncmp(out, "mimsy ", 6), 0);
	ck_assert_str_eq(cap.text, "");
}
END_TEST

START_TEST(version_is_one_line)
{
	const char *argv[] = { "mimsy", "run", "--version", NULL };

	ck_assert_int_eq(parse(argv), CLI_DONE);
	ck_assert_ptr_eq(strchr(out, '\n'), out + strlen(out) - 1);
}
END_TEST

/* K2. _i: 0 disks, 1 nets, 2 half of each */
static enum cli_result parse_devices(unsigned int nr, int kind)
{
	static const char *argv[MAX_ARGS];
	unsigned int at = 0;

	argv[at++] = "mimsy";
	argv[at++] = "run";
	argv[at++] = "--kernel";
	argv[at++] = "vmlinux";
	for (unsigned int i = 0; i < nr; i++) {
		bool disk = kind == 0 || (kind == 2 && i % 2);

		argv[at++] = disk ? "--disk" : "--net";
		argv[at++] = disk ? "path=a.img" : "tap=t";
	}
	argv[at] = NULL;
	return parse(argv);
}

/* row M15 */
START_TEST(as_many_devices_as_there_are_windows_fit)
{
	ck_assert_int_eq(parse_devices(LAYOUT_VIRTIO_MAX, _i), CLI_RUN);
	ck_assert_uint_eq(c.nr_disks + c.nr_nets, LAYOUT_VIRTIO_MAX);
}
END_TEST

/* rows K2, M15 */
START_TEST(one_device_more_is_refused_with_the_limit)
{
	ck_assert_int_eq(parse_devices(LAYOUT_VIRTIO_MAX + 1, _i), CLI_USAGE);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "128"));
}
END_TEST

START_TEST(the_log_level_takes_effect)
{
	ck_assert_int_eq(parse_option("--log-level", "error"), CLI_RUN);
	log_capture_begin(&cap);
	log_info("quiet");
	log_capture_end(&cap);
	ck_assert_str_eq(cap.text, "");
}
END_TEST

static TCase *help(void)
{
	TCase *tc = tcase_create("help");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, no_command_shows_the_usage_on_stderr);
	tcase_add_test(tc, an_unknown_command_is_named);
	tcase_add_test(tc, help_names_every_option);
	tcase_add_test(tc, help_names_every_key_of_a_device);
	tcase_add_test(tc, help_fits_into_100_columns);
	tcase_add_test(tc, help_wins_over_what_comes_behind_it);
	tcase_add_loop_test(tc, help_and_version_are_commands_too, 0, ARRAY_SIZE(command));
	tcase_add_test(tc, version_is_one_line);
	return tc;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("cli");
	TCase *tc = tcase_create("options");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_kernel_is_all_it_takes);
	tcase_add_test(tc, a_value_may_follow_an_equals_sign);
	tcase_add_loop_test(tc, an_option_sets_its_field, 0, ARRAY_SIZE(sets));
	tcase_add_test(tc, strings_are_kept_as_they_are);
	tcase_add_test(tc, command_lines_are_joined);
	tcase_add_loop_test(tc, a_wrong_value_is_answered_with_whole_sentences, 0,
			    ARRAY_SIZE(answers));
	tcase_add_test(tc, devices_keep_their_order);
	tcase_add_loop_test(tc, a_wrong_value_is_refused_with_one_line_that_names_the_option, 0,
			    ARRAY_SIZE(wrong));
	tcase_add_loop_test(tc, an_option_without_its_value_says_what_it_needs, 0,
			    ARRAY_SIZE(wants_value));
	tcase_add_test(tc, a_switch_takes_no_value);
	tcase_add_loop_test(tc, the_nearest_name_is_offered, 0, ARRAY_SIZE(misspelt));
	tcase_add_loop_test(tc, an_unknown_option_is_named, 0, ARRAY_SIZE(unknown));
	tcase_add_test(tc, a_kernel_is_required);
	tcase_add_loop_test(tc, as_many_devices_as_there_are_windows_fit, 0, 3);
	tcase_add_loop_test(tc, one_device_more_is_refused_with_the_limit, 0, 3);
	tcase_add_test(tc, the_log_level_takes_effect);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, help());
	return s;
}
