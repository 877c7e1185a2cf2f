/*
 * wct_value.c: values of a call: arguments from registers, vector registers and the stack; the result.
 *
 * Called by wct_call.c. wct_plan.h says where each travels and stands. Rules: registers beyond the general ones are fetched
 * only when a symbol needs them; all words that an argument list has on the stack are read at once; what cannot be read is 0.
 * A value is widened as C does it, by its type and size, since programs of lengths compute with it.
 *
 * Absent on purpose: what is behind pointers (wct_capture.c).
 */
#include <string.h>
#include <sys/ptrace.h>

#include "wct_record.h"

#define STACK_WORDS 264u

bool
wct_vector_read(pid_t tid, struct user_fpregs_struct *registers)
{
        return ptrace(PTRACE_GETFPREGS, tid, NULL, registers) == 0;
}

static uint64_t
low_word(const struct user_fpregs_struct *registers, uint32_t vector)
{
        uint64_t word;
        memcpy(&word, &registers->xmm_space[4 * vector], sizeof word);
        return word;
}

/* The registers that a call with vector arguments needs besides the general ones, and the words on its stack. */
struct places {
        const uint64_t *registers;
        struct user_fpregs_struct vectors;
        uint64_t stack[STACK_WORDS];
};

static void
places_read(struct places *places, const struct wct_facts *facts, const struct wct_site *site)
{
        const size_t size = facts->stack_words * sizeof(uint64_t);
        const pid_t tid = site->tracee->tid;
        places->registers = site->registers;
        if (facts->vector && !wct_vector_read(tid, &places->vectors))
                memset(&places->vectors, 0, sizeof places->vectors);
        /* Word 0 is the one above the return address. */
        const size_t got = size == 0 ? 0 : wct_read(tid, places->stack, site->sp + 8, size);
        memset((char *)places->stack + got, 0, size - got);
}

static uint64_t
word_at(const struct places *places, const struct wct_argument *argument, uint32_t word)
{
        const uint32_t place = argument->place + word;
        if (argument->where == WCT_IN_REGISTER)
                return places->registers[place];
        return argument->where == WCT_IN_VECTOR ? low_word(&places->vectors, place) : places->stack[place];
}

static uint64_t
widened(uint8_t type, uint8_t size, uint64_t word)
{
        if (type == WCT_SIGNED)
                return size == 4   ? (uint64_t)(int64_t)(int32_t)word
                       : size == 2 ? (uint64_t)(int64_t)(int16_t)word
                       : size == 1 ? (uint64_t)(int64_t)(int8_t)word
                                   : word;
        if (type == WCT_BOOL)
                return word & 0xff;
        return type == WCT_UNSIGNED && size < 8 && size != 0 ? word & ((1ull << 8 * size) - 1) : word;
}

static uint64_t *
wide_words(struct wct_kept *kept)
{
        return (uint64_t *)(void *)kept->bytes;
}

/* open's mode, which is passed only when the flags ask for one. */
static void
conditions_apply(struct wct_call *call, const struct wct_site *site)
{
        const struct wct_argument *argument = wct_plan.arguments + call->symbol->first;
        const struct wct_evaluation evaluation = {call, site->tracee->tid, 0};
        for (uint32_t i = 0; i < call->symbol->arguments; i++, argument++)
                if (argument->blob == 0 && argument->condition != 0 &&
                    (int64_t)wct_length(&evaluation, argument->condition) <= 0)
                        call->value[i] = 0;
}

void
wct_values_take(struct wct_call *call, const struct wct_site *site)
{
        const struct wct_symbol *symbol = call->symbol;
        const struct wct_facts *facts = wct_facts(symbol);
        const struct wct_argument *argument = wct_plan.arguments + symbol->first;
        struct places places;
        uint64_t *wide = call->kept == NULL ? NULL : wide_words(call->kept);
        places_read(&places, facts, site);
        for (uint32_t i = 0; i < symbol->arguments; i++, argument++) {
                const uint32_t words = argument->where <= WCT_ON_STACK ? wct_words(argument) : 0;
                call->value[i] = words == 0 ? 0 : widened(argument->type, argument->size, word_at(&places, argument, 0));
                for (uint32_t word = 1; word < words; word++)
                        *wide++ = word_at(&places, argument, word);
        }
        if (facts->conditional)
                conditions_apply(call, site);
}

static void
wide_store(uint8_t *to, uint32_t size, uint64_t first, const uint64_t *more)
{
        const uint32_t head = (uint32_t)wct_smaller(size, sizeof first);
        memcpy(to, &first, head);
        if (size > head)
                memcpy(to + head, more, size - head);
}

void
wct_values_store(const struct wct_call *call, uint8_t *record)
{
        const struct wct_symbol *symbol = call->symbol;
        const struct wct_argument *argument = wct_plan.arguments + symbol->first;
        const uint64_t *wide = call->kept == NULL ? NULL : wide_words(call->kept);
        for (uint32_t i = 0; i < symbol->arguments; i++, argument++) {
                const uint32_t offset = argument->offset;
                const uint64_t word = call->value[i];
                if (offset == 0)
                        continue;
                if (argument->size == 8)
                        memcpy(record + offset, &word, 8);
                else if (argument->size == 4)
                        memcpy(record + offset, &word, 4);
                else
                        wide_store(record + offset, argument->size, word, wide);
                if (argument->words > 1)
                        wide += argument->words - 1;
        }
}

/* --- the result --------------------------------------------------------------------------------------------------- */

/* A float as a double, bit by bit: no signaling NaN is quieted. */
static uint64_t
double_bits(uint32_t bits)
{
        float narrow;
        double value;
        uint64_t wide;
        if ((bits & 0x7f800000u) == 0x7f800000u)
                return (uint64_t)(bits >> 31) << 63 | 0x7ff0000000000000u | (uint64_t)(bits & 0x7fffffu) << 29;
        memcpy(&narrow, &bits, sizeof narrow);
        value = (double)narrow;
        memcpy(&wide, &value, sizeof wide);
        return wide;
}

uint64_t
wct_result_word(const struct wct_symbol *symbol, const struct wct_site *site)
{
        struct user_fpregs_struct vectors;
        if (symbol->number >= 0)
                return (uint64_t)site->result;
        if (symbol->result == WCT_SIGNED || symbol->result == WCT_UNSIGNED || symbol->result == WCT_BOOL)
                return widened(symbol->result, symbol->result_size, (uint64_t)site->result);
        if (symbol->result != WCT_FLOAT || !wct_vector_read(site->tracee->tid, &vectors))
                return 0;
        return symbol->result_size == 4 ? double_bits((uint32_t)low_word(&vectors, 0)) : low_word(&vectors, 0);
}

/* A struct of at most 16 bytes comes in rax and rdx; of a larger one, rax is the address. */
static void
struct_read(const struct wct_symbol *symbol, const struct wct_site *site, uint8_t *to)
{
        const struct user_regs_struct *regs = wct_regs(site->tracee);
        const uint64_t words[2] = {(uint64_t)site->result, regs == NULL ? 0 : regs->rdx};
        if (symbol->result_size <= sizeof words) {
                memcpy(to, words, symbol->result_size);
                return;
        }
        const size_t got = wct_read(site->tracee->tid, to, words[0], symbol->result_size);
        memset(to + got, 0, symbol->result_size - got);
}

/* long double: the 10 bytes of st(0), and of st(1) for a complex one; complex double: xmm0 and xmm1; complex float: xmm0. */
static void
vectors_read(const struct wct_symbol *symbol, const struct wct_site *site, uint8_t *to)
{
        struct user_fpregs_struct registers;
        memset(to, 0, symbol->result_size);
        if (!wct_vector_read(site->tracee->tid, &registers))
                return;
        const bool x87 = symbol->result == WCT_LONG_DOUBLE || symbol->result_size > 16;
        for (uint32_t at = 0, i = 0; at < symbol->result_size; i++) {
                const uint32_t step = x87 ? 16 : 8, bytes = x87 ? 10 : 8;
                const uint64_t word = low_word(&registers, i & 15);
                const void *from = x87 ? (const void *)&registers.st_space[4 * (i & 7)] : &word;
                memcpy(to + at, from, wct_smaller(bytes, symbol->result_size - at));
                at += step;
        }
}

void
wct_result_store(const struct wct_symbol *symbol, const struct wct_site *site, uint8_t *record)
{
        if (symbol->result_at == 0)
                return;
        if (symbol->result == WCT_STRUCT)
                struct_read(symbol, site, record + symbol->result_at);
        else if (symbol->result == WCT_LONG_DOUBLE || symbol->result == WCT_COMPLEX)
                vectors_read(symbol, site, record + symbol->result_at);
}

bool
wct_result_is_failure(const struct wct_symbol *symbol, uint64_t word)
{
        if (symbol->number >= 0)
                return (int64_t)word < 0 && (int64_t)word >= -4095;
        switch (symbol->fail) {
        case WCT_FAIL_MINUS_ONE:
                return word == widened(symbol->result, symbol->result_size, UINT64_MAX);
        case WCT_FAIL_NULL:
        case WCT_FAIL_ZERO:
                return word == 0;
        case WCT_FAIL_NEGATIVE:
                return (int64_t)word < 0;
        case WCT_FAIL_NONZERO:
        case WCT_FAIL_ERRNO:
                return word != 0;
        default:
                return false;
        }
}
