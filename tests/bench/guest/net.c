/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP between the guest and the machine under it. The guest opens a connection and says in one
 * byte what it wants: 'r' an echo of 16-byte words, 't' to send, 'f' to be sent to; then a count.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_IP "10.9.0.1"
#define PORT 7100
#define MAX_MESSAGE 65536
#define WARM_UP 16

struct hello {
	uint32_t what, bytes;
	uint64_t total;
};

static char buf[MAX_MESSAGE];

static int read_all(int fd, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, buf + got, len - got);

		if (n <= 0)
			return 1;
		got += (size_t)n;
	}
	return 0;
}

static int write_all(int fd, size_t len)
{
	size_t sent = 0;

	while (sent < len) {
		ssize_t n = write(fd, buf + sent, len - sent);

		if (n < 0)
			return 1;
		sent += (size_t)n;
	}
	return 0;
}

static void pump(int fd, uint64_t total, int (*step)(int, size_t))
{
	while (total) {
		size_t n = total < sizeof(buf) ? total : sizeof(buf);

		if (step(fd, n))
			_exit(1);
		total -= n;
	}
}

static void serve_one(int fd)
{
	struct hello h;

	if (read_all(fd, sizeof(h)))
		return;
	memcpy(&h, buf, sizeof(h));
	if (h.bytes > sizeof(buf))
		return;
	switch (h.what) {
	case 'r':
		while (!read_all(fd, h.bytes))
			if (write_all(fd, h.bytes))
				return;
		return;
	case 't':
		pump(fd, h.total, read_all);
		write_all(fd, 1);
		return;
	case 'f':
		if (!read_all(fd, 1))
			pump(fd, h.total, write_all);
		read_all(fd, 1);
	}
}

int serve_main(int argc, char **argv)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;

	if (argc > 1)
		pin(atoi(argv[1]));
	any.sin_port = htons((uint16_t)atoi(argv[0]));
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 64))
		return fail("port %s", argv[0]);
	printf("serving\n");
	fflush(stdout);
	while ((peer = accept(fd, NULL, NULL)) >= 0) {
		setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (!fork()) {
			close(fd);
			serve_one(peer);
			_exit(0);
		}
		close(peer);
	}
	return fail("accept");
}

int tap_main(int argc, char **argv)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int pairs = argc > 1 ? atoi(argv[1]) : 1;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (pairs > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[0]);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETPERSIST, pairs ? 1L : 0L))
		return fail("tap %s", argv[0]);
	return 0;
}

/* No network device is no error: some figures need none. */
int net_up(const char *ip)
{
	struct ifreq ifr = { .ifr_name = "eth0" };
	struct sockaddr_in *in = (void *)&ifr.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret = 0;

	if (fd < 0)
		return 1;
	if (!ioctl(fd, SIOCGIFINDEX, &ifr)) {
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = inet_addr(ip);
		ret = ioctl(fd, SIOCSIFADDR, &ifr);
		in->sin_addr.s_addr = inet_addr("255.255.255.0");
		ret |= ioctl(fd, SIOCSIFNETMASK, &ifr);
		ifr.ifr_flags = IFF_UP | IFF_RUNNING;
		ret |= ioctl(fd, SIOCSIFFLAGS, &ifr);
	}
	close(fd);
	return ret;
}

static int dial(uint32_t what, uint32_t bytes, uint64_t total)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct hello h = { what, bytes, total };

	inet_aton(SERVER_IP, &peer.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&peer, sizeof(peer)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    write(fd, &h, sizeof(h)) != (ssize_t)sizeof(h)) {
		fail("connect");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static int exchange(int fd, size_t bytes)
{
	if (write_all(fd, bytes) || read_all(fd, bytes))
		return fail("exchange");
	return 0;
}

static int ping_pong(int fd, uint64_t n, size_t bytes, struct lat *lat)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t began = now_ns();

		if (exchange(fd, bytes))
			return 1;
		lat_add(lat, now_ns() - began);
	}
	return 0;
}

int rr_run(const struct args *a)
{
	uint64_t n = arg(a, "n", 1000), bytes = arg(a, "bytes", 32), began, ended;
	struct irqs before, after;
	struct lat lat;
	int fd, ret = 0;

	pin((int)arg(a, "cpu", 0));
	fd = dial('r', (uint32_t)bytes, 0);
	if (fd < 0 || lat_init(&lat, n))
		return 1;
	for (int i = 0; i < WARM_UP && !ret; i++)
		ret = exchange(fd, bytes);
	if (!ret) {
		step_ready();
		irqs_read(&before);
		began = now_ns();
		ret = ping_pong(fd, n, bytes, &lat);
		ended = now_ns();
		irqs_read(&after);
	}
	if (!ret) {
		step_done();
		printf("@res n=%llu ns=%llu\n", (unsigned long long)n,
		       (unsigned long long)(ended - began));
		lat_print(&lat);
		irqs_print(&before, &after);
	}
	close(fd);
	return ret;
}

/* out=1: the guest sends and the server says when it has all; else the guest asks and reads. */
int stream_run(const struct args *a)
{
	uint64_t total = arg(a, "kib", 16384) << 10, began, ended;
	int out = (int)arg(a, "out", 1), fd;

	pin((int)arg(a, "cpu", 0));
	fd = dial(out ? 't' : 'f', 1, total);
	if (fd < 0)
		return 1;
	step_ready();
	began = now_ns();
	if (out) {
		pump(fd, total, write_all);
		read_all(fd, 1);
	} else {
		write_all(fd, 1);
		pump(fd, total, read_all);
	}
	ended = now_ns();
	step_done();
	printf("@res n=%llu ns=%llu\n", (unsigned long long)(total >> 10),
	       (unsigned long long)(ended - began));
	close(fd);
	return 0;
}
