/*
 * Check, look up, fold: a run of frames at a time, in steps that each fetch what the next one reads. Which group is listened to
 * nobody can tell, so as little as can be branches on it.
 */
#include "fold.h"
#include "usual.h"

enum {
    AHEAD = 32,                 /* frames of a run, whose look-ups overlap */
    FETCH_AHEAD = 12            /* how far before it is read a frame is fetched */
};

/* A frame between the steps. */
struct lookup {
    const uint8_t *group;       /* that it is about; NO_GROUP, which nobody listens to, when it has no effect on rows */
    uint32_t tag;
    uint32_t row;               /* that has the group's tag, and most likely is the group's; NO_ROW */
    int32_t delay_ms;
    uint8_t verdict, kind;      /* kind only of an accepted frame */
    uint8_t asks;               /* accepted only if the group is listened to */
};

/* A Query or Report for a row. */
struct hit {
    uint32_t row;
    int32_t delay_ms;
};

static const uint8_t NO_GROUP[16];

/* The columns of a batch, and where what is found in it goes. */
struct batch {
    const fastmld_table *table;
    fastmld_interface *interface;
    const uint8_t *buffer;
    const int64_t *offsets;
    const uint32_t *lengths, *interfaces;
    uint32_t n;
    uint8_t *verdicts, *kinds;
    const fastmld_folds *folds;
    fastmld_answer *answers;
    fastmld_general *generals;
    uint32_t *asked;
    fastmld_found *found;
};

static void note_general(const struct batch *batch, uint32_t *n_generals, uint32_t port, int32_t delay_ms)
{
    fastmld_interface *interface = &batch->interface[port];

    if (delay_ms == 0)
        batch->answers[batch->found->answers++] = (fastmld_answer){port, 1};
    if (interface->latest_general == 0)
        batch->asked[batch->found->asked++] = port;
    fold_general(interface, batch->generals, n_generals, port, delay_ms);
}

static uint32_t find_row(const fastmld_table *table, uint32_t port, const uint8_t *group)
{
    const uint32_t tag = table_tag(table, (uint16_t)port, group);
    return table_row(table, table_probe(table, tag, (uint16_t)port, group));
}

/* Any frame, as the ladder judges it. A Query that was sent to some other group is accepted if that is listened to. */
static void check_any(const fastmld_table *table, const fastmld_interface *interface, uint32_t port, const uint8_t *frame,
                      uint32_t length, struct lookup *lookup)
{
    enum { NAMING = 1 << FASTMLD_GROUP_QUERY | 1 << FASTMLD_SOURCE_QUERY | 1 << FASTMLD_REPORT };
    fastmld_message message;
    int verdict = fastmld_ladder(interface, frame, length, &message);

    if (message.asks == FASTMLD_ASKS_OTHER && find_row(table, port, frame + message.destination) == NO_ROW)
        verdict = FASTMLD_BAD_DESTINATION;
    lookup->verdict = (uint8_t)verdict;
    lookup->kind = verdict == FASTMLD_ACCEPTED ? message.kind : FASTMLD_NO_KIND;
    lookup->asks = message.asks == FASTMLD_ASKS_GROUP;
    lookup->delay_ms = message.delay_ms;
    lookup->group = NAMING >> lookup->kind & 1 ? frame + message.group : NO_GROUP;
}

/* Check frames, and fetch the buckets that their groups' look-ups begin at. */
static ALWAYS_INLINE void check_run(const struct batch *batch, uint32_t step, uint32_t start, uint32_t run,
                                    struct lookup *lookups)
{
    const fastmld_table table = *batch->table; /* a copy: no store of ours can change its keys */
    const fastmld_interface *interface = batch->interface;
    const uint8_t *buffer = batch->buffer;
    const int64_t *offsets = batch->offsets + start;
    const uint32_t *lengths = batch->lengths + start;
    const uint32_t *interfaces = batch->interfaces + (uint64_t)start * step;
    const int64_t *soon = offsets + (batch->n - start >= AHEAD + FETCH_AHEAD ? FETCH_AHEAD : 0);

    for (uint32_t i = 0; i < run; i++) {
        struct lookup *lookup = &lookups[i];
        const uint32_t port = interfaces[(uint64_t)i * step];
        const uint8_t *frame = buffer + offsets[i];

        PREFETCH(buffer + soon[i]);
        PREFETCH(buffer + soon[i] + 64);
        fastmld_message message;
        if (usual_frame(&interface[port], frame, lengths[i], &message)) {
            lookup->verdict = FASTMLD_ACCEPTED;
            lookup->kind = message.kind;
            lookup->asks = message.asks;
            lookup->delay_ms = message.delay_ms;
            lookup->group = message.kind == FASTMLD_DONE ? NO_GROUP : frame + message.group;
        } else {
            check_any(batch->table, &interface[port], port, frame, lengths[i], lookup);
        }
        lookup->tag = table_tag(&table, (uint16_t)port, lookup->group);
        PREFETCH(&table.buckets[table_bucket(&table, lookup->tag)]);
    }
}

/* Find the rows that the groups most likely have, and fetch them. */
static ALWAYS_INLINE void find_run(const fastmld_table *table, uint32_t run, struct lookup *lookups)
{
    for (uint32_t i = 0; i < run; i++) {
        const uint32_t row = table_candidate(table, lookups[i].tag);
        const uint32_t fetched = row != NO_ROW ? row : 0;
        PREFETCH(&table->rows[fetched]);
        PREFETCH(&table->deadline_ms[fetched]);
        lookups[i].row = row;
    }
}

/* Fold what a run said of rows so far. */
static ALWAYS_INLINE void fold_hits(const struct batch *batch, uint32_t step, const struct hit *hits, uint32_t n,
                                    uint32_t *n_folds)
{
    for (uint32_t i = 0; i < n; i++) {
        fastmld_fold *fold = fold_of(batch->table, hits[i].row, batch->folds, n_folds);
        const fastmld_interface *interface = &batch->interface[step ? fold->interface : batch->interfaces[0]];
        if (hits[i].delay_ms != 0) {
            fold_event(fold, interface, hits[i].delay_ms);
        } else {
            batch->answers[batch->found->answers++] = (fastmld_answer){hits[i].row, 0};
            fold_zero(fold, interface->latest_general);
        }
    }
}

/* How far a batch has been folded. */
struct progress {
    uint32_t folds, generals;
};

/* Verdicts, counters and hits; what was said of rows is folded before a General Query, and at the end. */
static ALWAYS_INLINE void judge_run(const struct batch *batch, uint32_t step, uint32_t start, uint32_t run,
                                    const struct lookup *lookups, struct progress *progress)
{
    const fastmld_table *table = batch->table;
    const uint32_t *interfaces = batch->interfaces + (uint64_t)start * step;
    struct hit hits[AHEAD];
    uint32_t n_hits = 0;

    for (uint32_t i = 0; i < run; i++) {
        const struct lookup *lookup = &lookups[i];
        const uint32_t port = interfaces[(uint64_t)i * step];
        fastmld_interface *owner = &batch->interface[port];
        const uint32_t hears = !(owner->rules & FASTMLD_RULE_DEAF);
        uint32_t row = lookup->row;
        uint32_t listened = (row != NO_ROW) & (uint32_t)table_is(table, row != NO_ROW ? row : 0, (uint16_t)port, lookup->group);

        if ((row != NO_ROW) & (listened ^ 1)) {
            row = find_row(table, port, lookup->group);
            listened = row != NO_ROW;
        }
        const uint32_t unasked = lookup->asks & (listened ^ 1);
        const uint8_t verdict = unasked ? FASTMLD_BAD_DESTINATION : lookup->verdict;
        const uint8_t kind = unasked ? FASTMLD_NO_KIND : lookup->kind;
        batch->verdicts[start + i] = verdict;
        owner->verdicts[verdict]++;
        owner->kinds[kind]++;
        if (batch->kinds)
            batch->kinds[start + i] = kind;
        hits[n_hits] = (struct hit){row, lookup->delay_ms};
        n_hits += listened & hears;
        if ((kind == FASTMLD_GENERAL_QUERY) & hears) {
            fold_hits(batch, step, hits, n_hits, &progress->folds);
            n_hits = 0;
            note_general(batch, &progress->generals, port, lookup->delay_ms);
        }
    }
    fold_hits(batch, step, hits, n_hits, &progress->folds);
}

/* Inlined for either step: the common one, of a batch of one interface, pays nothing for the other. */
static ALWAYS_INLINE void classify(const struct batch *batch, uint32_t step)
{
    struct lookup lookups[AHEAD];
    struct progress progress = {0, 0};

    for (uint32_t start = 0; start < batch->n; start += AHEAD) {
        const uint32_t run = batch->n - start < AHEAD ? batch->n - start : AHEAD;
        check_run(batch, step, start, run, lookups);
        find_run(batch->table, run, lookups);
        judge_run(batch, step, start, run, lookups, &progress);
    }
    fold_generals(batch->interface, batch->generals, progress.generals);
    for (uint32_t i = 0; i < progress.folds; i++)
        fold_finish(batch->interface, batch->generals, batch->folds, i);
    batch->found->folds = progress.folds;
}

void fastmld_classify(const fastmld_table *table, fastmld_interface *interface, uint32_t n_interfaces,
                      const uint8_t *buffer, const int64_t *offsets, const uint32_t *lengths,
                      const uint32_t *interfaces, uint32_t interface_step, uint32_t n, uint8_t *verdicts,
                      uint8_t *kinds, const fastmld_folds *folds, fastmld_answer *answers, fastmld_general *generals,
                      uint32_t *asked, fastmld_found *found)
{
    memset(found, 0, sizeof *found);
    for (uint32_t i = 0; i < (interface_step ? n : n != 0); i++) {
        if (interfaces[i] >= n_interfaces || !interface[interfaces[i]].present) {
            found->bad_interface = i + 1;
            return;
        }
    }
    const struct batch batch = {table, interface, buffer, offsets, lengths, interfaces, n, verdicts, kinds, folds, answers,
                                generals, asked, found};
    if (interface_step == 0)
        classify(&batch, 0);
    else
        classify(&batch, 1);
}

void fastmld_settle(const fastmld_table *table, fastmld_interface *interface, const uint32_t *rows, uint32_t n_rows,
                    const uint32_t *asked, uint32_t n_asked)
{
    for (uint32_t i = 0; i < n_rows; i++)
        table->rows[rows[i]].fold = 0;
    for (uint32_t i = 0; i < n_asked; i++) {
        interface[asked[i]].latest_general = 0;
        interface[asked[i]].latest_zero = 0;
        interface[asked[i]].zeros = 0;
        interface[asked[i]].delay_ms = -1;
    }
}
