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
 *
 * One thread, no locks. struct agent is main.c's and lives for ever.
 */
#ifndef TESTBED_AGENT_H
#define TESTBED_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define MAX_FRAME	(1u << 20)
#define MAX_JOBS	64
#define CHUNK		(32u << 10)

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

struct agent {
	int port;
	int sig_fd;
	struct job job[MAX_JOBS];
	int put_fd;		/* the file being stored, -1: none or failed */
	int put_errno;
	uint32_t put_mode;
	char put_path[4096], put_tmp[4104];
	char buf[MAX_FRAME + 1];	/* the frame's payload, a NUL after it */
};

/* port.c */
_Noreturn void power_off(const char *why);
int port_open(void);
void read_all(int fd, void *buf, size_t len);
void send_frame(struct agent *a, uint32_t type, uint32_t id, const void *data, size_t len);
void send_reply(struct agent *a, uint32_t id, int err, const char *text);	/* 0 or errno */
void close_fd(int *fd);			/* -1 afterwards */

/* jobs.c: commands. len is that of the payload in a->buf. */
void do_exec(struct agent *a, uint32_t id, uint32_t len);
void do_input(struct agent *a, uint32_t id, uint32_t len);
void do_kill(struct agent *a, uint32_t id, uint32_t len);
void job_output(struct agent *a, struct job *j, int *fd, uint32_t type);
void job_feed(struct job *j);
void job_check_end(struct agent *a, struct job *j);	/* reports the end once all is read */
void job_release(struct job *j);
void reap(struct agent *a);

/* files.c */
void make_parents(char *path);		/* the directories above path */
void do_put(struct agent *a, uint32_t len);
void do_data(struct agent *a, uint32_t len);
void do_finish(struct agent *a, uint32_t id);
void do_get(struct agent *a, uint32_t id, uint32_t len);
void reply_stat(struct agent *a, uint32_t id, const char *path);

#endif
