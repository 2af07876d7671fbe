#include "mutate.h"

#include <string.h>

#include "frames.h"
#include "random.h"

enum { HEADERS = 8, OPTION_ROOM = 64 };

/* A frame under work, and where its parts seem to be. All offsets are below size. */
struct work {
    uint64_t *random;
    uint8_t *frame;
    uint32_t size, room;
    uint32_t ip;                /* 0: too short for an IPv6 header */
    uint32_t headers[HEADERS];  /* extension headers */
    uint32_t n_headers;
    uint32_t last;              /* where the last next header stands */
    uint32_t message;           /* 0: none to be seen */
    uint32_t end;               /* of the payload, as far as it is there */
};

static uint32_t below(struct work *work, uint32_t bound)
{
    return random_below(work->random, bound);
}

static uint8_t octet(struct work *work)
{
    static const uint8_t TELLING[] = {
        0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 23, 24, 28, 43, 44, 51, 58, 59, 60, 63, 64,
        127, 128, 129, 130, 131, 132, 133, 134, 143, 0x81, 0x86, 0x88, 0xa8, 0xc2, 0xdd, 0xfe, 0xff,
    };
    return below(work, 4) ? TELLING[below(work, sizeof TELLING)] : (uint8_t)below(work, 256);
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static int is_tag(uint32_t type)
{
    return type == 0x8100 || type == 0x88a8;
}

static void look(struct work *work)
{
    const uint8_t *frame = work->frame;
    uint32_t ip = 14;

    work->ip = work->n_headers = work->message = 0;
    work->end = work->size;
    for (int i = 0; i < 2 && ip <= work->size && is_tag(get16(frame + ip - 2)); i++)
        ip += 4;
    if (work->size < ip + 40)
        return;
    work->ip = ip;
    const uint32_t payload_end = ip + 40 + get16(frame + ip + 4);
    if (payload_end < work->end)
        work->end = payload_end;
    uint32_t at = ip + 40;
    work->last = ip + 6;
    while (work->n_headers < HEADERS) {
        const uint8_t next = frame[work->last];
        if ((next != 0 && next != 43 && next != 44 && next != 60) || at + 8 > work->end)
            break;
        work->headers[work->n_headers++] = at;
        work->last = at;
        at += next == 44 ? 8 : 8u * (frame[at + 1] + 1u);
    }
    if (at + 4 <= work->end)
        work->message = at;
}

/* Replace frame[at, at + gone) by `come` octets of what; the Payload Length follows. */
static void splice(struct work *work, uint32_t at, uint32_t gone, const uint8_t *what, uint32_t come)
{
    if (work->size - gone + come > work->room)
        return;
    memmove(work->frame + at + come, work->frame + at + gone, work->size - at - gone);
    if (come)
        memcpy(work->frame + at, what, come);
    work->size += come - gone;
    if (work->ip && at >= work->ip + 40)
        put16(work->frame + work->ip + 4, get16(work->frame + work->ip + 4) + come - gone);
}

/* Options that a header may hold, sound and not; at least one octet, at most room. */
static uint32_t options(struct work *work, uint8_t *out, uint32_t room)
{
    static const uint8_t PIECES[][8] = { /* length first */
        {4, 5, 2, 0, 0}, {2, 1, 0}, {1, 0}, {3, 1, 1, 0}, {6, 1, 4, 0, 0, 0, 0},
        {4, 5, 2, 0, 1}, {2, 5, 0}, {5, 5, 3, 0, 0, 0}, {2, 0x1e, 0}, {4, 0x3e, 2, 7, 7}, {2, 0x80, 0}, {3, 0xc2, 1, 0},
        {2, 1, 255}, {2, 5, 255}, {1, 5}, {1, 1},
    };
    uint32_t size = 0;

    for (uint32_t i = 1 + below(work, 5); i > 0; i--) {
        const uint8_t *piece = PIECES[below(work, below(work, 2) ? 5 : sizeof PIECES / sizeof *PIECES)];
        if (size + piece[0] > room)
            break;
        memcpy(out + size, piece + 1, piece[0]);
        size += piece[0];
    }
    return size;
}

/* A whole options header: next header 0 for now, padded to a multiple of 8 with Pad1. */
static uint32_t options_header(struct work *work, uint8_t *out)
{
    memset(out, 0, OPTION_ROOM);
    const uint32_t size = (2 + options(work, out + 2, OPTION_ROOM - 2) + 7) / 8 * 8;
    out[1] = (uint8_t)(size / 8 - 1);
    return size;
}

static void set_octet(struct work *work, uint32_t place)
{
    if (place < work->size)
        work->frame[place] = octet(work);
}

static void spoil_octet(struct work *work)
{
    set_octet(work, work->size ? below(work, work->size) : 0);
}

static void spoil_bit(struct work *work)
{
    if (work->size) {
        const uint32_t place = below(work, work->size);
        work->frame[place] ^= (uint8_t)(1u << below(work, 8));
    }
}

static void spoil_ip(struct work *work)
{
    static const uint8_t PLACES[] = {0, 4, 5, 6, 7, 8, 9, 15, 23, 24, 25, 39};
    if (work->ip)
        set_octet(work, work->ip + PLACES[below(work, sizeof PLACES)]);
}

static void spoil_message(struct work *work)
{
    static const uint8_t PLACES[] = {0, 1, 2, 4, 5, 6, 8, 9, 23, 24, 25, 26, 27};
    if (work->message)
        set_octet(work, work->message + PLACES[below(work, sizeof PLACES)]);
}

static void set_type(struct work *work)
{
    static const uint8_t TYPES[] = {130, 131, 132, 143};
    if (work->message)
        work->frame[work->message] = TYPES[below(work, sizeof TYPES)];
}

static void set_payload_length(struct work *work)
{
    static const uint16_t TELLING[] = {0, 1, 2, 3, 4, 7, 8, 12, 24, 32, 0x7fff, 0x8000, 0xffff};
    if (!work->ip)
        return;
    const uint32_t right = work->size - work->ip - 40;
    const uint32_t length = below(work, 2) ? right + below(work, 5) - 2 : TELLING[below(work, sizeof TELLING / 2)];
    put16(work->frame + work->ip + 4, length);
}

static void insert_header(struct work *work)
{
    static const uint8_t KINDS[] = {0, 43, 44, 60, 60};
    uint8_t header[OPTION_ROOM];

    if (!work->ip)
        return;
    const uint8_t kind = KINDS[below(work, sizeof KINDS)];
    const uint32_t behind = below(work, work->n_headers + 1);
    const uint32_t pointer = behind ? work->headers[behind - 1] : work->ip + 6;
    uint32_t at = work->ip + 40;
    if (behind == work->n_headers && work->message)
        at = work->message;
    else if (behind)
        at = behind < work->n_headers ? work->headers[behind] : work->end;
    if (at > work->size)
        return;
    uint32_t size = options_header(work, header);
    if (kind == 44) {
        size = 8;
        memset(header, 0, 8);
        put16(header + 2, below(work, 2) ? below(work, 2) : below(work, 65536));
    }
    header[0] = work->frame[pointer];
    const uint32_t before = work->size;
    splice(work, at, 0, header, size);
    if (work->size != before)
        work->frame[pointer] = kind;
}

/* An extension header with something in it. */
static int pick_header(struct work *work, uint32_t *which, uint32_t *at, uint32_t *until)
{
    if (!work->n_headers)
        return 0;
    *which = below(work, work->n_headers);
    *at = work->headers[*which];
    *until = *which + 1 < work->n_headers ? work->headers[*which + 1] : work->message;
    return *until > *at;
}

static void remove_header(struct work *work)
{
    uint32_t which, at, until;

    if (!pick_header(work, &which, &at, &until))
        return;
    work->frame[which ? work->headers[which - 1] : work->ip + 6] = work->frame[at];
    splice(work, at, until - at, NULL, 0);
}

static void rewrite_options(struct work *work)
{
    uint8_t header[OPTION_ROOM];
    uint32_t which, at, until;

    if (!pick_header(work, &which, &at, &until))
        return;
    const uint32_t size = options_header(work, header);
    header[0] = work->frame[at];
    splice(work, at, until - at, header, size);
}

static void spoil_header(struct work *work)
{
    if (!work->n_headers)
        return;
    const uint32_t at = work->headers[below(work, work->n_headers)];
    set_octet(work, at + below(work, 8));
}

/* Hundreds of octets of padding, one by one or at once. */
static void grow_options(struct work *work)
{
    uint8_t header[2048] = {0};

    if (!work->n_headers || !work->message || work->n_headers > 1)
        return;
    const uint32_t at = work->headers[0];
    const uint32_t size = 8 * (1 + below(work, 256));
    header[0] = work->frame[at];
    header[1] = (uint8_t)(size / 8 - 1);
    memcpy(header + 2, (uint8_t[]){5, 2, 0, 0}, 4);
    if (below(work, 2) && size >= 16)
        header[6] = (uint8_t)(1 + below(work, 2)), header[7] = (uint8_t)below(work, 256);
    splice(work, at, work->message - at, header, size);
}

static void resize_message(struct work *work)
{
    uint8_t tail[64];

    if (!work->message)
        return;
    if (below(work, 2)) {
        const uint32_t gone = below(work, work->end - work->message + 1);
        splice(work, work->end - gone, gone, NULL, 0);
    } else {
        for (uint32_t i = 0; i < sizeof tail; i++)
            tail[i] = octet(work);
        splice(work, work->end, 0, tail, 1 + below(work, sizeof tail));
    }
}

/* A version 2 Query with so many sources present, and so many promised. */
static void set_sources(struct work *work)
{
    static const uint16_t COUNTS[] = {0, 1, 2, 3, 0x0fff, 0x1000, 0x1001, 0x8000, 0xffff};
    uint8_t tail[4 + 3 * 16];

    if (!work->message || work->end - work->message < 24)
        return;
    const uint32_t present = below(work, 4);
    memset(tail, 0x20, sizeof tail);
    put16(tail + 2, below(work, 2) ? present : COUNTS[below(work, sizeof COUNTS / 2)]);
    work->frame[work->message] = 130;
    const uint32_t size = 4 + 16 * present - (below(work, 8) == 0);
    splice(work, work->message + 24, work->end - work->message - 24, tail, size);
}

static void set_addresses(struct work *work)
{
    static const uint8_t ADDRESSES[][16] = {
        {0xfe, 0x80, [15] = 1}, {0xfe, 0x80, [15] = 0xfe}, {0xfe, 0x80, [7] = 1, [15] = 1}, {0xfe, 0xbf, [15] = 9},
        {0xff, 2, [15] = 1}, {0xff, 2, [15] = 2}, {0xff, 2, [15] = 0x16}, {0xff, 5, [14] = 1, 1},
        {0}, {0x20, 1, 0x0d, 0xb8, [15] = 5},
    };
    const uint8_t *address = ADDRESSES[below(work, sizeof ADDRESSES / sizeof *ADDRESSES)];
    if (!work->ip)
        return;
    switch (below(work, 4)) {
    case 0: memcpy(work->frame + work->ip + 8, address, 16); break;
    case 1: memcpy(work->frame + work->ip + 24, address, 16); break;
    case 2:
        if (work->message && work->end - work->message >= 24)
            memcpy(work->frame + work->message + 8, address, 16);
        break;
    default:
        if (work->message && work->end - work->message >= 24)
            memcpy(work->frame + work->ip + 24, work->frame + work->message + 8, 16);
    }
}

static void set_mac(struct work *work)
{
    static const uint8_t OWN[6] = {2, 0, 0, 0, 0, 1};
    if (!work->ip)
        return;
    if (below(work, 4) == 0) {
        memcpy(work->frame, OWN, 6);
    } else {
        work->frame[0] = work->frame[1] = 0x33;
        memcpy(work->frame + 2, work->frame + work->ip + 36, 4);
    }
}

static void set_tags(struct work *work)
{
    uint8_t tag[4] = {0x81, 0, 0, 5};

    if (work->size < 18)
        return;
    if (below(work, 2))
        put16(tag, 0x88a8);
    if (work->ip > 14 && below(work, 2)) {
        const uint32_t ip = work->ip;
        splice(work, 12, 4, NULL, 0);
        work->ip = ip - 4;
    } else {
        splice(work, 12, 0, tag, 4);
    }
}

static void cut_capture(struct work *work)
{
    if (work->size)
        work->size = below(work, 2) ? below(work, work->size) : work->size - 1;
}

static void pad_capture(struct work *work)
{
    for (uint32_t i = 1 + below(work, 20); i > 0 && work->size < work->room; i--)
        work->frame[work->size++] = octet(work);
}

static void (*const SPOILERS[])(struct work *) = {
    spoil_octet, spoil_bit, spoil_ip, spoil_message, spoil_message, set_type, set_payload_length,
    insert_header, insert_header, remove_header, rewrite_options, rewrite_options, spoil_header, grow_options,
    resize_message, set_sources, set_addresses, set_addresses, set_mac, set_tags, cut_capture, pad_capture,
};

uint32_t mutate(uint64_t *random, uint8_t *frame, uint32_t size, uint32_t room)
{
    struct work work = {.random = random, .frame = frame, .size = size, .room = room};

    for (uint32_t i = 1 + below(&work, below(&work, 2) ? 2 : 5); i > 0; i--) {
        look(&work);
        SPOILERS[below(&work, sizeof SPOILERS / sizeof *SPOILERS)](&work);
    }
    look(&work);
    if (work.ip && below(&work, 2))
        set_mac(&work);
    if (work.message && below(&work, 2))
        frame_repair(frame, work.ip, work.message, work.end);
    return work.size;
}
