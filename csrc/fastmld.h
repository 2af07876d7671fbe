/*
 * The whole C side of fastmld.
 *
 * C knows bytes: it checks frames, looks groups up, folds what a batch says about each group, computes random
 * delays, and builds frames. It decides no transition, reads no clock, allocates nothing and owns nothing: every
 * pointer below is borrowed from the caller for the length of one call. No function here fails; what can go wrong
 * with a frame is its verdict.
 *
 * The region between the cdef marks is what Python sees, read from this very file by build_ffi.py.
 */
#ifndef FASTMLD_H
#define FASTMLD_H

#include <stdint.h>

/* cdef: begin */

/* The verdicts, in the order of the ladder's rungs. */
enum {
    FASTMLD_ACCEPTED, FASTMLD_TRUNCATED, FASTMLD_NOT_MLD, FASTMLD_MALFORMED, FASTMLD_FRAGMENTED,
    FASTMLD_BAD_HOP_LIMIT, FASTMLD_NO_ROUTER_ALERT, FASTMLD_BAD_SOURCE, FASTMLD_LOOPED_BACK, FASTMLD_BAD_LENGTH,
    FASTMLD_BAD_CHECKSUM, FASTMLD_BAD_DESTINATION, FASTMLD_BAD_GROUP, FASTMLD_VERDICTS
};

/* What an accepted frame is. */
enum {
    FASTMLD_NO_KIND, FASTMLD_GENERAL_QUERY, FASTMLD_GROUP_QUERY, FASTMLD_SOURCE_QUERY, FASTMLD_REPORT, FASTMLD_DONE,
    FASTMLD_REPORT2, FASTMLD_KINDS
};

/* Bits of fastmld_interface.rules. */
enum {
    FASTMLD_RULE_STRICT = 1,      /* profile strict: RFC 9777's rules for both versions */
    FASTMLD_RULE_V1_ONLY = 2,     /* nothing after octet 24 of a Query is looked at (RFC 2710 section 3.7) */
    FASTMLD_RULE_LINK_LOCAL = 4,  /* link_local holds a usable address */
    FASTMLD_RULE_DEAF = 8         /* down or a loopback: frames get their verdict and have no effect */
};

/* One interface, as C sees it. */
typedef struct {
    uint8_t link_local[16];
    uint8_t mac[6];
    uint8_t rules;
    uint8_t present;
    uint32_t latest_general;    /* of the batch under way: 1 + the number of the latest General Query; 0 none */
    uint32_t latest_zero;       /* and of the latest with delay 0 */
    uint32_t zeros;             /* of the batch: General Queries with delay 0 */
    int32_t delay_ms;           /* of the batch: least positive delay of the General Queries after the last zero; -1 none */
    uint64_t verdicts[13];
    uint64_t kinds[7];
} fastmld_interface;

/* One listened (interface, address). All but address, interface and fold is the protocol's: C carries it, Python decides it. */
typedef struct {
    uint8_t address[16];
    uint32_t fold;              /* of the batch under way: 1 + this row's fold; 0 none */
    uint32_t references;
    uint16_t interface;
    uint8_t state;
    uint8_t flags;
    uint8_t repeats;
    uint8_t reserved[3];
} fastmld_row;

/* Bits of fastmld_row.state that C goes by. */
enum {
    FASTMLD_STATE_RUNS = 1,     /* its timer runs, until its deadline */
    FASTMLD_STATE_MOVES = 2     /* and a General Query may move it */
};

enum { FASTMLD_BLOCK_ROWS = 64 };

/* Eight slots of the index, of which the first are taken: a tag, and 1 + the row; 0 none. */
typedef struct {
    uint32_t tags[8];
    uint32_t rows[8];
} fastmld_bucket;

/*
 * The rows, their deadlines, timers by blocks of FASTMLD_BLOCK_ROWS, and the index from (interface, address) to row: open
 * addressing, in buckets that begin where cache lines do if they are to be fast. There is memory for one row at least.
 * earliest_ms and latest_ms are bounds, not more: no timer that runs in a block ends before the one, none that moves after
 * the other, and no timer at all before soonest_ms.
 */
typedef struct {
    fastmld_row *rows;
    int64_t *deadline_ms;       /* by row; INT64_MAX: no timer */
    int64_t *earliest_ms;
    int64_t *latest_ms;
    int64_t soonest_ms;
    fastmld_bucket *buckets;
    uint32_t n_buckets;
    uint32_t reserved;
    uint64_t key[4];            /* secret: addresses are chosen by strangers */
} fastmld_table;

enum { FASTMLD_ASKS_NOTHING, FASTMLD_ASKS_GROUP, FASTMLD_ASKS_OTHER };

/* What the ladder found in one frame. Offsets, not pointers: nothing here outlives the frame by accident. */
typedef struct {
    uint8_t kind;
    uint8_t asks;               /* accepted only if the interface listens to this address: the caller looks it up */
    int32_t delay_ms;           /* Maximum Response Delay, of a Query; -1 otherwise */
    uint32_t destination;       /* offset of the IPv6 destination, which FASTMLD_ASKS_OTHER is about */
    uint32_t group;             /* offset of the Multicast Address */
} fastmld_message;

/* A Query with delay 0, which is answered at once. */
typedef struct {
    uint32_t target;            /* row; or interface, for a General Query */
    uint32_t is_general;
} fastmld_answer;

/* A General Query, in the order of the batch. C's own. */
typedef struct {
    uint32_t interface;
    int32_t delay_ms;
} fastmld_general;

/* What is known of one row's fold while it is made: see fold.h. C's own. Members are of one size, since a processor passes on
 * what it is about to store only to a load of the same. */
typedef struct {
    uint32_t general;           /* 1 + the number of the latest General Query that is folded in; 0 none */
    uint32_t since;             /* and of the latest before the last reset */
    int32_t delay_ms;           /* least positive delay after it of the Queries for the row itself; -1 none */
    uint32_t phase;
    uint32_t interface;
} fastmld_fold;

/*
 * Everything that one batch says about the rows that a Report or a specific Query named, General Queries included: columns of
 * one element a row. What a Report does to the last-reporter flag depends on the state in which the batch finds the row, so
 * there are two effects: 0 keep, 1 set, 2 clear.
 */
typedef struct {
    uint32_t *row;
    int32_t *delay_ms;          /* least positive delay after the last reset; -1 none */
    int64_t *deadline_ms;       /* the row's, before the batch; so is the state */
    uint8_t *key;               /* state | reset << 3 | effect if idle << 4 | effect if delaying << 6; a reset: a Report stopped
                                   the timer, or a delay of 0 did */
    fastmld_fold *scratch;      /* one more, of which the first is what every fold begins with */
} fastmld_folds;

/* What classify found, in numbers. */
typedef struct {
    uint32_t folds, answers, asked, bad_interface;
} fastmld_found;

/* The ladder: one frame, its verdict. Reads frame[0, length) and *interface, writes *message. */
int fastmld_check(const fastmld_interface *interface, const uint8_t *frame, uint32_t length,
                  fastmld_message *message);

/* The same without the shortcut for the usual frame: what fastmld_check must say of every frame. */
int fastmld_ladder(const fastmld_interface *interface, const uint8_t *frame, uint32_t length,
                   fastmld_message *message);

/*
 * Check, look up and fold n frames: buffer[offsets[i], offsets[i] + lengths[i]) on interfaces[i] (or all of them on
 * interfaces[0], when interface_step is 0).
 *   verdicts, kinds   (n) out; kinds may be NULL
 *   folds             (n) out: found->folds of them; rows[row].fold is left set
 *   answers           (n) out: found->answers of them, in the order of the batch
 *   generals          (n) scratch
 *   asked             (n) out: the interfaces that heard a General Query, found->asked of them, each once; zeros and delay_ms
 *                     of each are left set
 * The caller clears rows[].fold and the interfaces' scratch (fastmld_settle).
 * A frame of an interface that is not present ends the call: found->bad_interface is 1 + its index, nothing was counted.
 */
void fastmld_classify(const fastmld_table *table, fastmld_interface *interface, uint32_t n_interfaces,
                      const uint8_t *buffer, const int64_t *offsets, const uint32_t *lengths,
                      const uint32_t *interfaces, uint32_t interface_step, uint32_t n,
                      uint8_t *verdicts, uint8_t *kinds, const fastmld_folds *folds, fastmld_answer *answers,
                      fastmld_general *generals, uint32_t *asked, fastmld_found *found);

/* Clear what fastmld_classify left in rows and interfaces. */
void fastmld_settle(const fastmld_table *table, fastmld_interface *interface, const uint32_t *rows,
                    uint32_t n_rows, const uint32_t *asked, uint32_t n_asked);

/* rows_out[i]: the row of (interface, addresses[i]), or UINT32_MAX. */
void fastmld_find(const fastmld_table *table, uint16_t interface, const uint8_t *addresses, uint32_t n,
                  uint32_t *rows_out);

/* As fastmld_find, for multicast addresses, but one that is not there yet becomes the next row, from next_row on. Returns how
 * many did. The caller has room for n rows, and for more slots than rows: three times as many, if it is to be fast. */
uint32_t fastmld_insert(const fastmld_table *table, uint16_t interface, const uint8_t *addresses, uint32_t n,
                        uint32_t next_row, uint32_t *rows_out);

/* Take n rows out of the index; the rows themselves stay as they are. */
void fastmld_remove(const fastmld_table *table, const uint32_t *rows, uint32_t n);

/* Put n rows into an empty index. */
void fastmld_index(const fastmld_table *table, const uint32_t *rows, uint32_t n);

/* What becomes of a timer. */
enum { FASTMLD_TIMER_KEEP, FASTMLD_TIMER_STOP, FASTMLD_TIMER_DRAW, FASTMLD_TIMER_SET };

/* What becomes of a row: Python has decided it. */
typedef struct {
    uint8_t state;
    uint8_t set, clear;         /* bits of flags; what is in both is set */
    uint8_t timer;
} fastmld_move;

/*
 * Write moves[which[i]] into rows[i], with now_ms[i] and delays_ms[i]; where which is NULL, moves[0] into all; a step of 0 takes
 * element 0 of a column for all rows. DRAW ends the timer at now_ms and a delay drawn for the row, uniform on 1..delays_ms, a
 * pure function of (seed, interface, address, now_ms, delay) and consistent: see draw.h. SET ends it at now_ms; STOP has it end
 * never: INT64_MAX. Returns how many rows got a watched bit of flags that they had not: they go to changed, which has room
 * for all and may be NULL if watched is 0.
 */
uint32_t fastmld_write(fastmld_table *table, uint64_t seed, const uint32_t *rows, uint32_t n,
                       const fastmld_move *moves, const uint16_t *which, const int64_t *now_ms, uint32_t now_step,
                       const int32_t *delays_ms, uint32_t delay_step, uint8_t watched, uint32_t *changed);

/*
 * Take out of n blocks the timers of an interface (-1: of any) that end by due_ms, and those that move and end after later_ms:
 * their rows, which the caller moves on. The bounds of the blocks become those of what is left. Returns how many rows;
 * rows_out has room for all of the blocks.
 */
uint32_t fastmld_take(fastmld_table *table, const uint32_t *blocks, uint32_t n, int32_t interface, int64_t due_ms,
                      int64_t later_ms, uint32_t *rows_out);

/* Make the bounds of n blocks exact. */
void fastmld_bound(fastmld_table *table, const uint32_t *blocks, uint32_t n);

/* What the frames of one interface have in common. */
typedef struct {
    uint8_t frame[96];          /* a Report, its destination and group left zero, its checksum that of the rest */
    uint32_t length;
    uint32_t interface;
} fastmld_template;

/* Build n frames back to back into out (room for 90 * n): kinds[i] is FASTMLD_REPORT or FASTMLD_DONE. Returns octets written. */
uint64_t fastmld_emit(const fastmld_table *table, const fastmld_template *templates, const uint32_t *rows,
                      const uint32_t *template_index, const uint8_t *kinds, uint32_t n, uint8_t *out,
                      int64_t *offsets, uint32_t *lengths, uint32_t *interfaces);

/* Copy n frames that lie anywhere in memory one behind the other into out. */
void fastmld_gather(const uint64_t *pointers, const uint32_t *lengths, uint32_t n, uint8_t *out);

/* What a walk over a ring found, in numbers. */
typedef struct {
    uint32_t blocks;            /* walked: to be released */
    uint32_t frames;            /* written to the columns */
    uint32_t tagged;            /* of some VLAN: left out */
    uint32_t bad_blocks;        /* whose headers point outside the block: what came after was left out */
} fastmld_walked;

/*
 * Walk at most max_blocks blocks of a TPACKET_V3 ring, from first_block on, up to the first that is still the kernel's.
 *   offsets, lengths  (room) out: where in the ring each untagged frame begins, and the octets captured of it.
 *                     block_size / 48 is room enough for one block
 * Offsets stay good until the blocks are released.
 */
void fastmld_ring_walk(const uint8_t *ring, uint32_t block_size, uint32_t n_blocks, uint32_t first_block,
                       uint32_t max_blocks, uint32_t room, int64_t *offsets, uint32_t *lengths,
                       fastmld_walked *walked);

/* Give blocks back to the kernel. */
void fastmld_ring_release(uint8_t *ring, uint32_t block_size, uint32_t n_blocks, uint32_t first_block,
                          uint32_t blocks);

/* Send frames on a bound packet socket without blocking. Returns how many it took; *error is the errno of the first that
 * it refused, 0 when it took all. */
uint32_t fastmld_send(int fd, const uint8_t *buffer, const int64_t *offsets, const uint32_t *lengths, uint32_t n,
                      int *error);

/* cdef: end */

#endif
