/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>

#include "cli.h"
#include "config.h"
#include "stop.h"
#include "vm.h"

static int run(const struct vm_config *c)
{
	struct vm *vm;
	int status;

	if (vm_create(&vm, c))
		return VM_EXIT_ERROR;
	status = vm_run(vm);
	vm_free(vm);
	return status;
}

int main(int argc, char **argv)
{
	static struct vm_config config;		/* too large for the stack's taste */
	int status = VM_EXIT_OK;

	stop_listen();
	mallopt(M_ARENA_MAX, 1);	/* less memory, and a vCPU thread needs no mprotect(2) */
	vm_config_init(&config);
	switch (cli_parse(&config, argc, argv)) {
	case CLI_RUN:
		status = run(&config);
		break;
	case CLI_USAGE:
		status = VM_EXIT_USAGE;
		break;
	case CLI_DONE:
		break;
	}
	vm_config_release(&config);
	return status;
}
