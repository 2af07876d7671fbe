/*
 * fastmld_asked_rows and fastmld_ask, held to docs/mldv2.md D9: of the sources that a Query names those count that are
 * unicast and forwarded; one after the other, at most 64 a row and so many an interface, or else everything is asked for.
 * fastmld_recall gives what is recorded, sorted, however the rows are numbered; fastmld_forget leaves nothing of it.
 */
#include "asked.h"

#include "recorded.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "guard.h"
#include "random.h"

enum { MAX_QUERIES = 40, MOST_SOURCES = 89, MOST_FILTERED = 60, RECORDED = FASTMLD_MOST_RECORDED };

/* One row: what it asks for, and what it was and is asked for. */
struct account {
    int excludes, all, deaf;
    int32_t delay_ms;
    uint32_t n_filter, n;
    uint8_t filter[MOST_FILTERED][16], recorded[RECORDED][16];
};

static int is_among(const uint8_t (*sources)[16], uint32_t n, const uint8_t *source)
{
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(sources[i], source, 16) == 0)
            return 1;
    return 0;
}

static int compare(const void *one, const void *other)
{
    return memcmp(one, other, 16);
}

/* Up to `most` sources, each once. */
static uint32_t pick_sources(struct world *world, uint8_t (*sources)[16], uint32_t most)
{
    uint32_t n = 0;

    for (uint32_t left = world_below(world, most + 1); left > 0; left--) {
        world_source(world, sources[n]);
        n += !is_among((const uint8_t(*)[16])sources, n, sources[n]);
    }
    return n;
}

static int counts(const struct account *account, const uint8_t *source)
{
    static const uint8_t UNSPECIFIED[16];
    const int named = is_among((const uint8_t(*)[16])account->filter, account->n_filter, source);

    return source[0] != 255 && memcmp(source, UNSPECIFIED, 16) != 0 && named != account->excludes;
}

static void forget(struct account *account, uint32_t *total)
{
    *total -= account->n;
    account->n = 0;
    account->all = 1;
}

/* What one Query asks of a row. */
static void take(struct account *account, uint32_t *total, uint32_t most_total, const uint8_t *sources, uint32_t n,
                 int32_t delay_ms)
{
    int effect = n == 0;

    if (effect)
        forget(account, total);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *source = sources + 16 * i;
        if (!counts(account, source))
            continue;
        effect = 1;
        if (account->all || is_among((const uint8_t(*)[16])account->recorded, account->n, source))
            continue;
        if (account->n == RECORDED) {
            forget(account, total);
            continue;
        }
        memcpy(account->recorded[account->n++], source, 16);
        *total += 1;
    }
    if (effect && !account->all && *total > most_total)
        forget(account, total);
    if (effect && (account->delay_ms == 0 || delay_ms < account->delay_ms))
        account->delay_ms = delay_ms;
}

/* A filter for each row, and what was asked of it before. */
static void make_accounts(struct world *world, struct account *accounts, uint32_t *totals)
{
    for (uint32_t row = 0; row < world->n_rows; row++) {
        struct account *account = &accounts[row];
        account->excludes = world_below(world, 2) != 0;
        account->n_filter = world_below(world, 3) ? pick_sources(world, account->filter, MOST_FILTERED) : 0;
        qsort(account->filter, account->n_filter, 16, compare);
        account->all = world_below(world, 4) == 0;
        account->deaf = world_below(world, 8) == 0;
        if (!account->all && world_below(world, 2))
            account->n = pick_sources(world, account->recorded, RECORDED);
        totals[world->table.rows[row].interface] += account->n;
    }
}

/* Memory for so many chunks and a few heads, so that rows share them; each chunk was something else before. */
static fastmld_recorded make_room(struct world *world, uint32_t chunks)
{
    fastmld_recorded recorded = {.key = world_below(world, 1u << 31) * 2ull + 1, .n_chunks = chunks, .head_bits = 1 + world_below(world, 4)};

    recorded.chunks = malloc((chunks + !chunks) * sizeof *recorded.chunks);
    memset(recorded.chunks, 0xa5, (chunks + !chunks) * sizeof *recorded.chunks);
    recorded.heads = calloc((size_t)1 << recorded.head_bits, sizeof *recorded.heads);
    return recorded;
}

static void put_recorded(fastmld_recorded *recorded, uint32_t row, const struct account *account)
{
    uint32_t first = 0, chunk = 0;

    for (uint32_t i = 0; i < account->n; i++) {
        if (i == 0)
            first = chunk = recorded_begin(recorded, row);
        else if (i % RECORDED_A_CHUNK == 0)
            chunk = recorded->chunks[chunk - 1].next = recorded_open(recorded);
        memcpy(recorded->chunks[chunk - 1].sources[i % RECORDED_A_CHUNK], account->recorded[i], 16);
        recorded->chunks[first - 1].n = i + 1;
    }
}

/* All rows have what their accounts say, in as few chunks as hold it. shift: by so much their numbers are greater now. */
static void judge_recorded(const fastmld_recorded *recorded, struct account *accounts, uint32_t n_rows, uint32_t shift)
{
    uint8_t(*sources)[16] = malloc(n_rows * sizeof accounts->recorded), (*next)[16] = sources;
    uint32_t *rows = malloc(n_rows * sizeof *rows), *counts = malloc(n_rows * sizeof *counts);
    uint32_t chunks = 0;
    uint64_t all = 0;

    for (uint32_t i = 0; i < n_rows; i++) {
        rows[i] = i + shift;
        all += accounts[i].n;
        chunks += (accounts[i].n + RECORDED_A_CHUNK - 1) / RECORDED_A_CHUNK;
        qsort(accounts[i].recorded, accounts[i].n, 16, compare);
    }
    HOLD(recorded->held == chunks && recorded->used <= recorded->n_chunks);
    HOLD(fastmld_recall(recorded, rows, n_rows, counts, sources) == all);
    for (uint32_t i = 0; i < n_rows; next += counts[i++])
        HOLD(counts[i] == accounts[i].n && memcmp(next, accounts[i].recorded, 16 * counts[i]) == 0);
    free(sources);
    free(rows);
    free(counts);
}

/* Renumber the rows, find them again, and forget some of them at a time. */
static void judge_forgetting(struct world *world, fastmld_recorded *recorded, struct account *accounts, uint32_t *totals)
{
    fastmld_recorded moved = *recorded;

    for (uint32_t i = 0; i < moved.used; i++)
        moved.chunks[i].row += moved.chunks[i].row != RECORDED_NO_ROW;
    memset(moved.heads, 0, sizeof *moved.heads << moved.head_bits);
    fastmld_chain(&moved);
    judge_recorded(&moved, accounts, world->n_rows, 1);

    for (uint32_t i = 0; i < moved.used; i++)
        moved.chunks[i].row -= moved.chunks[i].row != RECORDED_NO_ROW;
    memset(moved.heads, 0, sizeof *moved.heads << moved.head_bits);
    fastmld_chain(&moved);
    for (uint32_t row = 0; row < world->n_rows;) {
        uint32_t rows[8], n = 0;
        while (n < 1 + world_below(world, 8) && row < world->n_rows) {
            accounts[row].n = 0;
            rows[n++] = row++;
        }
        fastmld_forget(&world->table, &moved, rows, n, totals);
        if (world_below(world, 4) == 0 || row == world->n_rows)
            judge_recorded(&moved, accounts, world->n_rows, 0);
    }
    for (uint32_t i = 0; i < MAX_INTERFACES; i++)
        HOLD(totals[i] == 0);
}

uint32_t asked_judge(struct world *world)
{
    static struct guarded memory;
    struct account *accounts = calloc(world->n_rows, sizeof *accounts);
    uint32_t totals[MAX_INTERFACES] = {0}, want_totals[MAX_INTERFACES];
    const uint32_t n = world_below(world, MAX_QUERIES + 1), most_rows = 1 + world_below(world, world->n_rows);
    fastmld_query2 *queries = malloc((n + !n) * sizeof *queries);
    fastmld_asked *folds = malloc((n + !n) * sizeof *folds);
    uint32_t sources_in_all = 0, held = 0, size = 0;
    uint64_t named;

    if (!memory.begin)
        memory = guarded_new(MAX_QUERIES * MOST_SOURCES * 16);
    make_accounts(world, accounts, totals);
    memcpy(want_totals, totals, sizeof totals);
    const uint32_t most_total = world_below(world, 2) ? 65536 : totals[0] + world_below(world, 100);
    for (uint32_t i = 0; i < n; i++) { /* many are for the same few rows */
        queries[i] = (fastmld_query2){
            .row = world_below(world, most_rows), .delay_ms = 1 + (int32_t)world_below(world, 8387584),
            .sources = world_below(world, world_below(world, 3) ? 6 : MOST_SOURCES + 1),
        };
        sources_in_all += queries[i].sources;
    }
    uint8_t *buffer = memory.end - 16 * sources_in_all;
    for (uint32_t i = 0; i < n; i++) {
        queries[i].sources_at = size;
        for (uint32_t k = 0; k < queries[i].sources; k++, size += 16)
            world_source(world, buffer + size);
    }

    const uint32_t n_folds = fastmld_asked_rows(&world->table, queries, n, folds, &named);
    HOLD(n_folds <= n && named == sources_in_all);
    for (uint32_t row = 0; row < world->n_rows; row++) {
        HOLD(world->table.rows[row].fold == 0);
        held += (accounts[row].n + RECORDED_A_CHUNK - 1) / RECORDED_A_CHUNK;
    }
    /* As many as Python leaves room for. */
    const uint32_t in_chunks = n_folds + sources_in_all / RECORDED_A_CHUNK;
    fastmld_recorded recorded = make_room(world, held + (sources_in_all < in_chunks ? sources_in_all : in_chunks));
    for (uint32_t row = 0; row < world->n_rows; row++)
        put_recorded(&recorded, row, &accounts[row]);
    uint8_t *pool = malloc(n_folds * sizeof accounts->filter + 1);
    uint8_t(*tags)[2][64] = malloc((n_folds + !n_folds) * sizeof *tags);
    uint32_t pooled = 0;
    for (uint32_t i = 0; i < n_folds; i++) { /* as Python does */
        const struct account *account = &accounts[folds[i].row];
        HOLD(folds[i].total == world->table.rows[folds[i].row].interface);
        folds[i].excludes = (uint8_t)account->excludes;
        folds[i].all = (uint8_t)(account->all || world_below(world, 2)); /* where something is recorded it does not count */
        folds[i].all &= account->all || account->n;
        folds[i].deaf = (uint8_t)account->deaf;
        folds[i].filter_first = pooled;
        folds[i].filter_count = account->n_filter;
        memcpy(pool + 16 * pooled, account->filter, 16 * account->n_filter);
        pooled += account->n_filter;
    }
    pool = realloc(pool, pooled ? 16 * pooled : 1);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t row = queries[i].row;
        HOLD(queries[i].fold < n_folds && folds[queries[i].fold].row == row);
        if (!accounts[row].deaf)
            take(&accounts[row], &want_totals[world->table.rows[row].interface], most_total, buffer + queries[i].sources_at,
                 queries[i].sources, queries[i].delay_ms);
    }

    fastmld_ask(buffer, queries, n, folds, n_folds, pool, &recorded, tags, totals, most_total);
    for (uint32_t i = 0; i < n_folds; i++) {
        const struct account *account = &accounts[folds[i].row];
        HOLD(folds[i].delay_ms == account->delay_ms && folds[i].recorded == account->n);
        HOLD(!folds[i].all == !account->all && !(folds[i].all && folds[i].recorded));
    }
    HOLD(memcmp(totals, want_totals, sizeof totals) == 0);
    judge_recorded(&recorded, accounts, world->n_rows, 0);
    judge_forgetting(world, &recorded, accounts, totals);
    free(accounts);
    free(queries);
    free(folds);
    free(pool);
    free(tags);
    free(recorded.chunks);
    free(recorded.heads);
    return n_folds;
}
