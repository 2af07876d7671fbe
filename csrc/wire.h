/* What stands on the wire. Octets only: no member has an alignment or a byte order of its own. */
#ifndef FASTMLD_WIRE_H
#define FASTMLD_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire_ethernet {
    uint8_t destination[6], source[6], type_be16[2];
};

struct wire_vlan { /* between the MAC addresses and the type of what is tagged */
    uint8_t type_be16[2], tag_be16[2];
};

struct wire_ipv6 { /* RFC 8200 section 3 */
    uint8_t version_class_flow[4], payload_length_be16[2], next_header, hop_limit;
    uint8_t source[16], destination[16];
};

struct wire_fragment { /* RFC 8200 section 4.5 */
    uint8_t next_header, reserved, offset_be16[2], identification[4];
};

struct wire_mld { /* RFC 2710 section 3 */
    uint8_t type, code, checksum_be16[2], delay_be16[2], reserved[2], group[16];
};

struct wire_query2 { /* RFC 9777 section 5.1 */
    struct wire_mld mld;
    uint8_t flags, interval_code, sources_be16[2];
};

struct wire_report2 { /* RFC 9777 section 5.2, its records apart */
    uint8_t type, code, checksum_be16[2], flags_be16[2], records_be16[2];
};

struct wire_record { /* RFC 9777 section 5.2, its sources apart */
    uint8_t type, aux_length, sources_be16[2], group[16];
};

static_assert(sizeof(struct wire_ethernet) == 14, "Ethernet header");
static_assert(sizeof(struct wire_vlan) == 4, "VLAN tag");
static_assert(sizeof(struct wire_ipv6) == 40, "IPv6 header");
static_assert(sizeof(struct wire_fragment) == 8, "fragment header");
static_assert(sizeof(struct wire_mld) == 24, "MLDv1 message");
static_assert(sizeof(struct wire_query2) == 28, "MLDv2 Query without sources");
static_assert(sizeof(struct wire_report2) == 8, "MLDv2 Report without records");
static_assert(sizeof(struct wire_record) == 20, "record without sources");

enum {
    ETHERTYPE_IPV6 = 0x86dd, ETHERTYPE_CUSTOMER_VLAN = 0x8100, ETHERTYPE_SERVICE_VLAN = 0x88a8,
    NEXT_HOP_BY_HOP = 0, NEXT_ROUTING = 43, NEXT_FRAGMENT = 44, NEXT_ICMPV6 = 58, NEXT_DESTINATION = 60,
    OPTION_PAD1 = 0, OPTION_PADN = 1, OPTION_ROUTER_ALERT = 5,
    TYPE_QUERY = 130, TYPE_REPORT = 131, TYPE_DONE = 132, TYPE_REPORT2 = 143,
    MODE_IS_EXCLUDE = 2, CHANGE_TO_EXCLUDE_MODE = 4
};

static inline uint16_t be16(const uint8_t *at)
{
    return (uint16_t)((unsigned)at[0] << 8 | at[1]);
}

static inline uint32_t be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Octets in whatever byte order the machine has: to be compared with others, or summed. */
static inline uint16_t word16(const uint8_t *at)
{
    uint16_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t word32(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t word64(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t be64(const uint8_t *at)
{
    return (uint64_t)be32(at) << 32 | be32(at + 4);
}

#endif
