/*
 * fastmld_asked_rows and fastmld_ask, held to docs/mldv2.md D9: of the sources that a Query names those count that are
 * unicast and forwarded; one after the other, at most 64 a row and so many an interface, or else everything is asked for.
 */
#include "asked.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "guard.h"
#include "random.h"

enum { MAX_QUERIES = 40, MOST_SOURCES = 89, MOST_FILTERED = 60, RECORDED = FASTMLD_MOST_RECORDED };

/* One row: what it asks for, and what it was and is asked for. */
struct account {
    int excludes, all;
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
        if (!account->all && world_below(world, 2))
            account->n = pick_sources(world, account->recorded, RECORDED);
        totals[world->table.rows[row].interface] += account->n;
    }
}

uint32_t asked_judge(struct world *world)
{
    static struct guarded memory;
    struct account *accounts = calloc(world->n_rows, sizeof *accounts);
    uint32_t totals[MAX_INTERFACES] = {0}, want_totals[MAX_INTERFACES];
    const uint32_t n = world_below(world, MAX_QUERIES + 1), most_rows = 1 + world_below(world, world->n_rows);
    fastmld_query2 *queries = malloc((n + !n) * sizeof *queries);
    fastmld_asked *folds = malloc((n + !n) * sizeof *folds);
    uint32_t sources_in_all = 0, lists, size = 0;

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

    const uint32_t n_folds = fastmld_asked_rows(&world->table, queries, n, folds, &lists);
    HOLD(n_folds <= n && lists <= n_folds);
    for (uint32_t row = 0; row < world->n_rows; row++)
        HOLD(world->table.rows[row].fold == 0);
    uint8_t *pool = malloc(n_folds * sizeof accounts->filter + 1), *list = calloc(lists + !lists, 16 * RECORDED);
    uint8_t *sets = calloc(lists + !lists, 2 * RECORDED);
    uint32_t pooled = 0;
    for (uint32_t i = 0; i < n_folds; i++) { /* as Python does */
        const struct account *account = &accounts[folds[i].row];
        folds[i].total = world->table.rows[folds[i].row].interface;
        folds[i].excludes = (uint8_t)account->excludes;
        folds[i].all = (uint8_t)account->all;
        folds[i].filter_first = pooled;
        folds[i].filter_count = account->n_filter;
        memcpy(pool + 16 * pooled, account->filter, 16 * account->n_filter);
        pooled += account->n_filter;
        folds[i].recorded = (uint16_t)account->n;
        HOLD(folds[i].list <= lists);
        if (folds[i].list)
            memcpy(list + 16 * RECORDED * (folds[i].list - 1), account->recorded, 16 * account->n);
    }
    pool = realloc(pool, pooled ? 16 * pooled : 1);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t row = queries[i].row;
        HOLD(queries[i].fold < n_folds && folds[queries[i].fold].row == row);
        HOLD(queries[i].sources == 0 || folds[queries[i].fold].list != 0);
        take(&accounts[row], &want_totals[world->table.rows[row].interface], most_total, buffer + queries[i].sources_at,
             queries[i].sources, queries[i].delay_ms);
    }

    fastmld_ask(&world->table, buffer, queries, n, folds, n_folds, pool, list, sets, totals, most_total);
    for (uint32_t i = 0; i < n_folds; i++) {
        const struct account *account = &accounts[folds[i].row];
        HOLD(folds[i].delay_ms == account->delay_ms);
        HOLD(folds[i].recorded <= RECORDED && folds[i].recorded == account->n);
        HOLD(!folds[i].all == !account->all && !(folds[i].all && folds[i].recorded));
        HOLD(folds[i].list == 0 || memcmp(list + 16 * RECORDED * (folds[i].list - 1), account->recorded, 16 * account->n) == 0);
    }
    HOLD(memcmp(totals, want_totals, sizeof totals) == 0);
    free(accounts);
    free(queries);
    free(folds);
    free(pool);
    free(list);
    free(sets);
    return n_folds;
}
