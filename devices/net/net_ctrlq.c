/* SPDX-License-Identifier: Apache-2.0 */
#include "net_ctrlq.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>

#include "iov.h"
#include "net_ctrl.h"
#include "net_limit.h"
#include "zalloc.h"

struct net_ctrlq {
	struct net_queue q;
	net_ctrlq_fn *control;		/* set once */
	void *ctx;			/* set once */
	uint16_t max_iov;		/* set once */
	struct net_limit limit;		/* worker; a reset does not fill it */
	struct iovec iov[];		/* worker */
};

int net_ctrlq_create(struct net_ctrlq **out, struct guest_errors *errors, uint16_t max_size,
		     net_ctrlq_fn *control, void *ctx)
{
	struct net_ctrlq *c = zalloc(1, sizeof(*c) + max_size * sizeof(c->iov[0]));

	if (!c)
		return -ENOMEM;
	c->q.errors = errors;
	c->control = control;
	c->ctx = ctx;
	c->max_iov = max_size;
	*out = c;
	return 0;
}

void net_ctrlq_free(struct net_ctrlq *c)
{
	free(c);
}

struct net_queue *net_ctrlq_queue(struct net_ctrlq *c)
{
	return &c->q;
}

/* The answer is the first writable byte. false: there is no such byte. */
static bool answer_command(struct net_ctrlq *c, const struct virtq_chain *chain)
{
	uint8_t cmd[NET_CTRL_MAX_LEN], answer = VIRTIO_NET_ERR;
	struct iovec *iov = c->iov;
	unsigned int nr_out = chain->nr_out;

	if (!chain->nr_in)
		return false;
	if (chain->out_len <= sizeof(cmd)) {
		iov_take(&iov, &nr_out, cmd, chain->out_len);
		answer = c->control(c->ctx, cmd, chain->out_len);
	}
	counter_add(answer == VIRTIO_NET_OK ? &c->q.stats.frames : &c->q.stats.dropped, 1);
	*(uint8_t *)c->iov[chain->nr_out].iov_base = answer;
	virtq_push(c->q.vq, chain->head, 1);
	return true;
}

void net_ctrlq_run(struct net_ctrlq *c, unsigned int budget)
{
	struct virtq_chain chain;

	while (budget-- && !net_limit_due(&c->limit) &&
	       net_queue_pop(&c->q, &chain, c->iov, c->max_iov)) {
		net_limit_take(&c->limit);
		if (!answer_command(c, &chain))
			net_queue_break(&c->q, "a control command has no room for an answer");
	}
	net_queue_publish(&c->q);
}

uint64_t net_ctrlq_due(const struct net_ctrlq *c)
{
	return net_limit_due(&c->limit);
}
