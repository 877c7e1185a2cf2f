/*
 * wct_variadic.c: the variable arguments of printf and scanf, taken from the registers and the stack of a tracee.
 *
 * Called by wct_capture.c. What they become, and how a format is read, is told in wc_varargs.h, which the shim shares.
 * Variadic arguments go on where the named ones end: in the integer registers and the vector registers that are left, then
 * on the stack. A va_list holds the same three places, as memory. Rules: T3; vector registers are fetched only when a format
 * asks for a double; what cannot be read ends the list.
 *
 * Absent on purpose: wide characters.
 */
#include <string.h>

#include "wct_record.h"

#define wcv_source wct_source

/* struct __va_list_tag of the x86-64 ABI. */
struct va_places {
        uint32_t gp_offset, fp_offset;
        uint64_t overflow, saved;
};

enum { GP_BYTES = 48, SAVED_BYTES = 176 };

static void
registers_begin(struct wct_source *source, const struct wct_call *call, const struct wct_site *site)
{
        const struct wct_argument *argument = wct_plan.arguments + call->symbol->first;
        uint32_t stack = 0;
        for (uint32_t i = 0; i < call->symbol->arguments; i++, argument++) {
                const uint32_t end = argument->place + argument->words;
                if (argument->where == WCT_IN_REGISTER && end > source->gp_at)
                        source->gp_at = (uint8_t)end;
                if (argument->where == WCT_IN_VECTOR && end > source->fp_at)
                        source->fp_at = (uint8_t)end;
                if (argument->where == WCT_ON_STACK && end > stack)
                        stack = end;
        }
        memcpy(source->gp, site->registers, sizeof source->gp);
        source->overflow = site->sp + 8 + 8 * stack;
}

static void
list_begin(struct wct_source *source, uint64_t list)
{
        struct va_places places;
        uint64_t saved[SAVED_BYTES / 8] = {0};
        source->lost = wct_read(source->tid, &places, list, sizeof places) != sizeof places || places.gp_offset > GP_BYTES ||
                       places.fp_offset > SAVED_BYTES;
        if (source->lost)
                return;
        if (places.gp_offset < GP_BYTES || places.fp_offset < SAVED_BYTES)
                wct_read(source->tid, saved, places.saved, sizeof saved);
        memcpy(source->gp, saved, sizeof source->gp);
        for (uint32_t i = 0; i < 8; i++)
                source->fp[i] = saved[GP_BYTES / 8 + 2 * i];
        source->gp_at = (uint8_t)((places.gp_offset + 7) / 8);
        source->fp_at = (uint8_t)(places.fp_offset < GP_BYTES ? 0 : (places.fp_offset - GP_BYTES + 15) / 16);
        source->fp_known = true;
        source->overflow = places.overflow;
}

void
wct_source_begin(struct wct_source *source, const struct wct_call *call, const struct wct_site *site)
{
        memset(source, 0, sizeof *source);
        source->tid = site->tracee->tid;
        if (call->symbol->flags & WCT_VA_LIST)
                list_begin(source, call->value[call->symbol->format + 1]);
        else
                registers_begin(source, call, site);
}

static uint64_t
overflow_word(struct wct_source *source)
{
        uint64_t word = 0;
        if (wct_read(source->tid, &word, source->overflow, sizeof word) != sizeof word)
                source->lost = true;
        source->overflow += sizeof word;
        return word;
}

static uint64_t
wcv_word(struct wcv_source *source)
{
        return source->gp_at < 6 ? source->gp[source->gp_at++] : overflow_word(source);
}

static int
wcv_int(struct wcv_source *source)
{
        return (int)(uint32_t)wcv_word(source);
}

static void
vectors_fetch(struct wct_source *source)
{
        struct user_fpregs_struct registers;
        source->fp_known = true;
        if (!wct_vector_read(source->tid, &registers)) {
                source->lost = true;
                return;
        }
        for (uint32_t i = 0; i < 8; i++)
                memcpy(&source->fp[i], &registers.xmm_space[4 * i], sizeof source->fp[i]);
}

static double
wcv_double(struct wcv_source *source)
{
        double value;
        if (source->fp_at < 8 && !source->fp_known)
                vectors_fetch(source);
        const uint64_t word = source->fp_at < 8 ? source->fp[source->fp_at++] : overflow_word(source);
        memcpy(&value, &word, sizeof value);
        return value;
}

static bool
wcv_load_long_double(struct wcv_source *source, uint64_t at, double *value)
{
        long double wide = 0;
        if (wct_read(source->tid, &wide, at, 10) != 10)
                return false;
        *value = (double)wide;
        return true;
}

/* Always on the stack, on a multiple of 16. */
static double
wcv_long_double(struct wcv_source *source)
{
        double value = 0;
        const uint64_t at = (source->overflow + 15) & ~(uint64_t)15;
        source->overflow = at + 16;
        source->lost |= !wcv_load_long_double(source, at, &value);
        return value;
}

static uint32_t
wcv_text(struct wcv_source *source, uint64_t at, uint8_t *to, uint32_t limit, bool *more)
{
        char copy[256];
        bool ended;
        const size_t length = wct_read_text(source->tid, copy, at, wct_smaller(limit + 1, sizeof copy), &ended);
        *more = length > limit;
        memcpy(to, copy, wct_smaller(length, limit));
        return (uint32_t)wct_smaller(length, limit);
}

static bool
wcv_load(struct wcv_source *source, uint64_t at, uint32_t size, uint64_t *word)
{
        return wct_read(source->tid, word, at, size) == size;
}

static bool
wcv_is_lost(const struct wcv_source *source)
{
        return source->lost;
}

#include "wc_varargs.h"

static uint32_t
text_limit(void)
{
        return (uint32_t)wct_smaller(wct_session.control->string_limit, WCT_PATH_LIMIT);
}

uint32_t
wct_variadic_printf(struct wct_source *source, const char *format, uint8_t *out)
{
        struct wcv_items items = {out, 0, WCT_VARIADIC_ROOM, text_limit(), source};
        wcv_printf(&items, format);
        return items.used;
}

uint32_t
wct_variadic_scanf(struct wct_source *source, const char *format, int matched, uint8_t *out)
{
        struct wcv_items items = {out, 0, WCT_VARIADIC_ROOM, text_limit(), source};
        wcv_scanf(&items, format, matched);
        return items.used;
}
