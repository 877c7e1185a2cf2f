/*
 * wct_when.c: a target's `when`: is the call one that is to be recorded?
 *
 * wct_plan.c lets each program be checked once; wct_call.c asks at a call's entry, wct_syscall.c and wct_return.c when it is
 * back. A program is a few steps on a small stack; wc_when.h computes, for the shim's wrappers too, so that both engines
 * agree. Rules: a checked program ends, keeps to its stack and asks for arguments and texts that exist; T3: a text that
 * cannot be read is like nothing.
 *
 * Absent on purpose: jumps. `and` and `or` look at both their sides, which changes nothing.
 */
#include <string.h>

#include "wc_when.h"
#include "wct_record.h"
#include "wct_space.h"

#define MOST_STEPS 256u
#define MOST_DEPTH 24u

/* --- checking ----------------------------------------------------------------------------------------------------- */

/* How many numbers a step takes from the stack and leaves there. */
static uint32_t
takes(uint8_t operation)
{
        switch (operation) {
        case WCT_WHEN_CONSTANT:
        case WCT_WHEN_VALUE:
        case WCT_WHEN_RESULT_VALUE:
        case WCT_WHEN_ERROR:
        case WCT_WHEN_TEXT_EQUALS:
        case WCT_WHEN_TEXT_MATCHES:
                return 0;
        case WCT_WHEN_HIGH:
        case WCT_WHEN_NEGATE:
        case WCT_WHEN_COMPLEMENT:
                return 1;
        default:
                return operation >= WCT_WHEN_LESS && operation <= WCT_WHEN_UNEQUAL ? 1 : 2;
        }
}

static bool
step_is_sound(const struct wct_symbol *symbol, const struct wct_step *step)
{
        const bool of_text = step->operation == WCT_WHEN_TEXT_EQUALS || step->operation == WCT_WHEN_TEXT_MATCHES;
        if (step->operation > WCT_WHEN_TEXT_MATCHES)
                return false;
        if (of_text && step->value >= wct_plan.head->texts_size)
                return false;
        if (of_text && (step->size == WCT_OF_RESULT || step->size == WCT_OF_CALLER))
                return true;
        return (!of_text && step->operation != WCT_WHEN_VALUE) || step->size < symbol->arguments;
}

const char *
wct_when_refuse(const struct wct_symbol *symbol, uint32_t program)
{
        uint32_t depth = 0;
        if (program == 0)
                return NULL;
        for (uint32_t i = 0; i < MOST_STEPS && program < wct_plan.head->steps; i++, program++) {
                const struct wct_step *step = &wct_plan.steps[program];
                if (step->operation == WCT_WHEN_END)
                        return depth == 1 ? NULL : "it does not leave one number";
                const uint32_t taken = takes(step->operation);
                if (!step_is_sound(symbol, step) || depth < taken || depth - taken + 1 > MOST_DEPTH)
                        return "a step of it cannot be made";
                depth = depth - taken + 1;
        }
        return "it does not end";
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

static uint32_t
text_read(void *context, void *to, uint64_t from, uint32_t size)
{
        return (uint32_t)wct_read(*(const pid_t *)context, to, from, size);
}

static bool
text_holds(struct wc_text *text, const struct wct_step *step)
{
        const char *other = wct_text(step->value);
        return step->operation == WCT_WHEN_TEXT_EQUALS ? wc_text_equals(text, other) : wc_text_matches(text, other);
}

/* The object that an address is in, as it is mapped now: a path of ours, "" of code that is in none. */
static bool
caller_holds(const struct wct_site *site, const struct wct_step *step)
{
        struct wc_text text;
        struct wct_maps maps;
        const struct wct_mapping *at = NULL;
        const bool known = wct_maps_read(site->tracee->tid, &maps);
        if (known)
                at = wct_maps_at(&maps, site->back);
        wc_text_begin(&text, (uintptr_t)(at != NULL && at->path[0] == '/' ? at->path : ""), NULL, NULL);
        const bool holds = text_holds(&text, step);
        if (known)
                wct_maps_free(&maps);
        return holds;
}

static bool
text_step(const struct wct_call *call, const struct wct_site *site, uint64_t result, const struct wct_step *step)
{
        struct wc_text text;
        pid_t tid = site->tracee->tid;
        if (step->size == WCT_OF_CALLER)
                return caller_holds(site, step);
        wc_text_begin(&text, step->size == WCT_OF_RESULT ? result : call->value[step->size], text_read, &tid);
        return text_holds(&text, step);
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

static uint64_t
one(uint8_t operation, uint64_t a)
{
        const int64_t order = (int64_t)a;
        switch (operation) {
        case WCT_WHEN_NEGATE:
                return 0 - a;
        case WCT_WHEN_COMPLEMENT:
                return ~a;
        case WCT_WHEN_LESS:
                return order < 0;
        case WCT_WHEN_LESS_EQUAL:
                return order <= 0;
        case WCT_WHEN_GREATER:
                return order > 0;
        case WCT_WHEN_GREATER_EQUAL:
                return order >= 0;
        case WCT_WHEN_EQUAL:
                return order == 0;
        default: /* WCT_WHEN_UNEQUAL */
                return order != 0;
        }
}

static uint64_t
divided(uint8_t operation, uint64_t a, uint64_t b)
{
        switch (operation) {
        case WCT_WHEN_DIVIDE:
                return (uint64_t)wc_divide((int64_t)a, (int64_t)b);
        case WCT_WHEN_DIVIDE_UNSIGNED:
                return wc_divide_unsigned(a, b);
        case WCT_WHEN_MODULO:
                return (uint64_t)wc_modulo((int64_t)a, (int64_t)b);
        default: /* WCT_WHEN_MODULO_UNSIGNED */
                return wc_modulo_unsigned(a, b);
        }
}

static uint64_t
ordered(uint8_t operation, uint64_t a, uint64_t b)
{
        if (operation == WCT_WHEN_ORDER_MIXED)
                return (uint64_t)wc_order_mixed((int64_t)a, b);
        if (operation == WCT_WHEN_ORDER_UNSIGNED)
                return a < b ? UINT64_MAX : a > b;
        return (int64_t)a < (int64_t)b ? UINT64_MAX : (int64_t)a > (int64_t)b;
}

static uint64_t
two(uint8_t operation, uint64_t a, uint64_t b)
{
        switch (operation) {
        case WCT_WHEN_ADD:
                return a + b;
        case WCT_WHEN_SUBTRACT:
                return a - b;
        case WCT_WHEN_MULTIPLY:
                return a * b;
        case WCT_WHEN_AND:
                return a & b;
        case WCT_WHEN_OR:
                return a | b;
        case WCT_WHEN_XOR:
                return a ^ b;
        case WCT_WHEN_LEFT:
                return wc_shift_left(a, b);
        case WCT_WHEN_RIGHT:
                return (uint64_t)wc_shift_right((int64_t)a, b);
        case WCT_WHEN_RIGHT_UNSIGNED:
                return wc_shift_right_unsigned(a, b);
        case WCT_WHEN_ORDER:
        case WCT_WHEN_ORDER_UNSIGNED:
        case WCT_WHEN_ORDER_MIXED:
                return ordered(operation, a, b);
        default:
                return divided(operation, a, b);
        }
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static uint64_t
pushed(const struct wct_call *call, const struct wct_site *site, uint64_t result, const struct wct_step *step)
{
        switch (step->operation) {
        case WCT_WHEN_CONSTANT:
                return step->value;
        case WCT_WHEN_VALUE:
                return call->value[step->size];
        case WCT_WHEN_RESULT_VALUE:
                return result;
        case WCT_WHEN_ERROR:
                return (uint64_t)site->error;
        default:
                return text_step(call, site, result, step);
        }
}

/* A system call that failed has returned -1, as its function would have. */
static uint64_t
result_of(const struct wct_symbol *symbol, const struct wct_site *site)
{
        const uint64_t word = wct_result_word(symbol, site);
        return symbol->number >= 0 && wct_result_is_failure(symbol, word) ? UINT64_MAX : word;
}

bool
wct_when_holds(const struct wct_call *call, const struct wct_site *site, uint32_t program)
{
        uint64_t stack[MOST_DEPTH];
        uint32_t depth = 0;
        const uint64_t result = program == call->symbol->when_after ? result_of(call->symbol, site) : 0;
        for (const struct wct_step *step = wct_plan.steps + program; step->operation != WCT_WHEN_END; step++) {
                const uint32_t taken = takes(step->operation);
                depth -= taken;
                const uint64_t *at = &stack[depth];
                uint64_t left;
                if (taken == 0)
                        left = pushed(call, site, result, step);
                else if (step->operation == WCT_WHEN_HIGH)
                        left = (uint64_t)step->value << 32 | (uint32_t)at[0];
                else
                        left = taken == 1 ? one(step->operation, at[0]) : two(step->operation, at[0], at[1]);
                stack[depth++] = left;
        }
        return stack[0] != 0;
}
