/*
 * What answers in MLDv2: Queries folded (asked.c), records packed into Reports (RFC 9777 section 5.2.16), and these built as
 * frames, which another host must accept and which must say every record. An input is a seed of eight octets.
 */
#include <stdlib.h>
#include <string.h>

#include "asked.h"
#include "frames.h"
#include "fuzz.h"
#include "guard.h"
#include "oracle.h"
#include "random.h"
#include "said.h"

enum {
    MAX_RECORDS = 60, MOST_SOURCES = 9000, EMPTY = 20, HEADERS = 8, MESSAGE_AT = 62, LEAST_ROOM = 1280 - 40 - 16,
    MOST_ROOM = 65535 - 16
};

static uint64_t rows_asked, records_packed, reports_built;

/* Records as they are to be said. */
struct records {
    uint32_t n, sources_in_all;
    uint8_t types[MAX_RECORDS];
    uint32_t rows[MAX_RECORDS], sources[MAX_RECORDS], firsts[MAX_RECORDS];
};

/* The same, packed. */
struct packed {
    uint32_t n, reports;
    uint32_t *of, *firsts, *edges, *rows;
    uint16_t *sources;
    uint8_t *types;
};

static void make_records(struct world *world, struct records *records)
{
    static const uint32_t MOST[] = {0, 0, 0, 0, 0, 3, 3, 3, 80, 80, 100, 100, 200, 200, 600, MOST_SOURCES};

    memset(records, 0, sizeof *records);
    records->n = world_below(world, MAX_RECORDS + 1);
    for (uint32_t i = 0; i < records->n; i++) {
        records->types[i] = (uint8_t)(1 + world_below(world, 6));
        records->rows[i] = world_below(world, world->n_rows);
        records->sources[i] = world_below(world, MOST[world_below(world, 16)] + 1);
        records->firsts[i] = records->sources_in_all;
        records->sources_in_all += records->sources[i];
    }
}

static int excludes(uint8_t type)
{
    return type == 2 || type == 4;
}

/* A record goes into the open Report if it fits there whole; what fits in none is cut, or cut short. */
static void judge_packing(const struct records *records, const struct packed *packed, uint32_t room)
{
    const uint32_t most = (room - EMPTY) / 16;
    uint32_t at = 0, reports = 0, left = 0;

    for (uint32_t i = 0; i < records->n; i++) {
        uint32_t said = 0, rest = records->sources[i];
        do {
            const uint32_t part = rest < most ? rest : most, size = EMPTY + 16 * part;
            if (size > left) {
                HOLD(reports < packed->reports && packed->edges[reports] == at);
                reports++;
                left = room;
            }
            HOLD(at < packed->n && packed->of[at] == i && packed->sources[at] == part);
            HOLD(packed->firsts[at] == records->firsts[i] + said);
            left -= size;
            said += part;
            rest = excludes(records->types[i]) ? 0 : rest - part;
            left = rest ? 0 : left;
            at++;
        } while (rest);
        HOLD(said == (excludes(records->types[i]) && records->sources[i] > most ? most : records->sources[i]));
    }
    HOLD(at == packed->n && reports == packed->reports && packed->edges[reports] == at);
}

static struct packed pack(const struct records *records, uint32_t room)
{
    const uint32_t most = records->n + records->sources_in_all / ((room - EMPTY) / 16);
    struct packed packed = {
        .of = malloc(most * sizeof *packed.of + !most), .firsts = malloc(most * sizeof *packed.firsts + !most),
        .sources = malloc(most * sizeof *packed.sources + !most), .edges = malloc((most + 1) * sizeof *packed.edges),
    };

    packed.reports = fastmld_pack(records->types, records->sources, records->firsts, records->n, room, packed.of, packed.sources,
                                  packed.firsts, packed.edges, &packed.n);
    HOLD(packed.n <= most && packed.reports <= packed.n);
    judge_packing(records, &packed, room);
    packed.rows = malloc(packed.n * sizeof *packed.rows + !packed.n);
    packed.types = malloc(packed.n + !packed.n);
    for (uint32_t i = 0; i < packed.n; i++) {
        packed.rows[i] = records->rows[packed.of[i]];
        packed.types[i] = records->types[packed.of[i]];
    }
    return packed;
}

/* A Report without records from fe80::host, with a VLAN tag for every other host. It holds the sum of what is there, not its
 * complement. */
static fastmld_template template_of(uint8_t host)
{
    static const uint8_t ROUTERS[16] = {0xff, 2, [15] = 0x16};
    fastmld_template template = {.length = MESSAGE_AT + HEADERS, .interface = host};
    uint8_t *frame = template.frame;

    frame_build(frame, 143, ROUTERS, 0, host);
    memset(frame + MESSAGE_AT + HEADERS, 0, 16);
    frame[FRAME_IP + 5] = 8 + HEADERS;
    frame_repair(frame, FRAME_IP, FRAME_MESSAGE, template.length);
    frame[FRAME_MESSAGE + 2] ^= 0xff;
    frame[FRAME_MESSAGE + 3] ^= 0xff;
    if (host % 2) {
        memmove(frame + 16, frame + 12, template.length - 12);
        memcpy(frame + 12, (uint8_t[]){0x81, 0, 0, 5}, 4);
        template.length += 4;
    }
    return template;
}

/* One Report says these records, and nothing else. */
static void judge_report(const struct world *world, const uint8_t *message, const uint8_t *end, const fastmld_records *records,
                         uint32_t first, uint32_t n)
{
    HOLD(message[0] == 143 && message[1] == 0 && message[4] == 0 && message[5] == 0);
    HOLD(message[6] * 256u + message[7] == n);
    message += HEADERS;
    for (uint32_t i = first; i < first + n; i++) {
        const uint32_t sources = records->sources ? records->sources[i] : 0;
        HOLD((size_t)(end - message) >= EMPTY + 16 * (size_t)sources);
        HOLD(message[0] == records->types[i * records->type_step] && message[1] == 0);
        HOLD(message[2] * 256u + message[3] == sources);
        HOLD(memcmp(message + 4, world->table.rows[records->rows[i]].address, 16) == 0);
        HOLD(sources == 0 || memcmp(message + EMPTY, records->pool + 16 * (size_t)records->firsts[i], 16 * (size_t)sources) == 0);
        message += EMPTY + 16 * sources;
    }
    HOLD(message == end);
}

static void build(struct world *world, const struct packed *packed, const fastmld_records *records, uint32_t room)
{
    static struct guarded memory;
    static const fastmld_interface OTHER_HOST = {
        .link_local = {0xfe, 0x80, [15] = 0xee}, .mac = {2, [5] = 0xee}, .rules = FASTMLD_RULE_STRICT | FASTMLD_RULE_LINK_LOCAL,
    };
    const uint32_t n = packed->reports, host = 1 + world_below(world, 8);
    const fastmld_template templates[2] = {template_of(9), template_of((uint8_t)host)};
    int64_t *offsets = malloc(n * sizeof *offsets + !n);
    uint32_t *lengths = malloc(n * sizeof *lengths + !n), *interfaces = malloc(n * sizeof *interfaces + !n);
    size_t size = n * (size_t)templates[1].length;

    for (uint32_t i = 0; i < packed->n; i++)
        size += EMPTY + 16 * (size_t)(records->sources ? records->sources[i] : 0);
    if (!memory.begin)
        memory = guarded_new(MAX_RECORDS * (96 + EMPTY + 16 * (MOST_SOURCES + 1) + 96 * MOST_SOURCES / 70));
    uint8_t *out = memory.end - size;
    HOLD(fastmld_emit2(&world->table, templates, 1, records, packed->edges, n, out, 0, 0, offsets, lengths, interfaces) == size);
    int64_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct said said;
        const uint32_t first = packed->edges[i], head = templates[1].length;
        HOLD(offsets[i] == at && interfaces[i] == host && lengths[i] <= head + room);
        HOLD(said_check(&OTHER_HOST, out + at, lengths[i], &said) == FASTMLD_ACCEPTED && said.kind == FASTMLD_REPORT2);
        HOLD(oracle_accepts(&OTHER_HOST, out + at, lengths[i], &said));
        judge_report(world, out + at + head - HEADERS, out + at + lengths[i], records, first, packed->edges[i + 1] - first);
        at += lengths[i];
    }
    HOLD((size_t)at == size);
    reports_built += n;
    free(offsets);
    free(lengths);
    free(interfaces);
}

static void judge_reports(struct world *world)
{
    static struct records records;
    const uint32_t room = LEAST_ROOM + world_below(world, world_below(world, 4) ? 300 : MOST_ROOM - LEAST_ROOM + 1);

    make_records(world, &records);
    const int empty = records.sources_in_all == 0;
    uint8_t *pool = malloc(empty ? 1 : 16 * (size_t)records.sources_in_all);
    for (uint32_t i = 0; i < records.sources_in_all; i++)
        world_source(world, pool + 16 * i);
    const struct packed packed = pack(&records, room);
    fastmld_records packed_records = {.rows = packed.rows, .types = packed.types, .type_step = 1};
    if (!empty || world_below(world, 2)) {
        packed_records.sources = packed.sources;
        packed_records.firsts = packed.firsts;
        packed_records.pool = pool;
    }
    if (packed.n && world_below(world, 4) == 0) /* all of one type */
        packed_records.type_step = 0;
    build(world, &packed, &packed_records, room);
    records_packed += packed.n;
    free(packed.of);
    free(packed.firsts);
    free(packed.sources);
    free(packed.edges);
    free(packed.rows);
    free(packed.types);
    free(pool);
}

void target_run(const uint8_t *input, size_t size)
{
    static struct world world;

    memset(&world, 0, sizeof world);
    memcpy(&world.random, input, size < 8 ? size : 8);
    world_make(&world);
    if (world.n_rows) {
        rows_asked += asked_judge(&world);
        judge_reports(&world);
    }
    world_free(&world);
}

size_t target_next(uint64_t *random, uint8_t *input, size_t size)
{
    const uint64_t seed = random_next(random);

    (void)size;
    memcpy(input, &seed, 8);
    return 8;
}

void target_summary(FILE *out)
{
    fprintf(out, "%llu rows asked as one by one, %llu records packed, %llu Reports built and read",
            (unsigned long long)rows_asked, (unsigned long long)records_packed, (unsigned long long)reports_built);
}
