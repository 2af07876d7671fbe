#include "oracle.h"

#include <string.h>

static unsigned word(const uint8_t *at)
{
    return at[0] * 256u + at[1];
}

static int is_zero(const uint8_t *address)
{
    for (int i = 0; i < 16; i++)
        if (address[i])
            return 0;
    return 1;
}

/* Options that are sound: each inside the header, each known or to be skipped. */
static int options_are_sound(const uint8_t *at, const uint8_t *end, int *alerts, int *mld_alerts)
{
    while (at < end) {
        if (*at == 0) { /* Pad1 */
            at++;
            continue;
        }
        if (end - at < 2 || end - at < 2 + at[1])
            return 0;
        if (*at == 5) {
            *alerts += 1;
            *mld_alerts += at[1] == 2 && at[2] == 0 && at[3] == 0;
        } else if (*at >= 64) {
            return 0;
        }
        at += 2 + at[1];
    }
    return 1;
}

static int checksum_is_right(const uint8_t *addresses, const uint8_t *message, uint32_t size)
{
    uint64_t sum = size + 58u;

    for (int i = 0; i < 32; i += 2)
        sum += word(addresses + i);
    for (uint32_t i = 0; i + 1 < size; i += 2)
        sum += word(message + i);
    if (size % 2)
        sum += message[size - 1] * 256u;
    return sum % 65535 == 0;
}

/* RFC 9777 section 5.1.3: a mantissa of 12 bits with a 1 before them, times 8, 16, ... 1024. */
static int32_t long_delay_ms(unsigned code)
{
    return code < 32768 ? (int32_t)code : (int32_t)((4096 + code % 4096) * (8u << (code - 32768) / 4096));
}

int oracle_accepts(const fastmld_interface *interface, const uint8_t *frame, uint32_t length, struct said *said)
{
    static const uint8_t ALL_NODES[16] = {255, 2, [15] = 1};
    const int strict = (interface->rules & FASTMLD_RULE_STRICT) != 0;
    const int v2 = (interface->rules & FASTMLD_RULE_V1_ONLY) == 0;
    const uint8_t *own = interface->rules & FASTMLD_RULE_LINK_LOCAL ? interface->link_local : NULL;
    uint32_t ip = 14;

    for (int i = 0; i < 2 && ip <= length && (word(frame + ip - 2) == 0x8100 || word(frame + ip - 2) == 0x88a8); i++)
        ip += 4;
    if (length < ip + 40 || word(frame + ip - 2) != 0x86dd || frame[ip] / 16 != 6)
        return 0;
    const uint32_t end = ip + 40 + word(frame + ip + 4);
    const uint8_t *source = frame + ip + 8, *destination = frame + ip + 24;
    uint32_t at = ip + 40;
    uint8_t next = frame[ip + 6];
    int alerts = 0, mld_alerts = 0, ignored = 0;
    if (end == at || end > length)
        return 0;

    for (int first = 1; next == 60 || (next == 0 && first); first = 0) {
        if (end - at < 2 || end - at < 8u + 8u * frame[at + 1])
            return 0;
        const uint32_t behind = at + 8 + 8u * frame[at + 1];
        const int hop_by_hop = next == 0;
        if (!options_are_sound(frame + at + 2, frame + behind, hop_by_hop ? &alerts : &ignored,
                               hop_by_hop ? &mld_alerts : &ignored))
            return 0;
        next = frame[at];
        at = behind;
    }
    if (next != 58 || end - at < 8)
        return 0;
    if (strict && (frame[ip + 7] != 1 || alerts != 1 || mld_alerts != 1))
        return 0;
    if (source[0] != 0xfe || source[1] / 64 != 2)
        return 0;
    if (strict && (source[1] != 0x80 || source[2] || source[3] || source[4] || source[5] || source[6] || source[7]))
        return 0;
    if (own && memcmp(source, own, 16) == 0)
        return 0;

    const uint8_t *octets = frame + at;
    const uint32_t size = end - at;
    const int query = octets[0] == 130, report2 = octets[0] == 143;
    if (!query && !report2 && octets[0] != 131 && octets[0] != 132)
        return 0;
    if (size < 24 && !report2)
        return 0;
    if (!checksum_is_right(source, octets, size))
        return 0;
    const uint8_t *group = octets + 8;
    const int general = query && is_zero(group);
    const uint32_t sources = query && v2 && size >= 28 ? word(octets + 26) : 0;
    if (query && v2 && size > 24 && (size < 28 || size < 28 + 16 * sources || (general && sources)))
        return 0;

    const uint8_t mac[6] = {0x33, 0x33, destination[12], destination[13], destination[14], destination[15]};
    const int multicast = destination[0] == 255;
    if (multicast && memcmp(frame, mac, 6) != 0 && memcmp(frame, interface->mac, 6) != 0)
        return 0;
    if (octets[0] == 131 && memcmp(destination, group, 16) != 0)
        return 0;
    const int to_all = memcmp(destination, ALL_NODES, 16) == 0;
    const int to_own = own && memcmp(destination, own, 16) == 0;
    if (query && !multicast && !to_own)
        return 0;
    if (!report2 && !general && group[0] != 255)
        return 0;

    const int query2 = query && v2 && size >= 28;
    *said = (struct said){
        .kind = report2 ? FASTMLD_REPORT2 : octets[0] == 131 ? FASTMLD_REPORT : octets[0] == 132 ? FASTMLD_DONE
              : general ? FASTMLD_GENERAL_QUERY : sources ? FASTMLD_SOURCE_QUERY : FASTMLD_GROUP_QUERY,
        .asks = !query || !multicast || to_all ? FASTMLD_ASKS_NOTHING
              : memcmp(destination, group, 16) == 0 ? FASTMLD_ASKS_GROUP : FASTMLD_ASKS_OTHER,
        .v2 = (uint8_t)query2,
        .flags = query2 ? octets[24] : 0,
        .interval_code = query2 ? octets[25] : 0,
        .sources = (uint16_t)sources,
        .delay_ms = !query ? -1
                  : query2 && interface->rules & FASTMLD_RULE_V2 ? long_delay_ms(word(octets + 4)) : (int32_t)word(octets + 4),
        .destination = ip + 24,
        .group = report2 ? 0 : at + 8,
    };
    return 1;
}
