/* What a batch says about each row, by a replay of its frames one after the other: RFC 2710 section 5, slowly. */
#ifndef FUZZ_REPLAY_H
#define FUZZ_REPLAY_H

#include "path_calls.h"
#include "world.h"

/* What one frame means, by the oracle and a look at every row. */
struct meaning {
    int verdict;                /* where the oracle rejects, what fastmld_check says */
    uint8_t kind;
    int row;
    uint16_t delay_ms;
};

struct meaning replay_mean(const struct world *world, uint32_t index, const uint8_t *frame, uint32_t length);

/* What the batch says about one row of an interface, from both starts. */
struct told replay_row(const struct batch *batch, const struct meaning *meanings, uint32_t row, uint32_t interface);

/* What it says to all rows of an interface. */
struct told_all replay_all(const struct batch *batch, const struct meaning *meanings, uint32_t interface);

#endif
