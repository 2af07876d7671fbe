/*
 * What instructions.py counts: the seeded mix through classify and settle, with a table of GROUPS groups.
 * usage: instructions GROUPS [2]; prints the frames that it classified. The mix is that of bench/workloads.py: 1 % General
 * Queries, 29 % specific Queries, 70 % Reports, half of the latter two for groups that are listened to. With 2 it is that of
 * bench/workloads_v2.py, on an interface in MLDv2 mode.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastmld.h"
#include "frames.h"
#include "path_calls.h"
#include "random.h"

enum { BATCH = 4096, BATCHES = 16, FRAMES = BATCH * BATCHES, SLOT = 176, FRAME_IN_SLOT = 82 };

static fastmld_table make_table(uint32_t groups)
{
    fastmld_table table = {.n_buckets = 3 * groups / 8 + 1};
    uint64_t random = 1;

    table.rows = calloc(groups, sizeof *table.rows);
    table.deadline_ms = calloc(groups, sizeof *table.deadline_ms);
    table.buckets = aligned_alloc(64, sizeof *table.buckets * table.n_buckets);
    memset(table.buckets, 0, sizeof *table.buckets * table.n_buckets);
    uint8_t *addresses = malloc((size_t)groups * 16);
    uint32_t *rows = malloc(groups * sizeof *rows);
    for (int i = 0; i < 4; i++)
        table.key[i] = random_next(&random);
    for (uint32_t i = 0; i < groups; i++)
        frame_group(addresses + 16 * (size_t)i, i);
    fastmld_insert(&table, 0, addresses, groups, 0, rows);
    free(addresses);
    free(rows);
    return table;
}

static void make_frame2(uint8_t *frame, uint64_t *random, uint32_t groups)
{
    static const uint8_t ROUTERS[16] = {0xff, 2, [15] = 0x16};
    const uint32_t sort = random_below(random, 100);
    uint8_t group[16], host = 0xfe;

    frame_group(group, random_below(random, groups) + groups * random_below(random, 2));
    if (sort < 30) {
        const uint32_t delay_ms = sort ? 100 + random_below(random, 901) : 1000 + random_below(random, 9001);
        frame_build(frame, 130, NULL, (uint16_t)delay_ms, host);
        if (sort)
            memcpy(frame + 70, group, 16); /* to ff02::1, whoever listens */
        frame_version2(frame, 2, 125, NULL, 0);
        return;
    }
    host = (uint8_t)(2 + random_below(random, 64));
    frame_build(frame, 143, ROUTERS, 0, host);
    memset(frame + FRAME_MESSAGE + 4, 0, FRAME_SIZE2 - FRAME_MESSAGE - 4);
    frame[FRAME_IP + 5] = FRAME_SIZE2 - FRAME_IP - 40;
    frame[69] = 1;
    frame[70] = 2;              /* MODE_IS_EXCLUDE */
    memcpy(frame + 74, group, 16);
    frame_repair(frame, FRAME_IP, FRAME_MESSAGE, FRAME_SIZE2);
}

static void make_frame(uint8_t *frame, uint64_t *random, uint32_t groups)
{
    const uint32_t sort = random_below(random, 100);
    uint8_t group[16];

    frame_group(group, random_below(random, groups) + groups * random_below(random, 2));
    if (sort == 0)
        frame_build(frame, 130, NULL, (uint16_t)(1000 + random_below(random, 9001)), 0xfe);
    else if (sort < 30)
        frame_build(frame, 130, group, (uint16_t)(100 + random_below(random, 901)), 0xfe);
    else
        frame_build(frame, 131, group, 0, (uint8_t)(2 + random_below(random, 64)));
}

int main(int argc, char **argv)
{
    static int64_t offsets[FRAMES];
    static uint32_t lengths[FRAMES], interfaces[FRAMES];
    static uint8_t verdicts[BATCH], kinds[BATCH];
    const uint32_t groups = argc >= 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    const int v2 = argc == 3 && strcmp(argv[2], "2") == 0;
    uint64_t random = 2;

    if (groups == 0) {
        fprintf(stderr, "usage: %s GROUPS [2]\n", argv[0]);
        return 2;
    }
    const fastmld_table table = make_table(groups);
    fastmld_interface interface = {
        .link_local = {0xfe, 0x80, [15] = 1}, .mac = {2, 0, 0, 0, 0, 1}, .present = 1, .delay_ms = -1,
        .rules = (uint8_t)(FASTMLD_RULE_STRICT | FASTMLD_RULE_LINK_LOCAL | (v2 ? FASTMLD_RULE_V2 : FASTMLD_RULE_V1_ONLY)),
    };
    uint8_t *buffer = calloc(FRAMES, SLOT);
    for (uint32_t i = 0; i < FRAMES; i++) {
        offsets[i] = (int64_t)i * SLOT + FRAME_IN_SLOT;
        lengths[i] = v2 ? FRAME_SIZE2 : FRAME_SIZE;
        (v2 ? make_frame2 : make_frame)(buffer + offsets[i], &random, groups);
    }
    struct path *path = path_new(BATCH, 1);
    for (uint32_t at = 0; at < FRAMES; at += BATCH) {
        const struct batch batch = {buffer, offsets + at, lengths + at, interfaces, 1, BATCH, verdicts, kinds};
        path_classify(path, &table, &interface, 1, &batch);
        path_settle(path, &table, &interface);
        path_settle_hosts(path);
    }
    /* a specific Query goes to its group: one that nobody listens to is not for us */
    if (interface.verdicts[FASTMLD_ACCEPTED] + interface.verdicts[FASTMLD_BAD_DESTINATION] != FRAMES) {
        fputs("the mix is not taken as it should be\n", stderr);
        return 1;
    }
    printf("%d\n", FRAMES);
    return 0;
}
