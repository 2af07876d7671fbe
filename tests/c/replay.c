#include "replay.h"

#include "fuzz.h"
#include "oracle.h"

#include <string.h>

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
    meaning.delay_ms = said.delay_ms;
    meaning.v2 = said.v2;
    meaning.flags = said.flags;
    meaning.interval_code = said.interval_code;
    meaning.sources = said.sources;
    meaning.source = said.destination - 16;
    meaning.group = said.group;
    if (said.kind == FASTMLD_GROUP_QUERY || said.kind == FASTMLD_SOURCE_QUERY || said.kind == FASTMLD_REPORT)
        meaning.row = world_row(world, index, frame + said.group);
    return meaning;
}

static void take_delay(int32_t *least, int32_t delay_ms)
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

static int is_query(const struct meaning *meaning)
{
    return meaning->kind == FASTMLD_GENERAL_QUERY || meaning->kind == FASTMLD_GROUP_QUERY ||
           meaning->kind == FASTMLD_SOURCE_QUERY;
}

int replay_switches(const fastmld_interface *interface, const struct meaning *meaning)
{
    return meaning->kind == FASTMLD_GENERAL_QUERY && !meaning->v2 && interface->rules & FASTMLD_RULE_V2 &&
           !(interface->rules & (FASTMLD_RULE_IGNORE_V1 | FASTMLD_RULE_DEAF));
}

int replay_is_for_v1(const fastmld_interface *interface, const struct meaning *meaning)
{
    return meaning->kind != FASTMLD_NO_KIND && !(interface->rules & (FASTMLD_RULE_V2 | FASTMLD_RULE_DEAF));
}

void replay_host(const struct batch *batch, const struct meaning *meanings, const fastmld_interface *interface,
                 uint32_t index, fastmld_host *host, fastmld_query2 *queries, uint32_t *n_queries)
{
    const int ignores_v1 = interface->rules & FASTMLD_RULE_IGNORE_V1, deaf = interface->rules & FASTMLD_RULE_DEAF;

    for (uint32_t i = 0; i < batch->n; i++) {
        const struct meaning *it = &meanings[i];
        const uint8_t *frame = batch->buffer + batch->offsets[i];
        const uint8_t *group = frame + it->group;
        const int general = it->kind == FASTMLD_GENERAL_QUERY;
        if (batch->interfaces[i] != index || !is_query(it) || interface->rules & FASTMLD_RULE_V1_ONLY)
            continue;
        if (!it->v2 && !general && group[0] == 0xff && group[1] / 16 == 3 && group[2] + group[3] == 0)
            host->v1_query_ssm++;
        if (!it->v2 && ignores_v1)
            host->v1_query_ignored++;
        if (deaf)
            continue;
        memcpy(host->querier, frame + it->source, 16);
        if (!it->v2 && ignores_v1)
            continue;
        if (it->v2) {
            host->heard = host->told = 1;
            host->flags = it->flags;
            host->interval_code = it->interval_code;
        } else if (general) {
            host->heard = 1;
            host->v1_general_ms = it->delay_ms;
            host->told_v1 = host->told;
            host->flags_v1 = host->flags;
            host->interval_code_v1 = host->interval_code;
        }
        if (!(interface->rules & FASTMLD_RULE_V2))
            continue;
        const int32_t delay_ms = it->delay_ms ? it->delay_ms : 10;
        if (general && (host->general_ms == 0 || delay_ms < host->general_ms))
            host->general_ms = delay_ms;
        if (!general && it->row != NOBODY)
            queries[(*n_queries)++] = (fastmld_query2){
                .sources_at = it->sources ? group + 20 - batch->buffer : 0, .row = (uint32_t)it->row,
                .delay_ms = delay_ms, .sources = it->sources, .fold = i,
            };
    }
}
