#include "timers.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "random.h"

enum { BLOCKS = MAX_ROWS / FASTMLD_BLOCK_ROWS };

static int runs(const fastmld_row *row)
{
    return (row->state & FASTMLD_STATE_RUNS) != 0;
}

static int moves(const fastmld_row *row)
{
    return (row->state & FASTMLD_STATE_MOVES) != 0;
}

static int64_t drawn_ms(struct world *world, uint64_t seed, uint32_t row, int64_t now_ms, int32_t delay_ms)
{
    const fastmld_move move = {.state = FASTMLD_STATE_RUNS | FASTMLD_STATE_MOVES, .timer = FASTMLD_TIMER_DRAW};
    fastmld_write(&world->table, seed, &row, 1, &move, NULL, &now_ms, 0, &delay_ms, 0);
    return world->table.deadline_ms[row] - now_ms;
}

/* Draws of one moment are on 1..delay and consistent: what fits in a shorter delay is its draw too. */
static void judge_draws(struct world *world, int64_t now_ms)
{
    const uint64_t seed = random_next(&world->random);
    const uint32_t row = world_below(world, world->n_rows);
    const uint32_t bits = 1 + world_below(world, 24);
    const int32_t shorter = 1 + (int32_t)world_below(world, 1u << bits);
    const int32_t longer = shorter + (int32_t)world_below(world, 1u << bits);
    const int64_t one = drawn_ms(world, seed, row, now_ms, shorter), other = drawn_ms(world, seed, row, now_ms, longer);

    HOLD(one >= 1 && one <= shorter && other >= 1 && other <= longer);
    HOLD(other > shorter || other == one);
}

static fastmld_move pick_move(struct world *world, const fastmld_row *row)
{
    const uint8_t moving = world_below(world, 4) ? FASTMLD_STATE_MOVES : 0;
    fastmld_move move = {.timer = (uint8_t)world_below(world, FASTMLD_TIMER_SET + 1)};

    move.set = (uint8_t)world_below(world, 256);
    move.clear = (uint8_t)world_below(world, 256);
    move.state = move.timer == FASTMLD_TIMER_KEEP   ? row->state
                 : move.timer == FASTMLD_TIMER_STOP ? moving
                                                    : FASTMLD_STATE_RUNS | moving;
    return move;
}

static void judge_writes(struct world *world, int64_t now_ms)
{
    const uint32_t n = world_below(world, world->n_rows + 1);
    uint32_t *rows = malloc((n + 1) * sizeof *rows);
    fastmld_row *before = malloc((n + 1) * sizeof *before);
    int64_t *deadlines_ms = malloc((n + 1) * sizeof *deadlines_ms);
    fastmld_move *moves = malloc((n + 1) * sizeof *moves);
    uint16_t *which = malloc((n + 1) * sizeof *which);
    int64_t *nows_ms = malloc((n + 1) * sizeof *nows_ms);
    int32_t *delays_ms = malloc((n + 1) * sizeof *delays_ms);
    const uint32_t step = world_below(world, 2), turn = world_below(world, world->n_rows);

    for (uint32_t i = 0; i < n; i++) { /* each row at most once */
        rows[i] = (i + turn) % world->n_rows;
        before[i] = world->table.rows[rows[i]];
        deadlines_ms[i] = world->table.deadline_ms[rows[i]];
        which[i] = (uint16_t)(n - 1 - i);
        moves[which[i]] = pick_move(world, &before[i]);
        nows_ms[i] = now_ms + world_below(world, 100);
        delays_ms[i] = 1 + (int32_t)world_below(world, world_below(world, 2) ? 10 : 1u << 24);
    }
    const uint64_t seed = random_next(&world->random);
    fastmld_write(&world->table, seed, rows, n, moves, which, nows_ms, step, delays_ms, step);
    for (uint32_t i = 0; i < n; i++) {
        const fastmld_move *move = &moves[which[i]];
        const fastmld_row *row = &world->table.rows[rows[i]];
        const int64_t from_ms = nows_ms[step ? i : 0];
        int64_t drawn; /* of this row alone */
        fastmld_draw(&world->table, seed, &rows[i], 1, from_ms, &delays_ms[step ? i : 0], &drawn);
        const int64_t deadline_ms = world->table.deadline_ms[rows[i]];
        HOLD(row->state == move->state);
        HOLD(row->flags == ((before[i].flags & ~move->clear) | move->set));
        switch (move->timer) {
        case FASTMLD_TIMER_KEEP: HOLD(deadline_ms == deadlines_ms[i]); break;
        case FASTMLD_TIMER_STOP: HOLD(deadline_ms == INT64_MAX); break;
        case FASTMLD_TIMER_SET: HOLD(deadline_ms == from_ms); break;
        default: HOLD(deadline_ms == drawn && drawn > from_ms && drawn <= from_ms + delays_ms[step ? i : 0]);
        }
    }
    free(rows);
    free(before);
    free(deadlines_ms);
    free(moves);
    free(which);
    free(nows_ms);
    free(delays_ms);
}

static void judge_bounds(const struct world *world)
{
    const fastmld_table *table = &world->table;

    for (uint32_t row = 0; row < world->n_rows; row++) {
        const fastmld_row *it = &table->rows[row];
        const uint32_t block = row / FASTMLD_BLOCK_ROWS;
        const int64_t deadline_ms = table->deadline_ms[row];
        HOLD(!runs(it) || (deadline_ms >= table->earliest_ms[block] && deadline_ms >= table->soonest_ms));
        HOLD(!moves(it) || deadline_ms <= table->latest_ms[block]);
        HOLD(!moves(it) || deadline_ms <= table->interface_latest_ms[it->interface]);
    }
}

/* Exact bounds of a block, less the rows that are sought. */
static void find_bounds(const fastmld_table *table, uint32_t block, const uint8_t *sought, int64_t *earliest_ms,
                        int64_t *latest_ms)
{
    *earliest_ms = INT64_MAX;
    *latest_ms = INT64_MIN;
    for (uint32_t row = block * FASTMLD_BLOCK_ROWS; row < (block + 1) * FASTMLD_BLOCK_ROWS; row++) {
        const int64_t deadline_ms = table->deadline_ms[row];
        if (sought[row])
            continue;
        if (runs(&table->rows[row]) && deadline_ms < *earliest_ms)
            *earliest_ms = deadline_ms;
        if (moves(&table->rows[row]) && deadline_ms > *latest_ms)
            *latest_ms = deadline_ms;
    }
}

static void judge_exact(struct world *world, const uint32_t *blocks, uint32_t n, uint32_t turn)
{
    static const uint8_t NOTHING[BLOCKS * FASTMLD_BLOCK_ROWS];
    fastmld_table *table = &world->table;
    int64_t earliest_ms, latest_ms, soonest_ms = INT64_MAX;

    fastmld_bound(table, blocks, n);
    for (uint32_t block = 0; block < BLOCKS; block++) {
        find_bounds(table, block, NOTHING, &earliest_ms, &latest_ms);
        soonest_ms = earliest_ms < soonest_ms ? earliest_ms : soonest_ms;
        if ((block + BLOCKS - turn) % BLOCKS < n)
            HOLD(table->earliest_ms[block] == earliest_ms && table->latest_ms[block] == latest_ms);
    }
    for (uint32_t block = 0; block < BLOCKS; block++) /* what was taken and not moved on may still be due */
        if (table->earliest_ms[block] < table->soonest_ms)
            table->soonest_ms = table->earliest_ms[block];
    HOLD(fastmld_soonest(table, BLOCKS) == soonest_ms && table->soonest_ms == soonest_ms);
    HOLD(fastmld_soonest(table, BLOCKS) == soonest_ms);
}

static void judge_taking(struct world *world, int64_t now_ms)
{
    fastmld_table *table = &world->table;
    const int all = world_below(world, 2) == 0;
    const uint32_t n = all ? BLOCKS : world_below(world, BLOCKS + 1), turn = all ? 0 : world_below(world, BLOCKS);
    uint32_t *blocks = malloc((n + !n) * sizeof *blocks);
    uint32_t *rows = malloc(2 * (n + !n) * FASTMLD_BLOCK_ROWS * sizeof *rows), count = 0;
    uint8_t *sought = calloc(BLOCKS, FASTMLD_BLOCK_ROWS);
    const int32_t interface = (int32_t)world_below(world, world->n_interfaces + 1) - 1;
    const int64_t due_ms = world_below(world, 4) ? now_ms + world_below(world, 200) : INT64_MIN;
    const int64_t later_ms = world_below(world, 4) ? now_ms + world_below(world, 1u << 24) : INT64_MAX;
    int64_t earliest_ms, latest_ms;
    fastmld_taken taken, expected = {.first_ms = INT64_MAX, .last_ms = INT64_MIN};

    for (uint32_t i = 0; i < n; i++)
        blocks[i] = (i + turn) % BLOCKS;
    fastmld_take(table, all ? NULL : blocks, n, interface, due_ms, later_ms, rows, &taken);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t row = blocks[i] * FASTMLD_BLOCK_ROWS; row < (blocks[i] + 1) * FASTMLD_BLOCK_ROWS; row++) {
            const fastmld_row *it = &table->rows[row];
            const int64_t deadline_ms = table->deadline_ms[row];
            const int due = runs(it) && deadline_ms <= due_ms;
            const int late = moves(it) && deadline_ms > later_ms;
            if ((due || late) && (interface == -1 || it->interface == interface)) {
                HOLD(count < taken.rows && (all || rows[count] == row));
                sought[row] = 1;
                count++;
                expected.states |= (uint8_t)(1u << it->state);
                expected.flags |= it->flags;
                expected.first_ms = deadline_ms < expected.first_ms ? deadline_ms : expected.first_ms;
                expected.last_ms = deadline_ms > expected.last_ms ? deadline_ms : expected.last_ms;
            }
        }
        find_bounds(table, blocks[i], sought, &earliest_ms, &latest_ms);
        HOLD(table->earliest_ms[blocks[i]] <= earliest_ms && table->latest_ms[blocks[i]] >= latest_ms);
        HOLD(!all || table->soonest_ms <= earliest_ms);
    }
    HOLD(count == taken.rows && taken.states == expected.states && taken.flags == expected.flags);
    HOLD(taken.first_ms == expected.first_ms && taken.last_ms == expected.last_ms);
    for (uint32_t i = 0; i < count; i++) {
        const int64_t before_ms = i ? table->deadline_ms[rows[i - 1]] : INT64_MIN, ms = table->deadline_ms[rows[i]];
        HOLD(sought[rows[i]] && (!all || i == 0 || before_ms < ms || (before_ms == ms && rows[i - 1] < rows[i])));
    }
    judge_exact(world, all ? NULL : blocks, n, turn);
    free(blocks);
    free(rows);
    free(sought);
}

void timers_judge(struct world *world)
{
    const int64_t now_ms = (int64_t)(random_next(&world->random) >> 2) - (INT64_C(1) << 61);

    if (world->n_rows == 0)
        return;
    judge_draws(world, now_ms);
    judge_writes(world, now_ms);
    judge_bounds(world);
    judge_writes(world, now_ms + 50);
    judge_bounds(world);
    judge_taking(world, now_ms);
}
