/*
 * wct_go.c: stacks that move: Go's.
 *
 * Called by wct_entry.c and wct_return.c in programs that have Go's runtime. A function that finds its stack too small, or is
 * to give way to another goroutine, calls runtime.morestack and then begins anew at its first instruction; the stack may have
 * been copied meanwhile, all its frames by the same distance. The goroutine in r14 says where its stack is now.
 *   - A function that begins anew, as the innermost call, is the same call. Where returns are not awaited (Go's functions are
 *     mostly recorded at entry alone): when it is entered again at once, from the same place, on another stack.
 *   - A call whose stack pointer lies outside of the goroutine's stack, and whose return address is the one at hand, has been
 *     moved, and with it all calls of its old stack.
 * Rules: T3 (what r14 points to is a stack only if the stack pointer lies in it).
 *
 * Absent on purpose: goroutines that go on in another thread on a stack that has moved: their calls are not seen to return.
 */
#include "wct_space.h"

#define MOST_STACK (1ull << 30)

struct stack {
        uint64_t low, high;
};

static bool
stack_now(struct wct_tracee *tracee, uint64_t sp, struct stack *stack)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        return regs != NULL && wct_read(tracee->tid, stack, regs->r14, sizeof *stack) == sizeof *stack && sp > stack->low &&
               sp < stack->high && stack->high - stack->low <= MOST_STACK;
}

static bool
is_function(const struct wct_call *call)
{
        return call->symbol->number < 0;
}

/* Frames that were above `from`, as many bytes as are above it now. */
static void
shift(struct wct_tracee *tracee, uint64_t from, uint64_t to, const struct stack *stack)
{
        const uint64_t used = stack->high - to;
        for (uint32_t i = 0; i < tracee->depth; i++) {
                struct wct_call *call = &tracee->calls[i];
                if (is_function(call) && call->sp - from < used)
                        call->sp += to - from;
        }
}

bool
wct_go_follow(struct wct_tracee *tracee, uint64_t sp, uint64_t back)
{
        struct stack stack;
        for (uint32_t i = tracee->depth; i-- > 0;) {
                const struct wct_call *call = &tracee->calls[i];
                if (!is_function(call) || call->back != back || call->sp == sp)
                        continue;
                if (!stack_now(tracee, sp, &stack) || (call->sp >= stack.low && call->sp < stack.high))
                        return false;
                shift(tracee, call->sp, sp, &stack);
                return true;
        }
        return false;
}

static bool
is_one_of(const struct wct_break *one, const struct wct_symbol *symbol)
{
        const struct wct_wanted *wanted = one->wanted;
        while (wanted != NULL && wanted->symbol != symbol)
                wanted = wanted->next;
        return wanted != NULL;
}

/* The last entry of this thread was the same, before the goroutine's stack moved. */
static bool
is_entered_again(struct wct_tracee *tracee, const struct wct_break *one, uint64_t sp, uint64_t back)
{
        struct wct_step_over *over = wct_over(tracee);
        const struct user_regs_struct *regs = wct_regs(tracee);
        struct stack stack;
        if (regs == NULL || !stack_now(tracee, sp, &stack))
                return false;
        const bool same = over->entered == one->address && over->entered_back == back && over->goroutine == regs->r14;
        const bool again = same && over->its_stack != stack.low;
        over->entered = one->address;
        over->entered_back = back;
        over->goroutine = regs->r14;
        over->its_stack = stack.low;
        return again;
}

bool
wct_go_begins_anew(struct wct_tracee *tracee, const struct wct_break *one, uint64_t sp, uint64_t back)
{
        const bool again = is_entered_again(tracee, one, sp, back);
        const struct wct_call *call = tracee->depth > 0 ? &tracee->calls[tracee->depth - 1] : NULL;
        if (call == NULL || !is_function(call) || call->back != back || !is_one_of(one, call->symbol))
                return again;
        return call->sp == sp || wct_go_follow(tracee, sp, back) || again;
}
