/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's loop: frames from the host, output and ends of commands. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>

#include "agent.h"

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
	a.port = port_open();
	uname(&u);
	send_frame(&a, F_HELLO, 0, u.release, strlen(u.release));
	for (;;)
		serve_once(&a);
}
