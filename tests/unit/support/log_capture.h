/* SPDX-License-Identifier: Apache-2.0 */
/* What went to stderr between begin and end. One capture at a time per process. */
#ifndef MIMSY_TEST_LOG_CAPTURE_H
#define MIMSY_TEST_LOG_CAPTURE_H

#include <stddef.h>

struct log_capture {
	int saved_fd, fd;
	char text[8192];	/* set by end, with a NUL */
	unsigned int nr_lines;	/* likewise */
};

void log_capture_begin(struct log_capture *c);
void log_capture_end(struct log_capture *c);

#endif
