/* An octet for each frame of a run, looked at together: a set of frames is a word with a bit for each. */
#ifndef FASTMLD_OCTETS_H
#define FASTMLD_OCTETS_H

#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { OCTETS = 64 };

typedef uint64_t octets_set;

/* Which of them are this. */
static inline octets_set octets_equal(const uint8_t octets[OCTETS], uint8_t value)
{
    octets_set equal = 0;
#ifdef __SSE2__
    const __m128i *part = (const __m128i *)octets, all = _mm_set1_epi8((char)value);
    for (int i = 0; i < OCTETS / 16; i++)
        equal |= (octets_set)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(part + i), all)) << 16 * i;
#else
    for (uint32_t i = 0; i < OCTETS; i++)
        equal |= (octets_set)(octets[i] == value) << i;
#endif
    return equal;
}

/* The first n, which is not 0. */
static inline octets_set octets_up_to(uint32_t n)
{
    return UINT64_MAX >> (OCTETS - n);
}

/* The first of a set that is not empty. */
static inline uint32_t octets_first(octets_set set)
{
#ifdef __GNUC__
    return (uint32_t)__builtin_ctzll(set);
#else
    uint32_t first = 0;
    while (!(set >> first & 1))
        first++;
    return first;
#endif
}

static inline uint32_t octets_count(octets_set set)
{
    uint32_t count = 0;
#ifdef __GNUC__
    count = (uint32_t)__builtin_popcountll(set);
#else
    for (; set != 0; set &= set - 1)
        count++;
#endif
    return count;
}

#endif
