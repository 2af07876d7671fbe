/*
 * The hash of the group table, and one look-up. A slot is one of eight in a bucket, which is a cache line: tags in one half,
 * rows in the other, so that one comparison tells which of them it may be. What finds its bucket full goes on to the next.
 *
 * The hash is of two products of words of 32 bits, each with a secret added: two addresses, whoever chose them, have the same
 * sum of products for one key in 2^32. It is linear in each word, though, and groups are often numbered one after the other:
 * what follows, each half over the other, a product again, and again its halves, scatters those.
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
#define NOINLINE __attribute__((noinline))
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#else
#define PREFETCH(address) ((void)0)
#define ALWAYS_INLINE inline
#define NOINLINE
#define UNLIKELY(condition) (condition)
#endif

enum { TABLE_LANES = sizeof((fastmld_bucket *)0)->rows / sizeof(uint32_t) };

/* What an interface adds to the hash: they, too, are numbered one after the other. */
static inline uint64_t table_salt(const fastmld_table *table, uint16_t interface)
{
    return table->key[2] + interface * UINT64_C(0x9e3779b97f4a7c15);
}

/* The tag of an address. Where it stands among all tags says which bucket. */
static inline uint32_t table_tag(const fastmld_table *table, uint64_t salt, const uint8_t *address)
{
    const uint8_t *key = (const uint8_t *)table->key;
    const uint64_t first = (uint64_t)(word32(address) + word32(key)) * (word32(address + 4) + word32(key + 4));
    const uint64_t second = (uint64_t)(word32(address + 8) + word32(key + 8)) * (word32(address + 12) + word32(key + 12));
    const uint64_t sum = first + second + salt;
    const uint64_t product = ((sum ^ sum >> 32) & UINT32_MAX) * (uint32_t)table->key[3];
    return (uint32_t)(product ^ product >> 32);
}

static inline uint32_t table_bucket(const fastmld_table *table, uint32_t tag)
{
    return (uint32_t)((uint64_t)tag * table->n_buckets >> 32);
}

#ifdef __x86_64__
/* The sums of products of an address, in two halves. */
static inline __m128i table_products(__m128i key, const uint8_t *address)
{
    const __m128i words = _mm_add_epi32(_mm_loadu_si128((const __m128i *)address), key);
    return _mm_mul_epu32(words, _mm_srli_epi64(words, 32));
}
#endif

/* The tags of two addresses at once, and the buckets that their look-ups begin at, which are fetched. */
static inline void table_tags(const fastmld_table *table, const uint64_t salt[2], const uint8_t *const addresses[2],
                              uint32_t tags[2], const fastmld_bucket *buckets[2])
{
#ifdef __x86_64__
    const __m128i key = _mm_loadu_si128((const __m128i *)table->key);
    const __m128i one = table_products(key, addresses[0]), other = table_products(key, addresses[1]);
    __m128i sum = _mm_add_epi64(_mm_unpacklo_epi64(one, other), _mm_unpackhi_epi64(one, other));
    sum = _mm_add_epi64(sum, _mm_loadu_si128((const __m128i *)salt));
    __m128i tag = _mm_mul_epu32(_mm_xor_si128(sum, _mm_srli_epi64(sum, 32)), _mm_set1_epi64x((int64_t)table->key[3]));
    tag = _mm_xor_si128(tag, _mm_srli_epi64(tag, 32));
    _mm_storel_epi64((__m128i *)tags, _mm_shuffle_epi32(tag, 8)); /* the lower half of each */
    const __m128i bucket = _mm_srli_epi64(_mm_mul_epu32(tag, _mm_set1_epi64x(table->n_buckets)), 32);
    const __m128i base = _mm_set1_epi64x((int64_t)(uintptr_t)table->buckets);
    const __m128i both = _mm_add_epi64(base, _mm_slli_epi64(bucket, 6));
    _mm_storeu_si128((__m128i *)buckets, both);
    /* Not from where they were just stored: a load of half of it has to wait. */
    PREFETCH((const void *)(uintptr_t)_mm_cvtsi128_si64(both));
    PREFETCH((const void *)(uintptr_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(both, both)));
#else
    for (int i = 0; i < 2; i++) {
        tags[i] = table_tag(table, salt[i], addresses[i]);
        buckets[i] = &table->buckets[table_bucket(table, tags[i])];
        PREFETCH(buckets[i]);
    }
#endif
}

/* Which of the lanes of a bucket are this: two bits each, the first one's lowest. */
static inline uint32_t table_lanes(const uint32_t lanes[TABLE_LANES], uint32_t sought)
{
#ifdef __SSE2__
    const __m128i *lane = (const __m128i *)lanes, all = _mm_set1_epi32((int)sought);
    const __m128i first = _mm_cmpeq_epi32(_mm_loadu_si128(lane), all);
    const __m128i second = _mm_cmpeq_epi32(_mm_loadu_si128(lane + 1), all);
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

/* 1 + the row that an address most likely has, if it has one. Of another one, or 0, if it has none; and if it lies in some
 * later bucket not 0: what is full has a row in its last lane. */
static inline uint32_t table_candidate(const fastmld_bucket *bucket, uint32_t tag)
{
    return bucket->rows[table_first(table_lanes(bucket->tags, tag))];
}

/* 0 if a row is that of an address. */
static inline uint64_t table_difference(const fastmld_table *table, uint32_t row, uint16_t interface, const uint8_t *address)
{
    const fastmld_row *seen = &table->rows[row];
    return (word64(seen->address) ^ word64(address)) | (word64(seen->address + 8) ^ word64(address + 8)) |
           (uint64_t)(seen->interface ^ interface);
}

static inline uint32_t table_row(const fastmld_table *table, uint64_t slot)
{
    return table->buckets[slot / TABLE_LANES].rows[slot % TABLE_LANES] - 1; /* an empty slot gives NO_ROW */
}

/* The slot of an address, or the empty one where it would go. */
static inline uint64_t table_probe(const fastmld_table *table, uint32_t tag, uint16_t interface, const uint8_t *address)
{
    for (uint32_t i = table_bucket(table, tag);; i = i + 1 < table->n_buckets ? i + 1 : 0) {
        const fastmld_bucket *bucket = &table->buckets[i];
        const uint64_t first = (uint64_t)i * TABLE_LANES;
        for (uint32_t lanes = table_lanes(bucket->tags, tag); lanes; lanes &= lanes - 1, lanes &= lanes - 1) {
            const uint32_t row = bucket->rows[table_first(lanes)] - 1;
            if (row != NO_ROW && table_difference(table, row, interface, address) == 0)
                return first + table_first(lanes);
        }
        const uint32_t empty = table_lanes(bucket->rows, 0);
        if (empty)
            return first + table_first(empty);
    }
}

#endif
