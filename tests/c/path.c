/*
 * The fast path: a random table, a random batch, what the batch says about each row against a replay of its frames one by
 * one, draws, and frames built, which another host must accept. An input is a seed of eight octets: what fails is kept small.
 */
#include <stdlib.h>
#include <string.h>

#include "fastmld.h"
#include "frames.h"
#include "fuzz.h"
#include "guard.h"
#include "mutate.h"
#include "oracle.h"
#include "path_calls.h"
#include "random.h"

enum {
    MAX_INTERFACES = 4, MAX_ROWS = 96, MAX_FRAMES = 48, MAX_FRAME = 2300, GAP = 9, POOL = 40, EMIT_ROOM = 90,
    NOBODY = -1
};

static uint64_t frames_tried, frames_accepted, rows_told, frames_built;

/* One run's world. */
struct world {
    uint64_t random;
    fastmld_interface interfaces[MAX_INTERFACES];
    uint32_t n_interfaces;
    fastmld_table table;
    uint8_t listened[MAX_ROWS]; /* whether a row is in the index */
    uint32_t n_rows;
};

static uint32_t below(struct world *world, uint32_t bound)
{
    return random_below(&world->random, bound);
}

/* A group from a small pool, so that tables and frames meet. */
static void pick_group(struct world *world, uint8_t *address)
{
    static const uint8_t ALL_NODES[16] = {0xff, 2, [15] = 1};
    frame_group(address, below(world, POOL));
    if (below(world, 16) == 0)
        memcpy(address, ALL_NODES, 16);
    if (below(world, 8) == 0)
        address[1] = (uint8_t)below(world, 16);
}

/* The row that listens, looked for one by one. */
static int row_of(const struct world *world, uint32_t interface, const uint8_t *address)
{
    for (uint32_t row = 0; row < world->n_rows; row++)
        if (world->listened[row] && world->table.rows[row].interface == interface &&
            memcmp(world->table.rows[row].address, address, 16) == 0)
            return (int)row;
    return NOBODY;
}

static void make_interfaces(struct world *world)
{
    world->n_interfaces = 1 + below(world, MAX_INTERFACES);
    for (uint32_t i = 0; i < world->n_interfaces; i++) {
        fastmld_interface *interface = &world->interfaces[i];
        memset(interface, 0, sizeof *interface);
        interface->link_local[0] = 0xfe;
        interface->link_local[1] = 0x80;
        interface->link_local[15] = (uint8_t)(i + 1);
        interface->mac[0] = 2;
        interface->mac[5] = (uint8_t)(i + 1);
        interface->rules = below(world, 3) ? 7 : (uint8_t)below(world, 16);
        interface->present = 1;
        interface->delay_ms = -1;
    }
}

/* Join groups, leave some, and look all of them up. */
static void make_table(struct world *world)
{
    uint8_t addresses[MAX_ROWS][16];
    uint32_t rows[MAX_ROWS];
    uint32_t slots_log2 = 1 + below(world, 3);
    const uint32_t joins = below(world, MAX_ROWS + 1);

    while ((1u << slots_log2) < 2 * joins)
        slots_log2++;
    world->table.slots_log2 = slots_log2;
    world->table.rows = calloc(MAX_ROWS, sizeof *world->table.rows);
    world->table.slots = calloc((size_t)1 << slots_log2, sizeof *world->table.slots);
    for (int i = 0; i < 7; i++)
        world->table.key[i] = below(world, 8) ? random_next(&world->random) : 0; /* poor keys: collisions */
    world->n_rows = 0;
    for (uint32_t done = 0; done < joins;) {
        const uint32_t run = 1 + below(world, joins - done);
        const uint16_t interface = (uint16_t)below(world, world->n_interfaces);
        int before[MAX_ROWS];
        for (uint32_t i = 0; i < run; i++) {
            pick_group(world, addresses[i]);
            before[i] = row_of(world, interface, addresses[i]);
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
        if (below(world, 4) == 0) {
            rows[gone++] = row;
            world->listened[row] = 0;
        }
    }
    fastmld_remove(&world->table, rows, gone);
    if (below(world, 4) == 0) { /* the index built anew */
        uint32_t left = 0;
        memset(world->table.slots, 0, sizeof *world->table.slots << slots_log2);
        for (uint32_t row = 0; row < world->n_rows; row++)
            if (world->listened[row])
                rows[left++] = row;
        fastmld_index(&world->table, rows, left);
    }
    for (uint32_t row = 0; row < world->n_rows; row++) {
        const fastmld_row *it = &world->table.rows[row];
        uint32_t found;
        fastmld_find(&world->table, it->interface, it->address, 1, &found);
        HOLD(found == (world->listened[row] ? row : UINT32_MAX) || row_of(world, it->interface, it->address) == (int)found);
    }
}

static uint32_t make_frame(struct world *world, uint8_t *frame)
{
    static const uint16_t DELAYS_MS[] = {0, 0, 1, 2, 5, 100, 1000, 10000, 65535};
    uint8_t group[16];
    const uint8_t type = (uint8_t)(130 + below(world, below(world, 4) ? 2 : 3));
    const uint16_t delay_ms = DELAYS_MS[below(world, sizeof DELAYS_MS / sizeof *DELAYS_MS)];

    pick_group(world, group);
    frame_build(frame, type, type == 130 && below(world, 3) == 0 ? NULL : group, delay_ms, (uint8_t)below(world, 64));
    return below(world, 4) ? FRAME_SIZE : mutate(&world->random, frame, FRAME_SIZE, MAX_FRAME);
}

/* What one frame means, by the oracle and a look at every row. */
struct meaning {
    int verdict;                /* where the oracle rejects, what fastmld_check says */
    uint8_t kind;
    int row;
    uint16_t delay_ms;
};

static struct meaning mean(const struct world *world, uint32_t index, const uint8_t *frame, uint32_t length)
{
    const fastmld_interface *interface = &world->interfaces[index];
    fastmld_message message;
    struct meaning meaning = {.verdict = FASTMLD_ACCEPTED, .row = NOBODY};

    if (!oracle_accepts(interface, frame, length, &message)) {
        meaning.verdict = fastmld_check(interface, frame, length, &message);
        HOLD(meaning.verdict != FASTMLD_ACCEPTED);
        if (message.asks_destination && row_of(world, index, frame + message.destination) == NOBODY)
            meaning.verdict = FASTMLD_BAD_DESTINATION; /* rung 13, before 14 */
        return meaning;
    }
    if (message.asks_destination && row_of(world, index, frame + message.destination) == NOBODY) {
        meaning.verdict = FASTMLD_BAD_DESTINATION;
        return meaning;
    }
    meaning.kind = message.kind;
    meaning.delay_ms = message.delay_ms;
    if (message.kind == FASTMLD_GROUP_QUERY || message.kind == FASTMLD_SOURCE_QUERY || message.kind == FASTMLD_REPORT)
        meaning.row = row_of(world, index, frame + message.group);
    return meaning;
}

static void take_delay(int32_t *least, uint16_t delay_ms)
{
    if (*least < 0 || delay_ms < *least)
        *least = delay_ms;
}

/* RFC 2710 section 5, one frame after the other, for one row from both starts. */
static struct told replay(const struct batch *batch, const struct meaning *meanings, uint32_t row, uint32_t interface)
{
    struct told told = {.row = row, .delay_ms = -1};
    int delaying[2] = {0, 1}, flag[2] = {0, 0};

    for (uint32_t i = 0; i < batch->n; i++) {
        const struct meaning *it = &meanings[i];
        const int general = it->kind == FASTMLD_GENERAL_QUERY && batch->interfaces[i] == interface;
        if (!general && it->row != (int)row)
            continue;
        const int report = it->kind == FASTMLD_REPORT;
        if (!report && it->delay_ms > 0) {
            delaying[0] = delaying[1] = 1;
            take_delay(&told.delay_ms, it->delay_ms);
            continue;
        }
        for (int start = 0; start < 2; start++) {
            if (!report)
                flag[start] = 1;
            else if (delaying[start])
                flag[start] = 2;
            delaying[start] = 0;
        }
        told.answers += !report;
        told.reset = 1;
        told.delay_ms = -1;
    }
    told.flag_if_idle = flag[0];
    told.flag_if_delaying = flag[1];
    return told;
}

static struct told_all replay_all(const struct batch *batch, const struct meaning *meanings, uint32_t interface)
{
    struct told_all all = {.interface = interface, .delay_ms = -1};

    for (uint32_t i = 0; i < batch->n; i++) {
        if (meanings[i].kind != FASTMLD_GENERAL_QUERY || batch->interfaces[i] != interface)
            continue;
        if (meanings[i].delay_ms > 0) {
            take_delay(&all.delay_ms, meanings[i].delay_ms);
        } else {
            all.answers++;
            all.delay_ms = -1;
        }
    }
    return all;
}

static void judge_batch(struct world *world, struct path *path, const struct batch *batch)
{
    struct meaning meanings[MAX_FRAMES];
    struct told told[MAX_FRAMES];
    struct told_all all[MAX_FRAMES];
    uint32_t n_told, n_all, rows_named = 0, interfaces_named = 0;
    uint64_t counted = 0;

    for (uint32_t i = 0; i < batch->n; i++) {
        meanings[i] = mean(world, batch->interfaces[i], batch->buffer + batch->offsets[i], batch->lengths[i]);
        HOLD(batch->verdicts[i] == meanings[i].verdict);
        HOLD(batch->kinds[i] == meanings[i].kind);
        frames_accepted += meanings[i].verdict == FASTMLD_ACCEPTED;
        if (world->interfaces[batch->interfaces[i]].rules & FASTMLD_RULE_DEAF)
            meanings[i] = (struct meaning){.row = NOBODY};
    }
    for (uint32_t i = 0; i < world->n_interfaces; i++)
        for (int verdict = 0; verdict < FASTMLD_VERDICTS; verdict++)
            counted += world->interfaces[i].verdicts[verdict];
    HOLD(counted == batch->n);

    path_told(path, world->interfaces, told, &n_told, all, &n_all);
    for (uint32_t i = 0; i < n_told; i++) {
        HOLD(told[i].row < world->n_rows);
        const struct told want = replay(batch, meanings, told[i].row, world->table.rows[told[i].row].interface);
        HOLD(told[i].delay_ms == want.delay_ms);
        HOLD(told[i].answers == want.answers);
        HOLD(!told[i].reset == !want.reset);
        HOLD(told[i].flag_if_idle == want.flag_if_idle);
        HOLD(told[i].flag_if_delaying == want.flag_if_delaying);
    }
    for (uint32_t i = 0; i < n_all; i++) {
        const struct told_all want = replay_all(batch, meanings, all[i].interface);
        HOLD(all[i].delay_ms == want.delay_ms);
        HOLD(all[i].answers == want.answers);
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

/* Frames at random places of one buffer, in random order, the last one up to an unmapped page. */
static void run_batch(struct world *world)
{
    static struct guarded memory;
    uint8_t frames[MAX_FRAMES][MAX_FRAME];
    const uint32_t n = below(world, MAX_FRAMES + 1);
    int64_t *offsets = calloc(n + 1, sizeof *offsets);
    uint32_t *lengths = calloc(n + 1, sizeof *lengths), *interfaces = calloc(n + 1, sizeof *interfaces);
    uint8_t *verdicts = malloc(n + !n), *kinds = malloc(n + !n);
    uint32_t total = 0;

    if (!memory.begin)
        memory = guarded_new(MAX_FRAMES * (MAX_FRAME + GAP));
    for (uint32_t i = 0; i < n; i++) {
        lengths[i] = make_frame(world, frames[i]);
        interfaces[i] = below(world, world->n_interfaces);
        total += lengths[i];
    }
    uint8_t *buffer = memory.end - total - GAP * n;
    int64_t at = 0;
    const uint32_t turn = n ? below(world, n) : 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t which = (i + turn) % n;
        at += i + 1 < n ? below(world, GAP + 1) : (int64_t)(memory.end - buffer) - at - lengths[which];
        offsets[which] = at;
        memcpy(buffer + at, frames[which], lengths[which]);
        at += lengths[which];
    }

    struct path *path = path_new(n);
    const uint32_t step = below(world, 4) != 0;
    const struct batch batch = {buffer, offsets, lengths, interfaces, step, n, verdicts, kinds};
    for (uint32_t i = 0; i < n && !step; i++)
        interfaces[i] = interfaces[0];
    if (n && below(world, 16) == 0) { /* an interface that is not there: nothing is counted */
        const uint32_t which = step ? below(world, n) : 0, right = interfaces[which];
        interfaces[which] = world->n_interfaces + below(world, 2) * 1000;
        HOLD(path_classify(path, &world->table, world->interfaces, world->n_interfaces, &batch) == which + 1);
        interfaces[which] = right;
    }
    HOLD(path_classify(path, &world->table, world->interfaces, world->n_interfaces, &batch) == 0);
    judge_batch(world, path, &batch);
    path_settle(path, &world->table, world->interfaces);
    for (uint32_t row = 0; row < world->n_rows; row++)
        HOLD(path_row_is_clear(&world->table.rows[row]));
    for (uint32_t i = 0; i < world->n_interfaces; i++)
        HOLD(path_interface_is_clear(&world->interfaces[i]));
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

static void draw_and_build(struct world *world)
{
    static struct guarded memory;
    static const fastmld_interface OTHER_HOST = {.link_local = {0xfe, 0x80, [15] = 0xee}, .mac = {2, [5] = 0xee}, .rules = 7};
    fastmld_template templates[MAX_INTERFACES];
    const uint32_t n = world->n_rows ? below(world, MAX_FRAMES + 1) : 0;
    uint32_t *rows = calloc(n + 1, sizeof *rows), *index = calloc(n + 1, sizeof *index);
    uint32_t *lengths = calloc(n + 1, sizeof *lengths), *interfaces = calloc(n + 1, sizeof *interfaces);
    int32_t *delays_ms = calloc(n + 1, sizeof *delays_ms);
    int64_t *deadlines = calloc(n + 1, sizeof *deadlines), *offsets = calloc(n + 1, sizeof *offsets);
    uint8_t *kinds = malloc(n + 1);
    const int64_t now_ms = (int64_t)(random_next(&world->random) >> 2) - (INT64_C(1) << 61);
    const uint64_t seed = random_next(&world->random);

    if (!memory.begin)
        memory = guarded_new(MAX_FRAMES * EMIT_ROOM);
    for (uint32_t i = 0; i < world->n_interfaces; i++)
        templates[i] = template_of(&world->interfaces[i], i);
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = below(world, world->n_rows);
        index[i] = world->table.rows[rows[i]].interface;
        kinds[i] = below(world, 4) ? FASTMLD_REPORT : FASTMLD_DONE;
        delays_ms[i] = 1 + (int32_t)below(world, below(world, 2) ? 10 : 65535);
    }

    path_draw(&world->table, seed, rows, n, now_ms, delays_ms, deadlines);
    for (uint32_t i = 0; i < n; i++) {
        const int64_t drawn = deadlines[i] - now_ms;
        HOLD(drawn >= 1 && drawn <= delays_ms[i]);
        for (uint32_t j = 0; j < i; j++) /* consistent: csrc/draw.h */
            HOLD(rows[i] != rows[j] || deadlines[i] == deadlines[j] || drawn > delays_ms[j] ||
                 deadlines[j] - now_ms > delays_ms[i]);
    }

    uint8_t *out = memory.end - (size_t)EMIT_ROOM * n;
    const uint64_t size = path_emit(&world->table, templates, rows, index, kinds, n, out, offsets, lengths, interfaces);
    int64_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        fastmld_message message;
        const fastmld_row *row = &world->table.rows[rows[i]];
        HOLD(offsets[i] == at && lengths[i] == templates[index[i]].length && interfaces[i] == row->interface);
        HOLD(fastmld_check(&OTHER_HOST, out + at, lengths[i], &message) == FASTMLD_ACCEPTED);
        HOLD(oracle_accepts(&OTHER_HOST, out + at, lengths[i], &message));
        HOLD(message.kind == kinds[i] && memcmp(out + at + message.group, row->address, 16) == 0);
        at += lengths[i];
    }
    HOLD(size == (uint64_t)at);
    frames_built += n;
    free(rows);
    free(index);
    free(lengths);
    free(interfaces);
    free(delays_ms);
    free(deadlines);
    free(offsets);
    free(kinds);
}

void target_run(const uint8_t *input, size_t size)
{
    static struct world world;

    memset(&world, 0, sizeof world);
    memcpy(&world.random, input, size < 8 ? size : 8);
    make_interfaces(&world);
    make_table(&world);
    run_batch(&world);
    draw_and_build(&world);
    free(world.table.rows);
    free(world.table.slots);
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
    fprintf(out, "%llu frames, %llu accepted, %llu folds as one by one, %llu frames built", (unsigned long long)frames_tried,
            (unsigned long long)frames_accepted, (unsigned long long)rows_told, (unsigned long long)frames_built);
}
