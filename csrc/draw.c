#include "draw.h"

void fastmld_draw(const fastmld_table *table, uint64_t seed, const uint32_t *rows, uint32_t n, const int64_t *now_ms,
                  uint32_t now_step, const int32_t *delays_ms, uint32_t delay_step, int64_t *deadlines)
{
    for (uint32_t i = 0; i < n; i++) {
        const int64_t now = now_ms[(uint64_t)i * now_step];
        const uint64_t origin = draw_origin(seed, &table->rows[rows[i]], now);
        deadlines[i] = now + draw_delay(origin, (uint32_t)delays_ms[(uint64_t)i * delay_step]);
    }
}
