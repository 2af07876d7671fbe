/* Queries for one address in MLDv2 mode, folded: what a batch asks of each row, and of which sources (RFC 9777 section 6.2). */
#include "draw.h"
#include "octets.h"
#include "recorded.h"
#include "table.h"

enum { AHEAD = 16 }; /* Queries whose cache misses overlap */
static_assert((int)FASTMLD_MOST_RECORDED == (int)OCTETS, "the tags of a row are two columns");

uint32_t fastmld_asked_rows(const fastmld_table *table, fastmld_query2 *queries, uint32_t n, fastmld_asked *folds,
                            uint64_t *sources)
{
    uint32_t rows = 0;

    *sources = 0;
    for (uint32_t i = 0; i < n; i++) {
        fastmld_row *row = &table->rows[queries[i].row];
        if (row->fold == 0) {
            folds[rows] = (fastmld_asked){.row = queries[i].row, .total = row->interface};
            row->fold = ++rows;
        }
        queries[i].fold = row->fold - 1;
        *sources += queries[i].sources;
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

static void set_tag(uint8_t tags[2][OCTETS], uint32_t at, uint16_t tag)
{
    tags[0][at] = (uint8_t)tag;
    tags[1][at] = (uint8_t)(tag >> 8);
}

static octets_set alike(const uint8_t tags[2][OCTETS], uint32_t n, uint16_t tag)
{
    const octets_set some = n ? octets_equal(tags[0], (uint8_t)tag) & octets_up_to(n) : 0;
    return UNLIKELY(some) ? some & octets_equal(tags[1], (uint8_t)(tag >> 8)) : 0;
}

/* What was recorded of a row before. */
static void begin(const fastmld_recorded *recorded, fastmld_asked *fold, uint8_t tags[2][OCTETS])
{
    fold->first = fold->last = recorded_find(recorded, fold->row);
    if (!fold->first)
        return;
    fold->all = 0;
    fold->recorded = (uint8_t)recorded->chunks[fold->first - 1].n;
    for (uint32_t i = 0; i < fold->recorded; i++)
        set_tag(tags, i, recorded_tag(recorded_source(recorded, &fold->last, i)));
}

static void ask_for_all(fastmld_asked *fold, fastmld_recorded *recorded, uint32_t *totals)
{
    totals[fold->total] -= fold->recorded;
    if (fold->first)
        recorded_end(recorded, fold->first, fold->last, fold->recorded);
    fold->first = fold->last = fold->recorded = 0;
    fold->all = 1;
}

/* Record a source that is not there yet. */
static void record(fastmld_asked *fold, fastmld_recorded *recorded, const uint8_t *source)
{
    const uint32_t at = fold->recorded % RECORDED_A_CHUNK;

    if (!fold->first)
        fold->first = fold->last = recorded_begin(recorded, fold->row);
    else if (at == 0)
        fold->last = recorded->chunks[fold->last - 1].next = recorded_open(recorded);
    memcpy(recorded->chunks[fold->last - 1].sources[at], source, 16);
    fold->recorded++;
}

/* Whether the Query has an effect: it names a source that the filter forwards. */
static int ask_for_sources(fastmld_asked *fold, fastmld_recorded *recorded, uint8_t tags[2][OCTETS], const uint8_t *pool,
                           const uint8_t *sources, uint32_t n, uint32_t *totals, uint32_t most_total)
{
    int effect = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *source = sources + 16 * (uint64_t)i;
        if (!is_unicast(source) || !forwards(fold, pool, source))
            continue;
        effect = 1;
        if (fold->all)
            break;
        const uint16_t tag = recorded_tag(source);
        if (alike(tags, fold->recorded, tag) && recorded_holds(recorded, fold->first, fold->recorded, source))
            continue;
        if (fold->recorded == FASTMLD_MOST_RECORDED) {
            ask_for_all(fold, recorded, totals);
            break;
        }
        set_tag(tags, fold->recorded, tag);
        record(fold, recorded, source);
        totals[fold->total]++;
    }
    if (totals[fold->total] > most_total && effect && !fold->all)
        ask_for_all(fold, recorded, totals);
    return effect;
}

void fastmld_ask(const uint8_t *buffer, const fastmld_query2 *queries, uint32_t n, fastmld_asked *folds, uint32_t n_folds,
                 const uint8_t *pool, fastmld_recorded *recorded, uint8_t (*tags)[2][64], uint32_t *totals, uint32_t most_total)
{
    for (uint32_t i = 0; i < n_folds; i++)
        begin(recorded, &folds[i], tags[i]);
    for (uint32_t i = 0; i < n; i++) {
        fastmld_asked *fold = &folds[queries[i].fold];

        if (n - i > AHEAD) {
            const fastmld_query2 *later = &queries[i + AHEAD], *soon = &queries[i + AHEAD / 2];
            PREFETCH(&folds[later->fold]);
            PREFETCH(tags[later->fold][0]);
            PREFETCH(tags[later->fold][1]);
            PREFETCH(buffer + later->sources_at);
            PREFETCH(buffer + later->sources_at + 64);
            PREFETCH(&recorded->chunks[folds[soon->fold].last ? folds[soon->fold].last - 1 : 0]);
        }
        if (fold->deaf)
            continue;
        if (queries[i].sources == 0)
            ask_for_all(fold, recorded, totals);
        else if (!ask_for_sources(fold, recorded, tags[queries[i].fold], pool, buffer + queries[i].sources_at,
                                  queries[i].sources, totals, most_total))
            continue;
        if (fold->delay_ms == 0 || queries[i].delay_ms < fold->delay_ms)
            fold->delay_ms = queries[i].delay_ms;
    }
    for (uint32_t i = 0; i < n_folds; i++)
        if (folds[i].first)
            recorded->chunks[folds[i].first - 1].n = folds[i].recorded;
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
