/* Recorded sources: the chunks of a row, one look-up, and one more source. */
#ifndef FASTMLD_RECORDED_H
#define FASTMLD_RECORDED_H

#include <string.h>

#include "fastmld.h"
#include "table.h"

enum {
    RECORDED_A_CHUNK = sizeof((fastmld_chunk *)0)->sources / sizeof((fastmld_chunk *)0)->sources[0],
    RECORDED_NO_ROW = UINT32_MAX
};

/* Where the chunks of a row begin to be looked for. */
static inline uint32_t *recorded_head(const fastmld_recorded *recorded, uint32_t row)
{
    return &recorded->heads[(row * recorded->key) >> (64 - recorded->head_bits)];
}

/* 1 + the first chunk of a row, or 0. */
static inline uint32_t recorded_find(const fastmld_recorded *recorded, uint32_t row)
{
    uint32_t chunk = *recorded_head(recorded, row);

    while (chunk && recorded->chunks[chunk - 1].row != row)
        chunk = recorded->chunks[chunk - 1].chained;
    return chunk;
}

/* Take a free chunk, which is nobody's first one yet. 1 + it. */
static inline uint32_t recorded_open(fastmld_recorded *recorded)
{
    const uint32_t chunk = recorded->free ? recorded->free : ++recorded->used;
    fastmld_chunk *opened = &recorded->chunks[chunk - 1];

    if (recorded->free) {
        recorded->free = opened->next;
        PREFETCH(&recorded->chunks[recorded->free ? recorded->free - 1 : recorded->used]);
    }
    recorded->held++;
    opened->row = RECORDED_NO_ROW;
    opened->next = 0;
    return chunk;
}

/* The same for a row that has none. */
static inline uint32_t recorded_begin(fastmld_recorded *recorded, uint32_t row)
{
    const uint32_t chunk = recorded_open(recorded);
    uint32_t *head = recorded_head(recorded, row);
    fastmld_chunk *first = &recorded->chunks[chunk - 1];

    first->row = row;
    first->n = 0;
    first->chained = *head;
    *head = chunk;
    return chunk;
}

/* 16 bits of a source: two that differ in them differ. That strangers can choose them costs comparisons and no more. */
static inline uint16_t recorded_tag(const uint8_t source[16])
{
    const uint64_t both = word64(source) ^ word64(source + 8) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint16_t)((both * UINT64_C(0x9e3779b97f4a7c15)) >> 48);
}

/* The i-th source of a row, one after the other from its first chunk on: *chunk is that of the one before. */
static inline const uint8_t *recorded_source(const fastmld_recorded *recorded, uint32_t *chunk, uint32_t i)
{
    if (i && i % RECORDED_A_CHUNK == 0)
        *chunk = recorded->chunks[*chunk - 1].next;
    return recorded->chunks[*chunk - 1].sources[i % RECORDED_A_CHUNK];
}

static inline int recorded_holds(const fastmld_recorded *recorded, uint32_t first, uint32_t n, const uint8_t source[16])
{
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(recorded_source(recorded, &first, i), source, 16) == 0)
            return 1;
    return 0;
}

/* The row of a first chunk, whose last one is this, has nothing any more. */
static inline void recorded_end(fastmld_recorded *recorded, uint32_t first, uint32_t last, uint32_t n)
{
    uint32_t *link = recorded_head(recorded, recorded->chunks[first - 1].row);

    while (*link != first)
        link = &recorded->chunks[*link - 1].chained;
    *link = recorded->chunks[first - 1].chained;
    recorded->chunks[first - 1].row = RECORDED_NO_ROW;
    recorded->chunks[last - 1].next = recorded->free;
    recorded->free = first;
    recorded->held -= (n + RECORDED_A_CHUNK - 1) / RECORDED_A_CHUNK;
}

#endif
