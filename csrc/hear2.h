/* What a frame says to an interface that speaks MLDv2, or would. Only classify.c needs it, once an accepted frame. */
#ifndef FASTMLD_HEAR2_H
#define FASTMLD_HEAR2_H

#include <string.h>

#include "fastmld.h"
#include "wire.h"

/* Whether an accepted message changes the host compatibility mode to MLDv1 (RFC 9777 section 8.2.1). */
static inline int hear2_switches(const fastmld_interface *interface, const fastmld_message *message)
{
    return (interface->rules & (FASTMLD_RULE_V2 | FASTMLD_RULE_IGNORE_V1 | FASTMLD_RULE_DEAF)) == FASTMLD_RULE_V2 &&
           message->kind == FASTMLD_GENERAL_QUERY && !message->v2;
}

static inline int hear2_is_ssm(const uint8_t *group) /* ff3x::/32, RFC 4607 section 1 */
{
    return group[0] == 0xff && group[1] >> 4 == 3 && group[2] == 0 && group[3] == 0;
}

static inline fastmld_host *hear2_host(fastmld_heard2 *heard, uint32_t port)
{
    fastmld_host *host = &heard->hosts[port];

    if (!host->heard) {
        host->heard = 1;
        heard->heard[heard->n_heard++] = port;
    }
    return host;
}

/* Whether the message is dealt with: it is not for the MLDv1 listener. */
static inline int hear2(fastmld_heard2 *heard, const fastmld_interface *interface, uint32_t port, uint32_t row,
                        const fastmld_message *message, const uint8_t *frame, int64_t offset)
{
    const int v2 = interface->rules & FASTMLD_RULE_V2;
    const int general = message->kind == FASTMLD_GENERAL_QUERY;

    if (message->kind == FASTMLD_REPORT || message->kind == FASTMLD_DONE || message->kind == FASTMLD_REPORT2)
        return v2;

    fastmld_host *host = &heard->hosts[port];
    if (!(interface->rules & FASTMLD_RULE_DEAF))
        memcpy(host->querier, frame + message->destination - 16, 16);
    if (!message->v2) {
        host->v1_query_ssm += !general && hear2_is_ssm(frame + message->group);
        if (interface->rules & FASTMLD_RULE_IGNORE_V1) {
            host->v1_query_ignored++;
            return 1;
        }
    }
    if (interface->rules & FASTMLD_RULE_DEAF)
        return 1;
    if (message->v2) {
        host = hear2_host(heard, port);
        host->told = 1;
        host->flags = message->flags;
        host->interval_code = message->interval_code;
    } else if (general) {       /* in MLDv1 mode: else it would have ended the call */
        host = hear2_host(heard, port);
        host->v1_general_ms = message->delay_ms;
        host->told_v1 = host->told;
        host->flags_v1 = host->flags;
        host->interval_code_v1 = host->interval_code;
    }
    if (!v2)
        return 0;
    const int32_t delay_ms = message->delay_ms ? message->delay_ms : FASTMLD_LEAST_DELAY_MS;
    if (general) {
        if (host->general_ms == 0 || delay_ms < host->general_ms)
            host->general_ms = delay_ms;
    } else if (row != UINT32_MAX) {
        heard->queries[heard->n_queries++] = (fastmld_query2){
            .sources_at = offset + message->group + 20, .row = row, .delay_ms = delay_ms,
            .sources = message->sources,
        };
    }
    return 1;
}

#endif
