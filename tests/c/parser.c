/*
 * The parser: fastmld_check. An input is the rules of the interface in one octet, then the frame.
 * The shortcut for the usual frame and the ladder agree. The verdict may depend on nothing but the captured octets up to
 * the Payload Length, and is `accepted` exactly when the oracle says so. That it names the first rung which fails is for
 * tests/test_exhaustive.py.
 */
#include <string.h>

#include "fastmld.h"
#include "fuzz.h"
#include "guard.h"
#include "mutate.h"
#include "oracle.h"
#include "random.h"

enum { BEHIND = 128, RULES = 63 /* all of them */ };

static uint64_t verdicts[FASTMLD_VERDICTS];

static void same(int verdict, const struct said *message, int other_verdict, const struct said *other)
{
    HOLD(verdict == other_verdict);
    HOLD(message->kind == other->kind && message->asks == other->asks);
    HOLD(message->delay_ms == other->delay_ms && message->destination == other->destination);
    HOLD(message->group == other->group);
    HOLD(message->v2 == other->v2 && message->flags == other->flags && message->interval_code == other->interval_code);
    HOLD(message->sources == other->sources);
}

/* The first octet behind the payload, or length. */
static uint32_t behind_payload(const uint8_t *frame, uint32_t length)
{
    uint32_t ip = 14;

    for (int i = 0; i < 2 && ip + 4 <= length; i++) {
        const unsigned type = frame[ip - 2] * 256u + frame[ip - 1];
        ip += type == 0x8100 || type == 0x88a8 ? 4 : 0;
    }
    if (length < ip + 40)
        return length;
    const uint32_t end = ip + 40 + frame[ip + 4] * 256u + frame[ip + 5];
    return end < length ? end : length;
}

void target_run(const uint8_t *input, size_t size)
{
    static fastmld_interface interface = {
        .link_local = {0xfe, 0x80, [15] = 1}, .mac = {2, 0, 0, 0, 0, 1}, .present = 1, .delay_ms = -1,
    };
    static struct guarded memory;
    struct said message, again;

    if (!memory.begin)
        memory = guarded_new(FUZZ_ROOM + BEHIND);
    if (size == 0 || size > FUZZ_ROOM)
        return;
    interface.rules = input[0] & RULES;
    const uint32_t length = (uint32_t)size - 1;

    uint8_t *frame = memory.end - length;
    memcpy(frame, input + 1, length);
    const int verdict = said_check(&interface, frame, length, &message);
    HOLD(verdict >= 0 && verdict < FASTMLD_VERDICTS);
    HOLD(memcmp(frame, input + 1, length) == 0);
    if (message.kind != FASTMLD_NO_KIND) { /* bad_group too: its destination is looked up, for rung 13 comes first */
        HOLD(message.kind < FASTMLD_KINDS && message.destination + 16 <= length);
        HOLD(message.group ? message.group + 16 <= length : message.kind == FASTMLD_REPORT2);
    }
    HOLD(message.asks == FASTMLD_ASKS_NOTHING || message.kind != FASTMLD_NO_KIND);
    verdicts[verdict]++;
    same(verdict, &message, said_ladder(&interface, frame, length, &again), &again);

    const int valid = oracle_accepts(&interface, frame, length, &again);
    HOLD(valid == (verdict == FASTMLD_ACCEPTED));
    if (valid)
        same(verdict, &message, FASTMLD_ACCEPTED, &again);

    frame = memory.begin;
    memcpy(frame, input + 1, length);
    memset(frame + length, 0xff, BEHIND);
    same(verdict, &message, said_check(&interface, frame, length, &again), &again);

    const uint32_t end = behind_payload(frame, length);
    if (end < length) {
        for (uint32_t i = end; i < length; i++)
            frame[i] ^= 0xff;
        same(verdict, &message, said_check(&interface, frame, length, &again), &again);
    }
}

size_t target_next(uint64_t *random, uint8_t *input, size_t size)
{
    if (size == 0)
        size = 1;
    if (random_below(random, 3) == 0)
        input[0] = (uint8_t)random_next(random) & RULES;
    return 1 + mutate(random, input + 1, (uint32_t)size - 1, FUZZ_ROOM - 1);
}

void target_summary(FILE *out)
{
    static const char *const NAMES[FASTMLD_VERDICTS] = {
        "accepted", "truncated", "not_mld", "malformed", "fragmented", "bad_hop_limit", "no_router_alert", "bad_source",
        "looped_back", "bad_length", "bad_checksum", "bad_destination", "bad_group",
    };
    for (int i = 0; i < FASTMLD_VERDICTS; i++)
        fprintf(out, "%s%s %llu", i ? ", " : "", NAMES[i], (unsigned long long)verdicts[i]);
}
