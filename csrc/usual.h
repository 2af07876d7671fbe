/*
 * The frame that nearly every sender sends, told at one glance: untagged, a hop-by-hop header of 8 octets with MLD's Router
 * Alert and PadN in either order, 24 octets of MLDv1 behind it, valid in every respect: a Report or a Query sent to its group,
 * a General Query sent to all nodes, or a Done sent to all routers. It passes every rung of the ladder, in both profiles; what
 * is not so may pass too, and the ladder says. That the two agree is what tests/c holds.
 *
 * Addresses, options and message are 64 octets without a gap. The vectors are the compiler's own, as wide as the processor has
 * them; a compiler that has none leaves all to the ladder.
 */
#ifndef FASTMLD_USUAL_H
#define FASTMLD_USUAL_H

#include "fastmld.h"
#include "wire.h"

enum {
    USUAL_PAYLOAD_LENGTH = 18, USUAL_SOURCE = 22, USUAL_DESTINATION = 38, USUAL_OPTIONS = 54, USUAL_MESSAGE = 62,
    USUAL_DELAY = 66, USUAL_GROUP = 70, USUAL_LENGTH = 86
};
#define USUAL_ALERT_FIRST NEXT_ICMPV6, 0, OPTION_ROUTER_ALERT, 2, 0, 0, OPTION_PADN, 0
#define USUAL_ALERT_LAST NEXT_ICMPV6, 0, OPTION_PADN, 0, OPTION_ROUTER_ALERT, 2, 0, 0

/* Whether a frame is usual up to a message of eight octets or more, whatever that says. */
static inline int usual_is_up_to_message(const uint8_t *frame, uint32_t length)
{
    static const uint8_t LINK_LOCAL[8] = {0xfe, 0x80}, FIRST[8] = {USUAL_ALERT_FIRST}, LAST[8] = {USUAL_ALERT_LAST};
    enum { LEAST = USUAL_MESSAGE - USUAL_OPTIONS + 8 };

    if (length < USUAL_OPTIONS + LEAST)
        return 0;
    const uint32_t payload = be16(frame + USUAL_PAYLOAD_LENGTH);
    const uint64_t options = word64(frame + USUAL_OPTIONS);
    return (be16(frame + 12) == ETHERTYPE_IPV6) & (frame[14] >> 4 == 6) & (be16(frame + 20) == (NEXT_HOP_BY_HOP << 8 | 1)) &
           (word64(frame + USUAL_SOURCE) == word64(LINK_LOCAL)) &
           ((options == word64(FIRST)) | (options == word64(LAST))) & (payload >= LEAST) &
           (payload <= length - USUAL_OPTIONS);
}

/* fastmld_check of a frame that is not usual. */
int fastmld_check_other(const fastmld_interface *interface, const uint8_t *frame, uint32_t length, fastmld_message *message);

#ifdef __GNUC__
#define USUAL_INLINE static inline __attribute__((always_inline))

/* 32 octets of a frame, as words of 64 bits and of 32. By pointer: how they are passed depends on the processor. */
typedef uint64_t usual_words __attribute__((vector_size(32)));
typedef uint32_t usual_halves __attribute__((vector_size(32)));
typedef uint64_t usual_pair __attribute__((vector_size(16)));

/* What such octets have to be where the mask is set. */
struct usual_octets {
    uint8_t mask[32], octets[32];
};

USUAL_INLINE void usual_load(usual_words *words, const uint8_t *octets)
{
    memcpy(words, octets, sizeof *words);
}

/* All bits of those words that are as they have to be. */
USUAL_INLINE void usual_match(usual_words *right, const usual_words *words, const struct usual_octets *usual)
{
    usual_words mask, octets;

    usual_load(&mask, usual->mask);
    usual_load(&octets, usual->octets);
    *right = (usual_words)((*words & mask) == octets);
}

/* In lanes of 32 bits, sums of 16-bit words. The upper ones are told by a shift, the lower ones are what they leave over. */
USUAL_INLINE void usual_sum(usual_halves *sum, const usual_words *addresses, const usual_words *message)
{
    const usual_halves one = (usual_halves)*addresses, other = (usual_halves)*message;
    const usual_halves upper = (one >> 16) + (other >> 16);
    *sum = one + other - (upper << 16) + upper;
}

/* Whether all words are right, and the Internet checksum is. */
USUAL_INLINE uint32_t usual_is_valid(const usual_halves *sum, const usual_words *right)
{
    /* What RFC 8200 section 8.1 puts before the message, less the options, summed too: the same words in either order. */
    static const uint8_t MORE[2][2] = {{0, USUAL_LENGTH - 62}, {0, NEXT_ICMPV6}};
    static const uint8_t LESS[3][2] = {{NEXT_ICMPV6, 0}, {OPTION_ROUTER_ALERT, 2}, {OPTION_PADN, 0}};
    /* A lane that is right adds so much that a sum is far below 0 where one is not. */
    enum { SHIFT = 8, RIGHT = UINT32_MAX >> SHIFT, LANES = sizeof(usual_halves) / sizeof(uint32_t), MOST = 64 };
    const usual_halves lanes = *sum + ((usual_halves)*right >> SHIFT);
    usual_pair low, high;

    memcpy(&low, &lanes, sizeof low);
    memcpy(&high, (const uint8_t *)&lanes + sizeof low, sizeof high);
    low += high;
    const uint64_t both = low[0] + low[1]; /* two lanes again */
    const uint32_t all = (uint32_t)both + (uint32_t)(both >> 32) + 0xffff + word16(MORE[0]) + word16(MORE[1]) -
                         word16(LESS[0]) - word16(LESS[1]) - word16(LESS[2]) - LANES * (uint32_t)RIGHT;
    /* The factor is the inverse of 0xffff: of its multiples it makes their quotients, of all else something greater. */
    return all * 0xfffeffff <= MOST;
}

/* The kind of a usual frame; FASTMLD_NO_KIND: the ladder says. */
USUAL_INLINE uint8_t usual_kind(const fastmld_interface *interface, const uint8_t *frame, uint32_t length)
{
#define EIGHT(octet) octet, octet, octet, octet, octet, octet, octet, octet
    static const struct usual_octets START = {
        {0xff, 0xff, [12] = 0xff, 0xff, 0xf0, [18] = 0xff, 0xff, 0xff, 0xff, EIGHT(0xff)},
        {0x33, 0x33, [12] = ETHERTYPE_IPV6 >> 8, ETHERTYPE_IPV6 & 0xff, 0x60, [19] = USUAL_LENGTH - USUAL_OPTIONS,
         NEXT_HOP_BY_HOP, 1, 0xfe, 0x80},
    };
    static const struct usual_octets FOR_GROUP[2] = {
        {{EIGHT(0xff), [16] = 0xff}, {USUAL_ALERT_FIRST, [16] = 0xff}},
        {{EIGHT(0xff), [16] = 0xff}, {USUAL_ALERT_LAST, [16] = 0xff}},
    };
    static const struct usual_octets GENERAL[2] = {
        {{EIGHT(0xff), 0xff, [16] = EIGHT(0xff), EIGHT(0xff)}, {USUAL_ALERT_FIRST, TYPE_QUERY}},
        {{EIGHT(0xff), 0xff, [16] = EIGHT(0xff), EIGHT(0xff)}, {USUAL_ALERT_LAST, TYPE_QUERY}},
    };
    static const struct usual_octets TO_ALL_NODES = {{[16] = EIGHT(0xff), EIGHT(0xff)}, {[16] = 0xff, 0x02, [31] = 1}};
    static const struct usual_octets TO_ALL_ROUTERS = {{[16] = EIGHT(0xff), EIGHT(0xff)}, {[16] = 0xff, 0x02, [31] = 2}};
    static const uint8_t KINDS[256] = {[TYPE_QUERY] = FASTMLD_GROUP_QUERY, [TYPE_REPORT] = FASTMLD_REPORT};
    static const uint8_t ALL_NODES[16] = {0xff, 0x02, [15] = 1};
    const usual_words anyone = {~UINT64_C(0), ~UINT64_C(0)}; /* a source, before the destination */
    usual_words start, addresses, message, common, about_group, right, first, last;
    usual_halves sum;

    if (length < USUAL_LENGTH || word32(frame + 2) != word32(frame + USUAL_DESTINATION + 12) ||
        word64(frame + USUAL_SOURCE + 8) == word64(interface->link_local + 8))
        return FASTMLD_NO_KIND;
    usual_load(&start, frame);
    usual_load(&addresses, frame + USUAL_SOURCE);
    usual_load(&message, frame + USUAL_OPTIONS);
    usual_sum(&sum, &addresses, &message);
    usual_match(&common, &start, &START);

    usual_match(&first, &message, &FOR_GROUP[0]);
    usual_match(&last, &message, &FOR_GROUP[1]);
    about_group = common & (first | last);
    right = about_group & ((usual_words)(addresses == message) | anyone);
    if (__builtin_expect(usual_is_valid(&sum, &right), 1)) {
        if (__builtin_expect(word32(frame + USUAL_GROUP + 12) == word32(ALL_NODES + 12), 0) &&
            memcmp(frame + USUAL_GROUP, ALL_NODES, sizeof ALL_NODES) == 0)
            return FASTMLD_NO_KIND; /* sent to all nodes, which everybody listens to */
        return KINDS[frame[USUAL_MESSAGE]];
    }
    usual_match(&first, &message, &GENERAL[0]);
    usual_match(&last, &message, &GENERAL[1]);
    usual_match(&right, &addresses, &TO_ALL_NODES);
    right &= common & (first | last);
    if (usual_is_valid(&sum, &right))
        return FASTMLD_GENERAL_QUERY;
    usual_match(&right, &addresses, &TO_ALL_ROUTERS);
    right &= about_group;
    return (frame[USUAL_MESSAGE] == TYPE_DONE) & usual_is_valid(&sum, &right) ? FASTMLD_DONE : FASTMLD_NO_KIND;
#undef EIGHT
}
#else
static inline uint8_t usual_kind(const fastmld_interface *interface, const uint8_t *frame, uint32_t length)
{
    (void)interface, (void)frame, (void)length;
    return FASTMLD_NO_KIND;
}
#endif

#endif
