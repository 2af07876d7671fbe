/* Queries for one address in MLDv2 mode, folded: held to a plain account of what each row is asked for. */
#ifndef FUZZ_ASKED_H
#define FUZZ_ASKED_H

#include "world.h"

/* Make Queries for rows of a world that has some, fold them, and hold what comes of it. Returns how many rows were asked. */
uint32_t asked_judge(struct world *world);

#endif
