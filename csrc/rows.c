/* Rows and their timers: write what was decided, take what is due. */
#include "draw.h"
#include "table.h"

enum { AHEAD = 8 }; /* rows whose cache misses overlap */

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

void fastmld_write(fastmld_table *table, uint64_t seed, const uint32_t *rows, uint32_t n, const fastmld_move *moves,
                   uint32_t move_step, const int64_t *now_ms, uint32_t now_step, const int64_t *delays_ms,
                   uint32_t delay_step)
{
    for (uint32_t i = 0; i < n; i++) {
        fastmld_row *row = &table->rows[rows[i]];
        const fastmld_move *move = &moves[(uint64_t)i * move_step];
        const int64_t now = now_ms[(uint64_t)i * now_step];
        const int64_t delay = delays_ms[(uint64_t)i * delay_step];

        if (n - i > AHEAD)
            PREFETCH(&table->rows[rows[i + AHEAD]]);
        row->state = move->state;
        row->flags = (uint8_t)((row->flags & ~move->clear) | move->set);
        if (move->timer == FASTMLD_TIMER_KEEP)
            continue;
        row->deadline_ms = move->timer == FASTMLD_TIMER_STOP  ? INT64_MAX
                           : move->timer == FASTMLD_TIMER_SET ? now + delay
                           : now + draw_delay(draw_origin(seed, row, now), (uint32_t)delay);
        widen_bounds(table, rows[i], move->state, row->deadline_ms);
    }
}

uint32_t fastmld_take(const fastmld_table *table, const uint32_t *blocks, uint32_t n, int32_t interface, int64_t due_ms,
                      int64_t later_ms, uint32_t *rows_out)
{
    uint32_t taken = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t first = blocks[i] * FASTMLD_BLOCK_ROWS;
        int64_t earliest_ms = INT64_MAX, latest_ms = INT64_MIN;

        for (uint32_t row = first; row < first + FASTMLD_BLOCK_ROWS; row++) {
            const fastmld_row *timer = &table->rows[row];
            const int64_t deadline_ms = timer->deadline_ms;
            const int moves = (timer->state & FASTMLD_STATE_MOVES) != 0;
            if (!(timer->state & FASTMLD_STATE_RUNS))
                continue;
            if ((deadline_ms <= due_ms || (moves && deadline_ms > later_ms)) &&
                (interface < 0 || timer->interface == interface)) {
                rows_out[taken++] = row;
                continue;
            }
            if (deadline_ms < earliest_ms)
                earliest_ms = deadline_ms;
            if (moves && deadline_ms > latest_ms)
                latest_ms = deadline_ms;
        }
        table->earliest_ms[blocks[i]] = earliest_ms;
        table->latest_ms[blocks[i]] = latest_ms;
    }
    return taken;
}
