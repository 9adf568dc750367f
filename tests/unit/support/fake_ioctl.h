/* SPDX-License-Identifier: Apache-2.0 */
/* ioctl(2), answered by the test: for devices that this machine lacks. */
#ifndef MIMSY_TEST_FAKE_IOCTL_H
#define MIMSY_TEST_FAKE_IOCTL_H

#define FAKE_IOCTL_PASS 1	/* let the kernel answer */

/* 0, -errno or FAKE_IOCTL_PASS. Any thread may call it. */
typedef int fake_ioctl_fn(int fd, unsigned long request, void *arg);

/* Before there are threads. NULL: the kernel answers all. */
void fake_ioctl_set(fake_ioctl_fn *fn);

#endif
