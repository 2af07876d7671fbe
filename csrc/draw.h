/*
 * Random response delays as a pure function of (seed, interface, address, now_ms, delay): the same on every machine,
 * whatever the size of a batch, and consistent: draw(d1) <= d2 < d1 implies draw(d2) == draw(d1). So a train of Queries
 * in one millisecond ends in the draw of its least delay, in whatever order it came.
 *
 * Level k stands for delays in (2^(k-1), 2^k]. A level's words are drawn one by one: half of them say "lower half", and the
 * level below answers; the other half name a value of the upper half, and the first that is not above d answers. A level's
 * words do not depend on d, which is why all delays agree.
 */
#ifndef FASTMLD_DRAW_H
#define FASTMLD_DRAW_H

#include "fastmld.h"
#include "wire.h"

#define DRAW_STEP UINT64_C(0x9e3779b97f4a7c15)

/* A bijection of 64 bits in which every bit of the input moves every bit of the output. */
static inline uint64_t draw_mix(uint64_t word)
{
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

static inline uint64_t draw_origin(uint64_t seed, const fastmld_row *row, int64_t now_ms)
{
    uint64_t word = draw_mix(seed + DRAW_STEP * ((uint64_t)row->interface + 1));
    word = draw_mix(word ^ be64(row->address));
    word = draw_mix(word ^ be64(row->address + 8));
    return draw_mix(word ^ (uint64_t)now_ms);
}

/* Uniform on 1..delay; delay is positive. */
static inline uint32_t draw_delay(uint64_t origin, uint32_t delay)
{
    uint32_t level = 0;

    while (level < 32 && ((delay - 1) >> level) != 0)
        level++;
    for (uint64_t attempt = 1; level > 0;) {
        const uint64_t word = draw_mix(origin + DRAW_STEP * (((uint64_t)level << 32) + attempt));
        if (word >> 63 == 0) {
            level--;
            attempt = 1;
            continue;
        }
        const uint32_t half = (uint32_t)1 << (level - 1);
        const uint32_t value = half + 1 + ((uint32_t)word & (half - 1));
        if (value <= delay)
            return value;
        attempt++;
    }
    return 1;
}

#endif
