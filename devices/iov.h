/* SPDX-License-Identifier: Apache-2.0 */
/* Scatter lists: taking bytes off the front, copying into them. */
#ifndef MIMSY_IOV_H
#define MIMSY_IOV_H

#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "util.h"

/* Forgets the first len bytes; there are that many. dst, if not NULL, gets a copy of them. */
static inline void iov_take(struct iovec **iov, unsigned int *nr_iov, void *dst, size_t len)
{
	uint8_t *to = dst;

	while (len) {
		struct iovec *first = *iov;
		size_t n = MIN(len, first->iov_len);

		if (to)
			to = (uint8_t *)memcpy(to, first->iov_base, n) + n;
		first->iov_base = (uint8_t *)first->iov_base + n;
		first->iov_len -= n;
		len -= n;
		if (!first->iov_len) {
			++*iov;
			--*nr_iov;
		}
	}
}

/* Writes len bytes at off into a list of nr_iov entries. Returns how many had room. */
static inline size_t iov_copy_to(const struct iovec *iov, unsigned int nr_iov, size_t off,
				 const void *src, size_t len)
{
	const uint8_t *from = src;
	size_t done = 0;

	for (unsigned int i = 0; i < nr_iov && done < len; i++) {
		size_t n;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		n = MIN(len - done, iov[i].iov_len - off);
		memcpy((uint8_t *)iov[i].iov_base + off, from + done, n);
		done += n;
		off = 0;
	}
	return done;
}

#endif
