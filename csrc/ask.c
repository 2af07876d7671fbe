/* Queries for one address in MLDv2 mode, folded: what a batch asks of each row, and of which sources (RFC 9777 section 6.2). */
#include "draw.h"
#include "table.h"

enum { SET_SLOTS = 2 * FASTMLD_MOST_RECORDED };

uint32_t fastmld_asked_rows(const fastmld_table *table, fastmld_query2 *queries, uint32_t n, fastmld_asked *folds,
                          uint32_t *lists)
{
    uint32_t rows = 0;

    *lists = 0;
    for (uint32_t i = 0; i < n; i++) {
        fastmld_row *row = &table->rows[queries[i].row];
        if (row->fold == 0) {
            folds[rows] = (fastmld_asked){.row = queries[i].row};
            row->fold = ++rows;
        }
        queries[i].fold = row->fold - 1;
        if (queries[i].sources && folds[queries[i].fold].list == 0)
            folds[queries[i].fold].list = ++*lists;
    }
    for (uint32_t i = 0; i < rows; i++)
        table->rows[folds[i].row].fold = 0;
    return rows;
}

static int is_unicast(const uint8_t *source)
{
    return source[0] != 0xff && (be64(source) | be64(source + 8)) != 0;
}

static int forwards(const fastmld_asked *fold, const uint8_t *pool, const uint8_t *source)
{
    uint32_t low = 0, high = fold->filter_count;

    pool += 16 * (uint64_t)fold->filter_first;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = memcmp(source, pool + 16 * (uint64_t)middle, 16);
        if (order == 0)
            return !fold->excludes;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return fold->excludes;
}

/* A row's recorded sources: a list, and a set of their places in it. */
struct recorded {
    uint8_t *list, *set;
};

static struct recorded recorded_of(const fastmld_asked *fold, uint8_t *lists, uint8_t *sets)
{
    const uint64_t list = fold->list ? fold->list - 1u : 0;
    return (struct recorded){lists + 16 * FASTMLD_MOST_RECORDED * list, sets + SET_SLOTS * list};
}

/* Whether the source is new to the set; then it is the count-th of the list. */
static int record(const fastmld_table *table, const struct recorded *recorded, uint32_t count, const uint8_t *source)
{
    uint32_t slot = table_tag(table, table_salt(table, 0), source) % SET_SLOTS;

    for (; recorded->set[slot] != 0; slot = (slot + 1) % SET_SLOTS)
        if (memcmp(recorded->list + 16 * (recorded->set[slot] - 1u), source, 16) == 0)
            return 0;
    if (count < FASTMLD_MOST_RECORDED) {
        recorded->set[slot] = (uint8_t)(count + 1);
        memmove(recorded->list + 16 * count, source, 16);
    }
    return 1;
}

static void ask_for_all(fastmld_asked *fold, uint32_t *totals)
{
    totals[fold->total] -= fold->recorded;
    fold->recorded = 0;
    fold->all = 1;
}

/* Whether the Query has an effect: it names a source that the filter forwards. */
static int ask_for_sources(const fastmld_table *table, fastmld_asked *fold, const struct recorded *recorded,
                         const uint8_t *pool, const uint8_t *sources, uint32_t n, uint32_t *totals, uint32_t most_total)
{
    int effect = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *source = sources + 16 * (uint64_t)i;
        if (!is_unicast(source) || !forwards(fold, pool, source))
            continue;
        effect = 1;
        if (fold->all)
            break;
        if (!record(table, recorded, fold->recorded, source))
            continue;
        if (fold->recorded == FASTMLD_MOST_RECORDED) {
            ask_for_all(fold, totals);
            break;
        }
        fold->recorded++;
        totals[fold->total]++;
    }
    if (totals[fold->total] > most_total && effect && !fold->all)
        ask_for_all(fold, totals);
    return effect;
}

void fastmld_ask(const fastmld_table *table, const uint8_t *buffer, const fastmld_query2 *queries, uint32_t n,
                 fastmld_asked *folds, uint32_t n_folds, const uint8_t *pool, uint8_t *lists, uint8_t *sets,
                 uint32_t *totals, uint32_t most_total)
{
    for (uint32_t i = 0; i < n_folds; i++) {
        const struct recorded recorded = recorded_of(&folds[i], lists, sets);
        for (uint32_t k = 0; folds[i].list && k < folds[i].recorded; k++)
            record(table, &recorded, k, recorded.list + 16 * k);
    }
    for (uint32_t i = 0; i < n; i++) {
        fastmld_asked *fold = &folds[queries[i].fold];
        const struct recorded recorded = recorded_of(fold, lists, sets);

        if (queries[i].sources == 0)
            ask_for_all(fold, totals);
        else if (!ask_for_sources(table, fold, &recorded, pool, buffer + queries[i].sources_at, queries[i].sources, totals,
                                most_total))
            continue;
        if (fold->delay_ms == 0 || queries[i].delay_ms < fold->delay_ms)
            fold->delay_ms = queries[i].delay_ms;
    }
}

void fastmld_draw(const fastmld_table *table, uint64_t seed, const uint32_t *rows, uint32_t n, int64_t now_ms,
                  const int32_t *delays_ms, int64_t *deadlines)
{
    for (uint32_t i = 0; i < n; i++)
        deadlines[i] = now_ms + draw_delay(draw_origin(seed, &table->rows[rows[i]], now_ms), (uint32_t)delays_ms[i]);
}

void fastmld_draw_general(uint64_t seed, const uint32_t *interfaces, uint32_t n, int64_t now_ms, const int32_t *delays_ms,
                          int64_t *deadlines)
{
    for (uint32_t i = 0; i < n; i++) {
        const fastmld_row nowhere = {.interface = (uint16_t)interfaces[i]};
        deadlines[i] = now_ms + draw_delay(draw_origin(seed, &nowhere, now_ms), (uint32_t)delays_ms[i]);
    }
}
