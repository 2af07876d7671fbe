/* Sources that Queries asked for, of rows: recalled in order, forgotten, and found again after they have moved. */
#include "recorded.h"

static int comes_before(const uint8_t one[16], const uint8_t other[16])
{
    const uint64_t left = be64(one), right = be64(other);
    return left < right || (left == right && be64(one + 8) < be64(other + 8));
}

/* The sources behind a first chunk, sorted. How many. */
static uint32_t recall(const fastmld_recorded *recorded, uint32_t first, uint8_t (*sources)[16])
{
    const uint32_t n = recorded->chunks[first - 1].n;

    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *source = recorded_source(recorded, &first, i);
        uint32_t at = i;
        for (; at && comes_before(source, sources[at - 1]); at--)
            memcpy(sources[at], sources[at - 1], 16);
        memcpy(sources[at], source, 16);
    }
    return n;
}

uint64_t fastmld_recall(const fastmld_recorded *recorded, const uint32_t *rows, uint32_t n, uint32_t *counts,
                        uint8_t (*sources)[16])
{
    uint64_t all = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t first = recorded_find(recorded, rows[i]);
        counts[i] = first ? recall(recorded, first, sources + all) : 0;
        all += counts[i];
    }
    return all;
}

void fastmld_forget(const fastmld_table *table, fastmld_recorded *recorded, const uint32_t *rows, uint32_t n,
                    uint32_t *totals)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t first = recorded_find(recorded, rows[i]);
        if (!first)
            continue;
        const uint32_t count = recorded->chunks[first - 1].n;
        uint32_t last = first;
        while (recorded->chunks[last - 1].next)
            last = recorded->chunks[last - 1].next;
        totals[table->rows[rows[i]].interface] -= count;
        recorded_end(recorded, first, last, count);
    }
}

void fastmld_chain(fastmld_recorded *recorded)
{
    for (uint32_t chunk = 1; chunk <= recorded->used; chunk++) {
        fastmld_chunk *first = &recorded->chunks[chunk - 1];
        if (first->row == RECORDED_NO_ROW)
            continue;
        uint32_t *head = recorded_head(recorded, first->row);
        first->chained = *head;
        *head = chunk;
    }
}
