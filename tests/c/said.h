/* What fastmld_check says of a frame, in the harness' own words: what changes with fastmld_message changes here. */
#ifndef FUZZ_SAID_H
#define FUZZ_SAID_H

#include "fastmld.h"

struct said {
    uint8_t kind;
    uint8_t asks;               /* FASTMLD_ASKS_...: accepted only if the interface listens to the destination */
    uint8_t v2, flags, interval_code; /* an MLDv2 Query, and what it says of its sender */
    uint16_t sources;
    int32_t delay_ms;           /* of a Query; -1 otherwise */
    uint32_t destination, group; /* offsets */
};

static inline struct said said_of(const fastmld_message *message)
{
    return (struct said){
        .kind = message->kind, .asks = message->asks, .v2 = message->v2, .flags = message->flags,
        .interval_code = message->interval_code, .sources = message->sources, .delay_ms = message->delay_ms,
        .destination = message->destination, .group = message->group,
    };
}

static inline int said_check(const fastmld_interface *interface, const uint8_t *frame, uint32_t length,
                             struct said *said)
{
    fastmld_message message;
    const int verdict = fastmld_check(interface, frame, length, &message);

    *said = said_of(&message);
    return verdict;
}

/* fastmld_ladder's word on the same. */
static inline int said_ladder(const fastmld_interface *interface, const uint8_t *frame, uint32_t length,
                              struct said *said)
{
    fastmld_message message;
    const int verdict = fastmld_ladder(interface, frame, length, &message);

    *said = said_of(&message);
    return verdict;
}

#endif
