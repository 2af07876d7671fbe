/*
 * The frame that nearly every sender sends, told from all others without a branch: untagged, a hop-by-hop header of 8 octets
 * with MLD's Router Alert and PadN in either order, 24 octets of MLDv1 behind it, valid in every respect. It passes every rung
 * of the ladder, in both profiles; what is not so may pass too, and the ladder says. That the two agree is what tests/c holds.
 */
#ifndef FASTMLD_USUAL_H
#define FASTMLD_USUAL_H

#include "fastmld.h"
#include "wire.h"

/* 0 if the Internet checksum is right over seven words and what RFC 8200 section 8.1 puts before 24 octets of ICMPv6. */
static inline uint32_t usual_checksum(const uint64_t word[7])
{
    static const uint8_t PSEUDO_HEADER[8] = {0, 0, 0, sizeof(struct wire_mld), 0, 0, 0, NEXT_ICMPV6};
    uint64_t even = word64(PSEUDO_HEADER) & 0xffffffff, odd = word64(PSEUDO_HEADER) >> 32;

    for (int i = 0; i < 7; i++) {
        even += word[i] & 0xffffffff;
        odd += word[i] >> 32;
    }
    even += odd;
    return (uint32_t)(even % 0xffff);
}

static inline int usual_frame(const fastmld_interface *interface, const uint8_t *frame, uint32_t length,
                              fastmld_message *message)
{
    enum {
        ETHERTYPE = 12, NEXT_HEADER = 20, SOURCE = 22, DESTINATION = 38, OPTIONS = 54, TYPE = 62, DELAY = 66, GROUP = 70,
        END = 86
    };
    static const uint8_t MASK[8] = {0xff, 0xff, 0xf0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t START[8] = {ETHERTYPE_IPV6 >> 8, ETHERTYPE_IPV6 & 0xff, 0x60, 0, 0, 0, 0, END - OPTIONS};
    static const uint8_t HOPS[2] = {NEXT_HOP_BY_HOP, 1};
    static const uint8_t LINK_LOCAL[8] = {0xfe, 0x80};
    static const uint8_t ALL_NODES[16] = {0xff, 0x02, [15] = 1};
    static const uint8_t ALERT_FIRST[8] = {NEXT_ICMPV6, 0, OPTION_ROUTER_ALERT, 2, 0, 0, OPTION_PADN, 0};
    static const uint8_t ALERT_LAST[8] = {NEXT_ICMPV6, 0, OPTION_PADN, 0, OPTION_ROUTER_ALERT, 2, 0, 0};
    static const uint8_t KIND[8] = {
        FASTMLD_GROUP_QUERY, FASTMLD_REPORT, FASTMLD_DONE, FASTMLD_NO_KIND, FASTMLD_GENERAL_QUERY,
    };

    if (length < END)
        return 0;
    const uint64_t options = word64(frame + OPTIONS);
    const uint64_t source[2] = {word64(frame + SOURCE), word64(frame + SOURCE + 8)};
    const uint64_t destination[2] = {word64(frame + DESTINATION), word64(frame + DESTINATION + 8)};
    const uint64_t group[2] = {word64(frame + GROUP), word64(frame + GROUP + 8)};
    const uint64_t summed[7] = {source[0], source[1], destination[0], destination[1], word64(frame + TYPE), group[0], group[1]};
    const uint64_t own[2] = {word64(interface->link_local), word64(interface->link_local + 8)};

    const uint32_t type = (uint32_t)frame[TYPE] - TYPE_QUERY;
    const uint32_t query = type == 0;
    const uint32_t general = query & ((group[0] | group[1]) == 0);
    const uint32_t to_group = ((destination[0] ^ group[0]) | (destination[1] ^ group[1])) == 0;
    const uint32_t to_all = ((destination[0] ^ word64(ALL_NODES)) | (destination[1] ^ word64(ALL_NODES + 8))) == 0;

    /* What has to be as it always is: any bit that is not ends it. */
    const uint64_t odd = ((word64(frame + ETHERTYPE) & word64(MASK)) ^ word64(START)) | (source[0] ^ word64(LINK_LOCAL)) |
                         (uint64_t)(word16(frame + NEXT_HEADER) ^ word16(HOPS)) | (uint64_t)(word16(frame) ^ 0x3333) |
                         (uint64_t)(word32(frame + 2) ^ word32(frame + DESTINATION + 12)) |
                         (uint64_t)(frame[DESTINATION] ^ 0xff) | usual_checksum(summed);
    const uint32_t valid =
        (odd == 0) & ((options == word64(ALERT_FIRST)) | (options == word64(ALERT_LAST))) &
        (((source[0] ^ own[0]) | (source[1] ^ own[1])) != 0) &
        (to_group | (query & to_all) | (type == TYPE_DONE - TYPE_QUERY)) & (general | (frame[GROUP] == 0xff)) &
        (type <= TYPE_DONE - TYPE_QUERY);
    if (!valid)
        return 0;
    *message = (fastmld_message){
        .kind = KIND[type | general << 2],
        .asks = (uint8_t)(query & (to_all ^ 1)), /* FASTMLD_ASKS_GROUP: to the group, or it were not valid */
        .delay_ms = (int32_t)(be16(frame + DELAY) & (0 - query)) - (int32_t)(query ^ 1),
        .destination = DESTINATION,
        .group = GROUP,
    };
    return 1;
}

#endif
