/* Runs a target under libFuzzer, whose eye is on which branches an input reaches; the mutator is ours. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t room, unsigned seed);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void say_summary(void)
{
    fprintf(stderr, "verdicts: ");
    target_summary(stderr);
    fputs("\n", stderr);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return atexit(say_summary);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    target_run(input, size);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t room, unsigned seed)
{
    static uint8_t work[FUZZ_ROOM];
    uint64_t random = seed;

    if (size > FUZZ_ROOM)
        size = FUZZ_ROOM;
    memcpy(work, input, size);
    size = target_next(&random, work, size);
    if (size > room)
        size = room;
    memcpy(input, work, size);
    return size;
}

_Noreturn void fuzz_fail(const char *promise, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, promise);
    abort(); /* libFuzzer keeps the input */
}
