/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of options: numbers, sizes, choices, key=value lists. Each parser
 * returns 0 or -EINVAL and logs nothing; the caller knows the option's name.
 */
#ifndef MIMSY_CLI_VALUE_H
#define MIMSY_CLI_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal or 0x..., no sign, nothing behind; min..max. */
int cli_number(const char *s, uint64_t min, uint64_t max, uint64_t *out);

/* A number with an optional K, M, G or T: bytes. */
int cli_size(const char *s, uint64_t *out);

int cli_on_off(const char *s, bool *out);

/* aa:bb:cc:dd:ee:ff; not a group address, not all zero. */
int cli_mac(const char *s, uint8_t mac[6]);

/* "0-3,8" or "0:2:4" -> CPU numbers. At most max. */
int cli_cpus(const char *s, int *cpus, unsigned int max, unsigned int *nr);

/* The index of s in names, which ends with NULL. -EINVAL: not there. */
int cli_choice(const char *s, const char *const *names, unsigned int *out);

/*
 * How many letters lie between a name of len bytes and a known one, or
 * CLI_FAR if so many that nobody took one for the other.
 */
#define CLI_FAR 3u
unsigned int cli_distance(const char *name, size_t len, const char *known);

/* One key of a comma-separated list. A comma inside a value is written twice. */
struct cli_key {
	const char *key;
	int (*set)(void *ctx, char *value);	/* 0, or -EINVAL for a bad value */
	bool repeats;				/* else a second one is an error */
};

#define CLI_MAX_KEYS 64u	/* in one table */

/*
 * Goes through "key=value,key=value". text is changed; values point into it.
 * On -EINVAL *bad is the item in question, for the message; -EEXIST: its key
 * was there before.
 */
int cli_keys(char *text, const struct cli_key *keys, size_t nr_keys, void *ctx, const char **bad);

#endif
