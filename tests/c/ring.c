/*
 * The ring walker under block headers that no kernel would write. An input is a seed of eight octets: it makes a ring
 * with lawful blocks, then spoils some words of their headers. The ring ends at an unmapped page.
 */
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>

#include "fastmld.h"
#include "fuzz.h"
#include "guard.h"
#include "random.h"

enum { PAGE = 4096, MAX_BLOCKS = 4, MAX_PAGES = 4, MAC = 82, SPACING = 8 };

static uint64_t blocks_walked, bad_blocks, frames_found, frames_tagged;

static void fill_block(uint64_t *random, uint8_t *block, uint32_t block_size)
{
    struct tpacket_block_desc descriptor = {.version = 1};
    uint32_t at = sizeof descriptor;

    for (uint32_t i = 0; i < block_size; i += 8) {
        const uint64_t word = random_next(random);
        memcpy(block + i, &word, 8);
    }
    descriptor.hdr.bh1.block_status = random_below(random, 8) ? TP_STATUS_USER : TP_STATUS_KERNEL;
    descriptor.hdr.bh1.offset_to_first_pkt = at;
    for (uint32_t left = random_below(random, 80); left > 0; left--) {
        const uint32_t length = random_below(random, random_below(random, 8) ? 100 : 2000);
        const uint32_t size = (MAC + length + SPACING - 1) / SPACING * SPACING;
        if (at + size > block_size)
            break;
        struct tpacket3_hdr header = {.tp_next_offset = size, .tp_snaplen = length, .tp_len = length, .tp_mac = MAC};
        header.tp_status = random_below(random, 8) ? TP_STATUS_USER : TP_STATUS_USER | TP_STATUS_VLAN_VALID;
        memcpy(block + at, &header, sizeof header);
        if (random_below(random, 8) == 0 && length >= 14)
            memcpy(block + at + MAC + 12, (uint8_t[]){random_below(random, 2) ? 0x81 : 0x88, 0}, 2);
        at += size;
        descriptor.hdr.bh1.num_pkts++;
    }
    memcpy(block, &descriptor, sizeof descriptor);
}

static uint32_t wrong_number(uint64_t *random, uint32_t block_size)
{
    switch (random_below(random, 6)) {
    case 0: return random_below(random, 64);
    case 1: return block_size + random_below(random, 200) - 100;
    case 2: return UINT32_MAX - random_below(random, 4);
    case 3: return 0x80000000u + random_below(random, 3) - 1;
    case 4: return random_below(random, 2 * block_size);
    default: return (uint32_t)random_next(random);
    }
}

static void spoil_block(uint64_t *random, uint8_t *block, uint32_t block_size)
{
    static const uint32_t IN_DESCRIPTOR[] = {
        offsetof(struct tpacket_block_desc, hdr.bh1.num_pkts),
        offsetof(struct tpacket_block_desc, hdr.bh1.offset_to_first_pkt),
    };
    static const uint32_t IN_HEADER[] = {
        offsetof(struct tpacket3_hdr, tp_next_offset), offsetof(struct tpacket3_hdr, tp_snaplen),
        offsetof(struct tpacket3_hdr, tp_status), offsetof(struct tpacket3_hdr, tp_mac),
    };
    const uint32_t number = wrong_number(random, block_size);
    uint32_t place = IN_DESCRIPTOR[random_below(random, 2)];

    if (random_below(random, 4)) {
        uint32_t at = sizeof(struct tpacket_block_desc);
        for (uint32_t skip = random_below(random, 6); skip > 0; skip--) {
            uint32_t next;
            memcpy(&next, block + at, 4);
            if (next > block_size - at - sizeof(struct tpacket3_hdr))
                break;
            at += next;
        }
        place = at + IN_HEADER[random_below(random, 4)];
    }
    if (place + 4 <= block_size)
        memcpy(block + place, &number, place % 4 == 0 && random_below(random, 3) == 0 ? 2 : 4);
}

static int is_ours(const uint8_t *block)
{
    struct tpacket_block_desc descriptor;
    memcpy(&descriptor, block, sizeof descriptor);
    return (descriptor.hdr.bh1.block_status & TP_STATUS_USER) != 0;
}

void target_run(const uint8_t *input, size_t size)
{
    static struct guarded memory;
    uint64_t random = 0;

    if (!memory.begin)
        memory = guarded_new(MAX_BLOCKS * MAX_PAGES * PAGE);
    memcpy(&random, input, size < 8 ? size : 8);
    const uint32_t block_size = PAGE * (1 + random_below(&random, MAX_PAGES));
    const uint32_t n_blocks = 1 + random_below(&random, MAX_BLOCKS);
    const uint32_t first = random_below(&random, n_blocks), most = random_below(&random, n_blocks + 3);
    uint8_t *ring = memory.end - (size_t)block_size * n_blocks;
    for (uint32_t i = 0; i < n_blocks; i++) {
        fill_block(&random, ring + (size_t)i * block_size, block_size);
        for (uint32_t spoils = random_below(&random, 4); spoils > 0; spoils--)
            spoil_block(&random, ring + (size_t)i * block_size, block_size);
    }
    const int enough = random_below(&random, 4) != 0;
    const uint32_t room = enough ? n_blocks * (block_size / 48) : random_below(&random, 40);
    int64_t *offsets = malloc(room * sizeof *offsets + !room);
    uint32_t *lengths = malloc(room * sizeof *lengths + !room);
    fastmld_walked walked;

    fastmld_ring_walk(ring, block_size, n_blocks, first, most, room, offsets, lengths, &walked);
    uint32_t ours = 0;
    while (ours < n_blocks && ours < most && is_ours(ring + (size_t)((first + ours) % n_blocks) * block_size))
        ours++;
    HOLD(walked.blocks == ours);
    HOLD(walked.bad_blocks <= walked.blocks && walked.frames <= room);
    uint32_t turn = 0;          /* of the block in which the last frame lay, counted from first */
    for (uint32_t i = 0; i < walked.frames; i++) {
        const uint64_t at = (uint64_t)offsets[i];
        const uint64_t inside = at - (lengths[i] == 0); /* a frame of no octets may begin where its block ends */
        const uint32_t block = (uint32_t)(inside / block_size), place = (block + n_blocks - first) % n_blocks;
        HOLD(offsets[i] > 0 && block < n_blocks);
        HOLD(inside % block_size + lengths[i] <= block_size);
        HOLD(inside % block_size + 1 >= sizeof(struct tpacket_block_desc) + sizeof(struct tpacket3_hdr));
        HOLD(place < walked.blocks && place >= turn);
        turn = place;
    }
    fastmld_ring_release(ring, block_size, n_blocks, first, walked.blocks);
    for (uint32_t i = 0; i < walked.blocks; i++)
        HOLD(!is_ours(ring + (size_t)((first + i) % n_blocks) * block_size));
    blocks_walked += walked.blocks;
    bad_blocks += walked.bad_blocks;
    frames_found += walked.frames;
    frames_tagged += walked.tagged;
    free(offsets);
    free(lengths);
}

size_t target_next(uint64_t *random, uint8_t *input, size_t size)
{
    const uint64_t seed = random_next(random);

    (void)size;
    memcpy(input, &seed, 8);
    return 8;
}

void target_summary(FILE *out)
{
    fprintf(out, "%llu blocks, %llu of them bad, %llu frames, %llu tagged", (unsigned long long)blocks_walked,
            (unsigned long long)bad_blocks, (unsigned long long)frames_found, (unsigned long long)frames_tagged);
}
