/* A second opinion on which frames are valid, written from the rules and not from csrc/: octet by octet, no order. */
#ifndef FUZZ_ORACLE_H
#define FUZZ_ORACLE_H

#include "said.h"

/* Whether the frame is a valid MLD message, and what it says when it is. */
int oracle_accepts(const fastmld_interface *interface, const uint8_t *frame, uint32_t length, struct said *said);

#endif
