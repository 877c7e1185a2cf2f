/*
 * wct_space.h: an address space and its breakpoints: what wct_space.c, wct_want.c, wct_maps.c, wct_slot.c, wct_break.c,
 * wct_entry.c, wct_site.c, wct_return.c, wct_go.c, wct_errno.c and wct_inject.c say to each other, and to nobody else.
 *
 * A SPACE belongs to one or more processes (vfork children share it); a fork copies it, int3s and slots with it.
 * A BREAK is an address with an int3, and the instruction that was there. It is never forgotten while its space lives:
 * one that has been taken out may still be hit by a thread whose SIGTRAP is on its way. Roles say why it is there.
 * A SLOT is 32 bytes in a pool of the tracee's memory: the instruction, moved, and a jump back.
 */
#ifndef WCT_SPACE_H
#define WCT_SPACE_H

#include "wct.h"
#include "wct_elf.h"
#include "wct_insn.h"

#define WCT_BREAK_BUCKETS 1024u
#define WCT_AWAITED 1024u
#define WCT_POOL_SIZE 65536u
#define WCT_SLOT_SIZE WCT_MOVED_MOST
#define WCT_SLOTS (WCT_POOL_SIZE / WCT_SLOT_SIZE)
#define WCT_TEXTS 64u /* calls of a process that were given strings, at once */

enum wct_role {
        WCT_ROLE_ENTRY = 1,    /* functions of the plan begin here */
        WCT_ROLE_RETURN = 2,   /* somebody's return address */
        WCT_ROLE_START = 4,    /* the first instruction of an image: the first stop at which calls can be made in it */
        WCT_ROLE_OBJECTS = 8,  /* _dl_debug_state: objects have come or gone */
        WCT_ROLE_RESOLVER = 16 /* an IFUNC's: its return says where the function is */
};

enum wct_way { /* how what was there is run */
        WCT_BY_NOTHING, /* not decided: only START is there */
        WCT_BY_EMULATION,
        WCT_BY_SLOT,
        WCT_BY_STEP /* neither can be: taken out, stepped over by this thread, put in again */
};

struct wct_wanted {
        struct wct_wanted *next;
        struct wct_wanted *other; /* in the table of all lists (wct_break.c) */
        const struct wct_symbol *symbol;
};

struct wct_break {
        struct wct_break *next; /* in its bucket */
        uint64_t address;
        uint64_t slot;       /* 0: none */
        uint64_t low, high;  /* the object that defines the function */
        uint64_t restorer;   /* where in it signal handlers return to: who returns there is not called by it */
        struct wct_wanted *wanted; /* by symbol id */
        uint64_t goal;       /* what the call in front of it calls, once goal_known; 0: it does not say */
        uint32_t idle;       /* hits in a row that were nobody's return */
        uint8_t roles, way;
        uint8_t code[WCT_INSN_MOST], size;
        uint8_t done, pushed; /* of the moved one: struct wct_moved */
        bool planted, goal_known;
        bool of_program;     /* the function is the executable's own */
        struct wct_insn insn;
};

struct wct_pool {
        struct wct_pool *next;
        uint64_t base; /* slot 0 holds syscall; int3: what is called in the tracee comes back to it */
        uint32_t used;
        struct wct_break *slots[WCT_SLOTS]; /* whose */
};

struct wct_module {
        uint64_t low, high, bias, inode;
        const struct wct_object *object; /* NULL: none that we can read */
        bool program, shim, seen, planted;
        char path[256];
};

struct wct_range {
        uint64_t low, high;
};

/* A resolver that runs: its return is known by its stack. */
struct wct_resolving {
        struct wct_resolving *next;
        uint64_t back, sp;
        const struct wct_break *resolver;
};

struct wct_space {
        uint32_t users;
        struct wct_module *modules;
        uint32_t module_count;
        struct wct_range *executable; /* all of it, at the last look */
        uint32_t executable_count;
        struct wct_break *buckets[WCT_BREAK_BUCKETS];
        struct {
                uint64_t sp;
                pid_t tid;
        } awaited[WCT_AWAITED]; /* who last entered a function at this sp: a coroutine may return in another thread */
        struct wct_pool *pools;
        struct wct_resolving *resolving;
        uint64_t syscall_at; /* an instruction `syscall` somewhere */
        int64_t errno_from;  /* &errno - fs base: the same for all threads */
        bool errno_known, errno_asked;
        bool starting;       /* the first stop of its image is awaited: then all of the plan is planted */
        bool started;        /* its first instruction has been reached */
        uint32_t changed;    /* by which change of the plan (wct_grow.c) */
        bool relocated;      /* so have its first libraries: what comes later is not yet, when it is told */
        bool moves_stacks;   /* its program does */
        bool no_pools;       /* the tracee may not map memory */
        uint64_t texts;      /* memory for the strings of answers (wct_text.c); 0: none */
        bool text_taken[WCT_TEXTS];
};

#define WCT_MOST_OWED 8

/* What wct_break.c keeps of a thread. */
struct wct_step_over {
        struct wct_break *stepping; /* taken out while the thread steps over it */
        struct {
                uint64_t address, sp;
        } owed[WCT_MOST_OWED]; /* counted, then put back in front of the breakpoint: the next hit there is not counted */
        uint32_t next_owed;    /* handlers nest, so several may be owed at once: the next to give way when all places are taken */
        uint64_t stack_low, stack_high; /* of the thread's own stack, once asked for */
        uint64_t entered, entered_back, goroutine, its_stack; /* Go: the last entry of this thread, and whose it was */
};

/* wct_maps.c */
struct wct_maps {
        struct wct_mapping *all;
        uint32_t count;
};
bool wct_maps_read(pid_t pid, struct wct_maps *maps);
void wct_maps_free(struct wct_maps *maps);
const struct wct_mapping *wct_maps_at(const struct wct_maps *maps, uint64_t address);
uint64_t wct_auxv(pid_t pid, uint64_t type); /* 0: not there */

/* wct_space.c */
struct wct_space *wct_space_of(struct wct_tracee *tracee);
bool wct_space_read(struct wct_tracee *tracee); /* what is mapped now */
bool wct_space_executable(struct wct_tracee *tracee, uint64_t address); /* looks again before it says no */
const struct wct_module *wct_space_module(const struct wct_space *space, uint64_t address);

void wct_resolving_free(struct wct_resolving *one);

/* wct_want.c */
void wct_space_look(struct wct_tracee *tracee, bool relocated); /* objects have come or gone */
void wct_space_grow(struct wct_tracee *tracee, const struct wct_symbol *first); /* the plan has got functions: from `first` on */
void wct_space_thin(struct wct_tracee *tracee); /* targets have been dropped, or are wanted again */
/* A resolver has returned the function's address. */
void wct_space_resolved(struct wct_tracee *tracee, const struct wct_break *resolver, uint64_t function);

/* wct_break.c */
struct wct_break *wct_break_find(const struct wct_space *space, uint64_t address);
/* Plant, or add a role to what is planted. NULL: it cannot be. `expected`: what should be there (NULL: whatever). */
struct wct_break *wct_break_plant(struct wct_tracee *tracee, uint64_t address, enum wct_role role, const uint8_t *expected,
                                  uint8_t size);
void wct_break_want(struct wct_break *one, const struct wct_symbol *symbol);
void wct_break_lift(struct wct_break *one, pid_t tid); /* the instruction is put back; it stays known */
void wct_break_drop(struct wct_space *space, uint64_t low, uint64_t high); /* its memory has gone */
/* Let the thread, which stands on it, do what was there. */
void wct_break_pass(struct wct_tracee *tracee, struct wct_break *one);
struct wct_step_over *wct_over(struct wct_tracee *tracee);

/* wct_slot.c */
bool wct_slot_make(struct wct_tracee *tracee, struct wct_break *one); /* moves its instruction; false: it cannot be */
struct wct_break *wct_slot_owner(const struct wct_space *space, uint64_t ip, uint32_t *offset);
struct wct_pool *wct_pool_get(struct wct_tracee *tracee, uint64_t near); /* with room, and within reach; near 0: any */
void wct_pools_unmap(struct wct_tracee *tracee);

/* wct_entry.c */
bool wct_entry_hit(struct wct_tracee *tracee, struct wct_break *one);

/* wct_site.c */
uint64_t wct_site_goal(struct wct_tracee *tracee, uint64_t back);

/* wct_return.c */
/* Calls of this thread that cannot return any more, as it enters a function or returns from one at this stack pointer. */
void wct_calls_clean(struct wct_tracee *tracee, uint64_t sp);
void wct_calls_replace(struct wct_tracee *tracee, const struct wct_symbol *symbol, uint64_t sp, uint64_t back);
bool wct_return_await(struct wct_tracee *tracee, uint64_t sp, uint64_t back); /* false: nothing can return there */
bool wct_return_hit(struct wct_tracee *tracee, struct wct_break *one); /* true: it was somebody's */
bool wct_return_innermost(struct wct_tracee *tracee); /* false: it asks first what its result is to be, and ends with the answer */

/* wct_go.c */
bool wct_go_begins_anew(struct wct_tracee *tracee, const struct wct_break *one, uint64_t sp, uint64_t back);
bool wct_go_follow(struct wct_tracee *tracee, uint64_t sp, uint64_t back); /* true: calls have got new stack pointers */

/* wct_errno.c */
uint64_t wct_errno_place(struct wct_tracee *tracee); /* &errno of this thread; 0: unknown */

#endif
