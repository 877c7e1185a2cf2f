/*
 * wci_handler.h: the bridge between wrappers and user handlers (see wci_handler.c). Included by generated wrappers.
 */
#ifndef WCI_HANDLER_H
#define WCI_HANDLER_H

#include "wci_call.h"
#include "wci_shim.h"

#include <sys/user.h>

typedef void (*wci_handler)(struct user_regs_struct *regs, int pid);

/* A target's handlers: NULL where there is none. Never changed once it is in force, and never freed. */
struct wci_handlers {
        wci_handler enter;
        wci_handler leave;
};

extern WCI_HIDDEN const struct wci_handlers *wci_target_handlers[]; /* by target, of a shim that takes handlers */
extern WCI_HIDDEN const uint32_t wci_takes_handlers;                /* 0: there is no such table */

/*
 * Both at once, at the entry of a call: what is put in force while it lasts is for the next one, so that a call which begins
 * in a library ends in it.
 */
WCI_INLINE const struct wci_handlers *
wci_handlers_of(uint32_t target)
{
        return __atomic_load_n(&wci_target_handlers[target], __ATOMIC_ACQUIRE);
}

/*
 * Run back_enter. False: the call is not to be made, its result stands in rax, errno is the handler's. shape and vectors are for
 * handlers of wc_call.h: what the call looks like, and its floating arguments (NULL: none).
 */
WCI_HIDDEN bool wci_handler_enter(wci_handler handler, struct wci_call *call, struct user_regs_struct *regs,
                                  uint32_t clocks, const struct wci_shape *shape, unsigned long *vectors);
/* Run back_exit. errno is kept unless the handler has put another result into rax. */
WCI_HIDDEN void wci_handler_exit(wci_handler handler, struct wci_call *call, struct user_regs_struct *regs,
                                 const struct wci_shape *shape, unsigned long *vectors);
/*
 * Fill regs with the words of a va_list, or (back) these with what is in regs; rsp leads to those on the stack. The
 * function that is shown has `hidden` parameters less than the one called, so that the words begin as much earlier.
 */
WCI_HIDDEN void wci_handler_varargs(struct user_regs_struct *regs, void *args, uint32_t hidden, bool back);

/* A call from this frame while a handler runs: was the handler left by a jump? */
WCI_HIDDEN bool wci_handler_left(uintptr_t frame);
WCI_HIDDEN void wci_handler_forget(void);
WCI_HIDDEN void wci_handler_longjmp(const void *env);
WCI_HIDDEN uintptr_t wci_handler_jump(const void *env); /* the stack pointer that it leads to */

/* ptrace(2), called by a handler on its own process: is the request one that we answer, and the answer. */
WCI_HIDDEN bool wci_handler_answers(long request, long pid, uintptr_t frame);
WCI_HIDDEN long wci_handler_ptrace(long request, long pid, void *address, void *data);

/* What a thread had before user code runs on our behalf, a handler or a library's constructor: its calls are suppressed. */
struct wci_place {
        struct wci_ring *ring;
        struct wci_ring *suspended;
        struct user_regs_struct *regs;
        uintptr_t frame;
};
WCI_HIDDEN struct wci_place wci_handler_begin(struct wci_ring *ring, struct user_regs_struct *regs, uintptr_t frame);
WCI_HIDDEN void wci_handler_end(const struct wci_place *before);

/* Not memset, which may be a target with a handler. */
WCI_INLINE void
wci_words_clear(void *words, size_t count)
{
        __asm__ volatile("rep stosq" : "+D"(words), "+c"(count) : "a"(0ul) : "memory");
}

WCI_INLINE double
wci_bits_double(uint64_t bits)
{
        double value;
        __builtin_memcpy(&value, &bits, sizeof value);
        return value;
}

#endif
