/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* strtoull takes signs and blanks, which are mistakes here. */
static int number_prefix(const char *s, uint64_t *out, const char **end)
{
	char *stop;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	*out = strtoull(s, &stop, s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10);
	*end = stop;
	return errno || stop == s ? -EINVAL : 0;
}

int cli_number(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *end;

	if (number_prefix(s, out, &end) || *end || *out < min || *out > max)
		return -EINVAL;
	return 0;
}

int cli_size(const char *s, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	unsigned int shift = 0;

	if (number_prefix(s, out, &end))
		return -EINVAL;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (*out << shift >> shift != *out)
		return -EINVAL;
	*out <<= shift;
	return 0;
}

int cli_on_off(const char *s, bool *out)
{
	*out = !strcmp(s, "on");
	return *out || !strcmp(s, "off") ? 0 : -EINVAL;
}

int cli_mac(const char *s, uint8_t mac[6])
{
	unsigned int all = 0;

	for (int i = 0; i < 6; i++) {
		char digits[3] = { s[0], s[0] ? s[1] : 0, 0 };

		if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]) ||
		    s[2] != (i < 5 ? ':' : 0))
			return -EINVAL;
		mac[i] = (uint8_t)strtoul(digits, NULL, 16);
		all |= mac[i];
		s += i < 5 ? 3 : 2;
	}
	return all && !(mac[0] & 1) ? 0 : -EINVAL;
}

int cli_cpus(const char *s, int *cpus, unsigned int max, unsigned int *nr)
{
	*nr = 0;
	for (;;) {
		uint64_t first, last;

		if (number_prefix(s, &first, &s) || first > INT16_MAX)
			return -EINVAL;
		last = first;
		if (*s == '-' && (number_prefix(s + 1, &last, &s) || last > INT16_MAX))
			return -EINVAL;
		if (last < first)
			return -EINVAL;
		for (; first <= last; first++) {
			if (*nr == max)
				return -EINVAL;
			cpus[(*nr)++] = (int)first;
		}
		if (!*s)
			return 0;
		if (*s != ',' && *s != ':')
			return -EINVAL;
		s++;
	}
}

int cli_choice(const char *s, const char *const *names, unsigned int *out)
{
	for (unsigned int i = 0; names[i]; i++) {
		if (!strcmp(s, names[i])) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Levenshtein's, a row at a time: letters added, left out or changed. */
unsigned int cli_distance(const char *name, size_t len, const char *known)
{
	unsigned int row[32], known_len = (unsigned int)strlen(known);

	if (len >= ARRAY_SIZE(row) || known_len >= ARRAY_SIZE(row))
		return CLI_FAR;
	for (unsigned int j = 0; j <= known_len; j++)
		row[j] = j;
	for (unsigned int i = 0; i < len; i++) {
		unsigned int diagonal = row[0]++;

		for (unsigned int j = 0; j < known_len; j++) {
			unsigned int changed = diagonal + (name[i] != known[j]);

			diagonal = row[j + 1];
			row[j + 1] = MIN(MIN(row[j], diagonal) + 1, changed);
		}
	}
	return row[known_len] < MAX(len, 2) ? MIN(row[known_len], CLI_FAR) : CLI_FAR;
}

/* Cuts the next item off at a single comma, turning double ones into one. */
static char *next_item(char **text)
{
	char *start = *text, *to = start, *from = start;

	if (!start)
		return NULL;
	while (*from && (*from != ',' || from[1] == ',')) {
		if (*from == ',')
			from++;
		*to++ = *from++;
	}
	*text = *from ? from + 1 : NULL;
	*to = 0;
	return start;
}

static const struct cli_key *find_key(const struct cli_key *keys, size_t nr, const char *name)
{
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(keys[i].key, name))
			return &keys[i];
	return NULL;
}

int cli_keys(char *text, const struct cli_key *keys, size_t nr_keys, void *ctx, const char **bad)
{
	uint64_t seen = 0;
	char *item;

	while ((item = next_item(&text))) {
		char *value = strchr(item, '=');
		const struct cli_key *k;

		*bad = item;
		if (!value)
			return -EINVAL;
		*value = 0;
		k = find_key(keys, nr_keys, item);
		if (k && !k->repeats && seen >> (k - keys) & 1) {
			*value = '=';
			return -EEXIST;
		}
		if (!k || k->set(ctx, value + 1)) {
			*value = '=';
			return -EINVAL;
		}
		seen |= 1ull << (k - keys);
	}
	return 0;
}
