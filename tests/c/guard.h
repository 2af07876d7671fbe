/* Memory between two unmapped pages, so that one octet read too far is a fault, not luck. */
#ifndef FUZZ_GUARD_H
#define FUZZ_GUARD_H

#include <stddef.h>
#include <stdint.h>

struct guarded {
    uint8_t *begin;             /* right after an unmapped page */
    uint8_t *end;               /* an unmapped page begins here */
};

/* Room for at least this many octets. Exits when there is no memory. */
struct guarded guarded_new(size_t room);

#endif
