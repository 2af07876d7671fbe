/*
 * What a fuzz target is. parser.c, path.c, answers.c and ring.c each define one; driver.c (any compiler) or libfuzzer.c (clang)
 * runs it.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { FUZZ_ROOM = 4096 };      /* octets of the longest input */

/* Judge one input; HOLD fails where it is treated wrongly. */
void target_run(const uint8_t *input, size_t size);

/* Make the next input from an earlier one of this size, in place. Returns its size, at most FUZZ_ROOM. */
size_t target_next(uint64_t *random, uint8_t *input, size_t size);

/* Say in a few words what the inputs came to. */
void target_summary(FILE *out);

/* Say which promise was broken, keep the input, end. Whoever runs the target defines it. */
_Noreturn void fuzz_fail(const char *promise, const char *file, int line);

#define HOLD(promise) ((promise) ? (void)0 : fuzz_fail(#promise, __FILE__, __LINE__))

#endif
