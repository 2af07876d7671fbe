/*
 * The calls into the fast path: what changes with csrc/fastmld.h changes in path_calls.c, in timers.c for the timers and
 * in said.h for the parser, and nowhere else here. Every array that C writes is of exactly the size that the header asks
 * for: the sanitizer sees one step too far.
 */
#ifndef FUZZ_PATH_CALLS_H
#define FUZZ_PATH_CALLS_H

#include "fastmld.h"

/* n frames: buffer[offsets[i], offsets[i] + lengths[i]) on interfaces[i * interface_step]; the step is 0 or 1. */
struct batch {
    const uint8_t *buffer;
    const int64_t *offsets;
    const uint32_t *lengths, *interfaces;
    uint32_t interface_step, n;
    uint8_t *verdicts, *kinds;
};

/* What a batch says about one row, General Queries included. Effects on the flag: 0 keep, 1 set, 2 clear. */
struct told {
    uint32_t row;
    int32_t delay_ms;           /* least positive delay after the last reset; -1 none */
    uint32_t answers;           /* Queries with delay 0 */
    int reset;
    int flag_if_idle, flag_if_delaying;
    uint8_t state;              /* the row's, before the batch */
    int64_t deadline_ms;
};

/* What a batch says to all rows of one interface. */
struct told_all {
    uint32_t interface;
    int32_t delay_ms;
    uint32_t zeros, answers;    /* Queries with delay 0: as counted, and as listed */
};

struct path;

/* Arrays for batches of n frames on n_interfaces interfaces. */
struct path *path_new(uint32_t n, uint32_t n_interfaces);
void path_free(struct path *path);

/* fastmld_classify. Returns 0, or 1 + the index of a frame whose interface is not there. */
uint32_t path_classify(struct path *path, const fastmld_table *table, fastmld_interface *interfaces,
                       uint32_t n_interfaces, const struct batch *batch);

/* What it said: *told of rows that a Report or a specific Query named, *all of interfaces that heard a General Query
 * (room for as many as frames). */
void path_told(const struct path *path, const fastmld_table *table, const fastmld_interface *interfaces,
               struct told *told, uint32_t *n_told, struct told_all *all, uint32_t *n_all);

/* What it heard for MLDv2. */
const fastmld_heard2 *path_heard(const struct path *path);

/* Clear what belongs to a batch in hosts, as Python does. */
void path_settle_hosts(struct path *path);

/* fastmld_settle. */
void path_settle(struct path *path, const fastmld_table *table, fastmld_interface *interfaces);

/* Whether a row, an interface carries nothing of a batch. */
int path_row_is_clear(const fastmld_row *row);
int path_interface_is_clear(const fastmld_interface *interface);

/* fastmld_emit. Returns octets written. */
uint64_t path_emit(const fastmld_table *table, const fastmld_template *templates, const uint32_t *rows,
                   const uint32_t *template_index, const uint8_t *kinds, uint32_t n, uint8_t *out, int64_t *offsets,
                   uint32_t *lengths, uint32_t *interfaces);

#endif
