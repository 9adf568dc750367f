/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a bzImage by kexec_file_load(2) and starts it; returns only if that was refused. */
#define _GNU_SOURCE
#include "guestio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int kexec_main(int argc, char **argv)
{
	int kernel, initrd;

	if (argc < 3)
		return complain("kexec: a kernel, an initrd and a command line are needed");
	kernel = open(argv[0], O_RDONLY | O_CLOEXEC);
	initrd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (kernel < 0 || initrd < 0)
		return complain("kexec: open: %s", strerror(errno));
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[2]) + 1, argv[2], 0UL))
		return complain("kexec: load %s: %s", argv[0], strerror(errno));
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	return complain("kexec: start: %s", strerror(errno));
}
