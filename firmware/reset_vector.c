/* SPDX-License-Identifier: Apache-2.0 */
#include "reset_vector.h"

#include <string.h>

void reset_vector_build(uint8_t code[RESET_VECTOR_LEN], uint16_t reset_port)
{
	const uint8_t text[RESET_VECTOR_LEN] = {
		0xfa,				/* cli: there is no table of interrupts */
		0xba, reset_port & 0xff, (uint8_t)(reset_port >> 8),	/* mov $reset_port, %dx */
		0xb0, 0x01,			/* mov $1, %al */
		0xee,				/* out %al, %dx */
		0xf4,				/* hlt */
		0xeb, 0xfd,			/* jmp to the hlt */
	};

	memcpy(code, text, sizeof(text));
}
