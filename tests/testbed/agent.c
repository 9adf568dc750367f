/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agent of the test bed: process 1 of the L1 machine once init has loaded the
 * modules. It speaks frames over one virtio-serial port: starts commands,
 * carries their input and output, stores and fetches files. The host side,
 * link.py, holds all policy: time limits, what to send, when to give up.
 *
 * A command runs in a process group and in a cgroup of its own. When its main
 * process ends, whatever it has left behind is killed, so that one test never
 * meets the processes of another. If the host goes away, L1 powers off.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_NAME	"mimsy.testbed"
#define MAX_FRAME	(1u << 20)
#define MAX_JOBS	64
#define CHUNK		(32u << 10)
#define PSEUDO_MAX	65536	/* files up to this size without blocks may be of sysfs and the like */

struct frame {		/* little-endian, the payload of len bytes follows */
	uint32_t len;
	uint32_t id;
	uint32_t type;
};

enum {			/* host to agent */
	F_EXEC = 'X', F_INPUT = 'I', F_KILL = 'K', F_PING = 'N', F_STAT = 'S',
	F_PUT = 'P', F_DATA = 'D', F_FINISH = 'F', F_GET = 'G',
	/* agent to host; F_DATA as well */
	F_HELLO = 'H', F_STDOUT = 'O', F_STDERR = 'E', F_EXIT = 'Z', F_REPLY = 'R',
};

struct job {		/* a command; fields are -1 or NULL when done with */
	uint32_t id;
	pid_t pid;	/* 0: the slot is free */
	bool reaped;
	int status;
	struct rusage usage;
	int out_fd, err_fd, in_fd;
	char *in;	/* input that the pipe has not taken yet */
	size_t in_len;
	bool in_eof;
};

struct exit_msg {
	int32_t status;		/* exit code, or 128 + signal */
	uint32_t signal;
	uint64_t user_us, sys_us;
};

struct exec_msg {		/* then NUL-ended: directory, environment, arguments */
	uint32_t merge;		/* standard error into standard output's pipe */
	uint32_t nr_env;
	uint32_t nr_arg;
};

struct put_msg {		/* then the path */
	uint64_t size;
	uint32_t mode;
} __attribute__((packed));

struct agent {
	int port;
	int sig_fd;
	struct job job[MAX_JOBS];
	int put_fd;		/* the file being stored, -1: none or failed */
	int put_errno;
	uint32_t put_mode;
	char put_path[4096], put_tmp[4104];
	char buf[MAX_FRAME + 1];
};

static _Noreturn void power_off(const char *why)
{
	fprintf(stderr, "testbed agent: %s, powering off\n", why);
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void read_all(int fd, void *buf, size_t len)
{
	char *p = buf;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = read(fd, p, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			power_off("the host has gone");
	}
}

static void write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			power_off("cannot write to the host");
	}
}

static void send_frame(struct agent *a, uint32_t type, uint32_t id, const void *data, size_t len)
{
	struct {
		struct frame f;
		char data[CHUNK + 64];
	} msg = { .f = { .len = (uint32_t)len, .id = id, .type = type } };

	memcpy(msg.data, data, len);
	write_all(a->port, &msg, sizeof(msg.f) + len);
}

/* err: 0 or an errno; text may be empty. */
static void send_reply(struct agent *a, uint32_t id, int err, const char *text)
{
	char msg[512];
	int32_t code = err;
	size_t len = strlen(text);

	if (len > sizeof(msg) - sizeof(code))
		len = sizeof(msg) - sizeof(code);
	memcpy(msg, &code, sizeof(code));
	memcpy(msg + sizeof(code), text, len);
	send_frame(a, F_REPLY, id, msg, sizeof(code) + len);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Makes the directories above path. */
static void make_parents(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
}

/* ---- commands ---- */

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

static _Noreturn void child(const char *dir, char **argv, char **envp)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	setpriority(PRIO_PROCESS, 0, 0);
	environ = envp;
	if (chdir(dir) < 0)
		fprintf(stderr, "testbed: %s: %m\n", dir);
	else
		execvp(argv[0], argv);
	fprintf(stderr, "testbed: %s: %m\n", argv[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

static int make_pipes(int in[2], int out[2], int err[2], bool merge)
{
	in[0] = in[1] = out[0] = out[1] = err[0] = err[1] = -1;
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	if (!merge && pipe2(err, O_CLOEXEC) < 0)
		return -errno;
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	return 0;
}

static int job_start(struct agent *a, struct job *j, const char *dir, char **argv, char **envp,
		     bool merge)
{
	int in[2], out[2], err[2], cg;
	char path[64];
	int ret = make_pipes(in, out, err, merge);

	cgroup_sweep(a);
	cgroup_path(path, sizeof(path), j->id, "");
	mkdir(path, 0755);
	cg = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	j->pid = ret ? ret : fork_into(cg);
	if (!j->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(merge ? out[1] : err[1], 2);
		child(dir, argv, envp);
	}
	if (j->pid < 0)
		ret = ret ? ret : -errno;
	close_fd(&cg);
	close_fd(&in[0]);
	close_fd(&out[1]);
	close_fd(&err[1]);
	j->in_fd = in[1];
	j->out_fd = out[0];
	j->err_fd = err[0];
	return ret;
}

static void job_release(struct job *j)
{
	close_fd(&j->in_fd);
	close_fd(&j->out_fd);
	close_fd(&j->err_fd);
	free(j->in);
	*j = (struct job){ .in_fd = -1, .out_fd = -1, .err_fd = -1 };
}

static void do_exec(struct agent *a, uint32_t id, uint32_t len)
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
		ret = job_start(a, j, dir[0], argv, envp, m.merge);
	}
	free(envp);
	free(argv);
	if (ret && j)
		job_release(j);
	if (ret)
		send_reply(a, id, -ret, "exec");
}

/* Offers pending input to the pipe; a reader that has gone loses it. */
static void job_feed(struct job *j)
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

static void do_input(struct agent *a, uint32_t id, uint32_t len)
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

static void do_kill(struct agent *a, uint32_t id, uint32_t len)
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

static void job_output(struct agent *a, struct job *j, int *fd, uint32_t type)
{
	char buf[CHUNK];
	ssize_t n = read(*fd, buf, sizeof(buf));

	if (n > 0)
		send_frame(a, type, j->id, buf, (size_t)n);
	else if (!n || errno != EINTR)
		close_fd(fd);
}

static uint64_t tv_us(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec;
}

static void job_check_end(struct agent *a, struct job *j)
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

static void reap(struct agent *a)
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

/* ---- files ---- */

static void do_put(struct agent *a, uint32_t len)
{
	struct put_msg m;
	size_t n = len - sizeof(m);

	a->put_errno = EINVAL;
	if (len < sizeof(m) || n >= sizeof(a->put_path))
		return;
	memcpy(&m, a->buf, sizeof(m));
	memcpy(a->put_path, a->buf + sizeof(m), n);
	a->put_path[n] = '\0';
	snprintf(a->put_tmp, sizeof(a->put_tmp), "%s.put", a->put_path);
	make_parents(a->put_path);
	a->put_mode = m.mode;
	a->put_fd = open(a->put_tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	a->put_errno = a->put_fd < 0 || ftruncate(a->put_fd, (off_t)m.size) < 0 ? errno : 0;
}

static void do_data(struct agent *a, uint32_t len)
{
	uint64_t off;
	size_t n = len - sizeof(off);

	if (len < sizeof(off) || a->put_errno)
		return;
	memcpy(&off, a->buf, sizeof(off));
	errno = 0;
	if (pwrite(a->put_fd, a->buf + sizeof(off), n, (off_t)off) != (ssize_t)n)
		a->put_errno = errno ? errno : ENOSPC;
}

/* The identity of a file's contents, for the host to see whether it has been changed since. */
static void reply_stat(struct agent *a, uint32_t id, const char *path)
{
	struct stat st;
	char text[160];

	if (stat(path, &st) < 0)
		return send_reply(a, id, errno, path);
	snprintf(text, sizeof(text), "%llu %llu %lld.%09ld %lld.%09ld %o",
		 (unsigned long long)st.st_ino, (unsigned long long)st.st_size,
		 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
		 (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec, st.st_mode);
	send_reply(a, id, 0, text);
}

static void do_finish(struct agent *a, uint32_t id)
{
	if (!a->put_errno && fchmod(a->put_fd, a->put_mode & 07777) < 0)
		a->put_errno = errno;
	close_fd(&a->put_fd);
	if (!a->put_errno && rename(a->put_tmp, a->put_path) < 0)
		a->put_errno = errno;
	if (a->put_errno) {
		unlink(a->put_tmp);
		send_reply(a, id, a->put_errno, a->put_path);
	} else {
		reply_stat(a, id, a->put_path);
	}
	a->put_errno = EINVAL;
}

/* Sends the bytes of [off, end) as frames that carry their offset. */
static int send_extent(struct agent *a, uint32_t id, int fd, off_t off, off_t end)
{
	static const size_t head = sizeof(uint64_t);
	char buf[CHUNK];
	ssize_t n;

	for (; off < end; off += n) {
		uint64_t at = (uint64_t)off;
		size_t want = sizeof(buf) - head;

		if ((off_t)want > end - off)
			want = (size_t)(end - off);
		n = pread(fd, buf + head, want, off);
		if (n <= 0)
			return n ? errno : 0;
		memcpy(buf, &at, head);
		send_frame(a, F_DATA, id, buf, head + (size_t)n);
	}
	return 0;
}

/* Skips the holes; an empty frame tells the end, which may lie in one. */
static int send_extents(struct agent *a, uint32_t id, int fd, uint64_t size)
{
	off_t data, hole = 0;
	int err = 0;

	while (!err && (data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return errno;
		err = send_extent(a, id, fd, data, hole);
	}
	send_frame(a, F_DATA, id, &size, sizeof(size));
	return err;
}

/* A pseudo-file or pipe-like file has no size and no holes: read to its end. */
static int send_stream(struct agent *a, uint32_t id, int fd)
{
	char buf[CHUNK];
	uint64_t off = 0;
	ssize_t n;

	while ((n = read(fd, buf + sizeof(off), sizeof(buf) - sizeof(off))) > 0) {
		memcpy(buf, &off, sizeof(off));
		send_frame(a, F_DATA, id, buf, sizeof(off) + (size_t)n);
		off += (uint64_t)n;
	}
	return n ? errno : 0;
}

static void do_get(struct agent *a, uint32_t id, uint32_t len)
{
	struct stat st = { 0 };
	int fd, err;

	a->buf[len] = '\0';
	fd = open(a->buf, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		err = errno;
	else if (S_ISREG(st.st_mode) && (st.st_blocks || st.st_size > PSEUDO_MAX))
		err = send_extents(a, id, fd, (uint64_t)st.st_size);
	else
		err = send_stream(a, id, fd);
	close_fd(&fd);
	if (err)
		send_reply(a, id, err, a->buf);
	else
		reply_stat(a, id, a->buf);
}

/* ---- main loop ---- */

static void handle_frame(struct agent *a)
{
	struct frame f;

	read_all(a->port, &f, sizeof(f));
	if (f.len > MAX_FRAME)
		power_off("a frame is too long");
	read_all(a->port, a->buf, f.len);
	a->buf[f.len] = '\0';
	switch (f.type) {
	case F_EXEC:	do_exec(a, f.id, f.len);		break;
	case F_INPUT:	do_input(a, f.id, f.len);		break;
	case F_KILL:	do_kill(a, f.id, f.len);		break;
	case F_PING:	send_reply(a, f.id, 0, "");		break;
	case F_STAT:	reply_stat(a, f.id, a->buf);		break;
	case F_PUT:	do_put(a, f.len);			break;
	case F_DATA:	do_data(a, f.len);			break;
	case F_FINISH:	do_finish(a, f.id);			break;
	case F_GET:	do_get(a, f.id, f.len);			break;
	default:	power_off("a frame of unknown type");
	}
}

static void serve_once(struct agent *a)
{
	struct pollfd p[2 + 3 * MAX_JOBS] = {
		{ .fd = a->port, .events = POLLIN }, { .fd = a->sig_fd, .events = POLLIN },
	};

	for (int i = 0; i < MAX_JOBS; i++) {
		struct job *j = &a->job[i];

		p[2 + 3 * i] = (struct pollfd){ .fd = j->out_fd, .events = POLLIN };
		p[3 + 3 * i] = (struct pollfd){ .fd = j->err_fd, .events = POLLIN };
		p[4 + 3 * i] = (struct pollfd){ .fd = j->in_len ? j->in_fd : -1,
						.events = POLLOUT };
	}
	if (poll(p, sizeof(p) / sizeof(p[0]), -1) < 0)
		return;
	for (int i = 0; i < MAX_JOBS; i++) {
		struct job *j = &a->job[i];

		if (p[2 + 3 * i].revents)
			job_output(a, j, &j->out_fd, F_STDOUT);
		if (p[3 + 3 * i].revents)
			job_output(a, j, &j->err_fd, F_STDERR);
		if (p[4 + 3 * i].revents)
			job_feed(j);
		job_check_end(a, j);
	}
	if (p[1].revents)
		reap(a);
	if (p[0].revents)
		handle_frame(a);
}

/* Without udev there is no /dev/virtio-ports: look for the port by its name in sysfs. */
static int open_port(void)
{
	static const char dir[] = "/sys/class/virtio-ports";
	char path[400], name[64];
	struct dirent *e;
	DIR *d = opendir(dir);
	int fd = -1;

	while (fd < 0 && d && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s/name", dir, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		if (f && fgets(name, sizeof(name), f) &&
		    !strncmp(name, PORT_NAME, strlen(PORT_NAME)))
			fd = open(path, O_RDWR | O_CLOEXEC);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return fd;
}

static int wait_for_port(void)
{
	int fd = open_port();

	for (int i = 0; fd < 0 && i < 200; i++) {
		usleep(20000);
		fd = open_port();
	}
	if (fd < 0)
		power_off("the port " PORT_NAME " is missing");
	return fd;
}

int main(void)
{
	static struct agent a = { .put_fd = -1, .put_errno = EINVAL };
	struct utsname u;
	sigset_t chld;

	for (int i = 0; i < MAX_JOBS; i++)
		job_release(&a.job[i]);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	signal(SIGPIPE, SIG_IGN);
	setpriority(PRIO_PROCESS, 0, -15);
	a.sig_fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	a.port = wait_for_port();
	uname(&u);
	send_frame(&a, F_HELLO, 0, u.release, strlen(u.release));
	for (;;)
		serve_once(&a);
}
