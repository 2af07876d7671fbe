/* The calls that write rows and take timers, and what must come of them. */
#ifndef FUZZ_TIMERS_H
#define FUZZ_TIMERS_H

#include "world.h"

/* Start, stop, draw and keep timers of random rows, take some, and hold all of it against a look at every row. */
void timers_judge(struct world *world);

#endif
