#include "path_calls.h"

#include <stdio.h>
#include <stdlib.h>

struct path {
    fastmld_event *events;
    fastmld_fold *folds;
    uint32_t *answers, *generals;
    fastmld_found found;
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

struct path *path_new(uint32_t n)
{
    struct path *path = array(1, sizeof *path);
    path->events = array(n, sizeof *path->events);
    path->folds = array(n, sizeof *path->folds);
    path->answers = array(n, sizeof *path->answers);
    path->generals = array(n, sizeof *path->generals);
    return path;
}

void path_free(struct path *path)
{
    free(path->events);
    free(path->folds);
    free(path->answers);
    free(path->generals);
    free(path);
}

uint32_t path_classify(struct path *path, const fastmld_table *table, fastmld_interface *interfaces,
                       uint32_t n_interfaces, const struct batch *batch)
{
    fastmld_classify(table, interfaces, n_interfaces, batch->buffer, batch->offsets, batch->lengths,
                     batch->interfaces, batch->interface_step, batch->n, batch->verdicts, batch->kinds,
                     path->events, path->folds, path->answers, path->generals, &path->found);
    return path->found.bad_interface;
}

void path_told(const struct path *path, const fastmld_interface *interfaces, struct told *told, uint32_t *n_told,
               struct told_all *all, uint32_t *n_all)
{
    for (uint32_t i = 0; i < path->found.folds; i++) {
        const fastmld_fold *fold = &path->folds[i];
        told[i] = (struct told){fold->row, fold->delay_ms, fold->answers, fold->reset, fold->flag_if_idle,
                                fold->flag_if_delaying};
    }
    for (uint32_t i = 0; i < path->found.generals; i++) {
        const uint32_t index = path->generals[i];
        all[i] = (struct told_all){index, interfaces[index].delay_ms, interfaces[index].zeros};
    }
    *n_told = path->found.folds;
    *n_all = path->found.generals;
}

void path_settle(struct path *path, const fastmld_table *table, fastmld_interface *interfaces)
{
    fastmld_settle(table, interfaces, path->folds, path->found.folds, path->generals, path->found.generals);
}

int path_row_is_clear(const fastmld_row *row)
{
    return row->fold == 0;
}

int path_interface_is_clear(const fastmld_interface *interface)
{
    return interface->latest_general == 0 && interface->zeros == 0 && interface->delay_ms == -1;
}

void path_draw(const fastmld_table *table, uint64_t seed, const uint32_t *rows, uint32_t n, int64_t now_ms,
               const int32_t *delays_ms, int64_t *deadlines)
{
    fastmld_draw(table, seed, rows, n, &now_ms, 0, delays_ms, 1, deadlines);
}

uint64_t path_emit(const fastmld_table *table, const fastmld_template *templates, const uint32_t *rows,
                   const uint32_t *template_index, const uint8_t *kinds, uint32_t n, uint8_t *out, int64_t *offsets,
                   uint32_t *lengths, uint32_t *interfaces)
{
    return fastmld_emit(table, templates, rows, template_index, kinds, n, out, offsets, lengths, interfaces);
}
