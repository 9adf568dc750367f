/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header is copied out, checked and sent from the copy, so that nothing
 * the guest changes later reaches the host's network stack; the payload is
 * never looked at. A frame that is wrong, or that the backend does not take,
 * is dropped, counted and completed: the driver gets its buffers back.
 */
#include "net_tx.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "iov.h"
#include "net_hdr.h"
#include "util.h"
#include "zalloc.h"

/* Longer than this not all pairs of neighbours among IOV_MAX entries can be. */
#define PAIR_LEN (NET_MAX_FRAME / (IOV_MAX / 2))

struct net_tx {
	struct net_queue q;
	uint16_t max_iov;		/* set once */
	struct iovec iov[];		/* worker: one for the header, then the chain */
};

int net_tx_create(struct net_tx **out, int fd, struct guest_errors *errors, uint16_t max_size)
{
	struct net_tx *tx = zalloc(1, sizeof(*tx) + (max_size + 1u) * sizeof(tx->iov[0]));

	if (!tx)
		return -ENOMEM;
	tx->q.fd = fd;
	tx->q.errors = errors;
	tx->max_iov = max_size;
	*out = tx;
	return 0;
}

void net_tx_free(struct net_tx *tx)
{
	free(tx);
}

struct net_queue *net_tx_queue(struct net_tx *tx)
{
	return &tx->q;
}

static bool chain_is_valid(const struct virtq_chain *c)
{
	return !c->nr_in && c->out_len >= NET_HDR_LEN + NET_MIN_FRAME &&
	       c->out_len <= NET_HDR_LEN + NET_MAX_FRAME && c->nr_out <= IOV_MAX;
}

/*
 * IOV_MAX entries of payload, as a header in a longer first one leaves them, are
 * one too many behind the header. So two short neighbours become one, in pair.
 */
static void join_pair(struct iovec *iov, uint8_t pair[PAIR_LEN])
{
	unsigned int i = 0;
	size_t len;

	while (iov[i].iov_len + iov[i + 1].iov_len > PAIR_LEN)
		i += 2;
	len = iov[i].iov_len + iov[i + 1].iov_len;
	memcpy(pair, iov[i].iov_base, iov[i].iov_len);
	memcpy(pair + iov[i].iov_len, iov[i + 1].iov_base, iov[i + 1].iov_len);
	iov[i] = (struct iovec){ pair, len };
	memmove(iov + i + 1, iov + i + 2, (IOV_MAX - 2 - i) * sizeof(*iov));
}

/* 0 or -errno; -EINVAL: the guest's fault. */
static int send_frame(struct net_tx *tx, const struct virtq_chain *c)
{
	struct virtio_net_hdr_v1 hdr;
	struct iovec *iov = tx->iov + 1;
	unsigned int nr_iov = c->nr_out;
	uint8_t pair[PAIR_LEN];
	ssize_t n;

	if (!chain_is_valid(c))
		return -EINVAL;
	iov_take(&iov, &nr_iov, &hdr, sizeof(hdr));
	if (net_hdr_check(&hdr, c->out_len - NET_HDR_LEN, tx->q.features))
		return -EINVAL;
	if (nr_iov == IOV_MAX) {
		join_pair(iov, pair);
		nr_iov--;
	}
	iov--;				/* there is one in front of the chain's */
	iov->iov_base = &hdr;
	iov->iov_len = sizeof(hdr);
	do
		n = writev(tx->q.fd, iov, (int)nr_iov + 1);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static void count(struct net_tx *tx, const struct virtq_chain *c, int result)
{
	if (!result) {
		counter_add(&tx->q.stats.frames, 1);
		counter_add(&tx->q.stats.bytes, c->out_len - NET_HDR_LEN);
		return;
	}
	counter_add(&tx->q.stats.dropped, 1);
	if (result == -EINVAL)
		guest_error(tx->q.errors, "a frame of %u bytes was refused", c->out_len);
}

enum net_more net_tx_run(struct net_tx *tx, unsigned int budget, unsigned int *nr_done)
{
	enum net_more more = NET_MORE;
	struct virtq_chain c;
	int ret;

	*nr_done = 0;
	while (budget--) {
		if (!net_queue_pop(&tx->q, &c, tx->iov + 1, tx->max_iov)) {
			more = NET_IDLE;
			break;
		}
		ret = send_frame(tx, &c);
		count(tx, &c, ret);
		virtq_push(tx->q.vq, c.head, 0);
		++*nr_done;
		if (ret == -EBADFD) {
			more = NET_LINK_LOST;
			break;
		}
	}
	return more;
}
