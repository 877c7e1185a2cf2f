/*
 * wct_answer.c: what was decided about a call, put into its registers.
 *
 * Called by wct_syscall.c, wct_entry.c and wct_return.c with an answer of wct_ask.c. Rules: results are given by the code that
 * gives a handler's; what the answer names and the call has not is left out.
 * Absent on purpose: where strings stand in the tracee (wct_text.c).
 */
#include "wct_handler.h"

#include <string.h>

static bool
is_syscall(const struct wct_symbol *symbol)
{
        return symbol->number >= 0;
}

static uint64_t
result_of(const struct wct_symbol *symbol, const struct wct_answer *answer)
{
        return is_syscall(symbol) && answer->error != 0 ? (uint64_t)-(int64_t)answer->error : answer->result;
}

/* --- arguments ---------------------------------------------------------------------------------------------------- */

static bool
is_number(const struct wct_argument *argument)
{
        return argument->words == 1 && argument->type >= WCT_SIGNED && argument->type <= WCT_FLOAT;
}

/* As the argument travels: a float's bits in the lower half. Answers have doubles. */
static uint64_t
as_travels(const struct wct_argument *argument, uint64_t value)
{
        double wide;
        if (argument->type != WCT_FLOAT || argument->size != sizeof(float))
                return value;
        memcpy(&wide, &value, sizeof wide);
        const float narrow = (float)wide;
        value = 0;
        memcpy(&value, &narrow, sizeof narrow);
        return value;
}

static void
register_set(struct wct_tracee *tracee, uint8_t place, bool syscall, uint64_t value)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        unsigned long long *const places[] = {
            &regs->rdi, &regs->rsi, &regs->rdx, syscall ? &regs->r10 : &regs->rcx, &regs->r8, &regs->r9};
        if (place >= sizeof places / sizeof *places)
                return;
        *places[place] = value;
        wct_regs_touch(tracee);
}

static void
vector_set(struct wct_tracee *tracee, uint8_t place, uint64_t value)
{
        struct user_fpregs_struct vectors;
        if (place >= 8 || ptrace(PTRACE_GETFPREGS, tracee->tid, NULL, &vectors) != 0)
                return;
        memcpy(&vectors.xmm_space[4 * place], &value, sizeof value);
        ptrace(PTRACE_SETFPREGS, tracee->tid, NULL, &vectors);
}

static void
argument_set(struct wct_tracee *tracee, const struct wct_call *call, const struct wct_argument *argument, uint64_t number)
{
        const uint64_t value = as_travels(argument, number);
        if (argument->where == WCT_IN_REGISTER)
                register_set(tracee, argument->place, is_syscall(call->symbol), value);
        else if (argument->where == WCT_IN_VECTOR)
                vector_set(tracee, argument->place, value);
        else if (argument->where == WCT_ON_STACK)
                wct_write(tracee->tid, call->sp + 8 + 8ull * argument->place, &value, sizeof value);
}

/* Put the strings into the tracee. Returns where they stand; 0: there is no room, or none are given. */
static uint64_t
texts_put(struct wct_tracee *tracee, struct wct_call *call, const struct wct_answer *answer)
{
        static bool told;
        const uint64_t room = WCI_ASK_SIZE - WCI_ASK_TEXT;
        const uint64_t base = answer->texts != 0 ? wct_text_take(tracee, call) : 0;
        bool put = base != 0;
        for (uint32_t i = 0; i < WCI_ASK_VALUES && put; i++) {
                const uint64_t at = answer->value[i];
                if ((answer->texts & 1u << i) == 0)
                        continue;
                put = at < room && wct_write(tracee->tid, base + at, answer->text + at, strlen(answer->text + at) + 1);
        }
        if (answer->texts != 0 && !put && !told) {
                told = true;
                wct_tell("warn a string that a handler gave a call could not be put into the program's memory: the call was made as it was");
        }
        return put ? base : 0;
}

static void
arguments_set(struct wct_tracee *tracee, struct wct_call *call, const struct wct_answer *answer)
{
        const struct wct_symbol *symbol = call->symbol;
        const uint64_t texts = texts_put(tracee, call, answer);
        if (answer->texts != 0 && texts == 0)
                return;
        for (uint32_t i = 0; i < symbol->arguments && i < WCT_MOST_ARGUMENTS; i++) {
                const struct wct_argument *argument = &wct_plan.arguments[symbol->first + i];
                const uint32_t field = argument->field - 1u;
                if (field >= WCI_ASK_VALUES || (answer->changed & 1u << field) == 0 || !is_number(argument))
                        continue;
                const uint64_t from = answer->texts & 1u << field ? texts : 0;
                argument_set(tracee, call, argument, from + answer->value[field]);
        }
}

/* --- before and after --------------------------------------------------------------------------------------------- */

bool
wct_answer_enter(struct wct_tracee *tracee, struct wct_call *call, const struct wct_answer *answer)
{
        if (answer->verdict == WCI_GO || wct_regs(tracee) == NULL)
                return false;
        if (answer->verdict == WCI_CHANGED) {
                arguments_set(tracee, call, answer);
                return false;
        }
        wct_result_give(tracee, call->symbol, result_of(call->symbol, answer), answer->error);
        return true;
}

void
wct_answer_exit(struct wct_tracee *tracee, const struct wct_call *call, const struct wct_answer *answer)
{
        struct wct_view view;
        if (answer->verdict != WCI_RESULT || wct_regs(tracee) == NULL)
                return;
        wct_view_exit(&view, tracee, call->symbol);
        view.shown.rax = result_of(call->symbol, answer);
        wct_view_apply(&view, tracee, call->symbol);
        wct_errno_give(tracee, call->symbol, answer->error);
}
