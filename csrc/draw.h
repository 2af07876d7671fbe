/*
 * Random response delays as a pure function of (seed, interface, address, now_ms, delay): the same on every machine,
 * whatever the size of a batch, and consistent: draw(d1) <= d2 < d1 implies draw(d2) == draw(d1). So a train of Queries
 * in one millisecond ends in the draw of its least delay, in whatever order it came.
 *
 * Level k stands for values in (2^(k-1), 2^k], level 0 for 1. Bit k-1 of a word says "level k, or one below it": the highest
 * that is set below 2^top, the least power of two not below d, names the level, and a word of the level's own the value in it.
 * Only in the top level may that be above d: then further words of that level say again whether it is one below, and which
 * value otherwise. No word depends on d, which is why all delays agree.
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

/* What the rows of an interface begin with. */
static inline uint64_t draw_interface(uint64_t seed, uint16_t interface)
{
    return draw_mix(seed + DRAW_STEP * ((uint64_t)interface + 1));
}

static inline uint64_t draw_address(uint64_t word, const uint8_t *address, int64_t now_ms)
{
    word = draw_mix(word ^ be64(address));
    word = draw_mix(word ^ be64(address + 8));
    return draw_mix(word ^ (uint64_t)now_ms);
}

static inline uint64_t draw_origin(uint64_t seed, const fastmld_row *row, int64_t now_ms)
{
    return draw_address(draw_interface(seed, row->interface), row->address, now_ms);
}

static inline uint64_t draw_word(uint64_t origin, uint32_t level, uint64_t attempt)
{
    return draw_mix(origin + DRAW_STEP * (((uint64_t)level << 32) + attempt));
}

static inline uint32_t draw_bits(uint32_t value)
{
#ifdef __GNUC__
    return value ? 32u - (uint32_t)__builtin_clz(value) : 0;
#else
    uint32_t bits = 0;
    while (bits < 32 && value >> bits != 0)
        bits++;
    return bits;
#endif
}

/* The value that a word names in a level above 0. */
static inline uint32_t draw_value(uint32_t level, uint64_t word)
{
    const uint32_t half = UINT32_C(1) << (level - 1);
    return half + 1 + ((uint32_t)word & (half - 1));
}

/* Uniform on 1..delay; delay is positive. */
static inline uint32_t draw_delay(uint64_t origin, uint32_t delay)
{
    const uint32_t top = draw_bits(delay - 1);
    const uint32_t levels = (uint32_t)(origin & ((UINT64_C(1) << top) - 1));
    const uint32_t level = draw_bits(levels);
    if (level == 0)
        return 1;
    uint32_t value = draw_value(level, draw_word(origin, level, 1));
    for (uint64_t attempt = 2; value > delay; attempt++) {
        const uint64_t word = draw_word(origin, top, attempt);
        if (word >> 63 == 0) {
            const uint32_t below = draw_bits(levels & ((UINT32_C(1) << (top - 1)) - 1));
            return below == 0 ? 1 : draw_value(below, draw_word(origin, below, 1));
        }
        value = draw_value(top, word);
    }
    return value;
}

#endif
