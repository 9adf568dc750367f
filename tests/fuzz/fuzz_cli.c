/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines. Each input is a list of arguments, separated by newlines;
 * what is accepted makes a configuration that is within its limits. Rows K1 to
 * K4 of docs/hostile-cases.md.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "fuzz.h"
#include "util.h"

#define MAX_ARGS	64
#define MAX_LEN		4096u

static struct vm_config config;

static void check_devices(const struct vm_config *c)
{
	FUZZ_CHECK(c->nr_disks + c->nr_nets <= LAYOUT_VIRTIO_MAX);
	for (unsigned int i = 0; i < c->nr_disks; i++) {
		const struct virtio_blk_cfg *b = &c->disk[i].blk;

		FUZZ_CHECK(b->queues >= 1 && b->queues <= VIRTIO_BLK_MAX_QUEUES);
		FUZZ_CHECK(b->queue_size >= VIRTIO_BLK_MIN_SIZE &&
			   b->queue_size <= VIRTQ_MAX_SIZE &&
			   !(b->queue_size & (b->queue_size - 1)));
		FUZZ_CHECK(strnlen(b->serial, sizeof(b->serial)) < sizeof(b->serial));
		FUZZ_CHECK(b->file.path || b->file.fd >= 0);
		FUZZ_CHECK(b->nr_cpus <= ARRAY_SIZE(c->disk[i].cpus));
	}
	for (unsigned int i = 0; i < c->nr_nets; i++) {
		const struct virtio_net_cfg *n = &c->net[i].net;

		FUZZ_CHECK(n->pairs >= 1 && n->pairs <= VIRTIO_NET_MAX_PAIRS);
		FUZZ_CHECK(n->queue_size >= VIRTIO_NET_MIN_SIZE &&
			   n->queue_size <= VIRTQ_MAX_SIZE &&
			   !(n->queue_size & (n->queue_size - 1)));
		FUZZ_CHECK(n->tap || n->nr_fds);
		FUZZ_CHECK(!n->has_mac || !(n->mac[0] & 1));
		FUZZ_CHECK(n->nr_cpus <= ARRAY_SIZE(c->net[i].cpus));
	}
}

static void check_config(const struct vm_config *c)
{
	char cmdline[LAYOUT_CMDLINE_MAX];

	check_devices(c);
	FUZZ_CHECK(c->nr_vcpu_cpus <= VM_MAX_CPUS && c->nr_strings <= VM_MAX_STRINGS);
	if (vm_config_check(c))
		return;
	FUZZ_CHECK(c->nr_cpus >= 1 && c->nr_cpus <= VM_MAX_CPUS);
	FUZZ_CHECK(c->memory >= VM_MIN_MEMORY && !(c->memory % GUEST_MEM_PAGE));
	FUZZ_CHECK(c->files.kernel || c->files.kernel_fd >= 0);
	if (!vm_config_cmdline(c, cmdline, sizeof(cmdline)))
		FUZZ_CHECK(strnlen(cmdline, sizeof(cmdline)) < sizeof(cmdline));
}

void fuzz_setup(void)
{
}

void fuzz_one(struct fuzz_input *in)
{
	static char program[] = "mimsy", run[] = "run";
	char *argv[MAX_ARGS + 1] = { program, run }, *text, *save = NULL;
	size_t len = MIN(in->left, MAX_LEN);
	int argc = 2;

	text = malloc(len + 1);
	FUZZ_CHECK(text);
	fuzz_bytes(in, text, len);
	text[len] = 0;
	for (char *arg = strtok_r(text, "\n", &save); arg && argc < MAX_ARGS;
	     arg = strtok_r(NULL, "\n", &save))
		argv[argc++] = arg;
	vm_config_init(&config);
	if (cli_parse(&config, argc, argv) == CLI_RUN)
		check_config(&config);
	vm_config_release(&config);
	log_set_level(LOG_LEVEL_ERROR);		/* an option may have changed it */
	free(text);
}
