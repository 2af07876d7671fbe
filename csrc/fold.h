/*
 * What a batch says about each row, folded frame by frame as they come: one step each, in whatever order they come.
 *
 * What comes before a reset is without effect on the timer. After it counts the least delay: of the Queries for the row
 * itself that is kept as they come; of the General Queries, which concern every row, it is kept by their numbers, and once
 * the batch is through, one walk back over them tells each what the least delay after it is. What a Report does to the
 * last-reporter flag depends on whether the timer runs, which is known from the first Query or Report on.
 */
#ifndef FASTMLD_FOLD_H
#define FASTMLD_FOLD_H

#include "table.h"

/* How far a row's fold has come. With FOLD_RUNS the timer runs by now; without it, only where FOLD_NEW found it running. */
enum {
    FOLD_RUNS = 1,
    FOLD_NEW = 0,               /* no reset, and no effect */
    FOLD_HEARD = 2,             /* a Report came first: the flag is cleared if the timer ran */
    FOLD_CLEARED = 4,
    FOLD_SET = 6
};

/* The same in bits of the key: the reset, and the effects if idle and if delaying. */
static const uint8_t FOLD_KEYS[8] = {
    [FOLD_HEARD] = 1 << 3 | 2 << 6, [FOLD_HEARD | FOLD_RUNS] = 1 << 3 | 2 << 6,
    [FOLD_CLEARED] = 1 << 3 | 2 << 4 | 2 << 6, [FOLD_CLEARED | FOLD_RUNS] = 1 << 3 | 2 << 4 | 2 << 6,
    [FOLD_SET] = 1 << 3 | 1 << 4 | 1 << 6, [FOLD_SET | FOLD_RUNS] = 1 << 3 | 1 << 4 | 1 << 6,
};

/* What a Report makes of each phase, four bits each. */
#define FOLD_REPORTED (FOLD_HEARD << 4 * FOLD_NEW | FOLD_HEARD << 4 * FOLD_HEARD | FOLD_CLEARED << 4 * FOLD_CLEARED | \
                       FOLD_SET << 4 * FOLD_SET | FOLD_CLEARED * (UINT32_C(0x10101010)))

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

/* What every fold of an interface's rows begins with: all that was said were the General Queries so far. */
static inline fastmld_fold fold_begin(const fastmld_interface *interface, uint32_t port)
{
    const uint32_t zero = interface->latest_zero, runs = interface->latest_general > zero;

    return (fastmld_fold){
        .general = interface->latest_general, .since = zero, .delay_ms = -1, .phase = (zero ? FOLD_SET : FOLD_NEW) | runs,
        .interface = port,
    };
}

/* Take in the General Queries since it was folded last. */
static inline void fold_catch_up(fastmld_fold *fold, const fastmld_interface *interface)
{
    if (interface->latest_zero > fold->general) {
        *fold = fold_begin(interface, fold->interface);
    } else {
        fold->general = interface->latest_general;
        fold->phase |= FOLD_RUNS;
    }
}

/* The number of a row's fold, which may be its first: what that begins with is written in any case, since nobody can tell. */
static ALWAYS_INLINE uint32_t fold_number(const fastmld_table *table, uint32_t row, const fastmld_folds *folds, uint32_t *n)
{
    fastmld_row *named = &table->rows[row];
    const uint32_t first = 0 - (uint32_t)(named->fold == 0); /* all bits of it */
    const uint32_t number = named->fold + (first & (*n + 1));

    folds->row[*n] = row;
    folds->deadline_ms[*n] = table->deadline_ms[row];
    folds->key[*n] = named->state;
    named->fold = number;
    *n -= first;
    return number;
}

/* A Report, or a Query with a delay, after what was folded before. Which of the two nobody can tell, so nothing branches on
 * it: report is all ones, and the delay is -1, or 0. */
static ALWAYS_INLINE void fold_event(fastmld_fold *fold, const fastmld_fold *before, uint32_t report, int32_t delay_ms)
{
    const uint32_t phase = before->phase, reported = FOLD_REPORTED >> 4 * phase & 7, asked = phase | FOLD_RUNS;
    fold->phase = (reported & report) | (asked & ~report);
    fold->delay_ms = fold_lesser(before->delay_ms, delay_ms) | (int32_t)report;
    fold->since = (before->general & report) | (before->since & ~report);
    fold->general = before->general;
    fold->interface = before->interface;
}

/* A Query for a row with delay 0. */
static inline void fold_zero(fastmld_fold *fold, const fastmld_fold *before)
{
    *fold = (fastmld_fold){
        .general = before->general, .since = before->general, .delay_ms = -1, .phase = FOLD_SET,
        .interface = before->interface,
    };
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

/* What is known of the fold in column n, of a row of this interface, once no more frames come. */
static inline void fold_finish(const fastmld_interface *interface, const fastmld_general *generals,
                               const fastmld_folds *folds, uint32_t n)
{
    fastmld_fold *fold = &folds->scratch[n + 1];

    if (UNLIKELY(interface->latest_zero > fold->general))
        fold_catch_up(fold, interface);
    const int32_t *after_ms = fold->since ? &generals[fold->since - 1].delay_ms : &interface->delay_ms;
    folds->delay_ms[n] = fold_lesser(fold->delay_ms, *after_ms);
    folds->key[n] |= FOLD_KEYS[fold->phase];
}

#endif
