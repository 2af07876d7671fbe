/*
 * Runs a target without libFuzzer: NAME INPUTS SECONDS SEED [FILE...]. Runs each file first, as it is; then inputs made
 * from the files and from what was made of them, until INPUTS were tried and SECONDS are over, both.
 * An input that fails is written to failed-NAME.bin in the directory where it runs.
 */
#include <sanitizer/common_interface_defs.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"
#include "random.h"

enum { POOL = 1024, CLOCK_EVERY = 4096 };

static struct sample { uint8_t octets[FUZZ_ROOM]; size_t size; } pool[POOL], now;
static char failed_name[64];

static void keep_input(void)
{
    FILE *file = fopen(failed_name, "wb");
    if (file && fwrite(now.octets, 1, now.size, file) == now.size && fclose(file) == 0)
        fprintf(stderr, "the input is in %s\n", failed_name);
}

_Noreturn void fuzz_fail(const char *promise, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, promise);
    keep_input();
    exit(1);
}

static void read_sample(const char *path, struct sample *sample)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(2);
    }
    sample->size = fread(sample->octets, 1, FUZZ_ROOM, file);
    fclose(file);
}

static double seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s INPUTS SECONDS SEED [FILE...]\n", argv[0]);
        return 2;
    }
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash ? slash + 1 : argv[0];
    const uint64_t inputs = strtoull(argv[1], NULL, 10);
    const double span = strtod(argv[2], NULL);
    uint64_t random = strtoull(argv[3], NULL, 10);
    const double start = seconds();
    uint32_t n_pool = 0;
    uint64_t tried = 0;

    snprintf(failed_name, sizeof failed_name, "failed-%.40s.bin", name);
    __sanitizer_set_death_callback(keep_input);
    for (int i = 4; i < argc; i++, tried++) {
        read_sample(argv[i], &now);
        target_run(now.octets, now.size);
        if (n_pool < POOL / 2)
            pool[n_pool++] = now;
    }
    const uint32_t n_files = n_pool;
    while (tried < inputs || (span > 0 && (tried % CLOCK_EVERY != 0 || seconds() - start < span))) {
        now.size = 0;
        if (n_pool) {
            const struct sample *sample = &pool[random_below(&random, n_pool)];
            now.size = sample->size;
            memcpy(now.octets, sample->octets, sample->size);
        }
        now.size = target_next(&random, now.octets, now.size);
        target_run(now.octets, now.size);
        tried++;
        /* Some of them are spoilt further: half of the pool always comes from the files. */
        if (n_files && random_below(&random, 256) == 0) {
            const uint32_t place = n_files + random_below(&random, n_files);
            pool[n_pool < 2 * n_files ? n_pool++ : place] = now;
        }
    }
    printf("%s, seed %s: %llu inputs in %.0f s: ", name, argv[3], (unsigned long long)tried, seconds() - start);
    target_summary(stdout);
    puts("");
    return 0;
}
