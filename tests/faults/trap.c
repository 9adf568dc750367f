/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap SOCKET all|NR,NR,... COMMAND ARG...
 *
 * Runs a command whose system calls (all, or those listed) wait for somebody's
 * verdict: a seccomp filter hands them to a listener, and the listener goes to
 * the peer of SOCKET. trap.py is that peer. The filter stays with the command's
 * threads and children; what the command does to itself later adds to it.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_LISTED 64

static struct sock_filter insn[MAX_LISTED + 16];
static unsigned short nr_insns;

static void add(unsigned short code, unsigned int k, unsigned char jt, unsigned char jf)
{
	insn[nr_insns++] = (struct sock_filter){ code, jt, jf, k };
}

static void load(unsigned int offset)
{
	add(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void ret(unsigned int action)
{
	add(BPF_RET | BPF_K, action, 0, 0);
}

/* The one message that carries the listener must not wait for it. */
static void build(const char *list, int sock)
{
	char *end;

	load(offsetof(struct seccomp_data, arch));
	add(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	ret(SECCOMP_RET_ALLOW);
	load(offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 0, 4);
	load(offsetof(struct seccomp_data, args[0]));
	add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)sock, 0, 1);
	ret(SECCOMP_RET_ALLOW);
	load(offsetof(struct seccomp_data, nr));
	if (!strcmp(list, "all")) {
		ret(SECCOMP_RET_USER_NOTIF);
		return;
	}
	for (unsigned int n = 0; *list && n < MAX_LISTED / 2; n++) {
		add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)strtoul(list, &end, 10), 0, 1);
		ret(SECCOMP_RET_USER_NOTIF);
		list = *end ? end + 1 : end;
	}
	ret(SECCOMP_RET_ALLOW);
}

static int install(void)
{
	struct sock_fprog prog = { nr_insns, insn };
	int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			      SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);

	if (fd >= 0 || errno != EACCES)
		return fd;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);		/* not root */
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
}

static int send_fd(int sock, int fd)
{
	union { struct cmsghdr align; char buf[CMSG_SPACE(sizeof(int))]; } control;
	struct iovec iov = { "", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;

	memset(&control, 0, sizeof(control));
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	int sock, fd;

	if (argc < 4) {
		fprintf(stderr, "usage: trap SOCKET all|NR,NR,... COMMAND ARG...\n");
		return 125;
	}
	sock = atoi(argv[1]);
	build(argv[2], sock);
	fd = install();
	if (fd < 0 || send_fd(sock, fd)) {
		perror("trap");
		return 125;
	}
	close(sock);
	close(fd);
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 126;
}
