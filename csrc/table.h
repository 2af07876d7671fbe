/*
 * The hash of the group table, and one look-up. The hash is strongly universal over the secret key (pair-multiply-shift on
 * 32-bit words), so strangers who choose addresses cannot choose collisions. It is linear in each word, though, and groups
 * are often numbered one after the other: a key in a hundred would have them stand in a few long rows of slots. The last
 * step, which needs no key, scatters them.
 */
#ifndef FASTMLD_TABLE_H
#define FASTMLD_TABLE_H

#include <string.h>

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

static inline uint64_t table_hash(const fastmld_table *table, uint16_t interface, const uint8_t *address)
{
    const uint64_t *key = table->key;
    const uint64_t hash = (key[0] + word32(address + 4)) * (key[1] + word32(address)) +
                          (key[2] + word32(address + 12)) * (key[3] + word32(address + 8)) +
                          (key[4] + interface) * key[5] + key[6];
    return (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15);
}

/* The strong bits of the hash are its upper 32: the slot comes from the top, the tag from what follows. */
static inline uint64_t table_slot(const fastmld_table *table, uint64_t hash)
{
    return hash >> (64 - table->slots_log2);
}

static inline uint32_t table_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 16);
}

static inline int table_is(const fastmld_table *table, uint32_t row, uint16_t interface, const uint8_t *address)
{
    const fastmld_row *seen = &table->rows[row];
    return ((word64(seen->address) ^ word64(address)) | (word64(seen->address + 8) ^ word64(address + 8)) |
            (uint64_t)(seen->interface ^ interface)) == 0;
}

/* The slot of an address, or the empty one where it would go. */
static inline uint64_t table_probe(const fastmld_table *table, uint64_t hash, uint16_t interface,
                                   const uint8_t *address)
{
    const uint64_t mask = ((uint64_t)1 << table->slots_log2) - 1;
    const uint32_t tag = table_tag(hash);

    for (uint64_t slot = table_slot(table, hash);; slot = (slot + 1) & mask) {
        const uint64_t entry = table->slots[slot];
        if (entry == 0)
            return slot;
        if (entry >> 32 != tag)
            continue;
        if (table_is(table, (uint32_t)entry - 1, interface, address))
            return slot;
    }
}

/* The row of the first slot with the tag of an address: most likely its own, if it has one. NO_ROW: it has none. */
static inline uint32_t table_candidate(const fastmld_table *table, uint64_t hash)
{
    const uint64_t mask = ((uint64_t)1 << table->slots_log2) - 1;
    const uint32_t tag = table_tag(hash);
    uint64_t slot = table_slot(table, hash);
    uint64_t entry = table->slots[slot];

    while (!((entry == 0) | (entry >> 32 == tag))) { /* | and not ||: which of the two it will be nobody can tell */
        slot = (slot + 1) & mask;
        entry = table->slots[slot];
    }
    return (uint32_t)entry - 1;
}

static inline uint32_t table_row(const fastmld_table *table, uint64_t slot)
{
    return (uint32_t)table->slots[slot] - 1; /* an empty slot gives NO_ROW */
}

#endif
