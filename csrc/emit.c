/* Frames out of rows: a template of the interface, patched, its checksum carried on. */
#include "checksum.h"
#include "fastmld.h"
#include "wire.h"

static const uint8_t ALL_ROUTERS[16] = {0xff, 0x02, [15] = 2};

uint64_t fastmld_emit(const fastmld_table *table, const fastmld_template *templates, const uint32_t *rows, uint32_t n,
                      uint8_t kind, const uint32_t *template_index, uint32_t template_step, uint8_t *out, uint64_t at,
                      uint32_t first, int64_t *offsets, uint32_t *lengths, uint32_t *interfaces)
{
    for (uint32_t i = 0; i < n; i++) {
        const fastmld_template *template = &templates[template_index[(uint64_t)i * template_step]];
        const uint8_t *group = table->rows[rows[i]].address;
        const uint8_t *destination = kind == FASTMLD_DONE ? ALL_ROUTERS : group;
        uint8_t *frame = out + at;
        uint8_t *message = frame + template->length - sizeof(struct wire_mld);
        struct wire_mld *mld = (struct wire_mld *)message;

        memcpy(frame, template->frame, template->length);
        memcpy(frame + 2, destination + 12, 4);
        memcpy(message - 24, destination, 16); /* the hop-by-hop header's 8 octets stand between them */
        memcpy(mld->group, group, 16);
        mld->type = kind == FASTMLD_DONE ? TYPE_DONE : TYPE_REPORT;

        uint16_t sum;
        uint8_t type_code[2] = {(uint8_t)(mld->type - TYPE_REPORT), 0};
        memcpy(&sum, template->frame + template->length - sizeof *mld + offsetof(struct wire_mld, checksum_be16), 2);
        const uint64_t added = checksum_add(checksum_add(checksum_add(sum, destination, 16), group, 16), type_code, 2);
        sum = (uint16_t)~checksum_fold(added);
        memcpy(mld->checksum_be16, &sum, 2);

        offsets[first + i] = (int64_t)at;
        lengths[first + i] = template->length;
        interfaces[first + i] = template->interface;
        at += template->length;
    }
    return at;
}
