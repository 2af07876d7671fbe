/* The ladder: which frames are a valid MLD message. One rung after the other; the first that fails is the verdict. */
#include <string.h>

#include "checksum.h"
#include "fastmld.h"
#include "usual.h"
#include "wire.h"

static const uint8_t ALL_NODES[16] = {0xff, 0x02, [15] = 1};

/* The extension headers before ICMPv6, as rungs 2 to 8 need them. */
struct chain {
    uint32_t message;           /* offset of what follows the chain */
    uint8_t last;               /* the next header that the chain ends in */
    int hidden;                 /* it runs past the payload, so what it ends in is not known */
    int later_fragment, fragment, routing, bad_option;
    unsigned alerts;            /* Router Alert options in the hop-by-hop header, of whatever length or value */
    int mld_alert;              /* one of them has length 2 and value 0 */
};

static void walk_options(struct chain *chain, const uint8_t *options, uint32_t length, int hop_by_hop)
{
    uint32_t at = 0;

    while (at < length) {
        const uint8_t type = options[at];
        if (type == OPTION_PAD1) {
            at += 1;
            continue;
        }
        const uint8_t size = length - at < 2 ? UINT8_MAX : options[at + 1]; /* read once: what is checked is used */
        if (length - at < 2u + size) {
            chain->bad_option = 1;
            return;
        }
        if (type == OPTION_ROUTER_ALERT) {
            if (hop_by_hop) {
                chain->alerts += 1;
                chain->mld_alert |= size == 2 && be16(options + at + 2) == 0;
            }
        } else if (type != OPTION_PADN && type >> 6 != 0) {
            chain->bad_option = 1;
        }
        at += 2u + size;
    }
}

/* frame[at, end) is the payload as far as it was captured. */
static void walk_chain(struct chain *chain, const uint8_t *frame, uint32_t at, uint32_t end, uint8_t next)
{
    int first = 1;

    memset(chain, 0, sizeof *chain);
    for (;;) {
        const int options = (next == NEXT_HOP_BY_HOP && first) || next == NEXT_DESTINATION;
        if (!options && next != NEXT_ROUTING && next != NEXT_FRAGMENT)
            break;
        if (at >= end) {
            chain->hidden = 1;
            return;
        }
        const uint8_t following = frame[at];
        const uint32_t room = end - at;
        const uint32_t size = next == NEXT_FRAGMENT ? 8u : room < 2 ? UINT32_MAX : 8u * (frame[at + 1] + 1u);
        const int overrun = size > room;

        if (!overrun && options)
            walk_options(chain, frame + at + 2, size - 2, next == NEXT_HOP_BY_HOP);
        if (next == NEXT_ROUTING)
            chain->routing = 1;
        if (next == NEXT_FRAGMENT) {
            chain->fragment = 1;
            if (!overrun && be16(frame + at + 2) >> 3 != 0) {
                chain->later_fragment = 1;
                next = following;
                at += size;
                break;          /* what follows is the middle of something */
            }
        }
        next = following;
        first = 0;
        if (overrun) {
            at = end;           /* its first octet still tells what follows; where that begins is beyond the payload */
            chain->hidden = next == NEXT_ICMPV6;
            if (chain->hidden)
                return;
        } else {
            at += size;
        }
    }
    chain->message = at;
    chain->last = next;
}

static int is_mld_type(uint8_t type)
{
    return type == TYPE_QUERY || type == TYPE_REPORT || type == TYPE_DONE || type == TYPE_REPORT2;
}

static int is_link_local(const uint8_t *address, int strict)
{
    static const uint8_t PREFIX[8] = {0xfe, 0x80};
    return strict ? memcmp(address, PREFIX, 8) == 0 : address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

/* Rung 11. */
static int has_bad_length(const uint8_t *message, uint32_t length, int v1_only)
{
    const uint8_t type = message[0];

    if (type == TYPE_REPORT2)
        return length < 8;
    if (length < sizeof(struct wire_mld))
        return 1;
    if (type != TYPE_QUERY || v1_only || length == sizeof(struct wire_mld))
        return 0;
    if (length < sizeof(struct wire_query2))
        return 1;
    const struct wire_query2 *query = (const struct wire_query2 *)message;
    const uint32_t sources = be16(query->sources_be16);
    const int general = be64(query->mld.group) == 0 && be64(query->mld.group + 8) == 0;
    return (length - sizeof(struct wire_query2)) / 16 < sources || (general && sources != 0);
}

static uint8_t kind_of(const uint8_t *message, uint32_t length, int v1_only)
{
    switch (message[0]) {
    case TYPE_REPORT: return FASTMLD_REPORT;
    case TYPE_DONE: return FASTMLD_DONE;
    case TYPE_REPORT2: return FASTMLD_REPORT2;
    }
    const struct wire_query2 *query = (const struct wire_query2 *)message;
    if (be64(query->mld.group) == 0 && be64(query->mld.group + 8) == 0)
        return FASTMLD_GENERAL_QUERY;
    if (!v1_only && length >= sizeof *query && be16(query->sources_be16) != 0)
        return FASTMLD_SOURCE_QUERY;
    return FASTMLD_GROUP_QUERY;
}

/* RFC 9777 section 5.1.3: linear, or 4 bits of exponent and 12 of mantissa. */
static int32_t response_delay_ms(uint16_t code)
{
    return code < 0x8000 ? code : ((code & 0x0fff) | 0x1000) << ((code >> 12 & 7) + 3);
}

/* What a Query asks for. In MLDv1 mode its delay is what MLDv1 says (RFC 2710 section 3.4). */
static void read_query(fastmld_message *message, const uint8_t *octets, uint32_t length, uint8_t rules)
{
    const struct wire_query2 *query = (const struct wire_query2 *)octets;
    const uint16_t code = be16(query->mld.delay_be16);

    message->delay_ms = code;
    if (length < sizeof *query || (rules & FASTMLD_RULE_V1_ONLY))
        return;
    message->v2 = 1;
    message->flags = query->flags;
    message->interval_code = query->interval_code;
    message->sources = be16(query->sources_be16);
    if (rules & FASTMLD_RULE_V2)
        message->delay_ms = response_delay_ms(code);
}

/* Of a frame that passed rungs 1 to 9: where its IPv6 header and its message begin, and where the payload ends. */
struct opened {
    uint32_t ip, message, end;
};

/* Rungs 1 to 9. */
static int open_frame(uint8_t rules, const uint8_t *frame, uint32_t length, struct opened *opened)
{
    const int strict = rules & FASTMLD_RULE_STRICT;
    struct chain chain;

    /* 1 */
    uint32_t at = sizeof(struct wire_ethernet);
    if (length < at)
        return FASTMLD_TRUNCATED;
    uint16_t type = be16(frame + at - 2);
    for (int tags = 0; tags < 2 && (type == ETHERTYPE_CUSTOMER_VLAN || type == ETHERTYPE_SERVICE_VLAN); tags++) {
        at += (uint32_t)sizeof(struct wire_vlan);
        if (length < at)
            return FASTMLD_TRUNCATED;
        type = be16(frame + at - 2);
    }
    if (type != ETHERTYPE_IPV6)
        return FASTMLD_NOT_MLD;
    if (length - at < sizeof(struct wire_ipv6))
        return FASTMLD_TRUNCATED;

    /* 2: whatever lies both in the payload and in the capture is believed */
    const struct wire_ipv6 *ip = (const struct wire_ipv6 *)(frame + at);
    if (ip->version_class_flow[0] >> 4 != 6)
        return FASTMLD_NOT_MLD;
    at += (uint32_t)sizeof(struct wire_ipv6);
    const uint32_t payload = be16(ip->payload_length_be16);
    const uint32_t captured = length - at;
    const uint32_t end = at + (payload < captured ? payload : captured);
    walk_chain(&chain, frame, at, end, ip->next_header);
    if (!chain.hidden && chain.last != NEXT_ICMPV6)
        return FASTMLD_NOT_MLD;
    const int type_known = !chain.hidden && !chain.later_fragment && chain.message < end;
    if (type_known && !is_mld_type(frame[chain.message]))
        return FASTMLD_NOT_MLD;

    /* 3 */
    if (payload == 0)
        return FASTMLD_MALFORMED;
    if (payload > captured || chain.hidden)
        return FASTMLD_TRUNCATED;
    if (!chain.later_fragment && end - chain.message < 4)
        return FASTMLD_TRUNCATED;

    /* 4 */
    if (chain.fragment)
        return FASTMLD_FRAGMENTED;

    /* 5 */
    if (chain.routing || chain.bad_option)
        return FASTMLD_MALFORMED;

    /* 6, 7, 8 */
    if (strict) {
        if (ip->hop_limit != 1)
            return FASTMLD_BAD_HOP_LIMIT;
        if (!chain.mld_alert)
            return FASTMLD_NO_ROUTER_ALERT;
        if (chain.alerts > 1)
            return FASTMLD_MALFORMED;
    }

    /* 9 */
    if (!is_link_local(ip->source, strict))
        return FASTMLD_BAD_SOURCE;
    *opened = (struct opened){(uint32_t)((const uint8_t *)ip - frame), chain.message, end};
    return FASTMLD_ACCEPTED;
}

/* Rungs 10 to 14. */
static inline int read_message(const fastmld_interface *interface, const uint8_t *frame, const struct opened *opened,
                               fastmld_message *message)
{
    const int v1_only = interface->rules & FASTMLD_RULE_V1_ONLY;
    const int has_own = interface->rules & FASTMLD_RULE_LINK_LOCAL;
    const struct wire_ethernet *ethernet = (const struct wire_ethernet *)frame;
    const struct wire_ipv6 *ip = (const struct wire_ipv6 *)(frame + opened->ip);

    /* 10 */
    if (has_own && memcmp(ip->source, interface->link_local, 16) == 0)
        return FASTMLD_LOOPED_BACK;

    /* 11 */
    const uint8_t *octets = frame + opened->message;
    const uint32_t size = opened->end - opened->message;
    if (has_bad_length(octets, size, v1_only))
        return FASTMLD_BAD_LENGTH;

    /* 12 */
    uint64_t sum = checksum_pseudo_header(size);
    sum = checksum_add(sum, ip->source, 32);
    if (checksum_fold(checksum_add(sum, octets, size)) != 0xffff)
        return FASTMLD_BAD_CHECKSUM;

    /* 13 */
    const struct wire_mld *mld = (const struct wire_mld *)octets;
    const int multicast = ip->destination[0] == 0xff;
    if (multicast && memcmp(ethernet->destination, interface->mac, 6) != 0 &&
        (be16(ethernet->destination) != 0x3333 || memcmp(ethernet->destination + 2, ip->destination + 12, 4) != 0))
        return FASTMLD_BAD_DESTINATION;
    if (mld->type == TYPE_REPORT && memcmp(ip->destination, mld->group, 16) != 0)
        return FASTMLD_BAD_DESTINATION;
    if (mld->type == TYPE_QUERY && memcmp(ip->destination, ALL_NODES, 16) != 0) {
        if (multicast)
            message->asks = memcmp(ip->destination, mld->group, 16) == 0 ? FASTMLD_ASKS_GROUP : FASTMLD_ASKS_OTHER;
        else if (!has_own || memcmp(ip->destination, interface->link_local, 16) != 0)
            return FASTMLD_BAD_DESTINATION;
    }

    message->kind = kind_of(octets, size, v1_only);
    message->destination = (uint32_t)(ip->destination - frame);
    message->group = mld->type == TYPE_REPORT2 ? 0 : (uint32_t)(mld->group - frame);
    message->delay_ms = -1;
    if (mld->type == TYPE_QUERY)
        read_query(message, octets, size, interface->rules);

    /* 14 */
    if (mld->type != TYPE_REPORT2 && message->kind != FASTMLD_GENERAL_QUERY && mld->group[0] != 0xff)
        return FASTMLD_BAD_GROUP;
    return FASTMLD_ACCEPTED;
}

int fastmld_ladder(const fastmld_interface *interface, const uint8_t *frame, uint32_t length, fastmld_message *message)
{
    struct opened opened;
    const int verdict = open_frame(interface->rules, frame, length, &opened);

    memset(message, 0, sizeof *message);
    return verdict == FASTMLD_ACCEPTED ? read_message(interface, frame, &opened, message) : verdict;
}

int fastmld_check_other(const fastmld_interface *interface, const uint8_t *frame, uint32_t length, fastmld_message *message)
{
    if (!usual_is_up_to_message(frame, length) || !is_mld_type(frame[USUAL_MESSAGE]))
        return fastmld_ladder(interface, frame, length, message);
    const uint32_t end = USUAL_OPTIONS + be16(frame + USUAL_PAYLOAD_LENGTH);
    const struct opened opened = {sizeof(struct wire_ethernet), USUAL_MESSAGE, end}; /* rungs 1 to 9 let it pass */
    memset(message, 0, sizeof *message);
    return read_message(interface, frame, &opened, message);
}

int fastmld_check(const fastmld_interface *interface, const uint8_t *frame, uint32_t length, fastmld_message *message)
{
    const uint8_t kind = usual_kind(interface, frame, length);
    const int query = kind == FASTMLD_GROUP_QUERY || kind == FASTMLD_GENERAL_QUERY;

    if (kind == FASTMLD_NO_KIND)
        return fastmld_check_other(interface, frame, length, message);
    *message = (fastmld_message){
        .kind = kind,
        .asks = kind == FASTMLD_GROUP_QUERY ? FASTMLD_ASKS_GROUP : FASTMLD_ASKS_NOTHING,
        .delay_ms = query ? be16(frame + USUAL_DELAY) : -1,
        .destination = USUAL_DESTINATION,
        .group = USUAL_GROUP,
    };
    return FASTMLD_ACCEPTED;
}
