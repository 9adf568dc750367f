/* SPDX-License-Identifier: Apache-2.0 */
/* The channel to the host: a virtio-serial port that carries frames. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "agent.h"

#define PORT_NAME	"mimsy.testbed"

_Noreturn void power_off(const char *why)
{
	fprintf(stderr, "testbed agent: %s, powering off\n", why);
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

void read_all(int fd, void *buf, size_t len)
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

void send_frame(struct agent *a, uint32_t type, uint32_t id, const void *data, size_t len)
{
	struct {
		struct frame f;
		char data[CHUNK + 64];
	} msg = { .f = { .len = (uint32_t)len, .id = id, .type = type } };

	memcpy(msg.data, data, len);
	write_all(a->port, &msg, sizeof(msg.f) + len);
}

void send_reply(struct agent *a, uint32_t id, int err, const char *text)
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

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Without udev there is no /dev/virtio-ports: look for the port by its name in sysfs. */
static int find_port(void)
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

int port_open(void)
{
	int fd = find_port();

	for (int i = 0; fd < 0 && i < 200; i++) {
		usleep(20000);
		fd = find_port();
	}
	if (fd < 0)
		power_off("the port " PORT_NAME " is missing");
	return fd;
}
