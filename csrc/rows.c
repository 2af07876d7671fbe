/* Rows and their timers: write what was decided, take what is due. */
#include "draw.h"
#include "octets.h"
#include "table.h"

enum { RUN = 32 }; /* rows whose cache misses overlap */
static_assert((int)FASTMLD_BLOCK_ROWS == (int)OCTETS, "a set has a bit for each row of a block");

/* A row of this state has this deadline: the bounds above it have to hold for it too. */
static void widen_bounds(fastmld_table *table, uint32_t row, uint8_t state, int64_t deadline_ms)
{
    const uint32_t block = row / FASTMLD_BLOCK_ROWS;

    if (state & FASTMLD_STATE_RUNS) {
        if (deadline_ms < table->earliest_ms[block])
            table->earliest_ms[block] = deadline_ms;
        if (deadline_ms < table->soonest_ms)
            table->soonest_ms = deadline_ms;
    }
    if (state & FASTMLD_STATE_MOVES) {
        int64_t *latest_ms = &table->interface_latest_ms[table->rows[row].interface];
        if (deadline_ms > table->latest_ms[block])
            table->latest_ms[block] = deadline_ms;
        if (deadline_ms > *latest_ms)
            *latest_ms = deadline_ms;
    }
}

/* Where the draws of some rows of a run start: by themselves, since what follows branches, and this takes long. */
static void find_origins(const fastmld_table *table, uint64_t seed, const uint32_t *rows, uint32_t n, const int64_t *now_ms,
                         uint32_t now_step, uint64_t origins[RUN])
{
    uint16_t interface = table->rows[rows[0]].interface;
    uint64_t word = draw_interface(seed, interface);

    for (uint32_t i = 0; i < n; i++) {
        const fastmld_row *row = &table->rows[rows[i]];
        if (UNLIKELY(row->interface != interface)) {
            interface = row->interface;
            word = draw_interface(seed, interface);
        }
        origins[i] = draw_address(word, row->address, now_ms[(uint64_t)i * now_step]);
    }
}

void fastmld_write(fastmld_table *table, uint64_t seed, const uint32_t *rows, uint32_t n, const fastmld_move *moves,
                   const uint16_t *which, const int64_t *now_ms, uint32_t now_step, const int32_t *delays_ms,
                   uint32_t delay_step)
{
    uint64_t origins[RUN];

    for (uint32_t i = 0; i < n; i++) {
        fastmld_row *row = &table->rows[rows[i]];
        const fastmld_move *move = &moves[which ? which[i] : 0];
        const int64_t now = now_ms[(uint64_t)i * now_step];

        if (n - i > RUN) {
            PREFETCH(&table->rows[rows[i + RUN]]);
            PREFETCH(&table->deadline_ms[rows[i + RUN]]);
        }
        if (i % RUN == 0 && (which || move->timer == FASTMLD_TIMER_DRAW))
            find_origins(table, seed, rows + i, n - i < RUN ? n - i : RUN, now_ms + (uint64_t)i * now_step, now_step, origins);
        row->state = move->state;
        row->flags = (uint8_t)((row->flags & ~move->clear) | move->set);
        if (move->timer == FASTMLD_TIMER_KEEP)
            continue;
        const uint32_t delay = (uint32_t)delays_ms[(uint64_t)i * delay_step];
        const int64_t deadline_ms = move->timer == FASTMLD_TIMER_STOP  ? INT64_MAX
                                    : move->timer == FASTMLD_TIMER_SET ? now
                                    : now + draw_delay(origins[i % RUN], delay);
        table->deadline_ms[rows[i]] = deadline_ms;
        widen_bounds(table, rows[i], move->state, deadline_ms);
    }
}

/* What fastmld_take looks for. */
struct search {
    int32_t interface;
    int64_t due_ms, later_ms;
};

static int has_state(const fastmld_table *table, uint32_t row, uint8_t bits)
{
    return (table->rows[row].state & bits) == bits;
}

static int is_sought(const fastmld_table *table, uint32_t row, const struct search *search)
{
    const int64_t deadline_ms = table->deadline_ms[row];
    return ((deadline_ms <= search->due_ms && has_state(table, row, FASTMLD_STATE_RUNS)) ||
            (deadline_ms > search->later_ms && has_state(table, row, FASTMLD_STATE_MOVES))) &&
           (search->interface < 0 || table->rows[row].interface == search->interface);
}

/* Widen bounds to hold for a row, too. */
static void include(const fastmld_table *table, uint32_t row, int64_t *earliest_ms, int64_t *latest_ms)
{
    const int64_t deadline_ms = table->deadline_ms[row];

    if (has_state(table, row, FASTMLD_STATE_RUNS) && deadline_ms < *earliest_ms)
        *earliest_ms = deadline_ms;
    if (has_state(table, row, FASTMLD_STATE_MOVES) && deadline_ms > *latest_ms)
        *latest_ms = deadline_ms;
}

/* Make a block's bounds exact. Goes by every row's state. */
static void find_bounds(fastmld_table *table, uint32_t block)
{
    const uint32_t first = block * FASTMLD_BLOCK_ROWS;

    table->earliest_ms[block] = INT64_MAX;
    table->latest_ms[block] = INT64_MIN;
    for (uint32_t row = first; row < first + FASTMLD_BLOCK_ROWS; row++)
        include(table, row, &table->earliest_ms[block], &table->latest_ms[block]);
}

/*
 * Look through a block's deadlines: a set of those that may be sought, and the bounds of the others. Several at once where the
 * compiler has vectors; the loop behind #else is what it means.
 */
#ifdef __GNUC__
enum { LANES = 4 };
typedef int64_t lanes __attribute__((vector_size(LANES * sizeof(int64_t))));

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
__attribute__((target_clones("avx2", "default")))
#endif
static octets_set scan_block(const int64_t *deadline_ms, int64_t due_ms, int64_t later_ms, int64_t *earliest_ms,
                            int64_t *latest_ms)
{
    const lanes never = (lanes){0} + INT64_MAX, at_once = (lanes){0} + INT64_MIN;
    lanes least = never, most = at_once, more, may = {0}, bit = {1, 2, 4, 8};

    for (uint32_t i = 0; i < FASTMLD_BLOCK_ROWS; i += LANES, bit <<= LANES) {
        lanes ms;
        memcpy(&ms, deadline_ms + i, sizeof ms);
        const lanes sought = (ms <= due_ms) | (ms > later_ms);
        may |= sought & bit;
        lanes other = (ms & ~sought) | (never & sought);
        more = other < least;
        least = (other & more) | (least & ~more);
        other = (ms & ~sought) | (at_once & sought);
        more = other > most;
        most = (other & more) | (most & ~more);
    }
    *earliest_ms = least[0];
    *latest_ms = most[0];
    for (uint32_t i = 1; i < LANES; i++) {
        *earliest_ms = least[i] < *earliest_ms ? least[i] : *earliest_ms;
        *latest_ms = most[i] > *latest_ms ? most[i] : *latest_ms;
    }
    return (octets_set)(may[0] | may[1] | may[2] | may[3]);
}
#else
static octets_set scan_block(const int64_t *deadline_ms, int64_t due_ms, int64_t later_ms, int64_t *earliest_ms,
                            int64_t *latest_ms)
{
    octets_set may = 0;

    *earliest_ms = INT64_MAX;
    *latest_ms = INT64_MIN;
    for (uint32_t i = 0; i < FASTMLD_BLOCK_ROWS; i++) {
        const int64_t ms = deadline_ms[i];
        if (ms <= due_ms || ms > later_ms) {
            may |= (octets_set)1 << i;
            continue;
        }
        *earliest_ms = ms < *earliest_ms ? ms : *earliest_ms;
        *latest_ms = ms > *latest_ms ? ms : *latest_ms;
    }
    return may;
}
#endif

/* One block. It goes by deadlines, which stand close together, and asks only those rows for their state that may be sought.
 * Rows of other states may make a bound wider than need be. */
static void take_block(fastmld_table *table, uint32_t block, const struct search *search, uint32_t *rows_out,
                       fastmld_taken *taken)
{
    const uint32_t first = block * FASTMLD_BLOCK_ROWS;
    int64_t *earliest_ms = &table->earliest_ms[block], *latest_ms = &table->latest_ms[block];
    const octets_set may = scan_block(&table->deadline_ms[first], search->due_ms, search->later_ms, earliest_ms, latest_ms);

    for (octets_set set = may; set != 0; set &= set - 1)
        PREFETCH(&table->rows[first + octets_first(set)]);
    for (octets_set set = may; set != 0; set &= set - 1) {
        const uint32_t row = first + octets_first(set);
        const int64_t deadline_ms = table->deadline_ms[row];
        if (!is_sought(table, row, search)) {
            include(table, row, earliest_ms, latest_ms);
            continue;
        }
        rows_out[taken->rows++] = row;
        taken->states |= (uint8_t)(1u << table->rows[row].state);
        taken->flags |= table->rows[row].flags;
        if (deadline_ms < taken->first_ms)
            taken->first_ms = deadline_ms;
        if (deadline_ms > taken->last_ms)
            taken->last_ms = deadline_ms;
    }
}

static int may_hold(const fastmld_table *table, uint32_t block, const struct search *search)
{
    return table->earliest_ms[block] <= search->due_ms || table->latest_ms[block] > search->later_ms;
}

static void prefetch_block(const fastmld_table *table, uint32_t block)
{
    for (uint32_t row = 0; row < FASTMLD_BLOCK_ROWS; row += 8)
        PREFETCH(&table->deadline_ms[block * FASTMLD_BLOCK_ROWS + row]);
}

static uint32_t soonest_block(const fastmld_table *table, uint32_t n)
{
    uint32_t soonest = 0;

    for (uint32_t block = 1; block < n; block++)
        if (table->earliest_ms[block] < table->earliest_ms[soonest])
            soonest = block;
    return soonest;
}

/* Merge rows[0, half) and rows[half, n), each in order. */
static void merge(const int64_t *deadline_ms, const uint32_t *rows, uint32_t half, uint32_t n, uint32_t *merged)
{
    uint32_t left = 0, right = half;

    while (left < half && right < n)
        *merged++ = deadline_ms[rows[right]] < deadline_ms[rows[left]] ? rows[right++] : rows[left++];
    memcpy(merged, rows + left, (half - left) * sizeof *rows);
    memcpy(merged + (half - left), rows + right, (n - right) * sizeof *rows);
}

/* Put n rows in the order of their deadlines, those with the same one as they are. */
static void order(const fastmld_table *table, uint32_t *rows, uint32_t n, uint32_t *scratch)
{
    for (uint64_t run = 1; run < n; run *= 2) {
        for (uint64_t at = 0; at < n; at += 2 * run) {
            const uint64_t half = n - at < run ? n - at : run, whole = n - at < 2 * run ? n - at : 2 * run;
            merge(table->deadline_ms, rows + at, (uint32_t)half, (uint32_t)whole, scratch + at);
        }
        memcpy(rows, scratch, n * sizeof *rows);
    }
}

void fastmld_take(fastmld_table *table, const uint32_t *blocks, uint32_t n, int32_t interface, int64_t due_ms,
                  int64_t later_ms, uint32_t *rows_out, fastmld_taken *taken)
{
    const struct search search = {interface, due_ms, later_ms};
    uint32_t found = 0, held = 0; /* held: a block is looked through when the next one is on its way */

    *taken = (fastmld_taken){.first_ms = INT64_MAX, .last_ms = INT64_MIN};
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t block = blocks ? blocks[i] : i;
        if (!may_hold(table, block, &search))
            continue;
        prefetch_block(table, block);
        if (found++)
            take_block(table, held, &search, rows_out, taken);
        held = block;
    }
    if (found)
        take_block(table, held, &search, rows_out, taken);
    if (blocks)
        return;
    table->soonest_ms = table->earliest_ms[soonest_block(table, n)];
    if (taken->first_ms < taken->last_ms)
        order(table, rows_out, taken->rows, rows_out + taken->rows);
}

uint32_t fastmld_find_late(const fastmld_table *table, const fastmld_interface *interface, const uint32_t *generals, uint32_t n,
                           int64_t now_ms, fastmld_late *late)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < n; i++) {
        const fastmld_interface *asked = &interface[generals[i]];
        const int64_t after_ms = asked->zeros ? now_ms - 1 : now_ms + asked->delay_ms;
        if (table->interface_latest_ms[generals[i]] > after_ms)
            late[found++] = (fastmld_late){generals[i], asked->zeros, asked->delay_ms, after_ms};
    }
    return found;
}

void fastmld_bound(fastmld_table *table, const uint32_t *blocks, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        find_bounds(table, blocks ? blocks[i] : i);
}

static int is_soonest(const fastmld_table *table, uint32_t row)
{
    return table->deadline_ms[row] == table->soonest_ms && has_state(table, row, FASTMLD_STATE_RUNS);
}

int64_t fastmld_soonest(fastmld_table *table, uint32_t n)
{
    uint32_t block;

    if (table->soonest_ms == INT64_MAX || is_soonest(table, table->soonest_row))
        return table->soonest_ms;
    block = soonest_block(table, n);
    table->soonest_ms = table->earliest_ms[block];
    find_bounds(table, block);
    if (table->earliest_ms[block] != table->soonest_ms) { /* now only those that say less can be wrong */
        for (uint32_t other = 0; other < n; other++)
            if (table->earliest_ms[other] < table->earliest_ms[block])
                find_bounds(table, other);
        block = soonest_block(table, n);
        table->soonest_ms = table->earliest_ms[block];
    }
    for (uint32_t row = block * FASTMLD_BLOCK_ROWS; row < (block + 1) * FASTMLD_BLOCK_ROWS; row++)
        if (is_soonest(table, row))
            table->soonest_row = row;
    return table->soonest_ms;
}
