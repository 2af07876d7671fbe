/* Packets of somebody else's, wherever they lie, into one buffer. */
#include <string.h>

#include "fastmld.h"

void fastmld_gather(const uint64_t *pointers, const uint32_t *lengths, uint32_t n, uint8_t *out)
{
    for (uint32_t i = 0; i < n; i++) {
        if (lengths[i])
            memcpy(out, (const void *)(uintptr_t)pointers[i], lengths[i]);
        out += lengths[i];
    }
}
