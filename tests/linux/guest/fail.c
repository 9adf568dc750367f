/* SPDX-License-Identifier: Apache-2.0 */
/* A write during which the n-th allocation in the kernel fails, by its fault injection. */
#define _GNU_SOURCE
#include "guestio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Prints what the write gave, and whether an allocation failed: "0" if one did, else n or less. */
int fail_main(int argc, char **argv)
{
	int file, nth, err = 0;
	char left[16] = "";
	ssize_t n;

	if (argc < 3)
		return complain("fail: N, a file and a text are needed");
	file = open(argv[1], O_WRONLY | O_CLOEXEC);
	nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	if (file < 0 || nth < 0)
		return complain("%s or fail-nth: %s", argv[1], strerror(errno));

	if (write(nth, argv[0], strlen(argv[0])) < 0)
		return complain("fail-nth: %s", strerror(errno));
	if (write(file, argv[2], strlen(argv[2])) < 0)
		err = errno;
	n = pread(nth, left, sizeof(left) - 1, 0);
	if (n < 0 || write(nth, "0", 1) < 0)
		return complain("fail-nth: %s", strerror(errno));

	left[strcspn(left, "\n")] = '\0';
	printf("%d %s\n", err, left);
	return 0;
}
