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
    int32_t delay_ms;
    uint8_t v2, flags, interval_code; /* of a Query */
    uint16_t sources;
    uint32_t source, group;     /* offsets in the frame: the sender, and the Multicast Address */
};

struct meaning replay_mean(const struct world *world, uint32_t index, const uint8_t *frame, uint32_t length);

/* What the batch says about one row of an interface, from both starts. */
struct told replay_row(const struct batch *batch, const struct meaning *meanings, uint32_t row, uint32_t interface);

/* What it says to all rows of an interface. */
struct told_all replay_all(const struct batch *batch, const struct meaning *meanings, uint32_t interface);

/* Whether the host compatibility mode changes before a frame that means this (RFC 9777 section 8.2.1). */
int replay_switches(const fastmld_interface *interface, const struct meaning *meaning);

/* Whether it is for the MLDv1 listener. */
int replay_is_for_v1(const fastmld_interface *interface, const struct meaning *meaning);

/* What the batch tells an interface for MLDv2: host as it was before, and as it must be after. Its Queries for one address
 * are appended to queries, each with the number of its frame in `fold`. */
void replay_host(const struct batch *batch, const struct meaning *meanings, const fastmld_interface *interface,
                 uint32_t index, fastmld_host *host, fastmld_query2 *queries, uint32_t *n_queries);

#endif
