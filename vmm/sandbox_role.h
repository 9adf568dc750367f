/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of threads that differ in what they may ask of the kernel. */
#ifndef MIMSY_SANDBOX_ROLE_H
#define MIMSY_SANDBOX_ROLE_H

enum sandbox_role {
	SANDBOX_MAIN,
	SANDBOX_VCPU,
	SANDBOX_VCPU_INLINE,	/* that sends frames too: inline-kick=on */
	SANDBOX_BLK,		/* queue of a disk, plain I/O */
	SANDBOX_BLK_URING,	/* queue of a disk, io_uring */
	SANDBOX_NET,		/* pair of queues of a network interface */
	SANDBOX_RELAY,		/* output to a file, input from one */
	NR_SANDBOX_ROLES,
};

/*
 * Stands in the filters for the process's id, which no program made at build
 * time can know; put in when the filter is loaded.
 */
#define SANDBOX_PID_PLACEHOLDER 0x7e57a11eu

#endif
