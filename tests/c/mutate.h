/* The structure-aware mutator: spoils what a parser believes in, and repairs the checksum half the time. */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stdint.h>

/* Change frame[0, size) in place, within room octets. Returns the new size. */
uint32_t mutate(uint64_t *random, uint8_t *frame, uint32_t size, uint32_t room);

#endif
