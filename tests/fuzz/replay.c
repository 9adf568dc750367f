/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for the engine where there is none: runs the inputs that it is given, once each. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_INPUT (1u << 20)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A buffer of just the input's size, so that sanitizers see what lies behind it. */
static int replay(const char *path, uint8_t *buf)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, buf, MAX_INPUT);
	uint8_t *exact;

	if (fd >= 0)
		close(fd);
	if (len < 0) {
		perror(path);
		return 1;
	}
	exact = malloc((size_t)len + !len);
	if (!exact)
		return 1;
	for (ssize_t i = 0; i < len; i++)
		exact[i] = buf[i];
	LLVMFuzzerTestOneInput(exact, (size_t)len);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t *buf = malloc(MAX_INPUT);
	int failed = !buf;

	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc && !failed; i++)
		failed = replay(argv[i], buf);
	free(buf);
	if (!failed)
		printf("%d inputs\n", argc - 1);
	return failed;
}
