#include "frames.h"

#include <string.h>

void frame_group(uint8_t *address, uint32_t number)
{
    memset(address, 0, 16);
    address[0] = 0xff;
    address[1] = 0x05;
    for (int i = 0; i < 4; i++)
        address[15 - i] = (uint8_t)(number >> 8 * i);
}

void frame_build(uint8_t *frame, uint8_t type, const uint8_t *group, uint16_t delay_ms, uint8_t host)
{
    static const uint8_t ALL_NODES[16] = {0xff, 2, [15] = 1}, ALL_ROUTERS[16] = {0xff, 2, [15] = 2};
    static const uint8_t BETWEEN_MACS_AND_SOURCE[] = {0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 0, 1};
    static const uint8_t HOP_BY_HOP[8] = {58, 0, 5, 2, 0, 0, 1, 0};
    const uint8_t *destination = type == 132 ? ALL_ROUTERS : group ? group : ALL_NODES;

    memset(frame, 0, FRAME_SIZE);
    frame[0] = frame[1] = 0x33;
    memcpy(frame + 2, destination + 12, 4);
    frame[6] = 2;
    frame[11] = host;
    memcpy(frame + 12, BETWEEN_MACS_AND_SOURCE, sizeof BETWEEN_MACS_AND_SOURCE);
    frame[22] = 0xfe;
    frame[23] = 0x80;
    frame[37] = host;
    memcpy(frame + 38, destination, 16);
    memcpy(frame + 54, HOP_BY_HOP, 8);
    frame[62] = type;
    frame[66] = (uint8_t)(delay_ms >> 8);
    frame[67] = (uint8_t)delay_ms;
    if (group)
        memcpy(frame + 70, group, 16);
    frame_repair(frame, FRAME_IP, FRAME_MESSAGE, FRAME_SIZE);
}

uint32_t frame_version2(uint8_t *frame, uint8_t flags, uint8_t interval_code, const uint8_t *sources, uint32_t n)
{
    const uint32_t size = FRAME_SIZE2 + 16 * n, payload = size - FRAME_IP - 40;

    frame[FRAME_SIZE] = flags;
    frame[FRAME_SIZE + 1] = interval_code;
    frame[FRAME_SIZE + 2] = (uint8_t)(n >> 8);
    frame[FRAME_SIZE + 3] = (uint8_t)n;
    if (n)
        memcpy(frame + FRAME_SIZE2, sources, 16 * n);
    frame[FRAME_IP + 4] = (uint8_t)(payload >> 8);
    frame[FRAME_IP + 5] = (uint8_t)payload;
    frame_repair(frame, FRAME_IP, FRAME_MESSAGE, size);
    return size;
}

void frame_repair(uint8_t *frame, uint32_t ip, uint32_t message, uint32_t end)
{
    uint64_t sum = end - message + 58u;

    frame[message + 2] = frame[message + 3] = 0;
    for (uint32_t i = ip + 8; i < ip + 40; i++)
        sum += (uint32_t)frame[i] << ((i - ip) % 2 ? 0 : 8);
    for (uint32_t i = message; i < end; i++)
        sum += (uint32_t)frame[i] << ((i - message) % 2 ? 0 : 8);
    sum = 65535 - sum % 65535;
    frame[message + 2] = (uint8_t)(sum >> 8);
    frame[message + 3] = (uint8_t)sum;
}
