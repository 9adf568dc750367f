/* SPDX-License-Identifier: Apache-2.0 */
#include "vm_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "relay.h"
#include "uart16550.h"
#include "util.h"

#define PATIENCE_MS 1000	/* with a guest that does not read */
#define FOREGROUND_MS 1000	/* nobody tells us when the terminal has become ours */
#define NS_PER_MS 1000000u

static int reopen_pipe(int fd)
{
	char path[32];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return own < 0 ? fd : own;
}

/* A pipe that others read too may be empty again when it is our turn; a file may stall. */
void input_open(struct vm_input *in)
{
	struct stat st;

	in->fd = console_open(STDIN_FILENO);
	if (console_is_terminal() || fstat(STDIN_FILENO, &st))
		return;
	if (S_ISFIFO(st.st_mode))
		in->fd = reopen_pipe(STDIN_FILENO);
	in->blocks = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
}

int input_start(struct vm_input *in, const struct worker_entry *entry)
{
	const struct relay_cfg cfg = {
		.fd = STDIN_FILENO, .way = RELAY_FROM_FILE, .name = "input", .entry = entry,
	};
	int ret = 0;

	if (in->blocks)
		ret = relay_create(&in->relay, &cfg);
	if (!ret && in->relay)
		in->fd = relay_fd(in->relay);
	return ret;
}

void input_finish(struct vm_input *in)
{
	if (in->relay)
		in->fd = STDIN_FILENO;
	relay_free(in->relay);
	in->relay = NULL;
}

static int wait_for_room(struct vm_input *in, struct pollfd *p)
{
	uint64_t now = clock_now_ns(), waited;

	if (!in->full_since)
		in->full_since = now;
	waited = (now - in->full_since) / NS_PER_MS;
	if (waited < PATIENCE_MS)
		return (int)(PATIENCE_MS - waited);
	p->fd = in->fd;
	return -1;
}

int input_wait(struct vm_input *in, struct uart16550 *u, struct pollfd *p)
{
	p->fd = -1;
	if (in->fd < 0)
		return -1;
	if (console_is_terminal() && !console_take())
		return FOREGROUND_MS;
	if (!uart16550_rx_room(u))
		return console_is_terminal() ? wait_for_room(in, p) : -1;
	in->full_since = 0;
	p->fd = in->fd;
	return -1;
}

/* The end of input, or its loss: in a terminal's background reading gives EIO. */
static bool is_over(ssize_t n)
{
	if (n == 0)
		return true;
	return errno != EAGAIN && errno != EINTR && (errno != EIO || console_take());
}

bool input_take(struct vm_input *in, struct uart16550 *u)
{
	char buf[256];
	size_t room = uart16550_rx_room(u), len;
	bool quit = false;
	ssize_t n;

	n = read(in->fd, buf, room ? MIN(room, sizeof(buf)) : sizeof(buf));
	if (n <= 0) {
		if (is_over(n))
			in->fd = -1;
		return false;
	}
	len = (size_t)n;
	if (console_is_terminal())
		quit = console_filter(&in->keys, buf, &len);
	uart16550_receive(u, buf, len);
	return quit;
}
