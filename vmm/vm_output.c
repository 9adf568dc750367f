/* SPDX-License-Identifier: Apache-2.0 */
#include "vm_output.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "relay.h"
#include "vm_priv.h"

/* How long a regular file may become; 0: another kind has no length. */
static uint64_t room_for(const struct stat *st)
{
	return S_ISREG(st->st_mode) ? (uint64_t)st->st_size + OUTPUT_GROWTH : 0;
}

static int reopen_nonblocking(int from)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", from);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void output_open(struct vm_output *o, int from)
{
	struct stat st;
	int fd = -1;

	*o = (struct vm_output){ .fd = from, .file = from };
	if (from < 0 || fstat(from, &st))
		return;
	o->room = room_for(&st);
	o->is_socket = S_ISSOCK(st.st_mode);
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
		fd = reopen_nonblocking(from);
	if (fd >= 0)
		o->fd = o->file = fd;
	else if (!o->is_socket)
		o->blocks = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ||
			    !(fcntl(from, F_GETFL) & O_NONBLOCK);
}

int output_start(struct vm_output *o, const char *name, const struct worker_entry *entry)
{
	const struct relay_cfg cfg = {
		.fd = o->file, .way = RELAY_TO_FILE, .max = o->room, .name = name, .entry = entry,
	};
	int ret = 0;

	if (o->blocks)
		ret = relay_create(&o->relay, &cfg);
	if (!ret && o->relay)
		o->fd = relay_fd(o->relay);
	return ret;
}

uint64_t output_finish(struct vm_output *o)
{
	uint64_t lost = relay_free(o->relay);

	o->relay = NULL;
	o->fd = o->file;
	return lost;
}
