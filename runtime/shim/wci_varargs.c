/*
 * wci_varargs.c: the variable arguments of printf and scanf, taken from a va_list.
 *
 * Called by v-twin wrappers after the real call, with a copy of the va_list. What they become, and how a format is read,
 * is told in wc_varargs.h, which the tracer shares. Strings are read through the guarded capture: "%.3s" need not be
 * terminated; what scanf has stored is read directly.
 */
#include "wci_runtime.h"

struct wcv_source {
        __builtin_va_list args;
};

static int
wcv_int(struct wcv_source *source)
{
        return __builtin_va_arg(source->args, int);
}

static uint64_t
wcv_word(struct wcv_source *source)
{
        return __builtin_va_arg(source->args, unsigned long);
}

static double
wcv_double(struct wcv_source *source)
{
        return __builtin_va_arg(source->args, double);
}

static double
wcv_long_double(struct wcv_source *source)
{
        return (double)__builtin_va_arg(source->args, long double);
}

static uint32_t
wcv_text(struct wcv_source *source, uint64_t at, uint8_t *to, uint32_t limit, bool *more)
{
        (void)source;
        return wci_read_text((const char *)(uintptr_t)at, to, limit, more);
}

static bool
wcv_load(struct wcv_source *source, uint64_t at, uint32_t size, uint64_t *word)
{
        const void *pointer = (const void *)(uintptr_t)at;
        (void)source;
        *word = size == 1   ? *(const uint8_t *)pointer
                : size == 2 ? *(const uint16_t *)pointer
                : size == 4 ? *(const uint32_t *)pointer
                            : *(const uint64_t *)pointer;
        return true;
}

static bool
wcv_load_long_double(struct wcv_source *source, uint64_t at, double *value)
{
        (void)source;
        *value = (double)*(const long double *)(uintptr_t)at;
        return true;
}

static bool
wcv_is_lost(const struct wcv_source *source)
{
        (void)source;
        return false;
}

#include "wc_varargs.h"

uint32_t
wci_varargs_printf(const char *format, __builtin_va_list args, uint8_t *out, uint32_t room, uint32_t text_limit)
{
        struct wcv_source source;
        struct wcv_items items = {out, 0, room, text_limit, &source};
        __builtin_va_copy(source.args, args);
        wcv_printf(&items, format);
        __builtin_va_end(source.args);
        return items.used;
}

uint32_t
wci_varargs_scanf(const char *format, __builtin_va_list args, int matched, uint8_t *out, uint32_t room,
                  uint32_t text_limit)
{
        struct wcv_source source;
        struct wcv_items items = {out, 0, room, text_limit, &source};
        __builtin_va_copy(source.args, args);
        wcv_scanf(&items, format, matched);
        __builtin_va_end(source.args);
        return items.used;
}
