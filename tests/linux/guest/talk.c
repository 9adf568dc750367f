/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP with verified data: serve echoes whatever comes, a process per connection; talk opens one
 * connection per CPU, sends blocks and compares the echo. rounds with bytes=64 is a ping-pong,
 * rounds with bytes=262144 moves bulk in both directions and so uses segmentation offload.
 */
#define _GNU_SOURCE
#include "guestio.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct talk {
	struct sockaddr_in peer;
	uint64_t rounds, bytes, seed;
};

static void echo(int fd)
{
	static char buf[65536];
	ssize_t got, sent, n;

	while ((got = read(fd, buf, sizeof(buf))) > 0) {
		for (sent = 0; sent < got; sent += n) {
			n = write(fd, buf + sent, (size_t)(got - sent));
			if (n < 0)
				return;
		}
	}
}

int serve_main(int argc, char **argv)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int one = 1, fd, peer;

	if (argc < 1)
		return complain("serve: a port is needed");
	any.sin_port = htons((uint16_t)atoi(argv[0]));
	signal(SIGCHLD, SIG_IGN);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 64))
		return complain("serve: port %s: %s", argv[0], strerror(errno));
	while ((peer = accept(fd, NULL, NULL)) >= 0) {
		setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (!fork()) {
			close(fd);
			echo(peer);
			_exit(0);
		}
		close(peer);
	}
	return complain("serve: accept: %s", strerror(errno));
}

/* Sends and receives at once: neither side may stop reading while its own data waits. */
static int exchange(int fd, const char *out, char *in, size_t len)
{
	size_t sent = 0, got = 0;

	while (got < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (sent < len)
			p.events |= POLLOUT;
		if (poll(&p, 1, 20000) <= 0)
			return complain("talk: the echo stopped after %zu of %zu bytes", got, len);
		if (p.revents & POLLOUT) {
			n = send(fd, out + sent, len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
			sent += n > 0 ? (size_t)n : 0;
		}
		n = recv(fd, in + got, len - got, MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
			return complain("talk: connection lost: %s",
					strerror(n ? errno : ECONNRESET));
		got += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int connect_peer(const struct talk *t)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd >= 0 && !connect(fd, (const struct sockaddr *)&t->peer, sizeof(t->peer)))
		return fd;
	complain("talk: connect: %s", strerror(errno));
	return -1;
}

static int talk_worker(int idx, int cpu, void *ctx)
{
	const struct talk *t = ctx;
	struct timespec start, end;
	char *out = malloc(t->bytes), *in = malloc(t->bytes);
	int fd = connect_peer(t);
	uint64_t i;

	if (fd < 0 || !out || !in)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (i = 0; i < t->rounds; i++) {
		fill(out, t->bytes, t->seed + i * 64 + (uint64_t)idx);
		if (exchange(fd, out, in, t->bytes))
			return 1;
		if (memcmp(out, in, t->bytes))
			return complain("talk: round %llu: the echo differs",
					(unsigned long long)i);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("talk cpu %d rounds %llu bytes %llu ms %lld\n", cpu, (unsigned long long)t->rounds,
	       (unsigned long long)t->bytes, (long long)(end.tv_sec - start.tv_sec) * 1000 +
	       (end.tv_nsec - start.tv_nsec) / 1000000);
	return 0;
}

int talk_main(int argc, char **argv)
{
	struct talk t = {
		.peer = { .sin_family = AF_INET },
		.rounds = number(argc, argv, "rounds", 100),
		.bytes = number(argc, argv, "bytes", 64) & ~7ULL,
		.seed = number(argc, argv, "seed", 1),
	};
	int cpus[GUESTIO_CPUS_MAX], nr;

	if (argc < 2 || inet_pton(AF_INET, argv[0], &t.peer.sin_addr) != 1 || !t.bytes)
		return complain("talk: an IPv4 address, a port and 8 bytes or more are needed");
	t.peer.sin_port = htons((uint16_t)atoi(argv[1]));
	nr = cpu_list(option(argc, argv, "cpus", "all"), cpus, GUESTIO_CPUS_MAX);
	return each_cpu(cpus, nr, talk_worker, &t);
}
