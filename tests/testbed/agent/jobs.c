/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: started in a cgroup of their own through clone3(), so that no
 * process of theirs can be missed when they are killed. A job ends when its
 * main process is reaped and its output has been read to the end; cgroup.kill
 * at the first makes sure of the second.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

struct exit_msg {
	int32_t status;		/* exit code, or 128 + signal */
	uint32_t signal;
	uint64_t user_us, sys_us;
};

enum {			/* flags of exec_msg */
	EXEC_MERGE = 1,	/* standard error goes where standard output goes */
	EXEC_TTY = 2,	/* all three are a terminal */
};

struct exec_msg {		/* then NUL-ended: directory, environment, arguments */
	uint32_t flags;
	uint32_t nr_env;
	uint32_t nr_arg;
};

static struct job *job_find(struct agent *a, uint32_t id)
{
	for (int i = 0; i < MAX_JOBS; i++)
		if (a->job[i].pid && a->job[i].id == id)
			return &a->job[i];
	return NULL;
}

static struct job *job_slot(struct agent *a)
{
	for (int i = 0; i < MAX_JOBS; i++)
		if (!a->job[i].pid)
			return &a->job[i];
	return NULL;
}

static void cgroup_path(char *buf, size_t len, uint32_t id, const char *file)
{
	snprintf(buf, len, "/sys/fs/cgroup/job-%u%s", id, file);
}

static void cgroup_kill(uint32_t id)
{
	char path[64];
	int fd;

	cgroup_path(path, sizeof(path), id, "/cgroup.kill");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		fprintf(stderr, "testbed agent: %s: %m\n", path);
	close_fd(&fd);
}

/* Groups of ended commands can be removed once their last process is gone. */
static void cgroup_sweep(struct agent *a)
{
	DIR *d = opendir("/sys/fs/cgroup");
	struct dirent *e;
	unsigned int id;

	while (d && (e = readdir(d)))
		if (sscanf(e->d_name, "job-%u", &id) == 1 && !job_find(a, id))
			unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	if (d)
		closedir(d);
}

static pid_t fork_into(int cgroup_fd)
{
	struct clone_args args = {
		.flags = cgroup_fd < 0 ? 0 : CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup_fd < 0 ? 0 : (uint64_t)cgroup_fd,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* Splits nr NUL-ended strings at *p into list, which ends in NULL. */
static bool split(char **p, const char *end, char **list, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		list[i] = *p;
		*p += strnlen(*p, (size_t)(end - *p)) + 1;
		if (*p > end)
			return false;
	}
	list[nr] = NULL;
	return true;
}

static _Noreturn void child(const int fd[3], const char *dir, char **argv, char **envp)
{
	sigset_t none;

	for (int i = 0; i < 3; i++)
		dup2(fd[i], i);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	if (isatty(0))
		ioctl(0, TIOCSCTTY, 0);
	setpriority(PRIO_PROCESS, 0, 0);
	environ = envp;
	if (chdir(dir) < 0)
		fprintf(stderr, "testbed: %s: %m\n", dir);
	else
		execvp(argv[0], argv);
	fprintf(stderr, "testbed: %s: %m\n", argv[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Fills ours and theirs, the two ends of a pipe; -1: could not. */
static int make_pipe(int *ours, int *theirs, bool we_write)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -1;
	*ours = fd[we_write];
	*theirs = fd[!we_write];
	return 0;
}

static int make_tty(struct job *j, int fd[3])
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };

	j->out_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (j->out_fd < 0 || grantpt(j->out_fd) < 0 || unlockpt(j->out_fd) < 0)
		return -1;
	j->in_fd = fcntl(j->out_fd, F_DUPFD_CLOEXEC, 3);
	fd[0] = open(ptsname(j->out_fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd[0] < 0 || ioctl(fd[0], TIOCSWINSZ, &size) < 0)
		return -1;
	fd[1] = fcntl(fd[0], F_DUPFD_CLOEXEC, 3);
	fd[2] = fcntl(fd[0], F_DUPFD_CLOEXEC, 3);
	return 0;
}

/* Our ends go into j, the child's into fd. */
static int make_stdio(struct job *j, int fd[3], uint32_t flags)
{
	if (flags & EXEC_TTY)
		return make_tty(j, fd);
	if (make_pipe(&j->in_fd, &fd[0], true) < 0 || make_pipe(&j->out_fd, &fd[1], false) < 0)
		return -1;
	if (!(flags & EXEC_MERGE))
		return make_pipe(&j->err_fd, &fd[2], false);
	fd[2] = fcntl(fd[1], F_DUPFD_CLOEXEC, 3);
	return 0;
}

static int job_start(struct agent *a, struct job *j, const char *dir, char **argv, char **envp,
		     uint32_t flags)
{
	int fd[3] = { -1, -1, -1 }, cg, ret = 0;
	char path[64];

	cgroup_sweep(a);
	cgroup_path(path, sizeof(path), j->id, "");
	mkdir(path, 0755);
	cg = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (make_stdio(j, fd, flags) < 0) {
		ret = -errno;
	} else {
		fcntl(j->in_fd, F_SETFL, O_NONBLOCK);
		j->pid = fork_into(cg);
		if (!j->pid)
			child(fd, dir, argv, envp);
		if (j->pid < 0)
			ret = -errno;
	}
	close_fd(&cg);
	for (int i = 0; i < 3; i++)
		close_fd(&fd[i]);
	return ret;
}

void job_release(struct job *j)
{
	close_fd(&j->in_fd);
	close_fd(&j->out_fd);
	close_fd(&j->err_fd);
	free(j->in);
	*j = (struct job){ .in_fd = -1, .out_fd = -1, .err_fd = -1 };
}

void do_exec(struct agent *a, uint32_t id, uint32_t len)
{
	struct exec_msg m;
	char *p = a->buf + sizeof(m), *end = a->buf + len, *dir[2];
	char **envp, **argv;
	struct job *j = job_slot(a);
	int ret = -EINVAL;

	memcpy(&m, a->buf, sizeof(m));
	if (m.nr_env > MAX_FRAME || m.nr_arg > MAX_FRAME || !m.nr_arg || len < sizeof(m))
		return send_reply(a, id, EINVAL, "exec");
	envp = calloc(m.nr_env + 1, sizeof(*envp));
	argv = calloc(m.nr_arg + 1, sizeof(*argv));
	if (!j || !envp || !argv)
		ret = -EAGAIN;
	else if (split(&p, end, dir, 1) && split(&p, end, envp, m.nr_env) &&
		 split(&p, end, argv, m.nr_arg)) {
		j->id = id;
		make_parents(dir[0]);
		mkdir(dir[0], 0755);
		ret = job_start(a, j, dir[0], argv, envp, m.flags);
	}
	free(envp);
	free(argv);
	if (ret && j)
		job_release(j);
	if (ret)
		send_reply(a, id, -ret, "exec");
}

/* Offers pending input to the pipe; a reader that has gone loses it. */
void job_feed(struct job *j)
{
	ssize_t n = j->in_len ? write(j->in_fd, j->in, j->in_len) : 0;

	if (n > 0) {
		j->in_len -= (size_t)n;
		memmove(j->in, j->in + n, j->in_len);
	} else if (n < 0 && errno != EAGAIN) {
		j->in_len = 0;
		j->in_eof = true;
	}
	if (!j->in_len && j->in_eof)
		close_fd(&j->in_fd);
}

void do_input(struct agent *a, uint32_t id, uint32_t len)
{
	struct job *j = job_find(a, id);
	char *in;

	if (!j || j->in_fd < 0)
		return;
	if (!len)
		j->in_eof = true;
	in = realloc(j->in, j->in_len + len + 1);
	if (!in)
		return;
	j->in = in;
	memcpy(in + j->in_len, a->buf, len);
	j->in_len += len;
	job_feed(j);
}

void do_kill(struct agent *a, uint32_t id, uint32_t len)
{
	struct job *j = job_find(a, id);
	uint32_t sig = SIGKILL;

	if (len >= sizeof(sig))
		memcpy(&sig, a->buf, sizeof(sig));
	if (!j)
		return;
	if (sig == SIGKILL)
		cgroup_kill(id);
	else
		kill(-j->pid, (int)sig);
}

void job_output(struct agent *a, struct job *j, int *fd, uint32_t type)
{
	char buf[CHUNK];
	ssize_t n = read(*fd, buf, sizeof(buf));

	if (n > 0)
		send_frame(a, type, j->id, buf, (size_t)n);
	else if (!n || (errno != EINTR && errno != EAGAIN))
		close_fd(fd);	/* a terminal without processes gives EIO */
}

static uint64_t tv_us(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec;
}

void job_check_end(struct agent *a, struct job *j)
{
	struct exit_msg m = { 0 };

	if (!j->pid || !j->reaped || j->out_fd >= 0 || j->err_fd >= 0)
		return;
	m.signal = WIFSIGNALED(j->status) ? (uint32_t)WTERMSIG(j->status) : 0;
	m.status = m.signal ? 128 + (int32_t)m.signal : WEXITSTATUS(j->status);
	m.user_us = tv_us(&j->usage.ru_utime);
	m.sys_us = tv_us(&j->usage.ru_stime);
	send_frame(a, F_EXIT, j->id, &m, sizeof(m));
	job_release(j);
}

void reap(struct agent *a)
{
	struct signalfd_siginfo info;
	struct rusage usage;
	int status;
	pid_t pid;

	if (read(a->sig_fd, &info, sizeof(info)) < 0)
		return;
	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		for (int i = 0; i < MAX_JOBS; i++) {
			struct job *j = &a->job[i];

			if (j->pid != pid || j->reaped)
				continue;
			j->reaped = true;
			j->status = status;
			j->usage = usage;
			cgroup_kill(j->id);
			job_check_end(a, j);
		}
	}
}
