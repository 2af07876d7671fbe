/*
 * Check, look up, fold. Forward over the frames: verdicts, and the few that have an effect as events. Then backward over the
 * events: what came last decides, so one step an event is enough in whatever order they came.
 */
#include "table.h"

enum {
    AHEAD = 32,                 /* frames whose look-ups overlap */
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
    uint64_t hash;
    int verdict;
};

static uint32_t look_up(const fastmld_table *table, uint64_t hash, uint16_t interface, const uint8_t *address)
{
    return table_row(table, table_probe(table, hash, interface, address));
}

static int has_group(const fastmld_message *message)
{
    return message->kind != FASTMLD_NO_KIND && message->kind != FASTMLD_GENERAL_QUERY &&
           message->kind != FASTMLD_REPORT2 && message->kind != FASTMLD_DONE;
}

static void decide(fastmld_fold *fold, uint8_t effect)
{
    fold->flag_if_idle = fold->flag_if_delaying = effect;
    fold->flag_known = FLAG_DECIDED;
}

static void take_delay(fastmld_fold *fold, int32_t delay_ms)
{
    if (delay_ms > 0 && (fold->delay_ms < 0 || delay_ms < fold->delay_ms))
        fold->delay_ms = delay_ms;
}

/* Everything before this moment is without effect on the timer: the General Queries after it complete what is known. */
static void reset(fastmld_fold *fold, const fastmld_interface *interface)
{
    if (!fold->reset)
        take_delay(fold, interface->delay_ms);
    fold->reset = 1;
}

/* Take in the General Queries between event `since` (by its number plus 1) and what the fold knows so far. */
static void catch_up(fastmld_fold *fold, const fastmld_interface *interface, const fastmld_event *events,
                     uint32_t since)
{
    const int zero_between = interface->zeros != fold->zeros;

    if (fold->flag_known == FLAG_REPORTED && fold->general > since)
        decide(fold, events[fold->general - 1].delay_ms > 0 ? FLAG_CLEAR : FLAG_SET);
    else if (fold->flag_known == FLAG_OPEN && zero_between)
        decide(fold, FLAG_SET);
    if (zero_between)
        reset(fold, interface);
}

static void fold_event(fastmld_fold *fold, const fastmld_interface *interface, const fastmld_event *event)
{
    if (event->delay_ms > 0) {
        if (!fold->reset)
            take_delay(fold, event->delay_ms);
        if (fold->flag_known == FLAG_REPORTED)
            decide(fold, FLAG_CLEAR);
    } else if (event->delay_ms == 0) {
        if (fold->flag_known != FLAG_DECIDED)
            decide(fold, FLAG_SET);
        reset(fold, interface);
    } else {
        if (fold->flag_known == FLAG_OPEN)
            fold->flag_known = FLAG_REPORTED;
        reset(fold, interface);
    }
    fold->general = event->general;
    fold->zeros = interface->zeros;
}

static void fold_general(fastmld_interface *interface, int32_t delay_ms)
{
    if (delay_ms == 0)
        interface->zeros++;
    else if (interface->zeros == 0 && (interface->delay_ms < 0 || delay_ms < interface->delay_ms))
        interface->delay_ms = delay_ms;
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

    catch_up(fold, interface, events, 0);
    if (!fold->reset)
        take_delay(fold, interface->delay_ms);
    if (fold->flag_known == FLAG_REPORTED)
        fold->flag_if_delaying = FLAG_CLEAR;
    folds->row[n] = fold->row;
    folds->delay_ms[n] = fold->delay_ms;
    folds->deadline_ms[n] = row->deadline_ms;
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
        if (n - i > FOLD_AHEAD)
            PREFETCH(&table->rows[folds->scratch[i + FOLD_AHEAD].row]);
        finish(table, interfaces, events, folds, i);
    }
    return n;
}

static void note_event(fastmld_interface *interface, uint16_t index, const struct lookup *lookup, uint32_t row,
                       fastmld_event *events, uint32_t *answers, uint32_t *generals, fastmld_found *found)
{
    const int general = lookup->message.kind == FASTMLD_GENERAL_QUERY;
    const int query = general || lookup->message.kind != FASTMLD_REPORT;

    events[found->events] = (fastmld_event){
        .target = general ? index : row,
        .delay_ms = query ? lookup->message.delay_ms : -1,
        .general = interface->latest_general,
        .is_general = (uint32_t)general,
    };
    if (query && lookup->message.delay_ms == 0)
        answers[found->answers++] = found->events;
    found->events++;
    if (general) {
        if (interface->latest_general == 0) {
            generals[found->generals++] = index;
            interface->zeros = 0;
            interface->delay_ms = -1;
        }
        interface->latest_general = found->events;
    }
}

void fastmld_classify(const fastmld_table *table, fastmld_interface *interface, uint32_t n_interfaces,
                      const uint8_t *buffer, const int64_t *offsets, const uint32_t *lengths,
                      const uint32_t *interfaces, uint32_t interface_step, uint32_t n, uint8_t *verdicts,
                      uint8_t *kinds, fastmld_event *events, const fastmld_folds *folds, uint32_t *answers,
                      uint32_t *generals, fastmld_found *found)
{
    struct lookup lookups[AHEAD];

    memset(found, 0, sizeof *found);
    for (uint32_t i = 0; i < (interface_step ? n : n != 0); i++) {
        if (interfaces[i] >= n_interfaces || !interface[interfaces[i]].present) {
            found->bad_interface = i + 1;
            return;
        }
    }
    for (uint32_t start = 0; start < n; start += AHEAD) {
        const uint32_t run = n - start < AHEAD ? n - start : AHEAD;

        for (uint32_t i = 0; i < run; i++) {
            struct lookup *lookup = &lookups[i];
            const uint32_t port = interfaces[(uint64_t)(start + i) * interface_step];
            const uint8_t *frame = buffer + offsets[start + i];

            if (n - start - i > FETCH_AHEAD) {
                PREFETCH(buffer + offsets[start + i + FETCH_AHEAD]);
                PREFETCH(buffer + offsets[start + i + FETCH_AHEAD] + 64);
            }
            lookup->verdict = fastmld_check(&interface[port], frame, lengths[start + i], &lookup->message);
            if (has_group(&lookup->message)) {
                lookup->hash = table_hash(table, (uint16_t)port, frame + lookup->message.group);
                PREFETCH(&table->slots[table_slot(table, lookup->hash)]);
            }
        }
        for (uint32_t i = 0; i < run; i++)
            if (has_group(&lookups[i].message))
                table_prefetch_row(table, lookups[i].hash);
        for (uint32_t i = 0; i < run; i++) {
            struct lookup *lookup = &lookups[i];
            const uint32_t port = interfaces[(uint64_t)(start + i) * interface_step];
            const uint8_t *frame = buffer + offsets[start + i];
            fastmld_interface *owner = &interface[port];
            uint32_t row = NO_ROW;

            if (has_group(&lookup->message))
                row = look_up(table, lookup->hash, (uint16_t)port, frame + lookup->message.group);
            if (lookup->message.asks_destination) {
                const uint8_t *destination = frame + lookup->message.destination;
                const int is_group = has_group(&lookup->message) &&
                                     memcmp(destination, frame + lookup->message.group, 16) == 0;
                const uint32_t listened = is_group ? row : look_up(
                    table, table_hash(table, (uint16_t)port, destination), (uint16_t)port, destination);
                if (listened == NO_ROW)
                    lookup->verdict = FASTMLD_BAD_DESTINATION;
            }
            verdicts[start + i] = (uint8_t)lookup->verdict;
            owner->verdicts[lookup->verdict]++;
            if (lookup->verdict != FASTMLD_ACCEPTED) {
                if (kinds)
                    kinds[start + i] = FASTMLD_NO_KIND;
                continue;
            }
            if (kinds)
                kinds[start + i] = lookup->message.kind;
            owner->kinds[lookup->message.kind]++;
            if (owner->rules & FASTMLD_RULE_DEAF)
                continue;
            if (row != NO_ROW || lookup->message.kind == FASTMLD_GENERAL_QUERY)
                note_event(owner, (uint16_t)port, lookup, row, events, answers, generals, found);
        }
    }
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
