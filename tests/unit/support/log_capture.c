/* SPDX-License-Identifier: Apache-2.0 */
#include "log_capture.h"

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

void log_capture_begin(struct log_capture *c)
{
	c->fd = memfd_create("log", MFD_CLOEXEC);
	c->saved_fd = dup(STDERR_FILENO);
	ck_assert_int_ge(c->fd, 0);
	ck_assert_int_ge(c->saved_fd, 0);
	dup2(c->fd, STDERR_FILENO);
}

void log_capture_end(struct log_capture *c)
{
	ssize_t n = pread(c->fd, c->text, sizeof(c->text) - 1, 0);

	dup2(c->saved_fd, STDERR_FILENO);
	close(c->saved_fd);
	close(c->fd);
	ck_assert_int_ge(n, 0);
	c->text[n] = 0;
	c->nr_lines = 0;
	for (ssize_t i = 0; i < n; i++)
		c->nr_lines += c->text[i] == '\n';
}
