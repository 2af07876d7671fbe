/*
 * Check, look up, fold. Forward over the frames: verdicts, and the few that have an effect as events. Then backward over the
 * events: what came last decides, so one step an event is enough in whatever order they came.
 */
#include "hear2.h"
#include "table.h"
#include "usual.h"

enum {
    AHEAD = 32,                 /* frames of a run, whose look-ups overlap */
    FETCH_AHEAD = 12,           /* how far before it is read a frame is fetched */
    FOLD_AHEAD = 8              /* and a row */
};

enum { FLAG_KEEP, FLAG_SET, FLAG_CLEAR };

/* What is known so far, going backward, of a fold's effect on the last-reporter flag. */
enum {
    FLAG_OPEN,                  /* nothing came later that moves it */
    FLAG_REPORTED,              /* a Report came later: what stood before it tells whether a timer was running */
    FLAG_DECIDED
};

struct lookup {
    fastmld_message message;
    int verdict;
    uint32_t row;               /* that has the group's tag, and most likely is the group's */
    uint64_t hash;
};

static int has_group(const fastmld_message *message)
{
    enum { KINDS = 1 << FASTMLD_GROUP_QUERY | 1 << FASTMLD_SOURCE_QUERY | 1 << FASTMLD_REPORT };
    return KINDS >> message->kind & 1;
}

/* Whether the interface of a Query that was sent to a group listens to that group. */
static int is_listened(const fastmld_table *table, uint16_t interface, const uint8_t *destination)
{
    const uint64_t hash = table_hash(table, interface, destination);
    return table_row(table, table_probe(table, hash, interface, destination)) != NO_ROW;
}

static void decide(fastmld_fold *fold, uint8_t effect)
{
    fold->flag_if_idle = fold->flag_if_delaying = effect;
    fold->flag_known = FLAG_DECIDED;
}

/* The lesser delay; -1, which stands for none, is the greatest of all when it has no sign. */
static int32_t lesser(int32_t one_ms, int32_t other_ms)
{
    return (uint32_t)one_ms < (uint32_t)other_ms ? one_ms : other_ms;
}

/* A fold's delay, once it is known that another one counts too unless a reset came after it. */
static int32_t delay_with(const fastmld_fold *fold, int32_t delay_ms)
{
    return fold->reset ? fold->delay_ms : lesser(fold->delay_ms, delay_ms);
}

/* Everything before this moment is without effect on the timer: the General Queries after it complete what is known. */
static void reset(fastmld_fold *fold, const fastmld_interface *interface)
{
    fold->delay_ms = delay_with(fold, interface->delay_ms);
    fold->reset = 1;
}

/* Take in the General Queries between event `since` (by its number plus 1) and what the fold knows so far. */
static void catch_up(fastmld_fold *fold, const fastmld_interface *interface, const fastmld_event *events,
                     uint32_t since)
{
    const int zero_between = interface->zeros != fold->zeros;

    if (fold->flag_known == FLAG_REPORTED && fold->general > since)
        decide(fold, interface->zeros == 0 || events[fold->general - 1].delay_ms > 0 ? FLAG_CLEAR : FLAG_SET);
    else if (fold->flag_known == FLAG_OPEN && zero_between)
        decide(fold, FLAG_SET);
    if (zero_between)
        reset(fold, interface);
}

static void fold_event(fastmld_fold *fold, const fastmld_interface *interface, const fastmld_event *event)
{
    const int report = event->delay_ms < 0;

    if (event->delay_ms == 0) {
        if (fold->flag_known != FLAG_DECIDED)
            decide(fold, FLAG_SET);
        reset(fold, interface);
    } else {
        /* A Report or a Query, and nobody can tell which will be next: no branch on it. */
        if (fold->flag_known == FLAG_OPEN)
            fold->flag_known = report ? FLAG_REPORTED : FLAG_OPEN;
        else if (fold->flag_known == FLAG_REPORTED && !report)
            decide(fold, FLAG_CLEAR);
        fold->delay_ms = delay_with(fold, report ? interface->delay_ms : event->delay_ms);
        fold->reset |= (uint8_t)report;
    }
    fold->general = event->general;
    fold->zeros = interface->zeros;
}

static void fold_general(fastmld_interface *interface, int32_t delay_ms)
{
    if (delay_ms == 0)
        interface->zeros++;
    else if (interface->zeros == 0)
        interface->delay_ms = lesser(interface->delay_ms, delay_ms);
}

static fastmld_fold *fold_of(const fastmld_table *table, uint32_t row, const fastmld_folds *folds, uint32_t *n)
{
    fastmld_row *named = &table->rows[row];

    if (named->fold == 0) {
        folds->scratch[*n] = (fastmld_fold){.row = row, .delay_ms = -1};
        named->fold = ++*n;
    }
    return &folds->scratch[named->fold - 1];
}

static void finish(const fastmld_table *table, const fastmld_interface *interfaces, const fastmld_event *events,
                   const fastmld_folds *folds, uint32_t n)
{
    fastmld_fold *fold = &folds->scratch[n];
    const fastmld_row *row = &table->rows[fold->row];
    const fastmld_interface *interface = &interfaces[row->interface];

    if (interface->zeros != 0) {
        catch_up(fold, interface, events, 0);
    } else { /* the same, without a branch on what nobody can tell */
        const int reported = fold->flag_known == FLAG_REPORTED;
        fold->flag_if_idle = reported && fold->general > 0 ? FLAG_CLEAR : fold->flag_if_idle;
        fold->flag_if_delaying = reported ? FLAG_CLEAR : fold->flag_if_delaying;
    }
    fold->delay_ms = delay_with(fold, interface->delay_ms);
    if (fold->flag_known == FLAG_REPORTED)
        fold->flag_if_delaying = FLAG_CLEAR;
    folds->row[n] = fold->row;
    folds->delay_ms[n] = fold->delay_ms;
    folds->deadline_ms[n] = table->deadline_ms[fold->row];
    folds->flags[n] = row->flags;
    folds->key[n] = (uint8_t)(row->state | fold->reset << 3 | fold->flag_if_idle << 4 | fold->flag_if_delaying << 6);
}

static uint32_t fold_batch(const fastmld_table *table, fastmld_interface *interfaces, const fastmld_event *events,
                           uint32_t n_events, const fastmld_folds *folds)
{
    uint32_t n = 0;

    for (uint32_t i = n_events; i-- > 0;) {
        const fastmld_event *event = &events[i];
        if (i >= FOLD_AHEAD && !events[i - FOLD_AHEAD].is_general)
            PREFETCH(&table->rows[events[i - FOLD_AHEAD].target]);
        if (event->is_general) {
            fold_general(&interfaces[event->target], event->delay_ms);
            continue;
        }
        const fastmld_interface *interface = &interfaces[table->rows[event->target].interface];
        fastmld_fold *fold = fold_of(table, event->target, folds, &n);
        catch_up(fold, interface, events, i + 1);
        fold_event(fold, interface, event);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (n - i > FOLD_AHEAD) {
            PREFETCH(&table->rows[folds->scratch[i + FOLD_AHEAD].row]);
            PREFETCH(&table->deadline_ms[folds->scratch[i + FOLD_AHEAD].row]);
        }
        finish(table, interfaces, events, folds, i);
    }
    return n;
}

/* The columns of a batch, and where what is found in it goes. */
struct batch {
    const fastmld_table *table;
    fastmld_interface *interface;
    const uint8_t *buffer;
    const int64_t *offsets;
    const uint32_t *lengths, *interfaces;
    uint32_t n;
    uint8_t *verdicts, *kinds;
    fastmld_event *events;
    uint32_t *answers, *generals;
    fastmld_found *found;
    fastmld_heard2 *heard2;
};

/* What is more to note of an event than itself: few are like that. */
static void note_rare(const struct batch *batch, uint32_t port, uint32_t number)
{
    fastmld_interface *interface = &batch->interface[port];

    if (batch->events[number].delay_ms == 0)
        batch->answers[batch->found->answers++] = number;
    if (!batch->events[number].is_general)
        return;
    if (interface->latest_general == 0) {
        batch->generals[batch->found->generals++] = port;
        interface->zeros = 0;
        interface->delay_ms = -1;
    }
    interface->latest_general = number + 1;
}

/* Check frames, and fetch the slots that their groups' look-ups begin at. */
static ALWAYS_INLINE void check_run(const struct batch *batch, uint32_t step, uint32_t start, uint32_t run,
                             struct lookup *lookups)
{
    const fastmld_table table = *batch->table; /* a copy: no store of ours can change its keys */
    const fastmld_interface *interface = batch->interface;
    const uint8_t *buffer = batch->buffer;
    const int64_t *offsets = batch->offsets + start;
    const uint32_t *lengths = batch->lengths + start;
    const uint32_t *interfaces = batch->interfaces + (uint64_t)start * step;
    const uint32_t left = batch->n - start;

    for (uint32_t i = 0; i < run; i++) {
        struct lookup *lookup = &lookups[i];
        const uint32_t port = interfaces[(uint64_t)i * step];
        const uint8_t *frame = buffer + offsets[i];
        const uint32_t length = lengths[i];

        if (left - i > FETCH_AHEAD) {
            const uint8_t *soon = buffer + offsets[i + FETCH_AHEAD];
            PREFETCH(soon);
            PREFETCH(soon + 64);
        }
        lookup->verdict = FASTMLD_ACCEPTED;
        if (!usual_frame(&interface[port], frame, length, &lookup->message))
            lookup->verdict = fastmld_ladder(&interface[port], frame, length, &lookup->message);
        if (has_group(&lookup->message)) {
            lookup->hash = table_hash(&table, (uint16_t)port, frame + lookup->message.group);
            PREFETCH(&table.slots[table_slot(&table, lookup->hash)]);
        }
    }
}

/* Find the rows that the groups most likely have, and fetch them. */
static ALWAYS_INLINE void find_run(const fastmld_table *table, uint32_t run, struct lookup *lookups)
{
    for (uint32_t i = 0; i < run; i++) {
        const uint32_t row = has_group(&lookups[i].message) ? table_candidate(table, lookups[i].hash) : NO_ROW;
        PREFETCH(&table->rows[row != NO_ROW ? row : 0]);
        lookups[i].row = row;
    }
}

/*
 * Verdicts, counters and events. Which group is listened to nobody can tell, so as little as can be branches on it. Returns 0
 * where it stopped before a frame that changes a mode.
 */
static ALWAYS_INLINE int judge_run(const struct batch *batch, uint32_t step, uint32_t start, uint32_t run,
                             const struct lookup *lookups)
{
    /* In variables of their own: a store to one of the columns might change what batch points to. */
    const fastmld_table *table = batch->table;
    fastmld_interface *interface = batch->interface;
    const uint8_t *buffer = batch->buffer;
    const int64_t *offsets = batch->offsets + start;
    const uint32_t *interfaces = batch->interfaces + (uint64_t)start * step;
    uint8_t *verdicts = batch->verdicts + start, *kinds = batch->kinds;
    fastmld_event *events = batch->events;
    uint32_t n_events = batch->found->events;

    for (uint32_t i = 0; i < run; i++) {
        const fastmld_message *message = &lookups[i].message;
        const uint32_t port = interfaces[(uint64_t)i * step];
        const uint8_t *frame = buffer + offsets[i];
        fastmld_interface *owner = &interface[port];
        uint32_t row = lookups[i].row;
        int verdict = lookups[i].verdict;

        if (row != NO_ROW && !table_is(table, row, (uint16_t)port, frame + message->group))
            row = table_row(table, table_probe(table, lookups[i].hash, (uint16_t)port, frame + message->group));
        if (message->asks == FASTMLD_ASKS_OTHER && !is_listened(table, (uint16_t)port, frame + message->destination))
            verdict = FASTMLD_BAD_DESTINATION;
        verdict = (message->asks == FASTMLD_ASKS_GROUP) & (row == NO_ROW) ? FASTMLD_BAD_DESTINATION : verdict;

        const int knows_v2 = !(owner->rules & FASTMLD_RULE_V1_ONLY) && verdict == FASTMLD_ACCEPTED;
        if (knows_v2 && hear2_switches(owner, message)) {
            batch->heard2->switched = 1 + start + i;
            batch->found->events = n_events;
            return 0;
        }
        const uint8_t kind = verdict == FASTMLD_ACCEPTED ? message->kind : FASTMLD_NO_KIND;
        const uint32_t general = kind == FASTMLD_GENERAL_QUERY;
        const uint32_t effect = ((kind != FASTMLD_NO_KIND) & (row != NO_ROW)) | general;
        verdicts[i] = (uint8_t)verdict;
        owner->verdicts[verdict]++;
        owner->kinds[kind]++;
        if (kinds)
            kinds[start + i] = kind;
        if (knows_v2 && hear2(batch->heard2, owner, port, row, message, frame, offsets[i]))
            continue;
        if (owner->rules & FASTMLD_RULE_DEAF)
            continue;
        events[n_events] = (fastmld_event){
            .target = general ? port : row,
            .delay_ms = message->delay_ms,
            .general = owner->latest_general,
            .is_general = general,
        };
        if (effect & (general | (message->delay_ms == 0)))
            note_rare(batch, port, n_events);
        n_events += effect;
    }
    batch->found->events = n_events;
    return 1;
}

/* Inlined for either step: the common one, of a batch of one interface, pays nothing for the other. */
static ALWAYS_INLINE void classify(const struct batch *batch, uint32_t step)
{
    struct lookup lookups[AHEAD];

    for (uint32_t start = 0; start < batch->n; start += AHEAD) {
        const uint32_t run = batch->n - start < AHEAD ? batch->n - start : AHEAD;
        check_run(batch, step, start, run, lookups);
        find_run(batch->table, run, lookups);
        if (!judge_run(batch, step, start, run, lookups))
            return;
    }
}

void fastmld_classify(const fastmld_table *table, fastmld_interface *interface, uint32_t n_interfaces,
                      const uint8_t *buffer, const int64_t *offsets, const uint32_t *lengths,
                      const uint32_t *interfaces, uint32_t interface_step, uint32_t n, uint8_t *verdicts,
                      uint8_t *kinds, fastmld_event *events, const fastmld_folds *folds, uint32_t *answers,
                      uint32_t *generals, fastmld_found *found, fastmld_heard2 *heard2)
{
    memset(found, 0, sizeof *found);
    heard2->n_queries = heard2->n_heard = heard2->switched = 0;
    for (uint32_t i = 0; i < (interface_step ? n : n != 0); i++) {
        if (interfaces[i] >= n_interfaces || !interface[interfaces[i]].present) {
            found->bad_interface = i + 1;
            return;
        }
    }
    const struct batch batch = {table, interface, buffer, offsets, lengths, interfaces, n, verdicts, kinds, events, answers,
                                generals, found, heard2};
    if (interface_step == 0)
        classify(&batch, 0);
    else
        classify(&batch, 1);
    if (found->events)
        found->folds = fold_batch(table, interface, events, found->events, folds);
}

void fastmld_settle(const fastmld_table *table, fastmld_interface *interface, const uint32_t *rows, uint32_t n_rows,
                    const uint32_t *generals, uint32_t n_generals)
{
    for (uint32_t i = 0; i < n_rows; i++)
        table->rows[rows[i]].fold = 0;
    for (uint32_t i = 0; i < n_generals; i++) {
        interface[generals[i]].latest_general = 0;
        interface[generals[i]].zeros = 0;
        interface[generals[i]].delay_ms = -1;
    }
}
