/*
 * wct_length.c: the plan's programs: lengths of what is behind pointers, and conditions for keeping it.
 *
 * wct_plan.c lets each be checked once, wct_capture.c runs them. A program is a few steps on a small stack, as the shim's
 * generated C computes the same expression: unsigned, modulo 2**64. Rules: a checked program ends, keeps to its stack and
 * asks for arguments that exist; division by zero gives zero.
 *
 * Absent on purpose: jumps, and so loops.
 */
#include <string.h>

#include "wct_record.h"

#define MOST_STEPS 64u
#define MOST_DEPTH 8u

/* How many numbers a step takes from the stack and leaves there. */
struct effect {
        uint8_t takes, leaves;
};

static struct effect
effect_of(uint8_t operation)
{
        if (operation >= WCT_CONSTANT && operation <= WCT_BEHIND)
                return (struct effect){0, 1};
        return (struct effect){2, 1};
}

static bool
step_is_sound(const struct wct_symbol *symbol, const struct wct_step *step)
{
        const bool names_argument = step->operation == WCT_VALUE || step->operation == WCT_BEHIND;
        if (step->operation == WCT_END || step->operation > WCT_MINIMUM)
                return false;
        if (step->operation == WCT_BEHIND && step->size != 1 && step->size != 2 && step->size != 4 && step->size != 8)
                return false;
        return !names_argument || step->value < symbol->arguments;
}

const char *
wct_length_refuse(const struct wct_symbol *symbol, uint32_t program)
{
        uint32_t depth = 0;
        if (program == 0)
                return NULL;
        for (uint32_t i = 0; i < MOST_STEPS && program < wct_plan.head->steps; i++, program++) {
                const struct wct_step *step = &wct_plan.steps[program];
                if (step->operation == WCT_END)
                        return depth == 1 ? NULL : "it does not leave one number";
                const struct effect effect = effect_of(step->operation);
                if (!step_is_sound(symbol, step) || depth < effect.takes || depth - effect.takes + effect.leaves > MOST_DEPTH)
                        return "a step of it cannot be made";
                depth = depth - effect.takes + effect.leaves;
        }
        return "it does not end";
}

static uint64_t
behind(const struct wct_evaluation *evaluation, const struct wct_step *step)
{
        uint64_t word = 0;
        const uint64_t pointer = evaluation->call->value[step->value];
        if (pointer == 0 || wct_read(evaluation->tid, &word, pointer, step->size) != step->size)
                return 0;
        return word;
}

static uint64_t
combined(uint8_t operation, uint64_t a, uint64_t b)
{
        switch (operation) {
        case WCT_ADD:
                return a + b;
        case WCT_SUBTRACT:
                return a - b;
        case WCT_MULTIPLY:
                return a * b;
        case WCT_DIVIDE:
                return b == 0 ? 0 : a / b;
        case WCT_AND:
                return a & b;
        default:
                return a < b ? a : b;
        }
}

uint64_t
wct_length(const struct wct_evaluation *evaluation, uint32_t program)
{
        uint64_t stack[MOST_DEPTH];
        uint32_t depth = 0;
        for (const struct wct_step *step = wct_plan.steps + program; step->operation != WCT_END; step++) {
                switch (step->operation) {
                case WCT_CONSTANT:
                        stack[depth++] = step->value;
                        break;
                case WCT_VALUE:
                        stack[depth++] = evaluation->call->value[step->value];
                        break;
                case WCT_RESULT_VALUE:
                        stack[depth++] = evaluation->result;
                        break;
                case WCT_BEHIND:
                        stack[depth++] = behind(evaluation, step);
                        break;
                default:
                        depth--;
                        stack[depth - 1] = combined(step->operation, stack[depth - 1], stack[depth]);
                }
        }
        return depth == 1 ? stack[0] : 0;
}
