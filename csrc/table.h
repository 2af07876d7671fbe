/*
 * The hash of the group table, and one look-up. A slot is one of eight in a bucket, which is a cache line: tags in one half, rows
 * in the other, so that one comparison tells which of them it may be. What finds its bucket full goes on to the next.
 *
 * The hash is of two products of 64 by 64 bits with a secret on either side, each folded in two: strangers who choose addresses
 * cannot choose collisions, and groups that are numbered one after the other do not stand one after the other.
 */
#ifndef FASTMLD_TABLE_H
#define FASTMLD_TABLE_H

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "fastmld.h"
#include "wire.h"

#define NO_ROW UINT32_MAX

#ifdef __GNUC__
#define PREFETCH(address) __builtin_prefetch(address)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define PREFETCH(address) ((void)0)
#define ALWAYS_INLINE inline
#endif

enum { TABLE_LANES = sizeof((fastmld_bucket *)0)->rows / sizeof(uint32_t) };

/* Both halves of a product, one over the other. */
static inline uint64_t table_fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)(product >> 64) ^ (uint64_t)product;
#else
    const uint64_t a_low = (uint32_t)a, a_high = a >> 32, b_low = (uint32_t)b, b_high = b >> 32;
    const uint64_t middle = a_high * b_low + (a_low * b_low >> 32);
    const uint64_t other = a_low * b_high + (uint32_t)middle;
    return (a_high * b_high + (middle >> 32) + (other >> 32)) ^ (a * b);
#endif
}

/* The tag of an address; its upper bits name the bucket. */
static inline uint32_t table_tag(const fastmld_table *table, uint16_t interface, const uint8_t *address)
{
    const uint64_t product = table_fold(word64(address) ^ table->key[0], word64(address + 8) ^ table->key[1]);
    const uint64_t salt = table->key[2] ^ interface * UINT64_C(0x9e3779b97f4a7c15); /* interfaces, too, are numbered in a row */
    return (uint32_t)(table_fold(product ^ salt, table->key[3]) >> 32);
}

static inline uint32_t table_bucket(const fastmld_table *table, uint32_t tag)
{
    return (uint32_t)((uint64_t)tag >> (32 - table->buckets_log2));
}

/* Which of the lanes of a bucket are this: two bits each, the first one's lowest. */
static inline uint32_t table_lanes(const uint32_t lanes[TABLE_LANES], uint32_t sought)
{
#ifdef __SSE2__
    const __m128i *lane = (const __m128i *)lanes, all = _mm_set1_epi32((int)sought);
    const __m128i first = _mm_cmpeq_epi32(_mm_loadu_si128(lane), all), second = _mm_cmpeq_epi32(_mm_loadu_si128(lane + 1), all);
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi32(first, second));
#else
    uint32_t found = 0;
    for (uint32_t i = 0; i < TABLE_LANES; i++)
        found |= ((0 - (uint32_t)(lanes[i] == sought)) & 3) << 2 * i;
    return found;
#endif
}

/* The first of some lanes; the last of all, if there are none. */
static inline uint32_t table_first(uint32_t lanes)
{
    lanes |= UINT32_C(3) << 2 * (TABLE_LANES - 1);
#ifdef __GNUC__
    return (uint32_t)__builtin_ctz(lanes) / 2;
#else
    uint32_t lane = 0;
    while (!(lanes >> 2 * lane & 1))
        lane++;
    return lane;
#endif
}

/* The row that an address most likely has, if it has one. Another, or NO_ROW, if it has none; or if it lies in some later bucket,
 * and then not NO_ROW: what is full has a row in its last lane. */
static inline uint32_t table_candidate(const fastmld_table *table, uint32_t tag)
{
    const fastmld_bucket *bucket = &table->buckets[table_bucket(table, tag)];
    return bucket->rows[table_first(table_lanes(bucket->tags, tag))] - 1;
}

static inline int table_is(const fastmld_table *table, uint32_t row, uint16_t interface, const uint8_t *address)
{
    const fastmld_row *seen = &table->rows[row];
    return ((word64(seen->address) ^ word64(address)) | (word64(seen->address + 8) ^ word64(address + 8)) |
            (uint64_t)(seen->interface ^ interface)) == 0;
}

static inline uint32_t table_row(const fastmld_table *table, uint64_t slot)
{
    return table->buckets[slot / TABLE_LANES].rows[slot % TABLE_LANES] - 1; /* an empty slot gives NO_ROW */
}

/* The slot of an address, or the empty one where it would go. */
static inline uint64_t table_probe(const fastmld_table *table, uint32_t tag, uint16_t interface, const uint8_t *address)
{
    const uint32_t mask = (uint32_t)((UINT64_C(1) << table->buckets_log2) - 1);

    for (uint32_t i = table_bucket(table, tag);; i = (i + 1) & mask) {
        const fastmld_bucket *bucket = &table->buckets[i];
        const uint64_t first = (uint64_t)i * TABLE_LANES;
        for (uint32_t lanes = table_lanes(bucket->tags, tag); lanes; lanes &= lanes - 1, lanes &= lanes - 1) {
            const uint32_t row = bucket->rows[table_first(lanes)] - 1;
            if (row != NO_ROW && table_is(table, row, interface, address))
                return first + table_first(lanes);
        }
        const uint32_t empty = table_lanes(bucket->rows, 0);
        if (empty)
            return first + table_first(empty);
    }
}

#endif
