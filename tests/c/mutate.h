/* The structure-aware mutator: spoils a thing or a few that a parser believes in; half the time repairs the checksum. */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stdint.h>

/* Change frame[0, size) in place, within room octets. Returns the new size. */
uint32_t mutate(uint64_t *random, uint8_t *frame, uint32_t size, uint32_t room);

#endif
