#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "fuzz.h"
#include "mutate.h"
#include "random.h"

enum { POOL = 40, MOST_SOURCES = 89, SOURCES = 120 };

uint32_t world_below(struct world *world, uint32_t bound)
{
    return random_below(&world->random, bound);
}

/* A group from a small pool, so that tables and frames meet. */
static void pick_group(struct world *world, uint8_t *address)
{
    static const uint8_t ALL_NODES[16] = {0xff, 2, [15] = 1};
    frame_group(address, world_below(world, POOL));
    if (world_below(world, 16) == 0)
        memcpy(address, ALL_NODES, 16);
    if (world_below(world, 8) == 0)
        address[1] = (uint8_t)world_below(world, 16);
}

void world_source(struct world *world, uint8_t *source)
{
    static const uint8_t ODD[3][16] = {{0}, {0xff, 0x0e, [15] = 1}, {0xfe, 0x80, [15] = 1}};

    memcpy(source, (uint8_t[16]){0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)world_below(world, SOURCES)}, 16);
    if (world_below(world, 16) == 0)
        memcpy(source, ODD[world_below(world, 3)], 16);
}

int world_row(const struct world *world, uint32_t interface, const uint8_t *address)
{
    for (uint32_t row = 0; row < world->n_rows; row++)
        if (world->listened[row] && world->table.rows[row].interface == interface &&
            memcmp(world->table.rows[row].address, address, 16) == 0)
            return (int)row;
    return NOBODY;
}

static void make_interfaces(struct world *world)
{
    enum { WELL = FASTMLD_RULE_STRICT | FASTMLD_RULE_LINK_LOCAL, ANY = WELL | FASTMLD_RULE_DEAF };
    /* As add_interface makes them of mld_version 1, 2 and "auto", and what the last becomes where MLDv1 is spoken. */
    static const uint8_t VERSIONS[4] = {FASTMLD_RULE_V1_ONLY, FASTMLD_RULE_V2 | FASTMLD_RULE_IGNORE_V1, FASTMLD_RULE_V2, 0};

    world->n_interfaces = 1 + world_below(world, MAX_INTERFACES);
    for (uint32_t i = 0; i < world->n_interfaces; i++) {
        fastmld_interface *interface = &world->interfaces[i];
        memset(interface, 0, sizeof *interface);
        interface->link_local[0] = 0xfe;
        interface->link_local[1] = 0x80;
        interface->link_local[15] = (uint8_t)(i + 1);
        interface->mac[0] = 2;
        interface->mac[5] = (uint8_t)(i + 1);
        interface->rules = (uint8_t)(VERSIONS[world_below(world, 4)] | (world_below(world, 3) ? WELL : world_below(world, 16) & ANY));
        interface->present = 1;
        interface->delay_ms = -1;
    }
}

/* Join groups, leave some, and look all of them up. */
static void make_table(struct world *world)
{
    uint8_t addresses[MAX_ROWS][16];
    uint32_t rows[MAX_ROWS];
    const uint32_t joins = world_below(world, MAX_ROWS + 1);

    world->table.n_buckets = joins / 8 + 1 + world_below(world, 8); /* down to more slots than rows by one */
    world->table.rows = calloc(MAX_ROWS, sizeof *world->table.rows);
    world->table.buckets = calloc(world->table.n_buckets, sizeof *world->table.buckets);
    for (int i = 0; i < 4; i++)
        world->table.key[i] = world_below(world, 8) ? random_next(&world->random) : 0; /* poor keys: collisions */
    world->table.deadline_ms = calloc(MAX_ROWS, sizeof *world->table.deadline_ms);
    for (uint32_t row = 0; row < MAX_ROWS; row++)
        world->table.deadline_ms[row] = INT64_MAX;
    world->table.earliest_ms = calloc(MAX_ROWS / FASTMLD_BLOCK_ROWS, sizeof *world->table.earliest_ms);
    world->table.latest_ms = calloc(MAX_ROWS / FASTMLD_BLOCK_ROWS, sizeof *world->table.latest_ms);
    world->table.interface_latest_ms = calloc(MAX_INTERFACES, sizeof *world->table.interface_latest_ms);
    for (uint32_t i = 0; i < MAX_INTERFACES; i++)
        world->table.interface_latest_ms[i] = INT64_MIN;
    world->table.soonest_ms = INT64_MAX;
    for (uint32_t block = 0; block < MAX_ROWS / FASTMLD_BLOCK_ROWS; block++) {
        world->table.earliest_ms[block] = INT64_MAX;
        world->table.latest_ms[block] = INT64_MIN;
    }
    world->n_rows = 0;
    for (uint32_t done = 0; done < joins;) {
        const uint32_t run = 1 + world_below(world, joins - done);
        const uint16_t interface = (uint16_t)world_below(world, world->n_interfaces);
        int before[MAX_ROWS];
        for (uint32_t i = 0; i < run; i++) {
            pick_group(world, addresses[i]);
            before[i] = world_row(world, interface, addresses[i]);
        }
        const uint32_t first = world->n_rows;
        const uint32_t added = fastmld_insert(&world->table, interface, addresses[0], run, first, rows);
        for (uint32_t i = 0; i < run; i++) {
            HOLD(before[i] == NOBODY ? rows[i] >= first && rows[i] < first + added : rows[i] == (uint32_t)before[i]);
            HOLD(memcmp(world->table.rows[rows[i]].address, addresses[i], 16) == 0);
            HOLD(world->table.rows[rows[i]].interface == interface);
            world->listened[rows[i]] = 1;
        }
        world->n_rows += added;
        done += run;
    }
    uint32_t gone = 0;
    for (uint32_t row = 0; row < world->n_rows; row++) {
        if (world_below(world, 4) == 0) {
            rows[gone++] = row;
            world->listened[row] = 0;
        }
    }
    fastmld_remove(&world->table, rows, gone);
    if (world_below(world, 4) == 0) { /* the index built anew */
        uint32_t left = 0;
        memset(world->table.buckets, 0, sizeof *world->table.buckets * world->table.n_buckets);
        for (uint32_t row = 0; row < world->n_rows; row++)
            if (world->listened[row])
                rows[left++] = row;
        fastmld_index(&world->table, rows, left);
    }
    for (uint32_t row = 0; row < world->n_rows; row++) {
        const fastmld_row *it = &world->table.rows[row];
        uint32_t found;
        fastmld_find(&world->table, it->interface, it->address, 1, &found);
        HOLD(found == (uint32_t)world_row(world, it->interface, it->address)); /* NOBODY is UINT32_MAX */
        HOLD(!world->listened[row] || found == row);
    }
}

uint32_t world_frame(struct world *world, uint8_t *frame)
{
    static const uint16_t DELAYS_MS[] = {0, 0, 1, 2, 5, 100, 1000, 10000, 0x7fff, 0x8000, 0x9001, 65535};
    uint8_t group[16], sources[MOST_SOURCES][16];
    uint32_t size = FRAME_SIZE;
    const uint8_t type = (uint8_t)(130 + world_below(world, world_below(world, 4) ? 2 : 3));
    const uint16_t delay_ms = DELAYS_MS[world_below(world, sizeof DELAYS_MS / sizeof *DELAYS_MS)];

    pick_group(world, group);
    const int general = type == 130 && world_below(world, 3) == 0;
    frame_build(frame, type, general ? NULL : group, delay_ms, (uint8_t)world_below(world, 64));
    if (type == 130 && world_below(world, 2)) {
        const uint32_t n = general ? 0 : world_below(world, world_below(world, 8) ? 4 : MOST_SOURCES + 1);
        for (uint32_t i = 0; i < n; i++)
            world_source(world, sources[i]);
        size = frame_version2(frame, (uint8_t)world_below(world, 256), (uint8_t)world_below(world, 256), sources[0], n);
    }
    return world_below(world, 4) ? size : mutate(&world->random, frame, size, MAX_FRAME);
}

void world_make(struct world *world)
{
    make_interfaces(world);
    make_table(world);
}

void world_free(struct world *world)
{
    free(world->table.rows);
    free(world->table.deadline_ms);
    free(world->table.earliest_ms);
    free(world->table.latest_ms);
    free(world->table.interface_latest_ms);
    free(world->table.buckets);
}
