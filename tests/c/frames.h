/* Lawful frames of 86 octets, MLDv2 Queries of more, and the checksum; nothing here comes from csrc/. */
#ifndef FUZZ_FRAMES_H
#define FUZZ_FRAMES_H

#include <stdint.h>

enum { FRAME_SIZE = 86, FRAME_SIZE2 = 90, FRAME_IP = 14, FRAME_MESSAGE = 62 };

/* An address ff05::number. */
void frame_group(uint8_t *address, uint32_t number);

/* A Query, Report or Done (type 130 to 132) from fe80::host; a Query without a group is a General Query. */
void frame_build(uint8_t *frame, uint8_t type, const uint8_t *group, uint16_t delay_ms, uint8_t host);

/* Make a Query one of MLDv2, which asks for n sources of 16 octets. Returns its size, FRAME_SIZE2 and 16 a source. */
uint32_t frame_version2(uint8_t *frame, uint8_t flags, uint8_t interval_code, const uint8_t *sources, uint32_t n);

/* Make the ICMPv6 checksum right: IPv6 begins at ip, the message is frame[message, end). */
void frame_repair(uint8_t *frame, uint32_t ip, uint32_t message, uint32_t end);

#endif
