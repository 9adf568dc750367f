/* SPDX-License-Identifier: Apache-2.0 */
/* flood ADDRESS SECONDS: sends datagrams to a broadcast address as fast as the host can. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT_DISCARD 9
#define SIZE 1400

static int flood_socket(void)
{
	int on = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) == 0)
		return fd;
	perror("flood: socket");
	return -1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT_DISCARD) };
	static char data[SIZE];
	unsigned long sent = 0;
	time_t end;
	int fd;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: flood ADDRESS SECONDS\n");
		return 2;
	}
	fd = flood_socket();
	if (fd < 0)
		return 1;
	for (end = time(NULL) + atoi(argv[2]); time(NULL) < end;)
		for (unsigned int i = 0; i < 100; i++)
			sent += sendto(fd, data, sizeof(data), 0, (struct sockaddr *)&to,
				       sizeof(to)) > 0;
	printf("%lu datagrams\n", sent);
	close(fd);
	return 0;
}
