/*
 * wct_handler.h: what the files of handlers share: wct_swap.c (which handlers), wct_handler.c (whose call),
 * wct_handler_guard.c (running one, and surviving it), wct_handler_regs.c (the call as it sees it), wct_handler_call.c (as one of
 * wc_call.h asks about it). Nobody else includes it; the rest of the tracer uses wct.h.
 */
#ifndef WCT_HANDLER_H
#define WCT_HANDLER_H

#include "wc_value.h"
#include "wct.h"

typedef void (*wct_function)(struct user_regs_struct *regs, int pid);

struct wct_handler {
        const char *name; /* of the plan */
        wct_function run;
        void (*run_call)(struct wc_call *call); /* of wc_call.h; then run is NULL */
        bool off; /* it has crashed, or tried to end the tracer */
};

/* A target's handlers, never changed and never freed; NULL where there is none. */
struct wct_pair {
        struct wct_handler *enter;
        struct wct_handler *leave;
};

/* Once, in the thread that makes the ptrace calls: from now on a crash in wct_handler_run is survived. */
void wct_guard_begin(void);
/*
 * Run it. False, and it is off from now on, when it did not come back by itself: then what it did to regs is to be forgotten.
 * error is errno as the handler left it, 0 if it did not set it.
 */
bool wct_handler_run(struct wct_handler *handler, struct wct_tracee *tracee, struct user_regs_struct *regs,
                     struct wc_call *call, int *error);

/* A call as a handler sees it, and what it was before the handler saw it. */
struct wct_view {
        struct user_regs_struct shown;  /* the handler's own */
        struct user_regs_struct before; /* as they were shown */
        uint64_t spilled[2];            /* words on the stack that are shown in registers (__printf_chk as printf) */
        uint8_t hidden, hidden_at;      /* parameters that the target has not, and behind which one they stand */
        bool at_exit;
};

void wct_view_enter(struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol);
void wct_view_exit(struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol);
/* What the handler changed, put into effect. True: the call is skipped, or (at exit) has another result than it had. */
bool wct_view_apply(struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol);

/* The register in which the tracee's general register `real` is shown; NULL: it is not. */
unsigned long long *wct_view_register(struct wct_view *view, uint32_t real, bool syscall);

/* A call as a handler of wc_call.h asks about it. */
struct wct_asked {
        struct wc_call call; /* first: it is what the handler gets */
        struct wct_view *view;
        struct wct_tracee *tracee;
        const struct wct_symbol *symbol;
        uint64_t errno_place; /* at the exit of a function; 0: not known */
        int error;
        bool has_error; /* the handler has set errno */
        bool has_result;
};
void wct_asked_begin(struct wct_asked *asked, struct wct_view *view, struct wct_tracee *tracee,
                     const struct wct_symbol *symbol);

#endif
