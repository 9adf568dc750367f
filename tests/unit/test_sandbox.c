/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each part of the jail by itself, in a child that it may keep. The whole of
 * it around a guest is the business of tests/jail.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"
#include "sandbox_priv.h"
#include "util.h"

/* What fn returns, 0..255: 0 for success, else often the line that did not hold. */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(fn());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define HOLDS(what)				\
	do {					\
		if (!(what))			\
			return __LINE__ % 256 ? __LINE__ % 256 : 1;	\
	} while (0)

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int start_with_strays(void)
{
	int keep[] = { 60, 40 };

	HOLDS(dup2(0, 40) == 40 && dup2(0, 60) == 60);
	HOLDS(dup2(0, 39) == 39 && dup2(0, 50) == 50 && dup2(0, 61) == 61);
	HOLDS(sandbox_start(keep, ARRAY_SIZE(keep)) == 0);
	HOLDS(is_open(40) && is_open(60) && is_open(0) && is_open(2));
	HOLDS(!is_open(39) && !is_open(50) && !is_open(61) && !is_open(3));
	HOLDS(fcntl(40, F_GETFD) == FD_CLOEXEC);
	return 0;
}

START_TEST(strays_are_closed_and_passed_descriptors_kept)
{
	ck_assert_int_eq(in_child(start_with_strays), 0);
}
END_TEST

static int start_without_standard(void)
{
	close(0);
	close(1);
	close(2);
	HOLDS(sandbox_start(NULL, 0) == 0);
	HOLDS(is_open(0) && is_open(1) && is_open(2) && !is_open(3));
	return 0;
}

START_TEST(closed_standard_descriptors_are_opened)
{
	ck_assert_int_eq(in_child(start_without_standard), 0);
}
END_TEST

static int start_with_a_wrong_number(void)
{
	int keep[] = { 99 };

	HOLDS(sandbox_start(keep, 1) == -EBADF);
	return 0;
}

START_TEST(a_passed_descriptor_that_is_not_open_is_an_error)
{
	ck_assert_int_eq(in_child(start_with_a_wrong_number), 0);
}
END_TEST

static int try_bind(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
}

static int abi_used;

static int under_landlock(void)
{
	int before = open("/etc/passwd", O_RDONLY);
	char byte;

	HOLDS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	HOLDS(sandbox_landlock(abi_used) == 0);
	HOLDS(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	HOLDS(open("/", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
	HOLDS(unlink("/nothing-here") < 0);
	HOLDS((try_bind() == -EACCES) == (abi_used >= 4));
	HOLDS((kill(getppid(), 0) < 0) == (abi_used >= 6));
	HOLDS(read(before, &byte, 1) == 1);
	return 0;
}

/* A kernel with fewer rights is played by asking for fewer; one with more than we know, by more. */
START_TEST(landlock_leaves_only_what_is_open)
{
	int kernel = sandbox_landlock_abi();
	int ret;

	abi_used = _i == 7 ? kernel + 100 : _i;
	if (kernel < 1 || (abi_used > kernel && kernel < 6))
		return;
	ret = in_child(under_landlock);
	ck_assert_msg(!ret, "ABI %d: line %d did not hold", abi_used, ret);
}
END_TEST

START_TEST(a_kernel_without_landlock_is_an_error)
{
	ck_assert_int_eq(sandbox_landlock(-EOPNOTSUPP), -EOPNOTSUPP);
	ck_assert_int_eq(sandbox_landlock(0), -ENOTSUP);
}
END_TEST

static uint64_t limit_of(int which)
{
	struct rlimit lim;

	getrlimit((__rlimit_resource_t)which, &lim);
	return lim.rlim_cur == lim.rlim_max ? lim.rlim_max : UINT64_MAX;
}

static int own_limits(void)
{
	const struct sandbox s = { .own_uid = true, .own_user = true };
	const struct sandbox_needs n = { .memory = MIB(64), .max_file = MIB(3),
					 .nr_threads = 5 };

	HOLDS(sandbox_limit_locked(&n) == 0);
	HOLDS(sandbox_limits(&s, &n) == 0);
	HOLDS(limit_of(RLIMIT_CORE) == 0);
	HOLDS(limit_of(RLIMIT_FSIZE) == MIB(3));
	HOLDS(limit_of(RLIMIT_STACK) == MIB(1));
	HOLDS(limit_of(RLIMIT_MEMLOCK) <= MIB(5));
	HOLDS(limit_of(RLIMIT_NPROC) >= 5 && limit_of(RLIMIT_NPROC) < 1000);
	return 0;
}

START_TEST(limits_are_as_large_as_needed)
{
	ck_assert_int_eq(in_child(own_limits), 0);
}
END_TEST

static bool has_capability(unsigned int cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(SYS_capget, &head, data) && data[0].effective >> cap & 1;
}

static int many_rings(void)
{
	const struct sandbox_cfg cfg = { .mode = SANDBOX_AUTO };
	const struct sandbox_needs n = { .memory = MIB(64), .max_file = MIB(3),
					 .nr_threads = 5000 };
	struct sandbox *s;

	if (!has_capability(CAP_SYS_RESOURCE))
		return 0;	/* it stays as low as it is */
	HOLDS(sandbox_enter(&s, &cfg, &n) == 0 && s);
	HOLDS(!s->own_uid || limit_of(RLIMIT_MEMLOCK) == MIB(5000));
	return 0;
}

START_TEST(thousands_of_rings_have_the_memory_they_lock)
{
	ck_assert_int_eq(in_child(many_rings), 0);
}
END_TEST

static int shared_limits(void)
{
	const struct sandbox s = { .own_uid = false, .own_user = false };
	const struct sandbox_needs n = { .memory = MIB(64), .max_file = MIB(3),
					 .nr_threads = 5 };
	struct rlimit before, after;

	getrlimit(RLIMIT_NPROC, &before);
	HOLDS(sandbox_limits(&s, &n) == 0);
	getrlimit(RLIMIT_NPROC, &after);
	HOLDS(before.rlim_cur == after.rlim_cur && before.rlim_max == after.rlim_max);
	return 0;
}

START_TEST(threads_of_a_shared_user_are_not_limited)
{
	ck_assert_int_eq(in_child(shared_limits), 0);
}
END_TEST

static int few_descriptors(void)
{
	int last = dup(2);

	HOLDS(sandbox_limit_descriptors((unsigned int)last + 1) == 0);
	HOLDS(dup(2) < 0 && errno == EMFILE);
	close(last);
	HOLDS(dup(2) == last);
	return 0;
}

START_TEST(only_the_number_made_last_can_be_used_again)
{
	ck_assert_int_eq(in_child(few_descriptors), 0);
}
END_TEST

/* A directory with files in it looks like a cgroup to who writes into them. */
static char group[] = "/tmp/sandbox-XXXXXX";
static const char *const group_files[] = { "memory.max", "pids.max", "cgroup.procs" };

static void make_group(void)
{
	char path[64];

	strcpy(group, "/tmp/sandbox-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(group));
	for (size_t i = 0; i < ARRAY_SIZE(group_files); i++) {
		snprintf(path, sizeof(path), "%s/%s", group, group_files[i]);
		close(open(path, O_CREAT | O_WRONLY, 0600));
	}
}

static void remove_group(void)
{
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(group_files); i++) {
		snprintf(path, sizeof(path), "%s/%s", group, group_files[i]);
		unlink(path);
	}
	rmdir(group);
}

static uint64_t group_value(const char *file)
{
	char path[64], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
	fclose(f);
	return strtoull(text, NULL, 10);
}

START_TEST(a_cgroup_gets_limits_before_it_is_joined)
{
	const struct sandbox_needs n = { .memory = GIB(1), .nr_threads = 4,
					 .devices = MIB(200) };

	ck_assert_int_eq(sandbox_join_cgroup(group, &n), 0);
	ck_assert_uint_eq(group_value("memory.max"),
			  GIB(1) + MIB(8) + MIB(16) + MIB(200) + 4 * MIB(2));
	ck_assert_uint_gt(group_value("pids.max"), 4);
	ck_assert_uint_eq(group_value("cgroup.procs"), (uint64_t)getpid());
}
END_TEST

START_TEST(a_cgroup_without_a_controller_is_refused)
{
	const struct sandbox_needs n = { .memory = GIB(1), .nr_threads = 4 };
	char path[64];

	snprintf(path, sizeof(path), "%s/memory.max", group);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(sandbox_join_cgroup(group, &n), -ENOENT);
}
END_TEST

START_TEST(a_link_is_no_cgroup)
{
	const struct sandbox_needs n = { .memory = GIB(1), .nr_threads = 4 };
	char path[64];

	snprintf(path, sizeof(path), "%s-link", group);
	ck_assert_int_eq(symlink(group, path), 0);
	ck_assert_int_lt(sandbox_join_cgroup(path, &n), 0);
	unlink(path);
}
END_TEST

START_TEST(off_leaves_everything_alone)
{
	const struct sandbox_cfg cfg = { .mode = SANDBOX_OFF };
	const struct sandbox_needs n = { .memory = MIB(64), .max_file = MIB(3),
					 .nr_threads = 5 };
	struct sandbox *s;

	ck_assert_int_eq(sandbox_enter(&s, &cfg, &n), 0);
	ck_assert_ptr_null(s);
	ck_assert_ptr_null(sandbox_entry(s, SANDBOX_VCPU));
	ck_assert_int_eq(sandbox_seal(s, 3), 0);
	ck_assert_int_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}
END_TEST

/* None of the sets has a capability, not even one that our headers do not know. */
static bool sets_are_empty(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	for (unsigned long cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) > 0 ||
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) > 0)
			return false;
	if (syscall(SYS_capget, &head, data))
		return false;
	return !(data[0].effective | data[0].permitted | data[0].inheritable |
		 data[1].effective | data[1].permitted | data[1].inheritable);
}

static int whole_jail(void)
{
	const struct sandbox_cfg cfg = { .mode = SANDBOX_AUTO };
	const struct sandbox_needs n = { .memory = MIB(64), .max_file = MIB(3),
					 .nr_threads = 5 };
	bool root = !geteuid();
	struct sandbox *s;

	HOLDS(sandbox_enter(&s, &cfg, &n) == 0 && s);
	HOLDS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	HOLDS(prctl(PR_GET_DUMPABLE) == 0);
	HOLDS(!root || getuid() >= 1000);
	HOLDS(!root || sets_are_empty());
	HOLDS(setuid(0) < 0);
	HOLDS(sandbox_landlock_abi() < 1 || open("/etc/passwd", O_RDONLY) < 0);
	sandbox_free(s);
	return 0;
}

START_TEST(the_jail_keeps_files_and_rights_away)
{
	ck_assert_int_eq(in_child(whole_jail), 0);
}
END_TEST

/* Tells who it is in the jail, and stays until it is told to go. */
static void jailed(int say, int wait)
{
	const struct sandbox_cfg cfg = { .mode = SANDBOX_AUTO, .seccomp = SANDBOX_UNFILTERED };
	const struct sandbox_needs n = { .memory = MIB(64), .max_file = MIB(3),
					 .nr_threads = 5 };
	struct sandbox *s;
	uid_t uid = 0;
	char byte;

	if (!sandbox_enter(&s, &cfg, &n) && s)
		uid = getuid();
	_exit(write(say, &uid, sizeof(uid)) < 0 || read(wait, &byte, 1) < 0);
}

/* The first process of a PID namespace of its own: all of them are process 1. */
static void jailed_as_process_1(int say, int wait)
{
	pid_t pid = fork();

	if (!pid) {
		if (unshare(CLONE_NEWPID))
			_exit(1);
		pid = fork();
		if (!pid)
			jailed(say, wait);
		_exit(pid < 0);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(monitors_in_pid_namespaces_are_different_users)
{
	uid_t uid[4];
	int say[2], wait[2];

	if (!has_capability(CAP_SYS_ADMIN) || !has_capability(CAP_SETUID))
		return;
	ck_assert_int_eq(pipe(say) | pipe(wait), 0);
	for (size_t i = 0; i < ARRAY_SIZE(uid); i++) {
		jailed_as_process_1(say[1], wait[0]);
		ck_assert_int_eq(read(say[0], &uid[i], sizeof(uid[i])), sizeof(uid[i]));
		for (size_t j = 0; j < i; j++)
			ck_assert_uint_ne(uid[i], uid[j]);
	}
	close(wait[1]);
}
END_TEST

/* SSSD's end at 2000200000, systemd's foreign ones begin at 2147352576. */
START_TEST(own_user_ids_are_nobody_elses_by_default)
{
	static const uint64_t unique[] = { 0, 1, 0xf0000000, 0xfffffff7, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(unique); i++) {
		ck_assert_uint_gt(sandbox_own_uid(unique[i]), 2000200000);
		ck_assert_uint_lt(sandbox_own_uid(unique[i]), 2147352576);
		ck_assert_uint_ne(sandbox_own_uid(unique[i]), sandbox_own_uid(unique[i] + 1));
	}
}
END_TEST

START_TEST(without_namespaces_chance_picks_the_user)
{
	uint64_t a, b;

	ck_assert_int_eq(sandbox_unique(false, &a), 0);
	ck_assert_int_eq(sandbox_unique(false, &b), 0);
	ck_assert_uint_ne(a, b);
}
END_TEST

/* As unshare --kill-child asks for it. */
static int with_a_parent(void)
{
	const struct sandbox_cfg cfg = { .mode = SANDBOX_AUTO };
	const struct sandbox_needs n = { MIB(64), MIB(3), 5, 0 };
	struct sandbox *s;
	int sig = 0;

	HOLDS(prctl(PR_SET_PDEATHSIG, SIGUSR2, 0, 0, 0) == 0);
	HOLDS(sandbox_enter(&s, &cfg, &n) == 0 && s);
	HOLDS(prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0) == 0);
	HOLDS(sig == SIGUSR2);
	sandbox_free(s);
	return 0;
}

START_TEST(who_should_die_with_its_parent_still_does_in_the_jail)
{
	ck_assert_int_eq(in_child(with_a_parent), 0);
}
END_TEST

static void *enter_late(void *entry)
{
	usleep(50000);
	return ((const struct worker_entry *)entry)->enter(entry) ? entry : NULL;
}

static int late_threads(void)
{
	const struct sandbox_cfg cfg = { .mode = SANDBOX_AUTO };
	const struct sandbox_needs n = { .memory = MIB(64), .max_file = MIB(3),
					 .nr_threads = 3 };
	struct sandbox *s;
	pthread_t t[2];

	HOLDS(sandbox_enter(&s, &cfg, &n) == 0 && s);
	if (!s->filters)
		return 0;
	for (int i = 0; i < 2; i++)
		HOLDS(!pthread_create(&t[i], NULL, enter_late,
				      (void *)(uintptr_t)sandbox_entry(s, SANDBOX_BLK)));
	HOLDS(sandbox_seal(s, 64) == 0);
	HOLDS(s->nr_missing == 0);
	return 0;
}

START_TEST(the_seal_waits_for_every_thread)
{
	ck_assert_int_eq(in_child(late_threads), 0);
}
END_TEST

static int thread_refused(void)
{
	const struct sandbox_cfg cfg = { .mode = SANDBOX_AUTO };
	const struct sandbox_needs n = { .memory = MIB(64), .max_file = MIB(3),
					 .nr_threads = 3 };
	struct sandbox *s;

	HOLDS(sandbox_enter(&s, &cfg, &n) == 0 && s);
	if (!s->filters)
		return 0;
	s->result = -EACCES;
	HOLDS(sandbox_seal(s, 64) == -EACCES);
	return 0;
}

START_TEST(a_thread_without_its_filter_breaks_the_seal)
{
	ck_assert_int_eq(in_child(thread_refused), 0);
}
END_TEST

/* --seccomp trap is for people. */
START_TEST(a_system_call_is_named)
{
	ck_assert_str_eq(sandbox_syscall_name(SYS_openat), "openat");
	ck_assert_str_eq(sandbox_syscall_name(SYS_read), "read");
	ck_assert_str_eq(sandbox_syscall_name(-1), "unknown");
	ck_assert_str_eq(sandbox_syscall_name(1000), "unknown");
	ck_assert_str_eq(sandbox_syscall_name(1 << 30), "unknown");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("sandbox");
	TCase *tc = tcase_create("descriptors"), *parts = tcase_create("parts");
	TCase *cg = tcase_create("cgroup");

	tcase_add_test(tc, strays_are_closed_and_passed_descriptors_kept);
	tcase_add_test(tc, closed_standard_descriptors_are_opened);
	tcase_add_test(tc, a_passed_descriptor_that_is_not_open_is_an_error);
	tcase_add_test(tc, only_the_number_made_last_can_be_used_again);
	suite_add_tcase(s, tc);
	tcase_add_loop_test(parts, landlock_leaves_only_what_is_open, 1, 8);
	tcase_add_test(parts, a_kernel_without_landlock_is_an_error);
	tcase_add_test(parts, limits_are_as_large_as_needed);
	tcase_add_test(parts, thousands_of_rings_have_the_memory_they_lock);
	tcase_add_test(parts, threads_of_a_shared_user_are_not_limited);
	tcase_add_test(parts, off_leaves_everything_alone);
	tcase_add_test(parts, the_jail_keeps_files_and_rights_away);
	tcase_add_test(parts, monitors_in_pid_namespaces_are_different_users);
	tcase_add_test(parts, own_user_ids_are_nobody_elses_by_default);
	tcase_add_test(parts, without_namespaces_chance_picks_the_user);
	tcase_add_test(parts, who_should_die_with_its_parent_still_does_in_the_jail);
	tcase_add_test(parts, the_seal_waits_for_every_thread);
	tcase_add_test(parts, a_thread_without_its_filter_breaks_the_seal);
	tcase_add_test(parts, a_system_call_is_named);
	suite_add_tcase(s, parts);
	tcase_add_checked_fixture(cg, make_group, remove_group);
	tcase_add_test(cg, a_cgroup_gets_limits_before_it_is_joined);
	tcase_add_test(cg, a_cgroup_without_a_controller_is_refused);
	tcase_add_test(cg, a_link_is_no_cgroup);
	suite_add_tcase(s, cg);
	return s;
}
