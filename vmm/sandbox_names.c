/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox_names.h"

#include "sandbox_priv.h"
#include "util.h"

const char *sandbox_syscall_name(int nr)
{
	if (nr < 0 || nr >= (int)ARRAY_SIZE(syscall_names) || !syscall_names[nr][0])
		return "unknown";
	return syscall_names[nr];
}
