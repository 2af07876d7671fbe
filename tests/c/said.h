/* What fastmld_check says of a frame, in the harness' own words: what changes with fastmld_message changes here. */
#ifndef FUZZ_SAID_H
#define FUZZ_SAID_H

#include "fastmld.h"

struct said {
    uint8_t kind;
    uint8_t asks;               /* FASTMLD_ASKS_...: accepted only if the interface listens to the destination */
    int32_t delay_ms;           /* of a Query; -1 otherwise */
    uint32_t destination, group; /* offsets */
};

static inline int said_check(const fastmld_interface *interface, const uint8_t *frame, uint32_t length,
                             struct said *said)
{
    fastmld_message message;
    const int verdict = fastmld_check(interface, frame, length, &message);

    *said = (struct said){message.kind, message.asks, message.delay_ms, message.destination, message.group};
    return verdict;
}

/* fastmld_ladder's word on the same. */
static inline int said_ladder(const fastmld_interface *interface, const uint8_t *frame, uint32_t length,
                              struct said *said)
{
    fastmld_message message;
    const int verdict = fastmld_ladder(interface, frame, length, &message);

    *said = (struct said){message.kind, message.asks, message.delay_ms, message.destination, message.group};
    return verdict;
}

#endif
