/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds each thread's filter against the table it was made from. Two ways:
 * the program is run here, on every system call and many arguments; and the
 * kernel is asked, by making every call in a child that has loaded the filter
 * as the monitor does. A call that is not in the table has to end the child
 * with SIGSYS, one that is must not.
 *
 * Prints "ok" and "FAIL" lines; exit status 1 if there was a FAIL.
 */
#include <linux/audit.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf.h"
#include "rules.h"
#include "sandbox_filters.h"
#include "sandbox_priv.h"
#include "util.h"

#define MAX_NR		700	/* above the last system call of any kernel we know */
#define X32_BIT		0x40000000
#define MAX_REPORTS	8	/* differences shown for each check */

static const unsigned int max_syscalls[NR_SANDBOX_ROLES] = {
	[SANDBOX_MAIN] = 35, [SANDBOX_VCPU] = 16, [SANDBOX_VCPU_INLINE] = 17,
	[SANDBOX_BLK] = 18, [SANDBOX_BLK_URING] = 18, [SANDBOX_NET] = 18,
	[SANDBOX_RELAY] = 10,
};

struct call {
	int nr;
	uint64_t arg[6];
};

static unsigned int nr_failed;

__attribute__((format(printf, 3, 4)))
static void report(const char *role, bool ok, const char *fmt, ...)
{
	va_list ap;

	printf("%s %s: ", ok ? "ok" : "FAIL", role);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	nr_failed += !ok;
}

static bool rule_allows(const struct rule *r, const struct call *c)
{
	if (r->nr != c->nr)
		return false;
	for (unsigned int i = 0; i < r->nr_conds; i++) {
		uint64_t value = r->cond[i].value;

		if (value == SANDBOX_PID_PLACEHOLDER)
			value = (uint64_t)getpid();
		if ((c->arg[r->cond[i].arg] & r->cond[i].mask) != value)
			return false;
	}
	return true;
}

static bool table_allows(const struct rule_set *s, const struct call *c)
{
	for (unsigned int i = 0; i < s->nr_rules; i++)
		if (rule_allows(&s->rule[i], c))
			return true;
	return false;
}

/* The program as it is loaded: with this process's id. */
static void fill_pid(struct sock_filter *to, const struct sock_fprog *from)
{
	memcpy(to, from->filter, from->len * sizeof(*to));
	for (unsigned int i = 0; i < from->len; i++)
		if (BPF_CLASS(to[i].code) == BPF_JMP && to[i].k == SANDBOX_PID_PLACEHOLDER)
			to[i].k = (uint32_t)getpid();
}

static bool program_allows(const struct sock_fprog *p, const struct call *c, uint32_t arch)
{
	struct seccomp_data d = { .nr = c->nr, .arch = arch };

	memcpy(d.args, c->arg, sizeof(d.args));
	return bpf_run(p, &d) == SECCOMP_RET_ALLOW;
}

struct tally {
	const char *role;
	unsigned int checked, different;
};

static void compare(struct tally *t, const struct call *c, bool want, bool got)
{
	t->checked++;
	if (want == got || t->different++ >= MAX_REPORTS)
		return;
	printf("# %s: call %d (%#llx, %#llx, %#llx, %#llx): %s, not %s\n", t->role, c->nr,
	       (unsigned long long)c->arg[0], (unsigned long long)c->arg[1],
	       (unsigned long long)c->arg[2], (unsigned long long)c->arg[3],
	       got ? "allowed" : "refused", want ? "allowed" : "refused");
}

static void compare_program(struct tally *t, const struct rule_set *s,
			    const struct sock_fprog *p, const struct call *c)
{
	compare(t, c, table_allows(s, c), program_allows(p, c, AUDIT_ARCH_X86_64));
}

/* Every call with every argument set to v; then calls as another machine would number them. */
static void check_numbers(const struct rule_set *s, const struct sock_fprog *p)
{
	static const uint64_t values[] = { 0, 1, 4, 0x20, 0x22, ~0ull, 1ull << 32 };
	struct tally t = { .role = s->name }, foreign = { .role = s->name };

	for (int nr = -1; nr < 4096; nr++) {
		for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
			struct call c = { .nr = nr };

			for (int a = 0; a < 6; a++)
				c.arg[a] = values[v];
			compare_program(&t, s, p, &c);
			compare(&foreign, &c, false, program_allows(p, &c, AUDIT_ARCH_I386));
			c.nr |= X32_BIT;
			compare(&foreign, &c, false, program_allows(p, &c, AUDIT_ARCH_X86_64));
		}
	}
	report(s->name, !t.different, "program equals table, %u calls", t.checked);
	report(s->name, !foreign.different, "i386 and x32 calls refused, %u", foreign.checked);
}

/* All type and number bytes, with every direction and size that occurs in a rule, and none. */
static void check_ioctls(const struct rule_set *s, const struct sock_fprog *p)
{
	struct tally t = { .role = s->name };

	for (unsigned int i = 0; i <= s->nr_rules; i++) {
		uint32_t high = 0;

		if (i < s->nr_rules && s->rule[i].nr != SYS_ioctl)
			continue;
		if (i < s->nr_rules)
			high = (uint32_t)s->rule[i].cond[0].value & 0xffff0000u;
		for (uint32_t low = 0; low <= 0xffff; low++) {
			struct call c = { .nr = SYS_ioctl, .arg = { 3, high | low } };

			compare_program(&t, s, p, &c);
		}
	}
	report(s->name, !t.different, "ioctl numbers equal table, %u requests", t.checked);
}

/* No way to make memory executable, whatever the other arguments are. */
static void check_no_exec(const struct rule_set *s, const struct sock_fprog *p)
{
	static const int nrs[] = { SYS_mmap, SYS_mprotect, SYS_pkey_mprotect };
	struct tally t = { .role = s->name };

	for (size_t n = 0; n < ARRAY_SIZE(nrs); n++) {
		for (uint64_t prot = 0; prot < 16; prot++) {
			for (uint64_t flags = 0; flags < 64; flags++) {
				struct call c = { nrs[n], { 0, 4096, prot | PROT_EXEC, flags } };

				compare(&t, &c, false, program_allows(p, &c, AUDIT_ARCH_X86_64));
			}
		}
	}
	report(s->name, !t.different, "no executable memory, %u calls", t.checked);
}

/* Only the main thread may end the process. */
static void leave(enum sandbox_role role)
{
	syscall(role == SANDBOX_MAIN ? SYS_exit_group : SYS_exit, 0);
}

/* Makes the call behind the filter. true: it came back, or ended the child otherwise. */
static bool kernel_allows(enum sandbox_role role, const struct call *c)
{
	const uint64_t *a = c->arg;
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (sandbox_filter_load(role, SANDBOX_KILL, getpid()))
			syscall(SYS_exit, 2);
		syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		leave(role);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

/* No descriptor, no pointer, no time: calls that are allowed fail at once. */
static struct call harmless(int nr)
{
	return (struct call){ .nr = nr, .arg = { (uint64_t)-1, 0, 0, 0, 0, 0 } };
}

/*
 * The kernel lets these pass every filter, since 6.14 and 6.18: it puts them
 * into traced programs itself, and kills one that calls them by its own will.
 */
static bool is_exempt(int nr)
{
	const int uretprobe = 335, uprobe = 336;

	return nr == uretprobe || nr == uprobe;
}

static void check_kernel_numbers(enum sandbox_role role, const struct rule_set *s)
{
	struct tally t = { .role = s->name };

	for (int nr = 0; nr < MAX_NR; nr++) {
		struct call c = harmless(nr);

		if (is_exempt(nr))
			continue;
		compare(&t, &c, table_allows(s, &c), kernel_allows(role, &c));
	}
	report(s->name, !t.different, "kernel agrees, %u calls", t.checked);
}

/* Each rule's own arguments pass (but for a signal to ourselves), each one's opposite does not. */
static void check_kernel_conditions(enum sandbox_role role, const struct rule_set *s)
{
	struct tally t = { .role = s->name };

	for (unsigned int i = 0; i < s->nr_rules; i++) {
		const struct rule *r = &s->rule[i];
		struct call c = harmless(r->nr);

		if (!r->nr_conds || r->nr == SYS_tgkill)
			continue;
		for (unsigned int j = 0; j < r->nr_conds; j++)
			c.arg[r->cond[j].arg] = r->cond[j].value;
		compare(&t, &c, true, kernel_allows(role, &c));
		for (unsigned int j = 0; j < r->nr_conds; j++) {
			struct call other = c;

			other.arg[r->cond[j].arg] ^= r->cond[j].mask & -r->cond[j].mask;
			compare(&t, &other, table_allows(s, &other), kernel_allows(role, &other));
		}
	}
	report(s->name, !t.different, "kernel agrees on arguments, %u calls", t.checked);
}

/* Requests that would give something away, on any descriptor. */
static void check_kernel_ioctls(enum sandbox_role role, const struct rule_set *s)
{
	static const uint32_t requests[] = {
		KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION, KVM_CREATE_DEVICE,
		KVM_SET_REGS, KVM_SET_SREGS, KVM_SET_MSRS, KVM_IOEVENTFD, KVM_IRQFD,
		KVM_SET_GSI_ROUTING, KVM_RUN, KVM_GET_REGS, TIOCSTI, TIOCLINUX, TIOCSWINSZ,
		FIONREAD, FIONBIO, TCGETS, TCSETS,
	};
	struct tally t = { .role = s->name };

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct call c = harmless(SYS_ioctl);

		c.arg[1] = requests[i];
		compare(&t, &c, table_allows(s, &c), kernel_allows(role, &c));
	}
	report(s->name, !t.different, "kernel agrees on ioctl, %u requests", t.checked);
}

/* By the old gate, where the numbers mean something else: 20 is getpid there, writev here. */
static void check_old_gate(enum sandbox_role role, const struct rule_set *s)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		long ret = 20;

		if (sandbox_filter_load(role, SANDBOX_KILL, getpid()))
			syscall(SYS_exit, 2);
		__asm__ volatile("int $0x80" : "+a"(ret) : : "memory");
		leave(role);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	report(s->name, WIFSIGNALED(status), "no way through int 0x80");
}

static void check_size(const struct rule_set *s, unsigned int max)
{
	unsigned int n = rule_set_nr_syscalls(s);

	report(s->name, n <= max, "%u system calls, %u allowed", n, max);
}

static void check_role(enum sandbox_role role)
{
	static struct sock_filter insns[1024];
	const struct rule_set *s = &rule_sets[role];
	struct sock_fprog p = { sandbox_programs[role].len, insns };

	fill_pid(insns, &sandbox_programs[role]);
	check_size(s, max_syscalls[role]);
	check_numbers(s, &p);
	check_ioctls(s, &p);
	check_no_exec(s, &p);
	check_kernel_numbers(role, s);
	check_kernel_conditions(role, s);
	check_kernel_ioctls(role, s);
	check_old_gate(role, s);
}

/* A rule for each line: role, number of the call, name; for tests/jail/run. */
static void list_rules(void)
{
	for (unsigned int i = 0; i < NR_SANDBOX_ROLES; i++)
		for (unsigned int j = 0; j < rule_sets[i].nr_rules; j++)
			printf("%s\t%s\t%s\n", rule_sets[i].name, rule_sets[i].rule[j].name,
			       rule_sets[i].rule[j].why);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--list")) {
		list_rules();
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return 2;
	for (unsigned int i = 0; i < NR_SANDBOX_ROLES; i++)
		check_role(i);
	return nr_failed != 0;
}
