/* The Internet checksum (RFC 1071), in whatever byte order the machine has: sums of words commute with swapping them. */
#ifndef FASTMLD_CHECKSUM_H
#define FASTMLD_CHECKSUM_H

#include <stdint.h>
#include <string.h>

/* Add length octets to a sum. A frame is under 2^17 octets, so 64 bits never overflow. */
static inline uint64_t checksum_add(uint64_t sum, const uint8_t *octets, uint32_t length)
{
    for (; length >= 8; octets += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, octets, 8);
        sum += (word & 0xffffffff) + (word >> 32);
    }
    if (length) {
        uint8_t rest[8] = {0};
        uint64_t word;
        memcpy(rest, octets, length);
        memcpy(&word, rest, 8);
        sum += (word & 0xffffffff) + (word >> 32);
    }
    return sum;
}

static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* The sum of what RFC 8200 section 8.1 puts before an ICMPv6 message, the two addresses apart. */
static inline uint64_t checksum_pseudo_header(uint32_t message_length)
{
    const uint8_t words[8] = {
        (uint8_t)(message_length >> 24), (uint8_t)(message_length >> 16),
        (uint8_t)(message_length >> 8), (uint8_t)message_length, 0, 0, 0, 58,
    };
    return checksum_add(0, words, 8);
}

#endif
