/*
 * Check, look up, fold: a run of frames at a time, in steps that each fetch what the next one reads. Which group is listened
 * to nobody can tell, so as little as can be branches on it: what is known of a run's frames are sets, and columns of octets.
 */
#include "fold.h"
#include "hear2.h"
#include "octets.h"
#include "usual.h"

enum { FETCH_AHEAD = 64 };      /* how far before it is read a frame is fetched */

/* Frames between the steps. */
struct run {
    const uint8_t *group[OCTETS];       /* that it is about, in its message; NO_GROUP: it has no effect */
    uint32_t tag[OCTETS];
    const fastmld_bucket *bucket[OCTETS]; /* where its look-up begins */
    uint32_t row[OCTETS];               /* that has the group's tag, and most likely is the group's; if not found, any */
    uint8_t verdict[OCTETS], kind[OCTETS], found[OCTETS];
    octets_set open;                    /* Queries for a group that were sent elsewhere: they count whoever listens to it */
    octets_set unusual;                 /* what the ladder judged, and what it found */
    fastmld_message message[OCTETS];
};

static const uint8_t NO_GROUP[16];      /* that nobody listens to */

enum { DELAY_BEFORE_GROUP = offsetof(struct wire_mld, group) - offsetof(struct wire_mld, delay_be16) };

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
    fastmld_heard2 *heard2;
};

static NOINLINE void note_general(const struct batch *batch, uint32_t *n_generals, uint32_t port, int32_t delay_ms)
{
    fastmld_interface *interface = &batch->interface[port];

    if (delay_ms == 0)
        batch->answers[batch->found->answers++] = (fastmld_answer){port, 1};
    if (interface->latest_general == 0)
        batch->asked[batch->found->asked++] = port;
    fold_general(interface, batch->generals, n_generals, port, delay_ms);
}

static NOINLINE uint32_t find_row(const fastmld_table *table, uint32_t port, const uint8_t *group)
{
    const uint32_t tag = table_tag(table, table_salt(table, (uint16_t)port), group);
    return table_row(table, table_probe(table, tag, (uint16_t)port, group));
}

/* Any frame, as the ladder judges it. A Query that was sent to some other group is accepted if that is listened to. */
static NOINLINE void check_any(const struct batch *batch, uint32_t step, uint32_t start, uint32_t i, struct run *run)
{
    enum {
        ACTING = 1 << FASTMLD_GENERAL_QUERY | 1 << FASTMLD_GROUP_QUERY | 1 << FASTMLD_SOURCE_QUERY | 1 << FASTMLD_REPORT
    };
    const uint8_t *frame = batch->buffer + batch->offsets[start + i];
    const uint32_t port = batch->interfaces[(uint64_t)(start + i) * step];
    fastmld_message *message = &run->message[i];
    int verdict = fastmld_check_other(&batch->interface[port], frame, batch->lengths[start + i], message);

    if (message->asks == FASTMLD_ASKS_OTHER && find_row(batch->table, port, frame + message->destination) == NO_ROW)
        verdict = FASTMLD_BAD_DESTINATION;
    const uint8_t kind = verdict == FASTMLD_ACCEPTED ? message->kind : FASTMLD_NO_KIND;
    run->verdict[i] = (uint8_t)verdict;
    run->kind[i] = kind;
    run->open |= (octets_set)(message->asks != FASTMLD_ASKS_GROUP) << i;
    run->group[i] = ACTING >> kind & 1 ? frame + message->group : NO_GROUP;
}

/* Check frames. */
static ALWAYS_INLINE void check_run(const struct batch *batch, uint32_t step, uint32_t start, uint32_t n, struct run *run)
{
    const fastmld_interface *interface = batch->interface;
    const uint8_t *buffer = batch->buffer;
    const int64_t *offsets = batch->offsets + start;
    const uint32_t *lengths = batch->lengths + start;
    const uint32_t *interfaces = batch->interfaces + (uint64_t)start * step;
    const int64_t *soon = offsets + (batch->n - start >= OCTETS + FETCH_AHEAD ? FETCH_AHEAD : 0);
    uint32_t port = interfaces[0];

    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *frame = buffer + offsets[i];
        port = step ? interfaces[i] : port;
        PREFETCH(buffer + soon[i]);
        PREFETCH(buffer + soon[i] + 64);
        run->group[i] = frame + USUAL_GROUP; /* that of a General Query is nobody's */
        run->kind[i] = usual_kind(&interface[port], frame, lengths[i]);
    }
    memset(run->verdict, FASTMLD_ACCEPTED, sizeof run->verdict);
    run->open = 0;
    run->unusual = octets_equal(run->kind, FASTMLD_NO_KIND) & octets_up_to(n);
    for (octets_set set = run->unusual; set != 0; set &= set - 1) /* MLDv2's go on behind what was fetched */
        PREFETCH(buffer + offsets[octets_first(set)] + 128);
    for (octets_set set = run->unusual; set != 0; set &= set - 1)
        check_any(batch, step, start, octets_first(set), run);
}

/* Fetch the buckets that look-ups begin at. Two at a time: of an odd number the last one's neighbour is some earlier run's. */
static ALWAYS_INLINE void fetch_run(const struct batch *batch, uint32_t step, uint32_t start, uint32_t n, struct run *run)
{
    const fastmld_table table = *batch->table; /* a copy: no store of ours can change its keys */
    const uint32_t *interfaces = batch->interfaces + (uint64_t)start * step;
    uint64_t salt[2] = {table_salt(&table, (uint16_t)interfaces[0])};

    salt[1] = salt[0];
    for (uint32_t i = 0; i < n; i += 2) {
        if (step) {
            salt[0] = table_salt(&table, (uint16_t)interfaces[i]);
            salt[1] = i + 1 < n ? table_salt(&table, (uint16_t)interfaces[i + 1]) : 0;
        }
        table_tags(&table, salt, &run->group[i], &run->tag[i], &run->bucket[i]);
    }
}

/* Find the rows that the groups most likely have, and fetch them. */
static ALWAYS_INLINE void find_run(const fastmld_table *from, uint32_t n, struct run *run)
{
    const fastmld_table table = *from;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t candidate = table_candidate(run->bucket[i], run->tag[i]);
        const uint8_t found = candidate != 0;
        const uint32_t row = candidate - found;
        run->row[i] = row;
        run->found[i] = found;
        PREFETCH(&table.rows[row]);
        PREFETCH(&table.deadline_ms[row]);
    }
}

/* Which groups are listened to. */
static ALWAYS_INLINE octets_set match_run(const struct batch *batch, uint32_t step, uint32_t start, uint32_t n,
                                          struct run *run)
{
    const fastmld_table table = *batch->table;
    const uint32_t *interfaces = batch->interfaces + (uint64_t)start * step;
    uint32_t port = interfaces[0];
    octets_set listened = 0;

    for (uint32_t i = n; i-- > 0;) {
        port = step ? interfaces[i] : port;
        listened += listened + (table_difference(&table, run->row[i], (uint16_t)port, run->group[i]) < 1);
    }
    const octets_set found = octets_equal(run->found, 1) & octets_up_to(n);
    listened &= found;
    for (octets_set wrong = found ^ listened; wrong != 0; wrong &= wrong - 1) {
        const uint32_t i = octets_first(wrong);
        run->row[i] = find_row(batch->table, interfaces[(uint64_t)i * step], run->group[i]);
        listened |= (octets_set)(run->row[i] != NO_ROW) << i;
    }
    return listened;
}

/* Count each of these. */
static ALWAYS_INLINE void count(uint64_t *counters, const uint8_t octets[OCTETS], octets_set set)
{
    while (set) {
        const uint8_t value = octets[octets_first(set)];
        const octets_set same = octets_equal(octets, value) & set;
        counters[value] += octets_count(same);
        set ^= same;
    }
}

/* Verdicts and kinds, of a run of which these groups are listened to, and their counters. Returns the frames that may act. */
static ALWAYS_INLINE octets_set judge_run(const struct batch *batch, uint32_t step, uint32_t start, uint32_t n,
                                          octets_set listened, struct run *run)
{
    const uint32_t *interfaces = batch->interfaces + (uint64_t)start * step;
    const octets_set all = octets_up_to(n);
    octets_set acting = all;

    octets_set refused = octets_equal(run->kind, FASTMLD_GROUP_QUERY) | octets_equal(run->kind, FASTMLD_SOURCE_QUERY);
    for (refused &= all & ~listened & ~run->open; refused != 0; refused &= refused - 1) {
        run->verdict[octets_first(refused)] = FASTMLD_BAD_DESTINATION;
        run->kind[octets_first(refused)] = FASTMLD_NO_KIND;
    }
    memcpy(batch->verdicts + start, run->verdict, n);
    if (batch->kinds)
        memcpy(batch->kinds + start, run->kind, n);
    if (!step) {
        fastmld_interface *interface = &batch->interface[interfaces[0]];
        count(interface->verdicts, run->verdict, all);
        count(interface->kinds, run->kind, all);
        return interface->rules & FASTMLD_RULE_DEAF ? 0 : all;
    }
    for (uint32_t i = 0; i < n; i++) {
        fastmld_interface *interface = &batch->interface[interfaces[i]];
        interface->verdicts[run->verdict[i]]++;
        interface->kinds[run->kind[i]]++;
        acting ^= (octets_set)((interface->rules & FASTMLD_RULE_DEAF) != 0) << i;
    }
    return acting;
}

/* What is to know of an accepted frame of a run. */
static fastmld_message message_of(const struct run *run, uint32_t i)
{
    if (run->unusual >> i & 1)
        return run->message[i];
    return (fastmld_message){
        .kind = run->kind[i], .delay_ms = be16(run->group[i] - DELAY_BEFORE_GROUP), .destination = USUAL_DESTINATION,
        .group = USUAL_GROUP,
    };
}

/* The frames of a run on interfaces that are not MLDv1-only. */
static ALWAYS_INLINE octets_set knows_v2(const struct batch *batch, uint32_t step, uint32_t start, uint32_t n)
{
    const uint32_t *interfaces = batch->interfaces + (uint64_t)start * step;
    octets_set knows = 0;

    if (!step)
        return batch->interface[interfaces[0]].rules & FASTMLD_RULE_V1_ONLY ? 0 : octets_up_to(n);
    for (uint32_t i = 0; i < n; i++)
        knows |= (octets_set)!(batch->interface[interfaces[i]].rules & FASTMLD_RULE_V1_ONLY) << i;
    return knows;
}

/* How many frames of a run come before one that changes a mode. */
static NOINLINE uint32_t before_switch(const struct batch *batch, uint32_t step, uint32_t start, uint32_t n,
                                       octets_set knows, const struct run *run)
{
    for (octets_set set = knows & octets_equal(run->kind, FASTMLD_GENERAL_QUERY); set != 0; set &= set - 1) {
        const uint32_t i = octets_first(set);
        const fastmld_message message = message_of(run, i);
        if (hear2_switches(&batch->interface[batch->interfaces[(uint64_t)(start + i) * step]], &message)) {
            batch->heard2->switched = 1 + start + i;
            return i;
        }
    }
    return n;
}

/* What a run says to interfaces that know MLDv2. Returns the frames that are dealt with by that. */
static NOINLINE octets_set hear_run(const struct batch *batch, uint32_t step, uint32_t start, octets_set knows,
                                    octets_set listened, const struct run *run)
{
    octets_set heard = 0;

    for (octets_set set = knows & ~octets_equal(run->kind, FASTMLD_NO_KIND); set != 0; set &= set - 1) {
        const uint32_t i = octets_first(set);
        const uint32_t port = batch->interfaces[(uint64_t)(start + i) * step];
        const int64_t offset = batch->offsets[start + i];
        const fastmld_message message = message_of(run, i);
        const uint32_t row = listened >> i & 1 ? run->row[i] : NO_ROW;
        const int dealt_with = hear2(batch->heard2, &batch->interface[port], port, row, &message, batch->buffer + offset, offset);
        heard |= (octets_set)(dealt_with != 0) << i;
    }
    return heard;
}

/* How far the batch has been folded. */
struct progress {
    uint32_t folds, generals;
};

/* Fold what some frames of a run say of rows. */
static ALWAYS_INLINE void fold_rows(const struct batch *batch, uint32_t step, const struct run *run, octets_set set,
                                    struct progress *progress)
{
    const fastmld_table table = *batch->table;
    const fastmld_folds folds = *batch->folds;
    const fastmld_interface *interface = &batch->interface[batch->interfaces[0]];
    uint32_t n = progress->folds;

    folds.scratch[0] = fold_begin(interface, batch->interfaces[0]);
    for (; set != 0; set &= set - 1) {
        const uint32_t i = octets_first(set), row = run->row[i];
        const uint32_t report = 0 - (uint32_t)(run->kind[i] == FASTMLD_REPORT); /* all bits of it */
        const int32_t delay_ms = be16(run->group[i] - DELAY_BEFORE_GROUP) | (int32_t)report;
        if (step && folds.scratch[0].interface != table.rows[row].interface) {
            interface = &batch->interface[table.rows[row].interface];
            folds.scratch[0] = fold_begin(interface, table.rows[row].interface);
        }
        fastmld_fold *before = &folds.scratch[table.rows[row].fold];
        fastmld_fold *fold = &folds.scratch[fold_number(&table, row, &folds, &n)];
        if (UNLIKELY(before->general != interface->latest_general))
            fold_catch_up(before, interface);
        if (UNLIKELY(delay_ms == 0)) {
            batch->answers[batch->found->answers++] = (fastmld_answer){row, 0};
            fold_zero(fold, before);
        } else {
            fold_event(fold, before, report, delay_ms);
        }
    }
    progress->folds = n;
}

/* Fold what a run says: of rows that are listened to, up to each General Query, and that. */
static ALWAYS_INLINE void fold_run(const struct batch *batch, uint32_t step, uint32_t start, octets_set acting,
                                   octets_set listened, const struct run *run, struct progress *progress)
{
    const uint32_t *interfaces = batch->interfaces + (uint64_t)start * step;
    octets_set rows = acting & listened & ~octets_equal(run->kind, FASTMLD_DONE); /* which says nothing to listeners */
    octets_set generals = octets_equal(run->kind, FASTMLD_GENERAL_QUERY) & acting;

    for (; generals != 0; generals &= generals - 1) {
        const uint32_t i = octets_first(generals);
        const octets_set before = ((octets_set)1 << i) - 1;
        if (rows & before)
            fold_rows(batch, step, run, rows & before, progress);
        rows &= ~before;
        note_general(batch, &progress->generals, interfaces[(uint64_t)i * step],
                     be16(run->group[i] - DELAY_BEFORE_GROUP));
    }
    fold_rows(batch, step, run, rows, progress);
}

/* Inlined for either step: the common one, of a batch of one interface, pays nothing for the other. */
static ALWAYS_INLINE void classify(const struct batch *batch, uint32_t step)
{
    struct run run;
    struct progress progress = {0, 0};

    memset(run.kind, FASTMLD_NO_KIND, sizeof run.kind); /* so that none is ever read that was not written */
    for (uint32_t i = 0; i < OCTETS; i++)
        run.group[i] = NO_GROUP;
    memset(run.found, 0, sizeof run.found);
    for (uint32_t start = 0; start < batch->n && !batch->heard2->switched; start += OCTETS) {
        uint32_t n = batch->n - start < OCTETS ? batch->n - start : OCTETS;
        check_run(batch, step, start, n, &run);
        fetch_run(batch, step, start, n, &run);
        find_run(batch->table, n, &run);
        const octets_set listened = match_run(batch, step, start, n, &run);
        const octets_set knows = knows_v2(batch, step, start, n);
        if (UNLIKELY(knows) && (n = before_switch(batch, step, start, n, knows, &run)) == 0)
            break;
        octets_set acting = judge_run(batch, step, start, n, listened, &run);
        if (UNLIKELY(knows))
            acting &= ~hear_run(batch, step, start, knows & octets_up_to(n), listened, &run);
        fold_run(batch, step, start, acting, listened, &run, &progress);
    }
    const fastmld_folds folds = *batch->folds;
    fold_generals(batch->interface, batch->generals, progress.generals);
    for (uint32_t i = 0; i < progress.folds; i++) {
        const uint32_t port = step ? folds.scratch[i + 1].interface : batch->interfaces[0];
        fold_finish(&batch->interface[port], batch->generals, &folds, i);
    }
    batch->found->folds = progress.folds;
}

static ALWAYS_INLINE void classify_any(const struct batch *batch, uint32_t step)
{
    if (step)
        classify(batch, 1);
    else
        classify(batch, 0);
}

#if defined(__GNUC__) && defined(__x86_64__)
/* The same again, for a processor that has wider vectors than every one has. */
__attribute__((target("avx2,bmi,bmi2,popcnt"))) static void classify_wide(const struct batch *batch, uint32_t step)
{
    classify_any(batch, step);
}

static int has_wide(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
#else
#define classify_wide classify_any
#define has_wide() 0
#endif

void fastmld_classify(const fastmld_table *table, fastmld_interface *interface, uint32_t n_interfaces,
                      const uint8_t *buffer, const int64_t *offsets, const uint32_t *lengths,
                      const uint32_t *interfaces, uint32_t interface_step, uint32_t n, uint8_t *verdicts,
                      uint8_t *kinds, const fastmld_folds *folds, fastmld_answer *answers, fastmld_general *generals,
                      uint32_t *asked, fastmld_found *found, fastmld_heard2 *heard2)
{
    memset(found, 0, sizeof *found);
    heard2->n_queries = heard2->n_heard = heard2->switched = 0;
    for (uint32_t i = 0; i < (interface_step ? n : n != 0); i++) {
        if (interfaces[i] >= n_interfaces || !interface[interfaces[i]].present) {
            found->bad_interface = i + 1;
            return;
        }
    }
    const struct batch batch = {table, interface, buffer, offsets, lengths, interfaces, n, verdicts, kinds, folds, answers,
                                generals, asked, found, heard2};
    if (has_wide())
        classify_wide(&batch, interface_step);
    else
        classify_any(&batch, interface_step);
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
