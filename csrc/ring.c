/*
 * The wire: the walk over TPACKET_V3 blocks, and sendmmsg.
 *
 * The ring is Python's mmap and the kernel's writing ground. A block is ours from the moment its status says so
 * (acquire) until we give it back (release). The kernel's offsets are believed only inside the block: a wrong one
 * costs the rest of that block and is counted.
 */
#include "fastmld.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { ETHERNET_TYPE = 12, ETHERNET_HEADER = 14, SEND_CHUNK = 128 };

/* Where the kernel puts block_status: the first word of the version 1 header. */
enum { BLOCK_STATUS = offsetof(struct tpacket_block_desc, hdr) + offsetof(struct tpacket_hdr_v1, block_status) };

_Static_assert(BLOCK_STATUS % sizeof(uint32_t) == 0, "block_status is read in one piece");

static int block_is_ours(const uint8_t *block)
{
    const uint32_t *status = (const uint32_t *)(const void *)(block + BLOCK_STATUS);
    return (__atomic_load_n(status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0;
}

static void give_back(uint8_t *block)
{
    uint32_t *status = (uint32_t *)(void *)(block + BLOCK_STATUS);
    __atomic_store_n(status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

/* The kernel takes the outer tag out of the frame; what is still in the frame is an inner one. */
static int is_tagged(const struct tpacket3_hdr *header, const uint8_t *frame)
{
    if (header->tp_status & TP_STATUS_VLAN_VALID)
        return 1;
    if (header->tp_snaplen < ETHERNET_HEADER)
        return 0;
    const unsigned type = (unsigned)frame[ETHERNET_TYPE] << 8 | frame[ETHERNET_TYPE + 1];
    return type == 0x8100 || type == 0x88a8;
}

/* Write the frames of one block. Returns 0 when its headers point outside it, or there are more frames than room. */
static int walk_block(const uint8_t *ring, uint64_t start, uint32_t block_size, uint32_t room, int64_t *offsets,
                      uint32_t *lengths, fastmld_walked *walked)
{
    const uint8_t *block = ring + start;
    struct tpacket_block_desc descriptor;
    memcpy(&descriptor, block, sizeof descriptor);
    uint64_t at = descriptor.hdr.bh1.offset_to_first_pkt;

    for (uint32_t left = descriptor.hdr.bh1.num_pkts; left > 0; left--) {
        struct tpacket3_hdr header;
        if (at < sizeof descriptor || at + sizeof header > block_size)
            return 0;
        memcpy(&header, block + at, sizeof header);
        if (header.tp_mac < sizeof header || at + header.tp_mac + header.tp_snaplen > block_size)
            return 0;
        if (is_tagged(&header, block + at + header.tp_mac)) {
            walked->tagged++;
        } else {
            if (walked->frames == room)
                return 0;
            offsets[walked->frames] = (int64_t)(start + at + header.tp_mac);
            lengths[walked->frames] = header.tp_snaplen;
            walked->frames++;
        }
        if (left > 1 && header.tp_next_offset < sizeof header)
            return 0;
        at += header.tp_next_offset;
    }
    return 1;
}

void fastmld_ring_walk(const uint8_t *ring, uint32_t block_size, uint32_t n_blocks, uint32_t first_block,
                       uint32_t max_blocks, uint32_t room, int64_t *offsets, uint32_t *lengths,
                       fastmld_walked *walked)
{
    *walked = (fastmld_walked){0};
    if (max_blocks > n_blocks)
        max_blocks = n_blocks;
    while (walked->blocks < max_blocks) {
        const uint64_t start = (uint64_t)((first_block + walked->blocks) % n_blocks) * block_size;
        if (!block_is_ours(ring + start))
            return;
        if (!walk_block(ring, start, block_size, room, offsets, lengths, walked))
            walked->bad_blocks++;
        walked->blocks++;
    }
}

void fastmld_ring_release(uint8_t *ring, uint32_t block_size, uint32_t n_blocks, uint32_t first_block,
                          uint32_t blocks)
{
    for (uint32_t i = 0; i < blocks; i++)
        give_back(ring + (uint64_t)((first_block + i) % n_blocks) * block_size);
}

uint32_t fastmld_send(int fd, const uint8_t *buffer, const int64_t *offsets, const uint32_t *lengths, uint32_t n,
                      int *error)
{
    struct mmsghdr messages[SEND_CHUNK];
    struct iovec frames[SEND_CHUNK];
    for (unsigned i = 0; i < SEND_CHUNK && i < n; i++)
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &frames[i], .msg_iovlen = 1}};

    *error = 0;
    uint32_t sent = 0;
    while (sent < n) {
        const unsigned chunk = n - sent < SEND_CHUNK ? (unsigned)(n - sent) : SEND_CHUNK;
        for (unsigned i = 0; i < chunk; i++) {
            frames[i].iov_base = (void *)(uintptr_t)(buffer + offsets[sent + i]);
            frames[i].iov_len = lengths[sent + i];
        }
        /* A partial send hides the error that ended it: the next call, from the refused frame on, tells it. */
        const int taken = sendmmsg(fd, messages, chunk, MSG_DONTWAIT);
        if (taken > 0) {
            sent += (uint32_t)taken;
        } else if (taken == 0 || errno != EINTR) {
            *error = taken == 0 ? EAGAIN : errno;
            break;
        }
    }
    return sent;
}
