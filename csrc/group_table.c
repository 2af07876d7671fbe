/* The group table: (interface, address) -> row. Linear probing, never half full; removal closes the gap. */
#include "table.h"

enum { AHEAD = 16 }; /* look-ups whose cache misses overlap */

void fastmld_find(const fastmld_table *table, uint16_t interface, const uint8_t *addresses, uint32_t n,
                  uint32_t *rows_out)
{
    uint32_t tag[AHEAD];

    for (uint32_t start = 0; start < n; start += AHEAD) {
        const uint32_t run = n - start < AHEAD ? n - start : AHEAD;
        const uint8_t *address = addresses + (uint64_t)start * 16;
        for (uint32_t i = 0; i < run; i++) {
            tag[i] = table_tag(table, table_salt(table, interface), address + 16 * i);
            PREFETCH(&table->buckets[table_bucket(table, tag[i])]);
        }
        for (uint32_t i = 0; i < run; i++)
            rows_out[start + i] = table_row(table, table_probe(table, tag[i], interface, address + 16 * i));
    }
}

static void occupy(const fastmld_table *table, uint64_t slot, uint32_t tag, uint32_t row)
{
    table->buckets[slot / TABLE_LANES].tags[slot % TABLE_LANES] = tag;
    table->buckets[slot / TABLE_LANES].rows[slot % TABLE_LANES] = row + 1;
}

uint32_t fastmld_insert(const fastmld_table *table, uint16_t interface, const uint8_t *addresses, uint32_t n,
                        uint32_t next_row, uint32_t *rows_out)
{
    uint32_t tag[AHEAD];
    uint32_t added = 0;

    for (uint32_t start = 0; start < n; start += AHEAD) {
        const uint32_t run = n - start < AHEAD ? n - start : AHEAD;
        const uint8_t *address = addresses + (uint64_t)start * 16;
        for (uint32_t i = 0; i < run; i++) {
            tag[i] = table_tag(table, table_salt(table, interface), address + 16 * i);
            PREFETCH(&table->buckets[table_bucket(table, tag[i])]);
        }
        for (uint32_t i = 0; i < run; i++) {
            const uint64_t slot = table_probe(table, tag[i], interface, address + 16 * i);
            uint32_t row = table_row(table, slot);
            if (row == NO_ROW) {
                row = next_row + added++;
                occupy(table, slot, tag[i], row);
                memcpy(table->rows[row].address, address + 16 * i, 16);
                table->rows[row].interface = interface;
            }
            rows_out[start + i] = row;
        }
    }
    return added;
}

static uint32_t tag_of_row(const fastmld_table *table, uint32_t row)
{
    return table_tag(table, table_salt(table, table->rows[row].interface), table->rows[row].address);
}

static uint64_t next_slot(const fastmld_table *table, uint64_t slot)
{
    return slot + 1 < (uint64_t)table->n_buckets * TABLE_LANES ? slot + 1 : 0;
}

/* How far a slot is from another that comes before it, maybe beyond the end. */
static uint64_t distance(const fastmld_table *table, uint64_t from, uint64_t slot)
{
    return slot >= from ? slot - from : slot + (uint64_t)table->n_buckets * TABLE_LANES - from;
}

void fastmld_remove(const fastmld_table *table, const uint32_t *rows, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const fastmld_row *row = &table->rows[rows[i]];
        uint64_t gap = table_probe(table, tag_of_row(table, rows[i]), row->interface, row->address);
        for (uint64_t slot = next_slot(table, gap); table_row(table, slot) != NO_ROW; slot = next_slot(table, slot)) {
            const uint32_t tag = table->buckets[slot / TABLE_LANES].tags[slot % TABLE_LANES];
            const uint64_t home = (uint64_t)table_bucket(table, tag) * TABLE_LANES;
            if (distance(table, home, slot) >= distance(table, gap, slot)) { /* it may stand in the gap: home is not after */
                occupy(table, gap, tag, table_row(table, slot));
                gap = slot;
            }
        }
        occupy(table, gap, 0, NO_ROW);
    }
}

void fastmld_index(const fastmld_table *table, const uint32_t *rows, uint32_t n)
{
    uint32_t tag[AHEAD];

    for (uint32_t start = 0; start < n; start += AHEAD) {
        const uint32_t run = n - start < AHEAD ? n - start : AHEAD;
        for (uint32_t i = 0; i < run; i++) {
            tag[i] = tag_of_row(table, rows[start + i]);
            PREFETCH(&table->buckets[table_bucket(table, tag[i])]);
        }
        for (uint32_t i = 0; i < run; i++) {
            uint64_t slot = (uint64_t)table_bucket(table, tag[i]) * TABLE_LANES;
            while (table_row(table, slot) != NO_ROW)
                slot = next_slot(table, slot);
            occupy(table, slot, tag[i], rows[start + i]);
        }
    }
}
