/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a seccomp program outside the kernel, to ask it more than a kernel could be asked. */
#ifndef MIMSY_BPF_H
#define MIMSY_BPF_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>

/* What the program returns; UINT32_MAX for an instruction that we do not know. */
uint32_t bpf_run(const struct sock_fprog *prog, const struct seccomp_data *data);

#endif
