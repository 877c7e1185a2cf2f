/*
 * wct_handler_regs.c: a call as a handler sees it in a struct user_regs_struct, and what it changed there put into effect.
 *
 * Called by wct_handler.c around a handler. It sees the tracee's real registers, but for what generator/registers.py shows
 * in the preload engine in another way, so that one handler serves both:
 *   functions      orig_rax is 0 (-1 once skipped), rax 0 before the call; an int is extended to 64 bits; after the call the
 *                  arguments and rsp are shown once more as they were before it; a floating result is shown in rax as the bits
 *                  of a double; __printf_chk is shown as printf
 *   system calls   as the kernel has them: orig_rax the number, the arguments in rdi rsi rdx r10 r8 r9, rax -ENOSYS before
 * Rules: arguments take effect before the call, rax (and rdx, where the result has 16 bytes) after it, and orig_rax -1 with
 * rax before it, which skips; nothing else does, so that a handler that clears or copies a struct breaks nothing. What does
 * not return cannot be skipped.
 * Absent on purpose: running handlers.
 */
#define _GNU_SOURCE
#include "wct_handler.h"

#include <string.h>

#define REGISTERS 6
#define SKIP (~0ull)
#define MOST_HIDDEN 2

static unsigned long long *
slot(struct user_regs_struct *regs, uint32_t index, bool syscall)
{
        unsigned long long *const slots[REGISTERS] = {
            &regs->rdi, &regs->rsi, &regs->rdx, syscall ? &regs->r10 : &regs->rcx, &regs->r8, &regs->r9};
        return slots[index];
}

static bool
is_syscall(const struct wct_symbol *symbol)
{
        return symbol->number >= 0;
}

/* Of a value narrower than a register, the bits above it say nothing. */
static uint64_t
extended(uint8_t type, uint8_t size, uint64_t raw)
{
        const unsigned above = size < 8 ? 64 - 8 * size : 0;
        if (type == WCT_SIGNED && size > 0)
                return (uint64_t)((int64_t)(raw << above) >> above);
        if (type == WCT_UNSIGNED && size > 0)
                return raw << above >> above;
        return type == WCT_BOOL ? (uint8_t)raw : raw;
}

static const struct wct_argument *
argument(const struct wct_symbol *symbol, uint32_t ordinal)
{
        return &wct_plan.arguments[symbol->first + ordinal];
}

/* --- parameters that the target has not: flag of __printf_chk --------------------------------------------------------- */

static bool
has_format(const struct wct_symbol *symbol)
{
        return !is_syscall(symbol) && symbol->flags & (WCT_PRINTF | WCT_SCANF) &&
               argument(symbol, symbol->format)->where == WCT_IN_REGISTER;
}

/* In which register the target itself has its format: the first one of all its names. */
static uint8_t
format_place(const struct wct_symbol *symbol)
{
        uint8_t first = argument(symbol, symbol->format)->place;
        for (uint32_t i = 0; i < wct_plan.head->symbols; i++) {
                const struct wct_symbol *other = &wct_plan.symbols[i];
                if (other->target != symbol->target || !has_format(other))
                        continue;
                if (argument(other, other->format)->place < first)
                        first = argument(other, other->format)->place;
        }
        return first;
}

/* They stand before the format, and only there; behind the others nothing is shown in another place. */
static void
find_hidden(struct wct_view *view, const struct wct_symbol *symbol)
{
        view->hidden = view->hidden_at = 0;
        if (!has_format(symbol))
                return;
        const uint8_t place = argument(symbol, symbol->format)->place, plain = format_place(symbol);
        if (place - plain > MOST_HIDDEN)
                return;
        view->hidden = place - plain;
        view->hidden_at = plain;
}

/* In which register of the tracee (6 and up: word of the stack) stands what is shown in register `shown`. */
static uint32_t
real_place(const struct wct_view *view, uint32_t shown)
{
        return shown < view->hidden_at ? shown : shown + view->hidden;
}

static bool
shown_place(const struct wct_view *view, uint32_t real, uint32_t *shown)
{
        if (real >= view->hidden_at && real < view->hidden_at + (uint32_t)view->hidden)
                return false;
        *shown = real < view->hidden_at ? real : real - view->hidden;
        return true;
}

unsigned long long *
wct_view_register(struct wct_view *view, uint32_t real, bool syscall)
{
        uint32_t shown;
        return real < REGISTERS && shown_place(view, real, &shown) && shown < REGISTERS ? slot(&view->shown, shown, syscall)
                                                                                       : NULL;
}

/* --- arguments ------------------------------------------------------------------------------------------------------- */

static void
move_hidden(struct wct_view *view, struct wct_tracee *tracee, const struct user_regs_struct *regs)
{
        struct user_regs_struct real = *regs;
        memset(view->spilled, 0, sizeof view->spilled);
        wct_read(tracee->tid, view->spilled, regs->rsp + 8, 8u * view->hidden);
        for (uint32_t i = view->hidden_at; i < REGISTERS; i++) {
                const uint32_t place = real_place(view, i);
                *slot(&view->shown, i, false) =
                    place < REGISTERS ? *slot(&real, place, false) : view->spilled[place - REGISTERS];
        }
}

/* value: what each argument's first word was; NULL: as it stands in the registers now. */
static void
show_arguments(struct wct_view *view, const struct wct_symbol *symbol, const uint64_t *value)
{
        const uint32_t count = symbol->arguments < WCT_MOST_ARGUMENTS ? symbol->arguments : WCT_MOST_ARGUMENTS;
        uint32_t shown;
        for (uint32_t i = 0; i < count; i++) {
                const struct wct_argument *one = argument(symbol, i);
                if (one->where != WCT_IN_REGISTER || one->words > 1 || !shown_place(view, one->place, &shown) ||
                    shown >= REGISTERS)
                        continue;
                unsigned long long *place = slot(&view->shown, shown, false);
                *place = extended(one->type, one->size, value != NULL ? value[i] : *place);
        }
}

void
wct_view_enter(struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        view->at_exit = false;
        view->shown = *regs;
        find_hidden(view, symbol);
        if (!is_syscall(symbol)) {
                if (view->hidden > 0)
                        move_hidden(view, tracee, regs);
                show_arguments(view, symbol, NULL);
                view->shown.rsp += 8ull * view->hidden;
                view->shown.orig_rax = view->shown.rax = 0;
        }
        view->before = view->shown;
}

static void
apply_arguments(struct wct_view *view, struct wct_tracee *tracee, bool syscall)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        for (uint32_t i = 0; i < REGISTERS; i++) {
                const uint64_t now = *slot(&view->shown, i, syscall);
                const uint32_t place = real_place(view, i);
                if (now == *slot(&view->before, i, syscall))
                        continue;
                if (place >= REGISTERS) {
                        wct_write(tracee->tid, regs->rsp + 8 + 8ull * (place - REGISTERS), &now, sizeof now);
                        continue;
                }
                *slot(regs, place, syscall) = now;
                wct_regs_touch(tracee);
        }
}

/* --- results ---------------------------------------------------------------------------------------------------------- */

static bool
is_floating(const struct wct_symbol *symbol)
{
        return symbol->result == WCT_FLOAT || symbol->result == WCT_LONG_DOUBLE || symbol->result == WCT_COMPLEX;
}

static bool
has_two_words(const struct wct_symbol *symbol)
{
        return (symbol->result == WCT_STRUCT || symbol->result == WCT_COMPLEX) && symbol->result_size > 8 &&
               symbol->result_size <= 16;
}

/* A result that the function writes where a hidden first argument says, which it returns. */
static bool
is_in_memory(const struct wct_symbol *symbol)
{
        return symbol->result == WCT_STRUCT && symbol->result_size > 16;
}

static uint64_t
double_bits(double value)
{
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        return bits;
}

static double
bits_double(uint64_t bits)
{
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
}

static void
show_floating(struct user_regs_struct *shown, const struct wct_symbol *symbol, const struct user_fpregs_struct *vectors)
{
        float narrow;
        long double wide = 0;
        memcpy(&narrow, vectors->xmm_space, sizeof narrow);
        memcpy(&wide, vectors->st_space, 10);
        if (symbol->result == WCT_LONG_DOUBLE)
                shown->rax = double_bits((double)wide);
        else if (symbol->result == WCT_FLOAT && symbol->result_size == 4)
                shown->rax = double_bits((double)narrow);
        else
                memcpy(&shown->rax, vectors->xmm_space, 8);
        if (has_two_words(symbol))
                memcpy(&shown->rdx, &vectors->xmm_space[4], 8);
}

/* One more value on the stack of the x87: what a function that was never called would have left there. */
static void
push_x87(struct user_fpregs_struct *vectors)
{
        const uint32_t top = ((vectors->swd >> 11) - 1u) & 7;
        vectors->swd = (uint16_t)((vectors->swd & ~(7u << 11)) | top << 11);
        vectors->ftw |= (uint16_t)(1u << top);
        memmove(&vectors->st_space[4], vectors->st_space, 7 * 16);
        memset(vectors->st_space, 0, 16);
}

static void
set_floating(const struct wct_view *view, const struct wct_symbol *symbol, struct user_fpregs_struct *vectors)
{
        const double value = bits_double(view->shown.rax);
        const float narrow = (float)value;
        const long double wide = value;
        if (symbol->result == WCT_LONG_DOUBLE) {
                if (!view->at_exit)
                        push_x87(vectors);
                memcpy(vectors->st_space, &wide, 10);
        } else if (symbol->result == WCT_FLOAT && symbol->result_size == 4) {
                memcpy(vectors->xmm_space, &narrow, sizeof narrow);
        } else {
                memcpy(vectors->xmm_space, &view->shown.rax, 8);
        }
        if (has_two_words(symbol))
                memcpy(&vectors->xmm_space[4], &view->shown.rdx, 8);
}

/* No handler can give a result in memory but by writing there. One that was skipped is zero, not what lay there. */
static uint64_t
skipped_in_memory(struct wct_tracee *tracee, const struct wct_symbol *symbol, uint64_t place)
{
        static const char zeros[UINT8_MAX];
        wct_write(tracee->tid, place, zeros, symbol->result_size);
        return place;
}

/* As the program looks at it: of a bool, at one byte that is 0 or 1. */
static uint64_t
given_result(const struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        if (is_in_memory(symbol))
                return skipped_in_memory(tracee, symbol, wct_regs(tracee)->rdi);
        return symbol->result == WCT_BOOL ? view->shown.rax != 0 : view->shown.rax;
}

static void
apply_result(const struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        struct user_fpregs_struct vectors;
        if (is_floating(symbol)) {
                if (ptrace(PTRACE_GETFPREGS, tracee->tid, NULL, &vectors) != 0)
                        return;
                set_floating(view, symbol, &vectors);
                ptrace(PTRACE_SETFPREGS, tracee->tid, NULL, &vectors);
                return;
        }
        if (is_in_memory(symbol) && view->at_exit)
                return;
        regs->rax = given_result(view, tracee, symbol);
        if (has_two_words(symbol))
                regs->rdx = view->shown.rdx;
        wct_regs_touch(tracee);
}

static void
show_result(struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol, uint64_t second)
{
        struct user_fpregs_struct vectors;
        view->shown.rax = symbol->result == WCT_NONE ? 0 : extended(symbol->result, symbol->result_size, view->shown.rax);
        if (has_two_words(symbol))
                view->shown.rdx = second;
        if (is_in_memory(symbol))
                view->shown.rdi = view->shown.rax;
        if (is_floating(symbol) && ptrace(PTRACE_GETFPREGS, tracee->tid, NULL, &vectors) == 0)
                show_floating(&view->shown, symbol, &vectors);
}

void
wct_view_exit(struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        const struct wct_call *call = tracee->depth > 0 ? &tracee->calls[tracee->depth - 1] : NULL;
        const bool known = call != NULL && call->symbol == symbol;
        view->at_exit = true;
        view->shown = *regs;
        find_hidden(view, symbol);
        if (!is_syscall(symbol)) {
                view->shown.orig_rax = 0;
                if (known) {
                        show_arguments(view, symbol, call->value);
                        view->shown.rsp = call->sp + 8ull * view->hidden;
                        view->shown.rip = call->back;
                }
                show_result(view, tracee, symbol, regs->rdx);
        } else {
                view->shown.orig_rax = (uint64_t)symbol->number;
        }
        if (known && call->skipped)
                view->shown.orig_rax = SKIP;
        view->before = view->shown;
}

/* --- what it changed --------------------------------------------------------------------------------------------------- */

static bool
is_skipped(const struct wct_view *view, const struct wct_symbol *symbol)
{
        return view->shown.orig_rax == SKIP && !(symbol->flags & WCT_NORETURN);
}

static bool
apply_enter(struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        apply_arguments(view, tracee, is_syscall(symbol));
        if (!is_skipped(view, symbol))
                return false;
        apply_result(view, tracee, symbol);
        if (is_syscall(symbol)) {
                wct_regs(tracee)->orig_rax = SKIP;
                wct_regs_touch(tracee);
        }
        return true;
}

static bool
apply_exit(struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        const bool changed = view->shown.rax != view->before.rax ||
                             (has_two_words(symbol) && view->shown.rdx != view->before.rdx);
        if (changed && symbol->result != WCT_NONE)
                apply_result(view, tracee, symbol);
        return changed;
}

bool
wct_view_apply(struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        return view->at_exit ? apply_exit(view, tracee, symbol) : apply_enter(view, tracee, symbol);
}
