#include "path_calls.h"

#include <stdio.h>
#include <stdlib.h>

struct path {
    fastmld_folds folds;
    fastmld_answer *answers;
    fastmld_general *generals;
    uint32_t *asked;
    fastmld_found found;
    fastmld_heard2 heard;
};

static void *array(size_t n, size_t size)
{
    void *memory = malloc(n ? n * size : 1);
    if (!memory) {
        perror("malloc");
        exit(2);
    }
    return memory;
}

struct path *path_new(uint32_t n, uint32_t n_interfaces)
{
    struct path *path = array(1, sizeof *path);
    path->folds.row = array(n, sizeof *path->folds.row);
    path->folds.delay_ms = array(n, sizeof *path->folds.delay_ms);
    path->folds.deadline_ms = array(n, sizeof *path->folds.deadline_ms);
    path->folds.key = array(n, sizeof *path->folds.key);
    path->folds.scratch = array(n + 1, sizeof *path->folds.scratch);
    path->answers = array(n, sizeof *path->answers);
    path->generals = array(n, sizeof *path->generals);
    path->asked = array(n, sizeof *path->asked);
    path->heard = (fastmld_heard2){
        .hosts = array(n_interfaces, sizeof *path->heard.hosts), .queries = array(n, sizeof *path->heard.queries),
        .heard = array(n_interfaces, sizeof *path->heard.heard),
    };
    for (uint32_t i = 0; i < n_interfaces; i++)
        path->heard.hosts[i] = (fastmld_host){.v1_general_ms = -1};
    return path;
}

void path_free(struct path *path)
{
    free(path->folds.row);
    free(path->folds.delay_ms);
    free(path->folds.deadline_ms);
    free(path->folds.key);
    free(path->folds.scratch);
    free(path->answers);
    free(path->generals);
    free(path->asked);
    free(path->heard.hosts);
    free(path->heard.queries);
    free(path->heard.heard);
    free(path);
}

uint32_t path_classify(struct path *path, const fastmld_table *table, fastmld_interface *interfaces,
                       uint32_t n_interfaces, const struct batch *batch)
{
    fastmld_classify(table, interfaces, n_interfaces, batch->buffer, batch->offsets, batch->lengths,
                     batch->interfaces, batch->interface_step, batch->n, batch->verdicts, batch->kinds,
                     &path->folds, path->answers, path->generals, path->asked, &path->found, &path->heard);
    return path->found.bad_interface;
}

/* Answers that concern a row, or, for UINT32_MAX, all rows of an interface. */
static uint32_t answers_to(const struct path *path, uint32_t row, uint32_t interface)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < path->found.answers; i++) {
        const fastmld_answer *answer = &path->answers[i];
        n += answer->target == (answer->is_general ? interface : row);
    }
    return n;
}

void path_told(const struct path *path, const fastmld_table *table, const fastmld_interface *interfaces,
               struct told *told, uint32_t *n_told, struct told_all *all, uint32_t *n_all)
{
    for (uint32_t i = 0; i < path->found.folds; i++) {
        const uint32_t row = path->folds.row[i], key = path->folds.key[i];
        told[i] = (struct told){
            .row = row, .delay_ms = path->folds.delay_ms[i],
            .answers = answers_to(path, row, table->rows[row].interface), .reset = key >> 3 & 1,
            .flag_if_idle = key >> 4 & 3, .flag_if_delaying = key >> 6 & 3,
            .state = key & 7, .deadline_ms = path->folds.deadline_ms[i],
        };
    }
    for (uint32_t i = 0; i < path->found.asked; i++) {
        const uint32_t index = path->asked[i];
        all[i] = (struct told_all){
            .interface = index, .delay_ms = interfaces[index].delay_ms, .zeros = interfaces[index].zeros,
            .answers = answers_to(path, UINT32_MAX, index),
        };
    }
    *n_told = path->found.folds;
    *n_all = path->found.asked;
}

const fastmld_heard2 *path_heard(const struct path *path)
{
    return &path->heard;
}

void path_settle_hosts(struct path *path)
{
    for (uint32_t i = 0; i < path->heard.n_heard; i++) {
        fastmld_host *host = &path->heard.hosts[path->heard.heard[i]];
        host->heard = host->told = host->told_v1 = 0;
        host->general_ms = 0;
        host->v1_general_ms = -1;
    }
}

void path_settle(struct path *path, const fastmld_table *table, fastmld_interface *interfaces)
{
    fastmld_settle(table, interfaces, path->folds.row, path->found.folds, path->asked, path->found.asked);
}

int path_row_is_clear(const fastmld_row *row)
{
    return row->fold == 0;
}

int path_interface_is_clear(const fastmld_interface *interface)
{
    return interface->latest_general == 0 && interface->latest_zero == 0 && interface->zeros == 0 && interface->delay_ms == -1;
}

uint64_t path_emit(const fastmld_table *table, const fastmld_template *templates, const uint32_t *rows,
                   const uint32_t *template_index, const uint8_t *kinds, uint32_t n, uint8_t *out, int64_t *offsets,
                   uint32_t *lengths, uint32_t *interfaces)
{
    uint64_t at = 0;

    for (uint32_t i = 0, end; i < n; i = end) { /* runs of one kind, and of one template where it is the same */
        int same = 1;
        for (end = i + 1; end < n && kinds[end] == kinds[i]; end++)
            same = same && template_index[end] == template_index[i];
        at = fastmld_emit(table, templates, rows + i, end - i, kinds[i], template_index + i, !same, out, at, i, offsets,
                          lengths, interfaces);
    }
    return at;
}
