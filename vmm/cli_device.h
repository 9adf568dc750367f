/* SPDX-License-Identifier: Apache-2.0 */
/* The two options that make devices. Setters as in cli.c's table. */
#ifndef MIMSY_CLI_DEVICE_H
#define MIMSY_CLI_DEVICE_H

#include "config.h"

extern const char cli_disk_help[], cli_net_help[];

/* 0; -ENOMEM or -E2BIG: one line has been logged. */
int cli_disk(struct vm_config *c, const char *arg);
int cli_net(struct vm_config *c, const char *arg);

/* "msi", "shared", "single"; -EINVAL for anything else. */
int cli_irq(const char *s, enum vm_irq_mode *out);

#endif
