/*
 * The fast path: a random table, a random batch, what the batch says about each row against a replay of its frames one
 * by one, timers, and frames built, which another host must accept. An input is a seed of eight octets.
 */
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "fuzz.h"
#include "guard.h"
#include "oracle.h"
#include "random.h"
#include "replay.h"
#include "timers.h"

enum { MAX_FRAMES = 48, GAP = 9, EMIT_ROOM = 90 };

static uint64_t frames_tried, frames_accepted, rows_told, frames_built, queries_heard, modes_changed;

/* What it heard for MLDv2, against a replay: of each interface, and of its Queries for one address in their order. */
static void judge_hearing(struct world *world, const fastmld_heard2 *heard, const struct batch *batch,
                          const struct meaning *meanings, const fastmld_host *before)
{
    fastmld_query2 queries[MAX_FRAMES];
    uint32_t n_queries = 0, n_heard = 0, next = 0;

    for (uint32_t i = 0; i < world->n_interfaces; i++) {
        fastmld_host want = before[i];
        const uint32_t first = n_queries;
        replay_host(batch, meanings, &world->interfaces[i], i, &want, queries, &n_queries);
        HOLD(memcmp(&want, &heard->hosts[i], sizeof want) == 0);
        uint32_t listed = 0;
        for (uint32_t k = 0; k < heard->n_heard; k++)
            listed += heard->heard[k] == i;
        HOLD(listed == want.heard);
        n_heard += listed;
        next = first;
        for (uint32_t k = 0; k < heard->n_queries; k++) {
            const fastmld_query2 *query = &heard->queries[k];
            if (world->table.rows[query->row].interface != i)
                continue;
            HOLD(next < n_queries && query->row == queries[next].row && query->delay_ms == queries[next].delay_ms);
            HOLD(query->sources == queries[next].sources);
            HOLD(query->sources == 0 || query->sources_at == queries[next].sources_at);
            next++;
        }
        HOLD(next == n_queries);
    }
    HOLD(n_heard == heard->n_heard && n_queries == heard->n_queries);
    queries_heard += n_queries;
}

/* The frames of a batch, of which the last one to be handled is the one before a frame that changes a mode. */
static void judge_batch(struct world *world, struct path *path, const struct batch *batch, int switched,
                        const fastmld_host *before, uint64_t counted_before)
{
    struct meaning meanings[MAX_FRAMES];
    struct told told[MAX_FRAMES];
    struct told_all all[MAX_FRAMES];
    uint32_t n_told, n_all, rows_named = 0, interfaces_named = 0;
    uint64_t counted = 0;

    for (uint32_t i = 0; i < batch->n + (uint32_t)switched; i++) {
        const fastmld_interface *interface = &world->interfaces[batch->interfaces[i]];
        const struct meaning it = replay_mean(world, batch->interfaces[i], batch->buffer + batch->offsets[i], batch->lengths[i]);
        HOLD(replay_switches(interface, &it) == (i == batch->n));
        if (i == batch->n)
            break;
        meanings[i] = it;
        HOLD(batch->verdicts[i] == it.verdict);
        HOLD(batch->kinds[i] == it.kind);
        frames_accepted += it.verdict == FASTMLD_ACCEPTED;
    }
    for (uint32_t i = 0; i < world->n_interfaces; i++)
        for (int verdict = 0; verdict < FASTMLD_VERDICTS; verdict++)
            counted += world->interfaces[i].verdicts[verdict];
    HOLD(counted == counted_before + batch->n);
    judge_hearing(world, path_heard(path), batch, meanings, before);

    for (uint32_t i = 0; i < batch->n; i++)
        if (!replay_is_for_v1(&world->interfaces[batch->interfaces[i]], &meanings[i]))
            meanings[i] = (struct meaning){.row = NOBODY};

    path_told(path, &world->table, world->interfaces, told, &n_told, all, &n_all);
    for (uint32_t i = 0; i < n_told; i++) {
        HOLD(told[i].row < world->n_rows);
        const struct told want = replay_row(batch, meanings, told[i].row, world->table.rows[told[i].row].interface);
        HOLD(told[i].delay_ms == want.delay_ms);
        HOLD(told[i].answers == want.answers);
        HOLD(!told[i].reset == !want.reset);
        HOLD(told[i].flag_if_idle == want.flag_if_idle);
        HOLD(told[i].flag_if_delaying == want.flag_if_delaying);
        const fastmld_row *row = &world->table.rows[told[i].row]; /* no batch moves it: Python does */
        HOLD(told[i].state == row->state && told[i].deadline_ms == world->table.deadline_ms[told[i].row]);
    }
    for (uint32_t i = 0; i < n_all; i++) {
        const struct told_all want = replay_all(batch, meanings, all[i].interface);
        HOLD(all[i].delay_ms == want.delay_ms);
        HOLD(all[i].zeros == want.zeros && all[i].answers == want.answers);
    }
    for (uint32_t row = 0; row < world->n_rows; row++)
        for (uint32_t i = 0, named = 0; i < batch->n && !named; i++)
            rows_named += named = meanings[i].row == (int)row;
    for (uint32_t interface = 0; interface < world->n_interfaces; interface++)
        for (uint32_t i = 0, named = 0; i < batch->n && !named; i++)
            interfaces_named += named = meanings[i].kind == FASTMLD_GENERAL_QUERY && batch->interfaces[i] == interface;
    HOLD(n_told == rows_named && n_all == interfaces_named); /* with the rows equal: each of them once */
    rows_told += n_told;
}

/* From frame *done on, up to one that changes a mode, which is the caller's to change. Whether that was the rest of the batch. */
static int run_part(struct world *world, struct path *path, const struct batch *whole, uint32_t *done)
{
    const uint32_t at = whole->interface_step * *done;
    struct batch part = {
        whole->buffer, whole->offsets + *done, whole->lengths + *done, whole->interfaces + at, whole->interface_step,
        whole->n - *done, whole->verdicts + *done, whole->kinds + *done,
    };
    const fastmld_heard2 *heard = path_heard(path);
    fastmld_host before[MAX_INTERFACES];

    memcpy(before, heard->hosts, world->n_interfaces * sizeof *before);
    HOLD(path_classify(path, &world->table, world->interfaces, world->n_interfaces, &part) == 0);
    const uint32_t switched = heard->switched;
    part.n = switched ? switched - 1 : part.n;
    judge_batch(world, path, &part, switched != 0, before, *done);
    path_settle(path, &world->table, world->interfaces);
    path_settle_hosts(path);
    for (uint32_t row = 0; row < world->n_rows; row++)
        HOLD(path_row_is_clear(&world->table.rows[row]));
    for (uint32_t i = 0; i < world->n_interfaces; i++)
        HOLD(path_interface_is_clear(&world->interfaces[i]));
    *done += part.n;
    modes_changed += switched != 0;
    if (switched) /* interfaces are all there, or all the first's: run_batch */
        world->interfaces[part.interfaces[part.n]].rules &= (uint8_t)~FASTMLD_RULE_V2;
    return switched == 0;
}

/* Frames at random places of one buffer, in random order, the last one up to an unmapped page. */
static void run_batch(struct world *world)
{
    static struct guarded memory;
    uint8_t frames[MAX_FRAMES][MAX_FRAME];
    const uint32_t n = world_below(world, MAX_FRAMES + 1);
    int64_t *offsets = calloc(n + 1, sizeof *offsets);
    uint32_t *lengths = calloc(n + 1, sizeof *lengths), *interfaces = calloc(n + 1, sizeof *interfaces);
    uint8_t *verdicts = malloc(n + !n), *kinds = malloc(n + !n);
    uint32_t total = 0;

    if (!memory.begin)
        memory = guarded_new(MAX_FRAMES * (MAX_FRAME + GAP));
    for (uint32_t i = 0; i < n; i++) {
        lengths[i] = world_frame(world, frames[i]);
        interfaces[i] = world_below(world, world->n_interfaces);
        total += lengths[i];
    }
    uint8_t *buffer = memory.end - total - GAP * n;
    int64_t at = 0;
    const uint32_t turn = n ? world_below(world, n) : 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t which = (i + turn) % n;
        at += i + 1 < n ? world_below(world, GAP + 1) : (int64_t)(memory.end - buffer) - at - lengths[which];
        offsets[which] = at;
        memcpy(buffer + at, frames[which], lengths[which]);
        at += lengths[which];
    }

    struct path *path = path_new(n, world->n_interfaces);
    const uint32_t step = world_below(world, 4) != 0;
    const struct batch batch = {buffer, offsets, lengths, interfaces, step, n, verdicts, kinds};
    for (uint32_t i = 0; i < n && !step; i++)
        interfaces[i] = interfaces[0];
    if (n && world_below(world, 16) == 0) { /* an interface that is not there: nothing is counted */
        const uint32_t which = step ? world_below(world, n) : 0, right = interfaces[which];
        interfaces[which] = world->n_interfaces + world_below(world, 2) * 1000;
        HOLD(path_classify(path, &world->table, world->interfaces, world->n_interfaces, &batch) == which + 1);
        interfaces[which] = right;
    }
    for (uint32_t done = 0; !run_part(world, path, &batch, &done);)
        continue;
    frames_tried += n;
    path_free(path);
    free(offsets);
    free(lengths);
    free(interfaces);
    free(verdicts);
    free(kinds);
}

/* A Report with an empty group from an interface, and its length; every other one with a VLAN tag. */
static fastmld_template template_of(const fastmld_interface *interface, uint32_t index)
{
    static const uint8_t NO_GROUP[16];
    fastmld_template template = {.length = FRAME_SIZE, .interface = index};
    uint8_t *frame = template.frame;

    frame_build(frame, 131, NO_GROUP, 0, 0);
    memcpy(frame + 6, interface->mac, 6);
    memcpy(frame + 22, interface->link_local, 16);
    frame_repair(frame, FRAME_IP, FRAME_MESSAGE, FRAME_SIZE);
    /* The template holds the sum of the rest, not its complement: the header of csrc/fastmld.h. */
    frame[FRAME_MESSAGE + 2] ^= 0xff;
    frame[FRAME_MESSAGE + 3] ^= 0xff;
    if (index % 2) {
        memmove(frame + 16, frame + 12, FRAME_SIZE - 12);
        memcpy(frame + 12, (uint8_t[]){0x81, 0, 0, 5}, 4);
        template.length += 4;
    }
    return template;
}

static void build_frames(struct world *world)
{
    static struct guarded memory;
    static const fastmld_interface OTHER_HOST = {
        .link_local = {0xfe, 0x80, [15] = 0xee}, .mac = {2, [5] = 0xee},
        .rules = FASTMLD_RULE_STRICT | FASTMLD_RULE_V1_ONLY | FASTMLD_RULE_LINK_LOCAL,
    };
    fastmld_template templates[MAX_INTERFACES];
    const uint32_t n = world->n_rows ? world_below(world, MAX_FRAMES + 1) : 0;
    uint32_t *rows = calloc(n + 1, sizeof *rows), *index = calloc(n + 1, sizeof *index);
    uint32_t *lengths = malloc(n * sizeof *lengths + !n), *interfaces = malloc(n * sizeof *interfaces + !n);
    int64_t *offsets = malloc(n * sizeof *offsets + !n);
    uint8_t *kinds = malloc(n + !n);

    if (!memory.begin)
        memory = guarded_new(MAX_FRAMES * EMIT_ROOM);
    for (uint32_t i = 0; i < world->n_interfaces; i++)
        templates[i] = template_of(&world->interfaces[i], i);
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = world_below(world, world->n_rows);
        index[i] = world->table.rows[rows[i]].interface;
        kinds[i] = world_below(world, 4) ? FASTMLD_REPORT : FASTMLD_DONE;
    }

    uint8_t *out = memory.end - (size_t)EMIT_ROOM * n;
    const uint64_t size = path_emit(&world->table, templates, rows, index, kinds, n, out, offsets, lengths, interfaces);
    int64_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct said said;
        const fastmld_row *row = &world->table.rows[rows[i]];
        HOLD(offsets[i] == at && lengths[i] == templates[index[i]].length && interfaces[i] == row->interface);
        HOLD(said_check(&OTHER_HOST, out + at, lengths[i], &said) == FASTMLD_ACCEPTED);
        HOLD(oracle_accepts(&OTHER_HOST, out + at, lengths[i], &said));
        HOLD(said.kind == kinds[i] && memcmp(out + at + said.group, row->address, 16) == 0);
        at += lengths[i];
    }
    HOLD(size == (uint64_t)at);
    frames_built += n;
    free(rows);
    free(index);
    free(lengths);
    free(interfaces);
    free(offsets);
    free(kinds);
}

void target_run(const uint8_t *input, size_t size)
{
    static struct world world;

    memset(&world, 0, sizeof world);
    memcpy(&world.random, input, size < 8 ? size : 8);
    world_make(&world);
    timers_judge(&world);
    run_batch(&world);
    build_frames(&world);
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
    fprintf(out,
            "%llu frames, %llu accepted, %llu folds and %llu MLDv2 Queries for one address as one by one, %llu changes of mode, "
            "%llu frames built",
            (unsigned long long)frames_tried, (unsigned long long)frames_accepted, (unsigned long long)rows_told,
            (unsigned long long)queries_heard, (unsigned long long)modes_changed, (unsigned long long)frames_built);
}
