/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order matters: what needs /proc or rights comes before they go, what
 * adds rights never comes. Capabilities leave in two steps: the bounding set
 * while we may still change it, the others once the last privileged call
 * (setresuid) is made.
 */
#include "sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_priv.h"
#include "util.h"
#include "zalloc.h"

/*
 * User ids that nobody hands out by default: above those of SSSD (up to
 * 2000200000) and of systemd's containers, below those that systemd calls
 * foreign (from 2147352576 on).
 */
#define FIRST_UID 2013265920u
#define NR_UIDS 134086656u

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true		/* sanitizers make system calls of their own */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

/* A disk must never become the place where log lines go. */
static int open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return log_errno("/dev/null");
	close(fd);
	return 0;
}

int sandbox_start(int *keep, unsigned int nr_keep)
{
	unsigned int first = STDERR_FILENO + 1;
	int ret = open_standard();

	if (nr_keep)
		qsort(keep, nr_keep, sizeof(*keep), compare_ints);
	for (unsigned int i = 0; i < nr_keep && !ret; i++) {
		if (keep[i] < (int)first)
			continue;
		if (keep[i] > (int)first && close_range(first, (unsigned int)keep[i] - 1, 0))
			ret = log_errno("close_range");
		if (fcntl(keep[i], F_SETFD, FD_CLOEXEC))
			ret = log_errno("descriptor %d", keep[i]);
		first = (unsigned int)keep[i] + 1;
	}
	if (!ret && close_range(first, ~0u, 0))
		ret = log_errno("close_range");
	return ret;
}

/* A part of the jail could not be had. An error only if all were asked for. */
static int missing(const struct sandbox *s, const char *part, int err)
{
	if (s->strict)
		return log_fail(err, "jail: %s: %s (--jail auto goes without)", part,
				strerror(-err));
	log_info("jail: without %s: %s", part, strerror(-err));
	return 0;
}

static int leave_host(struct sandbox *s)
{
	int ret = 0;

	if (!s->root) {
		ret = sandbox_user_namespace();
		if (ret)
			return missing(s, "a user namespace", ret);
		s->own_user = true;
	}
	ret = sandbox_namespaces();
	s->own_namespaces = !ret;
	return ret ? missing(s, "namespaces", ret) : 0;
}

/* A process id is no such number: each PID namespace has the same ones. */
uid_t sandbox_own_uid(uint64_t unique)
{
	return FIRST_UID + (uid_t)(unique % NR_UIDS);
}

/* While /proc is still there. */
static int choose_user(struct sandbox *s)
{
	uint64_t unique;
	int ret;

	s->uid = s->cfg->uid;
	s->gid = s->cfg->gid;
	if (s->cfg->has_user)
		return 0;
	ret = sandbox_unique(s->own_namespaces, &unique);
	s->uid = s->gid = sandbox_own_uid(unique);
	return ret ? log_fail(ret, "jail: random numbers: %s", strerror(-ret)) : 0;
}

static int leave_root(struct sandbox *s)
{
	int ret = sandbox_empty_root();

	return ret ? missing(s, "an empty root", ret) : 0;
}

/* Nobody gets a right by being user 0 or by a change of user any more. */
static int drop_bounding_set(const struct sandbox *s)
{
	const unsigned long bits =
		SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
		SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
		SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_BOUNDS))
		return missing(s, "an empty bounding set", -EPERM);
	return prctl(PR_SET_SECUREBITS, bits) ? missing(s, "locked securebits", -errno) : 0;
}

static int drop_user(struct sandbox *s)
{
	if (!setgroups(0, NULL) && !setresgid(s->gid, s->gid, s->gid) &&
	    !setresuid(s->uid, s->uid, s->uid))
		return 0;
	s->own_uid = s->own_user = false;
	return missing(s, "a user of its own (see --jail-user)", -errno);
}

/* The ambient set goes with the inheritable one: capabilities(7). */
static int drop_capabilities(void)
{
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS))
		return log_fail(-EPERM, "jail: capabilities cannot be dropped");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return log_errno("jail: no_new_privs");
	return 0;
}

static int enter_landlock(const struct sandbox *s)
{
	int abi = sandbox_landlock_abi();
	int ret = sandbox_landlock(abi);

	log_debug("jail: Landlock ABI %d", abi);
	return ret ? missing(s, "Landlock", ret) : 0;
}

/* unshare --kill-child and supervisors ask for it; each change of rights takes it back. */
static int keep_parent_signal(int sig)
{
	if (sig && prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0))
		return log_errno("jail: PR_SET_PDEATHSIG");
	return 0;
}

static int enter(struct sandbox *s, const struct sandbox_needs *needs)
{
	bool privileged;
	int parent_signal = 0;
	int ret = s->cfg->cgroup ? sandbox_join_cgroup(s->cfg->cgroup, needs) : 0;

	if (!ret && prctl(PR_GET_PDEATHSIG, &parent_signal, 0, 0, 0))
		ret = log_errno("jail: PR_GET_PDEATHSIG");
	if (!ret)
		ret = leave_host(s);
	if (!ret && s->root)
		ret = choose_user(s);
	privileged = s->root || s->own_user;
	if (!ret && privileged)
		ret = drop_bounding_set(s);
	if (!ret && privileged)
		ret = leave_root(s);
	if (!ret && s->own_uid)
		ret = sandbox_limit_locked(needs);
	if (!ret && s->root)
		ret = drop_user(s);
	if (!ret)
		ret = drop_capabilities();
	if (!ret)
		ret = keep_parent_signal(parent_signal);
	if (ret)
		return ret;
	ret = enter_landlock(s);
	return ret ? ret : sandbox_limits(s, needs);
}

static enum sandbox_mode effective_mode(const struct sandbox_cfg *cfg, bool root)
{
	if (cfg->mode != SANDBOX_DEFAULT)
		return cfg->mode;
	if (SANITIZED)
		return SANDBOX_OFF;	/* they look into /proc at the end */
	return root ? SANDBOX_ON : SANDBOX_AUTO;
}

/* Only with SANDBOX_TRAP: says what was asked for, answers ENOSYS. */
static _Thread_local enum sandbox_role thread_role;

static void on_trap(int sig, siginfo_t *info, void *ucontext)
{
	static const char *const name[NR_SANDBOX_ROLES] = {
		[SANDBOX_MAIN] = "main", [SANDBOX_VCPU] = "vcpu",
		[SANDBOX_VCPU_INLINE] = "vcpu_inline", [SANDBOX_BLK] = "blk",
		[SANDBOX_BLK_URING] = "blk_uring", [SANDBOX_NET] = "net",
		[SANDBOX_RELAY] = "relay",
	};
	ucontext_t *uc = ucontext;

	(void)sig;
	log_error("jail: system call %s (%d) is not for a thread of kind %s",
		  sandbox_syscall_name(info->si_syscall), info->si_syscall, name[thread_role]);
#ifdef __x86_64__
	uc->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
#else
	(void)uc;
#endif
}

static void watch_traps(void)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGSYS, &sa, NULL);
}

static int load_filter(const struct sandbox *s, enum sandbox_role role)
{
	sigset_t trap;
	int ret;

	if (s->cfg->seccomp == SANDBOX_TRAP) {
		thread_role = role;
		sigemptyset(&trap);
		sigaddset(&trap, SIGSYS);
		pthread_sigmask(SIG_UNBLOCK, &trap, NULL);
	}
	ret = sandbox_filter_load(role, s->cfg->seccomp, s->pid);
	return ret ? log_fail(ret, "jail: system-call filter: %s", strerror(-ret)) : 0;
}

static int enter_thread(const struct worker_entry *e)
{
	const struct sandbox_role_entry *r = (const void *)e;	/* its first member */
	struct sandbox *s = r->sandbox;
	int ret = load_filter(s, r->role);

	pthread_mutex_lock(&s->lock);
	s->nr_missing--;
	if (ret)
		s->result = ret;
	pthread_mutex_unlock(&s->lock);
	pthread_cond_signal(&s->entered);
	return ret;
}

/* Until each thread has its filter, or one could not get it. */
static int wait_for_threads(struct sandbox *s)
{
	int ret;

	pthread_mutex_lock(&s->lock);
	while (s->nr_missing && !s->result)
		pthread_cond_wait(&s->entered, &s->lock);
	ret = s->result;
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static int check_filters(struct sandbox *s)
{
	int ret;

	s->filters = s->cfg->seccomp != SANDBOX_UNFILTERED && !SANITIZED;
	if (!s->filters)
		return 0;
	ret = sandbox_filter_check();
	if (ret) {
		s->filters = false;
		return missing(s, "system-call filters", ret);
	}
	if (s->cfg->seccomp == SANDBOX_TRAP)
		watch_traps();
	return 0;
}

int sandbox_enter(struct sandbox **out, const struct sandbox_cfg *cfg,
		  const struct sandbox_needs *needs)
{
	bool root = !geteuid();
	enum sandbox_mode mode = effective_mode(cfg, root);
	struct sandbox *s;
	int ret;

	*out = NULL;
	if (mode == SANDBOX_OFF)
		return 0;
	s = zalloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->cfg = cfg;
	s->strict = mode == SANDBOX_ON;
	s->pid = getpid();
	s->nr_missing = needs->nr_threads - 1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->entered, NULL);
	s->root = root;
	s->own_uid = s->own_user = s->root && !cfg->has_user;
	for (unsigned int i = 0; i < NR_SANDBOX_ROLES; i++)
		s->role[i] = (struct sandbox_role_entry){ { enter_thread }, s, i };
	ret = enter(s, needs);
	if (!ret)
		ret = check_filters(s);
	if (!ret && prctl(PR_SET_DUMPABLE, 0))
		ret = log_errno("jail: PR_SET_DUMPABLE");
	if (ret) {
		sandbox_free(s);
		return ret;
	}
	*out = s;
	return 0;
}

void sandbox_free(struct sandbox *s)
{
	if (!s)
		return;
	pthread_cond_destroy(&s->entered);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const struct worker_entry *sandbox_entry(const struct sandbox *s, enum sandbox_role role)
{
	return s && s->filters ? &s->role[role].entry : NULL;
}

int sandbox_seal(struct sandbox *s, unsigned int nr_fds)
{
	int ret;

	if (!s)
		return 0;
	ret = sandbox_limit_descriptors(nr_fds);
	if (!ret && s->filters)
		ret = load_filter(s, SANDBOX_MAIN);
	if (!ret && s->filters)
		ret = wait_for_threads(s);
	return ret;
}
