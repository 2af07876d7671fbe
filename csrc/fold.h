/*
 * What a batch says about each row, folded frame by frame as they come: one step each, in whatever order they come.
 *
 * What comes before a reset is without effect on the timer. After it counts the least delay: of the Queries for the row itself
 * that is kept as they come; of the General Queries, which concern every row, it is kept by their numbers, and once the batch
 * is through, one walk back over them tells each what the least delay after it is. What a Report does to the last-reporter flag
 * depends on whether the timer runs, which is known from the first event on, and before it there are two cases.
 */
#ifndef FASTMLD_FOLD_H
#define FASTMLD_FOLD_H

#include "table.h"

/* Bits of the key beside the state: the reset, and the effects in either case. */
enum {
    FOLD_RESET = 1 << 3,
    FOLD_EITHER = 0xf0, FOLD_IF_DELAYING = 0xc0,
    FOLD_SET = 0x50, FOLD_CLEAR = 0xa0 /* in either case */
};

/* The lesser delay; -1, which stands for none, is the greatest of all when it has no sign. */
static inline int32_t fold_lesser(int32_t one_ms, int32_t other_ms)
{
    return (uint32_t)one_ms < (uint32_t)other_ms ? one_ms : other_ms;
}

/* A General Query: after it, what was folded of the interface's rows is behind by one. */
static inline void fold_general(fastmld_interface *interface, fastmld_general *generals, uint32_t *n, uint32_t port,
                                int32_t delay_ms)
{
    generals[*n] = (fastmld_general){port, delay_ms};
    interface->latest_general = ++*n;
    if (delay_ms == 0) {
        interface->latest_zero = *n;
        interface->zeros++;
    }
}

/* The fold of a row, which may be its first: what that begins with is written in any case, since nobody can tell. */
static inline fastmld_fold *fold_of(const fastmld_table *table, uint32_t row, const fastmld_folds *folds, uint32_t *n)
{
    fastmld_row *named = &table->rows[row];
    const uint32_t number = named->fold ? named->fold - 1 : *n;

    folds->row[*n] = row;
    folds->deadline_ms[*n] = table->deadline_ms[row];
    folds->flags[*n] = named->flags;
    folds->key[*n] = named->state;
    folds->scratch[*n] = (fastmld_fold){.delay_ms = -1, .interface = named->interface, .runs = FOLD_IF_DELAYING};
    *n += number == *n;
    named->fold = number + 1;
    return &folds->scratch[number];
}

/* An answer at once: a General Query's, or the row's own. */
static inline void fold_zero(fastmld_fold *fold, uint32_t general)
{
    fold->general = fold->since = general;
    fold->delay_ms = -1;
    fold->said = FOLD_RESET | FOLD_SET;
    fold->runs = 0;
}

/* A Report, whose delay is -1, or a Query with a delay: nobody can tell which, so nothing branches on it. */
static inline void fold_event(fastmld_fold *fold, const fastmld_interface *interface, int32_t delay_ms)
{
    const uint32_t general = interface->latest_general;

    if (interface->latest_zero > fold->general)
        fold_zero(fold, interface->latest_zero);
    const uint32_t report = 0 - (uint32_t)(delay_ms < 0); /* all bits of it */
    const uint32_t runs = general > fold->general ? FOLD_EITHER : fold->runs;
    fold->said = (uint8_t)((fold->said & ~(runs & report)) | (((runs & FOLD_CLEAR) | FOLD_RESET) & report));
    fold->runs = (uint8_t)(FOLD_EITHER & ~report);
    fold->delay_ms = fold_lesser(fold->delay_ms, delay_ms) | (int32_t)report;
    fold->since = report ? general : fold->since;
    fold->general = general;
}

/* Tell each General Query, in place of its own delay, the least positive one after it; and each interface that heard one the
 * least after its last zero. */
static inline void fold_generals(fastmld_interface *interfaces, fastmld_general *generals, uint32_t n)
{
    for (uint32_t i = n; i-- > 0;) {
        fastmld_interface *interface = &interfaces[generals[i].interface];
        const int32_t delay_ms = generals[i].delay_ms;
        if (i + 1 < interface->latest_zero)
            continue;
        generals[i].delay_ms = interface->delay_ms;
        interface->delay_ms = fold_lesser(interface->delay_ms, delay_ms ? delay_ms : -1);
    }
}

/* What is known of the nth fold once no more frames come. */
static inline void fold_finish(const fastmld_interface *interfaces, const fastmld_general *generals,
                               const fastmld_folds *folds, uint32_t n)
{
    fastmld_fold *fold = &folds->scratch[n];
    const fastmld_interface *interface = &interfaces[fold->interface];

    if (interface->latest_zero > fold->general)
        fold_zero(fold, interface->latest_zero);
    const int32_t *after_ms = fold->since ? &generals[fold->since - 1].delay_ms : &interface->delay_ms;
    folds->delay_ms[n] = fold_lesser(fold->delay_ms, *after_ms);
    folds->key[n] |= fold->said;
}

#endif
