/*
 * MLDv2 Reports out of records: a template of the interface, and records behind it, as many as the caller says. Everything in
 * a record is a whole number of 16-bit words, so a Report's checksum is the sum of what is copied.
 */
#include "checksum.h"
#include "fastmld.h"
#include "wire.h"

/* One record and its sources, to `at`; what it adds to the checksum. */
static uint64_t build_record(uint8_t *at, const uint8_t *group, uint8_t type, uint16_t sources, const uint8_t *pool,
                             uint64_t sum)
{
    struct wire_record *record = (struct wire_record *)at;
    uint64_t word[2];
    uint32_t head;

    record->type = type;
    record->aux_length = 0;
    record->sources_be16[0] = (uint8_t)(sources >> 8);
    record->sources_be16[1] = (uint8_t)sources;
    memcpy(word, group, 16);
    memcpy(record->group, word, 16);
    memcpy(&head, record, 4);
    sum += head;
    sum += (word[0] & 0xffffffff) + (word[0] >> 32) + (word[1] & 0xffffffff) + (word[1] >> 32);
    if (sources) {
        memcpy(at + sizeof *record, pool, 16u * sources);
        sum = checksum_add(sum, pool, 16u * sources);
    }
    return sum;
}

uint64_t fastmld_emit2(const fastmld_table *table, const fastmld_template *templates, uint32_t template_index,
                       const fastmld_records *records, const uint32_t *edges, uint32_t n, uint8_t *out, uint64_t at,
                       uint32_t first, int64_t *offsets, uint32_t *lengths, uint32_t *interfaces)
{
    const fastmld_template *template = &templates[template_index];

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t count = edges[i + 1] - edges[i];
        uint8_t *frame = out + at;
        uint8_t *message = frame + template->length - sizeof(struct wire_report2);
        struct wire_report2 *report = (struct wire_report2 *)message;
        uint8_t *end = frame + template->length;
        uint64_t sum = 0;

        memcpy(frame, template->frame, template->length);
        for (uint32_t k = edges[i]; k < edges[i + 1]; k++) {
            const uint8_t *group = table->rows[records->rows[k]].address;
            const uint8_t type = records->types[(uint64_t)k * records->type_step];
            const uint16_t sources = records->sources ? records->sources[k] : 0;
            const uint8_t *pool = sources ? records->pool + 16 * (uint64_t)records->firsts[k] : NULL;

            sum = build_record(end, group, type, sources, pool, sum);
            end += sizeof(struct wire_record) + 16u * sources;
        }

        const uint32_t length = (uint32_t)(end - message);
        const uint32_t payload = length + 8; /* the hop-by-hop header */
        uint8_t *payload_length = frame + template->length - sizeof *report - 8 - sizeof(struct wire_ipv6) + 4;
        payload_length[0] = (uint8_t)(payload >> 8);
        payload_length[1] = (uint8_t)payload;
        report->records_be16[0] = (uint8_t)(count >> 8);
        report->records_be16[1] = (uint8_t)count;

        uint16_t partial;
        const uint32_t added = length - (uint32_t)sizeof *report;
        const uint8_t words[4] = {report->records_be16[0], report->records_be16[1], (uint8_t)(added >> 8), (uint8_t)added};
        memcpy(&partial, report->checksum_be16, 2);
        const uint16_t checksum = (uint16_t)~checksum_fold(checksum_add(sum + partial, words, 4));
        memcpy(report->checksum_be16, &checksum, 2);

        offsets[first + i] = (int64_t)at;
        lengths[first + i] = template->length + added;
        interfaces[first + i] = template->interface;
        at += lengths[first + i];
    }
    return at;
}

uint32_t fastmld_pack(const uint8_t *types, const uint32_t *sources, const uint32_t *firsts, uint32_t n, uint32_t room,
                      uint32_t *of, uint16_t *sources_out, uint32_t *firsts_out, uint32_t *edges, uint32_t *n_out)
{
    const uint32_t most = (room - (uint32_t)sizeof(struct wire_record)) / 16;
    uint32_t records = 0, reports = 0, left = 0; /* left: octets free in the open Report; none is open at first */

    for (uint32_t i = 0; i < n; i++) {
        const int excludes = types[i] == MODE_IS_EXCLUDE || types[i] == CHANGE_TO_EXCLUDE_MODE;
        uint32_t rest = excludes && sources[i] > most ? most : sources[i];
        uint32_t first = firsts[i];

        do {
            const uint32_t part = rest < most ? rest : most;
            const uint32_t size = (uint32_t)sizeof(struct wire_record) + 16 * part;

            if (size > left) {
                edges[reports++] = records;
                left = room;
            }
            of[records] = i;
            sources_out[records] = (uint16_t)part;
            firsts_out[records++] = first;
            left -= size; /* a part that is not the last one leaves less than a record */
            first += part;
            rest -= part;
        } while (rest);
    }
    edges[reports] = records;
    *n_out = records;
    return reports;
}
