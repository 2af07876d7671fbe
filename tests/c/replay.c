#include "replay.h"

#include "fuzz.h"
#include "oracle.h"

struct meaning replay_mean(const struct world *world, uint32_t index, const uint8_t *frame, uint32_t length)
{
    const fastmld_interface *interface = &world->interfaces[index];
    struct said said;
    struct meaning meaning = {.verdict = FASTMLD_ACCEPTED, .row = NOBODY};

    if (!oracle_accepts(interface, frame, length, &said)) {
        meaning.verdict = said_check(interface, frame, length, &said);
        HOLD(meaning.verdict != FASTMLD_ACCEPTED);
        if (said.asks != FASTMLD_ASKS_NOTHING && world_row(world, index, frame + said.destination) == NOBODY)
            meaning.verdict = FASTMLD_BAD_DESTINATION; /* rung 13, before 14 */
        return meaning;
    }
    if (said.asks != FASTMLD_ASKS_NOTHING && world_row(world, index, frame + said.destination) == NOBODY) {
        meaning.verdict = FASTMLD_BAD_DESTINATION;
        return meaning;
    }
    meaning.kind = said.kind;
    meaning.delay_ms = (uint16_t)said.delay_ms;
    if (said.kind == FASTMLD_GROUP_QUERY || said.kind == FASTMLD_SOURCE_QUERY || said.kind == FASTMLD_REPORT)
        meaning.row = world_row(world, index, frame + said.group);
    return meaning;
}

static void take_delay(int32_t *least, uint16_t delay_ms)
{
    if (*least < 0 || delay_ms < *least)
        *least = delay_ms;
}

struct told replay_row(const struct batch *batch, const struct meaning *meanings, uint32_t row, uint32_t interface)
{
    struct told told = {.row = row, .delay_ms = -1};
    int delaying[2] = {0, 1}, flag[2] = {0, 0};

    for (uint32_t i = 0; i < batch->n; i++) {
        const struct meaning *it = &meanings[i];
        const int general = it->kind == FASTMLD_GENERAL_QUERY && batch->interfaces[i] == interface;
        if (!general && it->row != (int)row)
            continue;
        const int report = it->kind == FASTMLD_REPORT;
        if (!report && it->delay_ms > 0) {
            delaying[0] = delaying[1] = 1;
            take_delay(&told.delay_ms, it->delay_ms);
            continue;
        }
        for (int start = 0; start < 2; start++) {
            if (!report)
                flag[start] = 1;
            else if (delaying[start])
                flag[start] = 2;
            delaying[start] = 0;
        }
        told.answers += !report;
        told.reset = 1;
        told.delay_ms = -1;
    }
    told.flag_if_idle = flag[0];
    told.flag_if_delaying = flag[1];
    return told;
}

struct told_all replay_all(const struct batch *batch, const struct meaning *meanings, uint32_t interface)
{
    struct told_all all = {.interface = interface, .delay_ms = -1};

    for (uint32_t i = 0; i < batch->n; i++) {
        if (meanings[i].kind != FASTMLD_GENERAL_QUERY || batch->interfaces[i] != interface)
            continue;
        if (meanings[i].delay_ms > 0) {
            take_delay(&all.delay_ms, meanings[i].delay_ms);
        } else {
            all.zeros = ++all.answers;
            all.delay_ms = -1;
        }
    }
    return all;
}
