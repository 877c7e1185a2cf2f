/*
 * wct_handler_call.c: what a handler of wc_call.h asks about its call, answered in the tracer.
 *
 * Called by wct_handler.c around a handler, and by handlers through struct wc_call_actions. Which argument is which, its type and
 * its place are in the plan; what it was at entry is in the call. Rules: an argument in a general register, and the result, are
 * changed in the registers that every handler sees (struct wct_view), so that both kinds of handler and ptrace agree; what
 * stands elsewhere is changed at once. A system call's failure is shown as libc's: -1, and an errno. Nothing here resumes the
 * tracee: while a handler runs, ptrace is the handler's (wct_handler_guard.c).
 * Absent on purpose: types of values (wc_value.h), running handlers.
 */
#define _GNU_SOURCE
#include "wct_handler.h"
#include "wct_record.h"
#include "wct_space.h" /* wct_errno_place */

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define SKIP (~0ull)
#define MOST_ERROR 4095

static struct wct_asked *
asked_of(const struct wc_call *call)
{
        return (struct wct_asked *)(uintptr_t)call;
}

/* --- values --------------------------------------------------------------------------------------------------------- */

/* Its ordinal in the plan; -1: there is none. */
static int
ordinal_of(const struct wct_symbol *symbol, int which)
{
        for (uint32_t i = 0; which >= 0 && i < symbol->arguments && i < WCT_MOST_ARGUMENTS; i++) {
                if (wct_plan.arguments[symbol->first + i].shown == (uint32_t)which && which != WCT_NOT_SHOWN)
                        return (int)i;
        }
        return -1;
}

static bool
describe(const struct wc_call *call, int which, struct wc_value *value)
{
        const struct wct_symbol *symbol = asked_of(call)->symbol;
        const int ordinal = ordinal_of(symbol, which);
        if (which == WC_RESULT) {
                value->name = "";
                value->size = symbol->result_size;
                value->kind = wc_value_kind(symbol->result, symbol->result_size, symbol->result_means);
                return true;
        }
        if (ordinal < 0)
                return false;
        const struct wct_argument *argument = &wct_plan.arguments[symbol->first + (uint32_t)ordinal];
        const uint8_t type = argument->where <= WCT_ON_STACK && argument->words != 0 ? argument->type : WCT_NONE;
        value->name = wct_text(argument->name);
        value->size = argument->own_size;
        value->kind = wc_value_kind(type, argument->own_size, argument->means);
        return true;
}

static bool
is_syscall(const struct wct_asked *asked)
{
        return asked->symbol->number >= 0;
}

static bool
is_error(uint64_t result)
{
        return (int64_t)result < 0 && (int64_t)result >= -MOST_ERROR;
}

static bool
result_get(const struct wct_asked *asked, struct wc_value *value)
{
        uint64_t words[2] = {asked->view->shown.rax, 0};
        if (!asked->call.at_exit && !asked->has_result)
                return false;
        if (is_syscall(asked) && is_error(words[0]))
                words[0] = UINT64_MAX;
        if (value->kind == WC_FLOATING) {
                value->is.floating = wc_value_from_bits(words[0]);
                return true;
        }
        return wc_value_take(value, words);
}

static const struct wct_call *
inner(const struct wct_asked *asked)
{
        const struct wct_tracee *tracee = asked->tracee;
        const struct wct_call *call = tracee->depth > 0 ? &tracee->calls[tracee->depth - 1] : NULL;
        return call != NULL && call->symbol == asked->symbol ? call : NULL;
}

/* The register that shows it, NULL: none does. */
static unsigned long long *
shown_register(const struct wct_asked *asked, const struct wct_argument *argument)
{
        return argument->where == WCT_IN_REGISTER ? wct_view_register(asked->view, argument->place, is_syscall(asked)) : NULL;
}

static uint64_t
stack_place(const struct wct_call *call, const struct wct_argument *argument)
{
        return call->sp + 8 + 8ull * argument->place;
}

static bool
get(const struct wc_call *call, int which, struct wc_value *value)
{
        const struct wct_asked *asked = asked_of(call);
        const struct wct_call *entered = inner(asked);
        if (!describe(call, which, value))
                return false;
        if (which == WC_RESULT)
                return result_get(asked, value);
        const int ordinal = ordinal_of(asked->symbol, which);
        const struct wct_argument *argument = &wct_plan.arguments[asked->symbol->first + (uint32_t)ordinal];
        if (entered == NULL)
                return false;
        uint64_t words[2] = {entered->value[ordinal], 0};
        const unsigned long long *shown = shown_register(asked, argument);
        if (shown != NULL && argument->condition == 0) /* another handler of the call, or ptrace, may have changed it */
                words[0] = *shown;
        if (argument->type == WCT_LONG_DOUBLE &&
            wct_read(asked->tracee->tid, words, stack_place(entered, argument), sizeof words) != sizeof words)
                return false;
        return wc_value_take(value, words);
}

/* --- changes -------------------------------------------------------------------------------------------------------- */

static bool
vector_set(struct wct_asked *asked, uint32_t place, const void *from, size_t size)
{
        struct user_fpregs_struct vectors;
        if (!wct_vector_read(asked->tracee->tid, &vectors))
                return false;
        memcpy(&vectors.xmm_space[4 * place], from, size);
        return ptrace(PTRACE_SETFPREGS, asked->tracee->tid, NULL, &vectors) == 0;
}

static bool
argument_set(struct wct_asked *asked, int ordinal, const struct wc_value *type, const struct wc_value *value)
{
        const struct wct_argument *argument = &wct_plan.arguments[asked->symbol->first + (uint32_t)ordinal];
        const struct wct_call *entered = inner(asked);
        unsigned long long *shown = shown_register(asked, argument);
        uint64_t words[2] = {0, 0};
        const size_t size = argument->type == WCT_LONG_DOUBLE ? sizeof words : sizeof words[0];
        if (asked->call.at_exit || entered == NULL || !wc_value_give(type, value, words))
                return false;
        if (shown != NULL)
                *shown = words[0];
        else if (argument->where == WCT_IN_VECTOR && !vector_set(asked, argument->place, words, type->size))
                return false;
        else if (argument->where == WCT_ON_STACK &&
                 !wct_write(asked->tracee->tid, stack_place(entered, argument), words, size))
                return false;
        asked->tracee->calls[asked->tracee->depth - 1].value[ordinal] = words[0];
        return true;
}

static bool
may_give_result(const struct wct_asked *asked)
{
        return asked->call.at_exit || !(asked->symbol->flags & WCT_NORETURN);
}

static void
result_give(struct wct_asked *asked, uint64_t word)
{
        asked->view->shown.rax = word;
        asked->has_result = true;
        if (!asked->call.at_exit)
                asked->view->shown.orig_rax = SKIP;
}

/* What reads as a failure is given by wc_call_fail. */
static bool
result_set(struct wct_asked *asked, const struct wc_value *type, const struct wc_value *value)
{
        uint64_t words[2] = {0, 0};
        if (!may_give_result(asked) || !wc_value_give(type, value, words) || (is_syscall(asked) && is_error(words[0])))
                return false;
        result_give(asked, type->kind == WC_FLOATING ? wc_value_to_bits(value->is.floating) : words[0]);
        return true;
}

static bool
set(struct wc_call *call, int which, const struct wc_value *value)
{
        struct wct_asked *asked = asked_of(call);
        struct wc_value type;
        if (!describe(call, which, &type))
                return false;
        if (which == WC_RESULT)
                return result_set(asked, &type, value);
        return argument_set(asked, ordinal_of(asked->symbol, which), &type, value);
}

static bool
skip(struct wc_call *call)
{
        struct wct_asked *asked = asked_of(call);
        if (call->at_exit || !may_give_result(asked))
                return false;
        result_give(asked, 0);
        if (asked->symbol->result_size > 8 && asked->symbol->result_size <= 16)
                asked->view->shown.rdx = 0; /* the second half of a struct */
        return true;
}

static bool
set_error(struct wc_call *call, int error)
{
        struct wct_asked *asked = asked_of(call);
        if (is_syscall(asked) || (!call->at_exit && !asked->has_result))
                return false;
        asked->error = error;
        asked->has_error = true;
        return true;
}

static bool
fail(struct wc_call *call, int error)
{
        struct wct_asked *asked = asked_of(call);
        struct wc_value type, value;
        if (is_syscall(asked)) {
                if (!may_give_result(asked) || error < 1 || error > MOST_ERROR)
                        return false;
                result_give(asked, (uint64_t)-error);
                return true;
        }
        if (!describe(call, WC_RESULT, &type) || !wc_value_failure(asked->symbol->fail, type.kind, error, &value) ||
            !result_set(asked, &type, &value))
                return false;
        return asked->symbol->fail == WCT_FAIL_ERRNO || set_error(call, error);
}

static int
errno_of(const struct wct_asked *asked)
{
        int32_t error = 0;
        return asked->errno_place != 0 &&
                       wct_read(asked->tracee->tid, &error, asked->errno_place, sizeof error) == sizeof error
                   ? error
                   : 0;
}

static int
error_of(const struct wc_call *call)
{
        const struct wct_asked *asked = asked_of(call);
        struct wc_value value;
        if (asked->has_error)
                return asked->error;
        if (!get(call, WC_RESULT, &value) || value.kind == WC_FLOATING)
                return call->at_exit && !is_syscall(asked) ? errno_of(asked) : 0;
        if (is_syscall(asked))
                return is_error(asked->view->shown.rax) ? (int)-(int64_t)asked->view->shown.rax : 0;
        if (asked->symbol->fail == WCT_FAIL_ERRNO)
                return (int)value.is.number;
        return call->at_exit && wc_value_is_failure(asked->symbol->fail, &value) ? errno_of(asked) : 0;
}

/* --- memory --------------------------------------------------------------------------------------------------------- */

static bool
read_memory(const struct wc_call *call, uint64_t address, void *to, size_t size)
{
        return wct_read(asked_of(call)->tracee->tid, to, address, size) == size;
}

/* Where the program itself may write, as in the program; by words only where the kernel does not let us do it so. */
static bool
write_memory(struct wc_call *call, uint64_t address, const void *from, size_t size)
{
        const struct iovec here = {(void *)(uintptr_t)from, size}, there = {(void *)(uintptr_t)address, size};
        const pid_t tid = asked_of(call)->tracee->tid;
        if (size == 0)
                return true;
        const ssize_t done = process_vm_writev(tid, &here, 1, &there, 1, 0);
        if (done < 0 && (errno == EPERM || errno == ENOSYS))
                return wct_write(tid, address, from, size);
        return done == (ssize_t)size;
}

static bool
read_text(const struct wc_call *call, uint64_t address, char *to, size_t room)
{
        bool ended = false;
        const size_t length = room > 0 ? wct_read_text(asked_of(call)->tracee->tid, to, address, room, &ended) : 0;
        if (room > 0)
                to[length < room ? length : room - 1] = '\0';
        return ended;
}

static const struct wc_call_actions actions = {
    sizeof actions, describe, get, set, skip, fail, error_of, set_error, read_memory, write_memory, read_text,
};

static uint32_t
arguments_of(const struct wct_symbol *symbol)
{
        uint32_t count = 0;
        while (ordinal_of(symbol, (int)count) >= 0)
                count++;
        return count;
}

void
wct_asked_begin(struct wct_asked *asked, struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        *asked = (struct wct_asked){
            .call = {.version = WC_CALL_VERSION,
                     .size = sizeof asked->call,
                     .name = wct_text(wct_plan.targets[symbol->target].name),
                     .symbol = wct_text(symbol->name),
                     .pid = tracee->process->pid,
                     .tid = tracee->tid,
                     .arguments = arguments_of(symbol),
                     .at_exit = view->at_exit,
                     .is_syscall = symbol->number >= 0,
                     .skipped = view->at_exit && view->shown.orig_rax == SKIP,
                     .actions = &actions},
            .view = view,
            .tracee = tracee,
            .symbol = symbol,
            .errno_place = symbol->number < 0 && view->at_exit ? wct_errno_place(tracee) : 0,
        };
}
