/* SPDX-License-Identifier: Apache-2.0 */
/* argv -> struct vm_config. Option strings end here. */
#ifndef MIMSY_CLI_H
#define MIMSY_CLI_H

#include "config.h"

enum cli_result {
	CLI_RUN,	/* config is filled */
	CLI_DONE,	/* help or version was printed */
	CLI_USAGE,	/* one line said what is wrong */
};

/* c is initialised by the caller, who also releases it. Sets the log level. */
enum cli_result cli_parse(struct vm_config *c, int argc, char **argv);

#endif
