/* Rows and their timers: write what was decided, take what is due. */
#include "draw.h"
#include "table.h"

enum { AHEAD = 32, TAKE_AHEAD = 1 }; /* rows, and blocks of them, whose cache misses overlap */

/* A timer of this row runs until deadline_ms: its block's bounds, and the table's, have to hold for it too. */
static void widen_bounds(fastmld_table *table, uint32_t row, uint8_t state, int64_t deadline_ms)
{
    const uint32_t block = row / FASTMLD_BLOCK_ROWS;

    if (!(state & FASTMLD_STATE_RUNS))
        return;
    if (deadline_ms < table->earliest_ms[block])
        table->earliest_ms[block] = deadline_ms;
    if (deadline_ms < table->soonest_ms)
        table->soonest_ms = deadline_ms;
    if ((state & FASTMLD_STATE_MOVES) && deadline_ms > table->latest_ms[block])
        table->latest_ms[block] = deadline_ms;
}

uint32_t fastmld_write(fastmld_table *table, uint64_t seed, const uint32_t *rows, uint32_t n, const fastmld_move *moves,
                       const uint16_t *which, const int64_t *now_ms, uint32_t now_step, const int32_t *delays_ms,
                       uint32_t delay_step, uint8_t watched, uint32_t *changed)
{
    uint32_t n_changed = 0;

    for (uint32_t i = 0; i < n; i++) {
        fastmld_row *row = &table->rows[rows[i]];
        const fastmld_move *move = &moves[which ? which[i] : 0];
        const int64_t now = now_ms[(uint64_t)i * now_step];
        const uint32_t delay = (uint32_t)delays_ms[(uint64_t)i * delay_step];

        if (n - i > AHEAD) {
            PREFETCH(&table->rows[rows[i + AHEAD]]);
            PREFETCH(&table->deadline_ms[rows[i + AHEAD]]);
        }
        const uint8_t flags = (uint8_t)((row->flags & ~move->clear) | move->set);
        if (watched) {
            changed[n_changed] = rows[i];
            n_changed += (flags & ~row->flags & watched) != 0;
        }
        row->state = move->state;
        row->flags = flags;
        if (move->timer == FASTMLD_TIMER_KEEP)
            continue;
        const int64_t deadline_ms = move->timer == FASTMLD_TIMER_STOP  ? INT64_MAX
                                    : move->timer == FASTMLD_TIMER_SET ? now
                                    : now + draw_delay(draw_origin(seed, row, now), delay);
        table->deadline_ms[rows[i]] = deadline_ms;
        widen_bounds(table, rows[i], move->state, deadline_ms);
    }
    return n_changed;
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
    return has_state(table, row, FASTMLD_STATE_RUNS) &&
           (deadline_ms <= search->due_ms ||
            (deadline_ms > search->later_ms && has_state(table, row, FASTMLD_STATE_MOVES))) &&
           (search->interface < 0 || table->rows[row].interface == search->interface);
}

/* Make a block's bounds exact: those of the timers that are not sought. Goes by every row's state. */
static void find_bounds(fastmld_table *table, uint32_t block, const struct search *search)
{
    const uint32_t first = block * FASTMLD_BLOCK_ROWS;

    table->earliest_ms[block] = INT64_MAX;
    table->latest_ms[block] = INT64_MIN;
    for (uint32_t row = first; row < first + FASTMLD_BLOCK_ROWS; row++) {
        const int64_t deadline_ms = table->deadline_ms[row];
        if (!has_state(table, row, FASTMLD_STATE_RUNS) || is_sought(table, row, search))
            continue;
        if (deadline_ms < table->earliest_ms[block])
            table->earliest_ms[block] = deadline_ms;
        if (has_state(table, row, FASTMLD_STATE_MOVES) && deadline_ms > table->latest_ms[block])
            table->latest_ms[block] = deadline_ms;
    }
}

/*
 * Look through a block's deadlines: may[i] is -1 where one may be sought, 0 elsewhere, and the bounds are those of the others.
 * Several at once where the compiler has vectors; the loop behind #else is what it means.
 */
#ifdef __GNUC__
enum { LANES = 4 };
typedef int64_t lanes __attribute__((vector_size(LANES * sizeof(int64_t))));

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
__attribute__((target_clones("avx2", "default")))
#endif
static void scan_block(const int64_t *deadline_ms, int64_t due_ms, int64_t later_ms, int64_t *may, int64_t *earliest_ms,
                       int64_t *latest_ms)
{
    const lanes never = (lanes){0} + INT64_MAX;
    lanes least = never, most = (lanes){0} + INT64_MIN, more;

    for (uint32_t i = 0; i < FASTMLD_BLOCK_ROWS; i += LANES) {
        lanes ms;
        memcpy(&ms, deadline_ms + i, sizeof ms);
        const lanes none = ms == never;
        const lanes sought = (ms <= due_ms) | ((ms > later_ms) & ~none);
        const lanes other = (ms & ~sought) | (never & sought);
        memcpy(may + i, &sought, sizeof sought);
        more = other < least;
        least = (other & more) | (least & ~more);
        more = (ms > most) & ~sought & ~none;
        most = (ms & more) | (most & ~more);
    }
    *earliest_ms = least[0];
    *latest_ms = most[0];
    for (uint32_t i = 1; i < LANES; i++) {
        *earliest_ms = least[i] < *earliest_ms ? least[i] : *earliest_ms;
        *latest_ms = most[i] > *latest_ms ? most[i] : *latest_ms;
    }
}
#else
static void scan_block(const int64_t *deadline_ms, int64_t due_ms, int64_t later_ms, int64_t *may, int64_t *earliest_ms,
                       int64_t *latest_ms)
{
    *earliest_ms = INT64_MAX;
    *latest_ms = INT64_MIN;
    for (uint32_t i = 0; i < FASTMLD_BLOCK_ROWS; i++) {
        const int64_t ms = deadline_ms[i];
        may[i] = -(ms <= due_ms || (ms > later_ms && ms != INT64_MAX));
        if (may[i] || ms == INT64_MAX)
            continue;
        *earliest_ms = ms < *earliest_ms ? ms : *earliest_ms;
        *latest_ms = ms > *latest_ms ? ms : *latest_ms;
    }
}
#endif

/* One block. It goes by deadlines, which stand close together, and asks only those rows for their state that may be sought.
 * What has a deadline and no timer that runs and moves may make a bound wider than need be. */
static uint32_t take_block(fastmld_table *table, uint32_t block, const struct search *search, uint32_t *rows_out)
{
    const uint32_t first = block * FASTMLD_BLOCK_ROWS;
    int64_t may[FASTMLD_BLOCK_ROWS];
    uint32_t taken = 0;
    int exact = 1;

    scan_block(&table->deadline_ms[first], search->due_ms, search->later_ms, may, &table->earliest_ms[block],
               &table->latest_ms[block]);
    for (uint32_t i = 0; i < FASTMLD_BLOCK_ROWS; i++) {
        if (!may[i])
            continue;
        if (is_sought(table, first + i, search))
            rows_out[taken++] = first + i;
        else
            exact = 0;
    }
    if (!exact)
        find_bounds(table, block, search);
    return taken;
}

uint32_t fastmld_take(fastmld_table *table, const uint32_t *blocks, uint32_t n, int32_t interface, int64_t due_ms,
                      int64_t later_ms, uint32_t *rows_out)
{
    const struct search search = {interface, due_ms, later_ms};
    uint32_t taken = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (n - i > TAKE_AHEAD)
            for (uint32_t row = 0; row < FASTMLD_BLOCK_ROWS; row += 8)
                PREFETCH(&table->deadline_ms[blocks[i + TAKE_AHEAD] * FASTMLD_BLOCK_ROWS + row]);
        taken += take_block(table, blocks[i], &search, rows_out + taken);
    }
    return taken;
}

void fastmld_bound(fastmld_table *table, const uint32_t *blocks, uint32_t n)
{
    const struct search nothing = {-1, INT64_MIN, INT64_MAX};

    for (uint32_t i = 0; i < n; i++)
        find_bounds(table, blocks[i], &nothing);
}
