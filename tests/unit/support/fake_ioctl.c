/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_ioctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static fake_ioctl_fn *answer;

void fake_ioctl_set(fake_ioctl_fn *fn)
{
	answer = fn;
}

/* Stands in front of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	ret = answer ? answer(fd, request, arg) : FAKE_IOCTL_PASS;
	if (ret == FAKE_IOCTL_PASS)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	if (!ret)
		return 0;
	errno = -ret;
	return -1;
}
