#include "guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct guarded guarded_new(size_t room)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t inner = (room + page - 1) / page * page;
    uint8_t *all = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (all == MAP_FAILED || mprotect(all + page, inner, PROT_READ | PROT_WRITE) != 0) {
        perror("guarded_new");
        exit(2);
    }
    return (struct guarded){all + page, all + page + inner};
}
