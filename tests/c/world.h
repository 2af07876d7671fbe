/* A random world for the fast path: interfaces, a table, and frames that mostly concern it. */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "fastmld.h"

enum { MAX_INTERFACES = 4, MAX_ROWS = 2 * FASTMLD_BLOCK_ROWS, MAX_FRAME = 2300, NOBODY = -1 };

struct world {
    uint64_t random;
    fastmld_interface interfaces[MAX_INTERFACES];
    uint32_t n_interfaces;
    fastmld_table table;
    uint8_t listened[MAX_ROWS]; /* whether a row is in the index */
    uint32_t n_rows;
};

/* Make a world of world->random: join groups, leave some, and hold the look-ups of all of them. */
void world_make(struct world *world);
void world_free(struct world *world);

/* 0 to bound - 1. */
uint32_t world_below(struct world *world, uint32_t bound);

/* A source out of a small pool, now and then one that is no unicast address. */
void world_source(struct world *world, uint8_t *source);

/* The row that listens, looked for one by one, or NOBODY. */
int world_row(const struct world *world, uint32_t interface, const uint8_t *address);

/* A frame of at most MAX_FRAME octets, most of them lawful. Returns its size. */
uint32_t world_frame(struct world *world, uint8_t *frame);

#endif
