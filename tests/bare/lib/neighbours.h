/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that must not notice what happens to the subject: the first disk and
 * the first interface that are not "dev". Programs of hostile cases start them
 * in their setup; after each check they have to serve, and the subject has to
 * work after a reset:
 *
 *	CHECKS_WATCHED("program", setup, CHECK(...), ...)
 */
#ifndef BARE_NEIGHBOURS_H
#define BARE_NEIGHBOURS_H

#include "check.h"
#include "vdev.h"

void neighbours_start(void);

/* Fails the check: a read on the disk or a question to the network is not answered. */
void expect_neighbours_serve(void);

/* The above, and a disk that is the subject works after a reset. */
void neighbours_after_check(void);

#define CHECKS_WATCHED(prog, setup, ...)					\
	static const struct check all_checks[] = { __VA_ARGS__ };		\
	const struct check_table check_table = {				\
		.program = prog, .before = setup, .after = neighbours_after_check,	\
		.check = all_checks, .nr_checks = ARRAY_SIZE(all_checks),	\
	};

#endif
