/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs while the monitor is built: turns the table of rules into seccomp
 * programs, written to standard output as C; or prints the names of all system
 * calls. A rule that cannot be expressed fails the build.
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules.h"

#define MAX_INSNS 1024
#define MAX_NR 1024	/* above the last system call of any kernel we know */

static int fail(const char *what, const char *name, int err)
{
	fprintf(stderr, "filters: %s %s: %s\n", what, name, strerror(err));
	return EXIT_FAILURE;
}

static int add_rule(scmp_filter_ctx ctx, const struct rule *r)
{
	struct scmp_arg_cmp cmp[RULE_MAX_CONDS];

	for (unsigned int i = 0; i < r->nr_conds; i++)
		cmp[i] = SCMP_CMP(r->cond[i].arg, SCMP_CMP_MASKED_EQ, r->cond[i].mask,
				  r->cond[i].value);
	return seccomp_rule_add_exact_array(ctx, SCMP_ACT_ALLOW, r->nr, r->nr_conds, cmp);
}

/* The first rules of a set are those in use all the time: they are looked at first. */
static int build(scmp_filter_ctx ctx, const struct rule_set *s)
{
	int ret = 0;

	for (unsigned int i = 0; i < s->nr_rules && !ret; i++) {
		ret = add_rule(ctx, &s->rule[i]);
		if (!ret)
			ret = seccomp_syscall_priority(ctx, s->rule[i].nr,
						       (uint8_t)(i < 3 ? 255 - i : 100));
		if (ret)
			return fail("rule", s->rule[i].name, -ret);
	}
	return 0;
}

static int print_program(int fd, const char *name)
{
	static struct sock_filter insn[MAX_INSNS];
	ssize_t len = pread(fd, insn, sizeof(insn), 0);
	size_t n = len > 0 ? (size_t)len / sizeof(insn[0]) : 0;

	if (!n || n == MAX_INSNS)
		return fail("size of", name, E2BIG);
	printf("\nstatic const struct sock_filter %s_filter[] = {\n", name);
	for (size_t i = 0; i < n; i++)
		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", insn[i].code, insn[i].jt, insn[i].jf,
		       insn[i].k);
	printf("};\n");
	return 0;
}

static int generate(const struct rule_set *s)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	FILE *tmp = tmpfile();
	int ret;

	if (!ctx || !tmp)
		return fail("resources for", s->name, errno);
	ret = build(ctx, s);
	if (!ret && seccomp_export_bpf(ctx, fileno(tmp)))
		ret = fail("export", s->name, EINVAL);
	if (!ret)
		ret = print_program(fileno(tmp), s->name);
	fclose(tmp);
	seccomp_release(ctx);
	return ret;
}

/* One array without pointers: it needs no relocation and no memory until it is used. */
static void print_names(void)
{
	puts("static const char syscall_names[][32] = {");
	for (int nr = 0; nr < MAX_NR; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (name)
			printf("\t[%d] = \"%.31s\",\n", nr, name);
		free(name);
	}
	puts("};");
}

static int print_programs(void)
{
	puts("#include <linux/filter.h>\n#include <stdint.h>\n\n#include \"sandbox_role.h\"");
	for (unsigned int i = 0; i < NR_SANDBOX_ROLES; i++)
		if (generate(&rule_sets[i]))
			return EXIT_FAILURE;
	puts("\nstatic const struct sock_fprog sandbox_programs[NR_SANDBOX_ROLES] = {");
	for (unsigned int i = 0; i < NR_SANDBOX_ROLES; i++)
		printf("\t{ sizeof(%s_filter) / 8, (struct sock_filter *)(uintptr_t)%s_filter },\n",
		       rule_sets[i].name, rule_sets[i].name);
	puts("};");
	return EXIT_SUCCESS;
}

/* make_filters programs|names */
int main(int argc, char **argv)
{
	int ret = EXIT_SUCCESS;

	puts("/* Made from vmm/filters/rules.c by vmm/filters/gen.c. */");
	if (argc == 2 && !strcmp(argv[1], "names"))
		print_names();
	else
		ret = print_programs();
	return ret || fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
