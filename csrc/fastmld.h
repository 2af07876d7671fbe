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
    FASTMLD_RULE_DEAF = 8,        /* down or a loopback: frames get their verdict and have no effect */
    FASTMLD_RULE_V2 = 16,         /* its host compatibility mode is MLDv2: Queries of 28 octets and more are read as such */
    FASTMLD_RULE_IGNORE_V1 = 32   /* MLDv1 Queries have no effect */
};

enum {
    FASTMLD_LEAST_DELAY_MS = 10,  /* what a response code of 0 means in MLDv2 mode: nothing is answered at once (RFC 9777 section 6.3) */
    FASTMLD_MOST_RECORDED = 64    /* sources of source Queries that are kept a group */
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
    FASTMLD_STATE_MOVES = 2     /* a General Query may have it end sooner, or start it where none runs */
};

enum { FASTMLD_BLOCK_ROWS = 64 };

/* Eight slots of the index, of which the first are taken: a tag, and 1 + the row; 0 none. */
typedef struct {
    uint32_t tags[8];
    uint32_t rows[8];
} fastmld_bucket;

/*
 * The rows, their deadlines, bounds of those, and the index from (interface, address) to row: open addressing, in buckets that
 * begin where cache lines do if they are to be fast. There is memory for one row at least. The bounds are not more than that:
 * in a block of FASTMLD_BLOCK_ROWS no timer that runs ends before earliest_ms, and no row that moves has a deadline after
 * latest_ms; nor does any of an interface after interface_latest_ms. No timer at all ends before soonest_ms.
 */
typedef struct {
    fastmld_row *rows;
    int64_t *deadline_ms;       /* by row; INT64_MAX: no timer */
    int64_t *earliest_ms;
    int64_t *latest_ms;
    int64_t *interface_latest_ms;
    int64_t soonest_ms;
    fastmld_bucket *buckets;
    uint32_t n_buckets;
    uint32_t soonest_row;       /* C's own: where soonest_ms was found last */
    uint64_t key[4];            /* secret: addresses are chosen by strangers */
} fastmld_table;

enum { FASTMLD_ASKS_NOTHING, FASTMLD_ASKS_GROUP, FASTMLD_ASKS_OTHER };

/* What the ladder found in one frame. Offsets, not pointers: nothing here outlives the frame by accident. */
typedef struct {
    uint8_t kind;
    uint8_t asks;               /* accepted only if the interface listens to this address: the caller looks it up */
    uint8_t v2;                 /* an MLDv2 Query, by its length (RFC 9777 section 8.1), where the interface knows MLDv2 */
    uint8_t flags;              /* these three of an MLDv2 Query: S and QRV; QQIC; how many sources follow */
    uint8_t interval_code;
    uint16_t sources;
    int32_t delay_ms;           /* Maximum Response Delay, of a Query; -1 otherwise */
    uint32_t destination;       /* offset of the IPv6 destination, which FASTMLD_ASKS_OTHER is about */
    uint32_t group;             /* offset of the Multicast Address; sources lie 20 octets after it */
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

/* A Query for one address on an interface that speaks MLDv2, in the order of the batch. */
typedef struct {
    int64_t sources_at;         /* where in the buffer its sources lie */
    uint32_t row;
    int32_t delay_ms;
    uint32_t sources;           /* how many; 0 when it asks for all */
    uint32_t fold;              /* out of fastmld_asked_rows */
} fastmld_query2;

/* What Queries tell an interface that speaks MLDv2, or would if no MLDv1 Querier were there. */
typedef struct {
    uint64_t v1_query_ignored, v1_query_ssm;
    uint8_t querier[16];        /* the source of the latest Query */
    int32_t general_ms;         /* of the batch: least delay of the General Queries in MLDv2 mode; 0 none */
    int32_t v1_general_ms;      /* of the batch: delay of the latest MLDv1 General Query in MLDv1 mode; -1 none */
    uint8_t heard;              /* of the batch: it is in the list */
    uint8_t told;               /* of the batch: an MLDv2 Query came; the two octets of the latest */
    uint8_t flags, interval_code;
    uint8_t told_v1;            /* the same, when the latest MLDv1 General Query came */
    uint8_t flags_v1, interval_code_v1, reserved;
} fastmld_host;

/* What fastmld_classify hears for MLDv2. The pointers are the caller's: room for n queries and n interfaces. */
typedef struct {
    fastmld_host *hosts;        /* by interface */
    fastmld_query2 *queries;
    uint32_t *heard;            /* interfaces whose host has something of the batch */
    uint32_t n_queries, n_heard;
    uint32_t switched;          /* 1 + the frame that the call ended before: an MLDv1 General Query on an interface in MLDv2 mode */
    uint32_t reserved;
} fastmld_heard2;

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
 *   heard2            in and out: what concerns interfaces that are not MLDv1-only; the call ends before a Query that changes a
 *                     mode, so that every frame is handled in the mode that it finds
 * The caller clears rows[].fold and the interfaces' scratch (fastmld_settle).
 * A frame of an interface that is not present ends the call: found->bad_interface is 1 + its index, nothing was counted.
 */
void fastmld_classify(const fastmld_table *table, fastmld_interface *interface, uint32_t n_interfaces,
                      const uint8_t *buffer, const int64_t *offsets, const uint32_t *lengths,
                      const uint32_t *interfaces, uint32_t interface_step, uint32_t n,
                      uint8_t *verdicts, uint8_t *kinds, const fastmld_folds *folds, fastmld_answer *answers,
                      fastmld_general *generals, uint32_t *asked, fastmld_found *found, fastmld_heard2 *heard2);

/* Clear what fastmld_classify left in rows and interfaces. */
void fastmld_settle(const fastmld_table *table, fastmld_interface *interface, const uint32_t *rows,
                    uint32_t n_rows, const uint32_t *asked, uint32_t n_asked);

/* rows_out[i]: the row of (interface, addresses[i]), or UINT32_MAX. */
void fastmld_find(const fastmld_table *table, uint16_t interface, const uint8_t *addresses, uint32_t n,
                  uint32_t *rows_out);

/* As fastmld_find, for multicast addresses, but one that is not there yet becomes the next row, from next_row on. Returns how
 * many did. The caller has room for n rows, and for more slots than rows: more than twice as many, if it is to be fast. */
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
 * never: INT64_MAX.
 */
void fastmld_write(fastmld_table *table, uint64_t seed, const uint32_t *rows, uint32_t n, const fastmld_move *moves,
                   const uint16_t *which, const int64_t *now_ms, uint32_t now_step, const int32_t *delays_ms,
                   uint32_t delay_step);

/* What was taken, in numbers. first_ms, last_ms: the least and the greatest deadline. */
typedef struct {
    int64_t first_ms, last_ms;
    uint32_t rows;
    uint8_t states;             /* 1 << state, of all of them */
    uint8_t flags;              /* of all of them */
    uint16_t reserved;
} fastmld_taken;

/*
 * Take out of n blocks (NULL: of the first n, which are all there are) the timers of an interface (-1: of any) that end by
 * due_ms, and the rows that move and whose deadlines are after later_ms: their rows, in order, which the caller moves on. The
 * bounds of the blocks become those of what is left. If these are all blocks so does soonest_ms, and the order of the rows is
 * that of their deadlines first. rows_out has room for the rows of the blocks, and for as many again if these are all blocks.
 */
void fastmld_take(fastmld_table *table, const uint32_t *blocks, uint32_t n, int32_t interface, int64_t due_ms,
                  int64_t later_ms, uint32_t *rows_out, fastmld_taken *taken);

/* An interface on which the General Queries of a batch find rows that move and whose deadlines are after after_ms: too late. */
typedef struct {
    uint32_t interface;
    uint32_t zeros;             /* these two as in fastmld_interface */
    int64_t delay_ms;
    int64_t after_ms;
} fastmld_late;

/* Of n interfaces that heard a General Query at now_ms, those that may have such rows. Returns how many. */
uint32_t fastmld_find_late(const fastmld_table *table, const fastmld_interface *interface, const uint32_t *asked, uint32_t n,
                           int64_t now_ms, fastmld_late *late);

/* Make the bounds of n blocks exact (NULL: of the first n). */
void fastmld_bound(fastmld_table *table, const uint32_t *blocks, uint32_t n);

/* Make soonest_ms exact, in a table of n blocks; it. */
int64_t fastmld_soonest(fastmld_table *table, uint32_t n);

/* Up to three recorded sources of a row, in a cache line; or a free one. */
typedef struct {
    uint8_t sources[3][16];
    uint32_t row;               /* whose first chunk this is; UINT32_MAX: a later one, or free */
    uint32_t n;                 /* in the first: the row's sources in all */
    uint32_t next;              /* 1 + where the row's next three are; of a free one, the next free one; 0 none */
    uint32_t chained;           /* in the first: 1 + the next first one of the same head; 0 none */
} fastmld_chunk;

/* Which sources Queries asked for, by row: those of a row in the order in which they came, and its first chunk is found by a
 * keyed hash of its number. There is memory for n_chunks, and for 2^head_bits heads, two at least. */
typedef struct {
    fastmld_chunk *chunks;
    uint32_t *heads;            /* 1 + a first chunk; 0 none */
    uint64_t key;               /* secret, odd: which rows are asked for is chosen by strangers */
    uint32_t n_chunks, head_bits;
    uint32_t used;              /* chunks that ever were */
    uint32_t free;              /* 1 + one that is not any more; 0 none */
    uint32_t held;              /* chunks that are */
    uint32_t reserved;
} fastmld_recorded;

/* All that a batch says about one row in MLDv2 mode. Python fills in what it knows of the row between the two calls below. */
typedef struct {
    uint32_t row;
    int32_t delay_ms;           /* out: least delay of a Query that has an effect; 0 none */
    uint32_t filter_first;      /* its filter: filter_count sources in the pool, sorted */
    uint32_t filter_count;
    uint32_t total;             /* of which interface's total its recorded sources count */
    uint32_t first, last;       /* C's own: 1 + its first chunk and its last one; 0 none */
    uint8_t excludes;           /* the filter takes all but its sources */
    uint8_t all;                /* in: the whole state is asked for, if nothing is recorded; out: it is */
    uint8_t recorded;           /* out: how many sources */
    uint8_t deaf;               /* nothing can be said of the row: Queries have no effect on it */
} fastmld_asked;

/* The rows of n queries, each once, in folds; queries[].fold says which. Returns how many; *sources is how many are named. */
uint32_t fastmld_asked_rows(const fastmld_table *table, fastmld_query2 *queries, uint32_t n, fastmld_asked *folds,
                            uint64_t *sources);

/*
 * Fold n queries into their rows' folds, in order, and record their sources. Only sources that a filter forwards count, and a
 * Query without any has no effect. A row with more than 64 recorded sources, or more than most_total on its interface, is asked
 * for all: nothing is recorded for it.
 *   pool      (N, 16) the filters' sources
 *   recorded  in and out: there are as many free chunks as the sources that are named can take, or can have by most_total
 *   tags      (n_folds, 2, 64) scratch
 *   totals    in and out
 */
void fastmld_ask(const uint8_t *buffer, const fastmld_query2 *queries, uint32_t n, fastmld_asked *folds, uint32_t n_folds,
                 const uint8_t *pool, fastmld_recorded *recorded, uint8_t (*tags)[2][64], uint32_t *totals, uint32_t most_total);

/* Which sources are recorded for n rows: counts[i] of each, row by row in sources (room for 64 a row), sorted. Returns how many
 * in all. */
uint64_t fastmld_recall(const fastmld_recorded *recorded, const uint32_t *rows, uint32_t n, uint32_t *counts,
                        uint8_t (*sources)[16]);

/* Nothing is recorded for n rows any more. */
void fastmld_forget(const fastmld_table *table, fastmld_recorded *recorded, const uint32_t *rows, uint32_t n,
                    uint32_t *totals);

/* Find each first chunk by its row: in heads that are all 0. */
void fastmld_chain(fastmld_recorded *recorded);

/* deadlines[i] = now_ms + a delay drawn for rows[i], as fastmld_write would. */
void fastmld_draw(const fastmld_table *table, uint64_t seed, const uint32_t *rows, uint32_t n, int64_t now_ms,
                  const int32_t *delays_ms, int64_t *deadlines);

/* deadlines[i] = now_ms + a delay drawn for interfaces[i] as a whole, as that of a row with the address ::. */
void fastmld_draw_general(uint64_t seed, const uint32_t *interfaces, uint32_t n, int64_t now_ms,
                          const int32_t *delays_ms, int64_t *deadlines);

/* What the frames of one interface have in common. */
typedef struct {
    uint8_t frame[96];          /* a Report, its destination and group left zero, its checksum that of the rest */
    uint32_t length;
    uint32_t interface;
} fastmld_template;

/*
 * Build n frames of one kind, FASTMLD_REPORT or FASTMLD_DONE, back to back into out, from octet `at` on (room for 90 * n), and
 * say where they are in the columns from `first` on. template_index is of each frame, or of all of them when template_step is
 * 0. Returns where in out they end.
 */
uint64_t fastmld_emit(const fastmld_table *table, const fastmld_template *templates, const uint32_t *rows, uint32_t n,
                      uint8_t kind, const uint32_t *template_index, uint32_t template_step, uint8_t *out, uint64_t at,
                      uint32_t first, int64_t *offsets, uint32_t *lengths, uint32_t *interfaces);

/* Records of MLDv2 Reports, as columns. */
typedef struct {
    const uint32_t *rows;
    const uint8_t *types;
    uint32_t type_step;         /* 0: all are of types[0] */
    uint32_t reserved;
    const uint16_t *sources;    /* how many each has; NULL: none has any */
    const uint32_t *firsts;     /* which is its first in the pool */
    const uint8_t *pool;
} fastmld_records;

/* The same for MLDv2 Reports of one interface: the i-th has the records edges[i] to edges[i + 1]. A template here is a Report
 * without records. */
uint64_t fastmld_emit2(const fastmld_table *table, const fastmld_template *templates, uint32_t template_index,
                       const fastmld_records *records, const uint32_t *edges, uint32_t n, uint8_t *out, uint64_t at,
                       uint32_t first, int64_t *offsets, uint32_t *lengths, uint32_t *interfaces);

/*
 * Pack n records with sources[i] sources each, the first of them firsts[i], into Reports with room octets for records, in order
 * (RFC 9777 section 5.2.16): a record that no Report could hold is split, or cut short when it excludes.
 *   of, sources_out, firsts_out   (room for n + all sources / what one record can hold) out: the records as they leave; of: which one
 *   edges                         (as many and one) out: where in these each Report begins
 * Returns how many Reports; *n_out is how many records.
 */
uint32_t fastmld_pack(const uint8_t *types, const uint32_t *sources, const uint32_t *firsts, uint32_t n, uint32_t room,
                      uint32_t *of, uint16_t *sources_out, uint32_t *firsts_out, uint32_t *edges, uint32_t *n_out);

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
