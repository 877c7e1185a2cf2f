/*
 * wc_varargs.h: the variable arguments of printf and scanf, as items that the consumer can read without the format.
 *
 * Included once by each engine: runtime/shim/wci_varargs.c (arguments in a va_list, memory its own) and
 * runtime/tracer/wct_variadic.c (arguments in another process's registers and stack). An item is a tag byte, a length byte
 * and the bytes: i u f c p (8 bytes, little endian), s (text), t (text that was cut), z (NULL string). Parsing stops at what
 * it does not know: a wrong guess would read arguments that were not passed. No locale, no stdio, no libc (R1).
 *
 * The includer defines, before it includes this:
 *   struct wcv_source                                       where the next argument is
 *   int wcv_int(source), uint64_t wcv_word(source), double wcv_double(source), double wcv_long_double(source): take it
 *   uint32_t wcv_text(source, uint64_t at, uint8_t *to, uint32_t limit, bool *more)   a string's first bytes
 *   bool wcv_load(source, uint64_t at, uint32_t size, uint64_t *word)                 1, 2, 4 or 8 bytes behind a pointer
 *   bool wcv_load_long_double(source, uint64_t at, double *value)
 *   bool wcv_is_lost(source)                                an argument was not to be had: those behind it neither
 */
#ifndef WC_VARARGS_H
#define WC_VARARGS_H

#include <stdbool.h>
#include <stdint.h>

#define WCV_TEXT_LIMIT 128u /* bytes of one string */

struct wcv_items {
        uint8_t *out;
        uint32_t used;
        uint32_t room;
        uint32_t text_limit;
        struct wcv_source *source;
};

enum wcv_size { WCV_INT, WCV_CHAR, WCV_SHORT, WCV_LONG, WCV_LONG_DOUBLE };

struct wcv_directive {
        char conversion;
        enum wcv_size size;
        bool width_star;
        bool precision_star;
        bool suppressed;
        int precision; /* -1: none */
};

static void
wcv_put_bytes(struct wcv_items *items, char tag, const void *bytes, uint32_t length)
{
        if (items->used + 2 + length > items->room || wcv_is_lost(items->source))
                return;
        items->out[items->used++] = (uint8_t)tag;
        items->out[items->used++] = (uint8_t)length;
        for (uint32_t i = 0; i < length; i++)
                ((volatile uint8_t *)items->out)[items->used++] = ((const uint8_t *)bytes)[i];
}

static void
wcv_put_word(struct wcv_items *items, char tag, uint64_t word)
{
        wcv_put_bytes(items, tag, &word, sizeof word);
}

static void
wcv_put_text(struct wcv_items *items, uint64_t text, int precision)
{
        if (text == 0) {
                wcv_put_bytes(items, 'z', "", 0);
                return;
        }
        uint8_t copy[WCV_TEXT_LIMIT];
        uint32_t limit = items->text_limit < sizeof copy ? items->text_limit : sizeof copy;
        const bool bounded = precision >= 0 && (uint32_t)precision < limit;
        if (bounded)
                limit = (uint32_t)precision;
        bool more = false;
        const uint32_t length = wcv_text(items->source, text, copy, limit, &more);
        wcv_put_bytes(items, more && !bounded ? 't' : 's', copy, length);
}

/* Numbers without end are written by hostile programs: what cannot be a width is one all the same. */
static const char *
wcv_read_number(const char *at, int *number)
{
        *number = 0;
        while (*at >= '0' && *at <= '9') {
                *number = *number > 100000000 ? *number : *number * 10 + (*at - '0');
                at++;
        }
        return at;
}

static const char *
wcv_read_size(const char *at, struct wcv_directive *d)
{
        d->size = WCV_INT;
        for (;; at++) {
                if (*at == 'h')
                        d->size = d->size == WCV_SHORT ? WCV_CHAR : WCV_SHORT;
                else if (*at == 'l' || *at == 'q' || *at == 'j' || *at == 'z' || *at == 'Z' || *at == 't')
                        d->size = WCV_LONG;
                else if (*at == 'L')
                        d->size = WCV_LONG_DOUBLE;
                else
                        return at;
        }
}

/* Parse from behind '%'. Returns behind the conversion; conversion 0: not understood (positional arguments, end). */
static const char *
wcv_read_directive(const char *at, struct wcv_directive *d)
{
        int number;
        *d = (struct wcv_directive){.precision = -1};
        while (*at == '-' || *at == '+' || *at == ' ' || *at == '#' || *at == '0' || *at == '\'' || *at == 'I')
                at++;
        if (*at == '*') {
                d->width_star = true;
                at++;
        } else {
                at = wcv_read_number(at, &number);
        }
        if (*at == '$')
                return at;
        if (*at == '.') {
                at++;
                d->precision_star = *at == '*';
                at = d->precision_star ? at + 1 : wcv_read_number(at, &d->precision);
        }
        at = wcv_read_size(at, d);
        d->conversion = *at;
        return *at == '\0' ? at : at + 1;
}

static bool
wcv_is_long(const struct wcv_directive *d)
{
        return d->size == WCV_LONG || d->size == WCV_LONG_DOUBLE;
}

/* Take one argument of printf. False: unknown conversion, stop. */
static bool
wcv_take_printf(struct wcv_items *items, const struct wcv_directive *d)
{
        struct wcv_source *source = items->source;
        switch (d->conversion) {
        case 'd':
        case 'i':
                wcv_put_word(items, 'i', wcv_is_long(d) ? wcv_word(source) : (uint64_t)(int64_t)wcv_int(source));
                return true;
        case 'u':
        case 'x':
        case 'X':
        case 'o':
                wcv_put_word(items, 'u', wcv_is_long(d) ? wcv_word(source) : (unsigned int)wcv_int(source));
                return true;
        case 'c':
                wcv_put_word(items, 'c', (uint64_t)(uint32_t)wcv_int(source));
                return true;
        case 'e':
        case 'E':
        case 'f':
        case 'F':
        case 'g':
        case 'G':
        case 'a':
        case 'A': {
                const double value = d->size == WCV_LONG_DOUBLE ? wcv_long_double(source) : wcv_double(source);
                wcv_put_bytes(items, 'f', &value, sizeof value);
                return true;
        }
        case 's':
                if (d->size == WCV_LONG)
                        wcv_put_word(items, 'p', wcv_word(source));
                else
                        wcv_put_text(items, wcv_word(source), d->precision);
                return true;
        case 'p':
        case 'n':
        case 'S':
                wcv_put_word(items, 'p', wcv_word(source));
                return true;
        case '%':
        case 'm':
                return true;
        default:
                return false;
        }
}

static void
wcv_printf(struct wcv_items *items, const char *format)
{
        while (format != NULL && *format != '\0' && !wcv_is_lost(items->source)) {
                struct wcv_directive d;
                if (*format++ != '%')
                        continue;
                format = wcv_read_directive(format, &d);
                if (d.width_star)
                        wcv_put_word(items, 'i', (uint64_t)(int64_t)wcv_int(items->source));
                if (d.precision_star) {
                        d.precision = wcv_int(items->source);
                        wcv_put_word(items, 'i', (uint64_t)(int64_t)d.precision);
                }
                if (d.conversion == '\0' || !wcv_take_printf(items, &d))
                        break;
        }
}

static uint32_t
wcv_bytes(enum wcv_size size)
{
        return size == WCV_CHAR ? 1 : size == WCV_SHORT ? 2 : size == WCV_INT ? 4 : 8;
}

static bool
wcv_put_number_behind(struct wcv_items *items, bool is_signed, uint64_t at, enum wcv_size size)
{
        uint64_t word = 0;
        const uint32_t bytes = wcv_bytes(size), unused = 64 - 8 * bytes;
        if (!wcv_load(items->source, at, bytes, &word))
                return false;
        if (is_signed)
                word = (uint64_t)((int64_t)(word << unused) >> unused);
        wcv_put_word(items, is_signed ? 'i' : 'u', word);
        return true;
}

static bool
wcv_put_float_behind(struct wcv_items *items, uint64_t at, enum wcv_size size)
{
        double value;
        uint64_t word = 0;
        if (size == WCV_LONG_DOUBLE) {
                if (!wcv_load_long_double(items->source, at, &value))
                        return false;
        } else if (!wcv_load(items->source, at, size == WCV_LONG ? 8 : 4, &word)) {
                return false;
        } else if (size == WCV_LONG) {
                __builtin_memcpy(&value, &word, sizeof value);
        } else {
                float narrow;
                __builtin_memcpy(&narrow, &word, sizeof narrow);
                value = (double)narrow;
        }
        wcv_put_bytes(items, 'f', &value, sizeof value);
        return true;
}

/* Put what scanf stored behind a pointer. False: unknown conversion, stop. */
static bool
wcv_put_scanned(struct wcv_items *items, const struct wcv_directive *d, uint64_t at)
{
        switch (d->conversion) {
        case 'd':
        case 'i':
                return wcv_put_number_behind(items, true, at, d->size);
        case 'u':
        case 'x':
        case 'X':
        case 'o':
                return wcv_put_number_behind(items, false, at, d->size);
        case 'e':
        case 'f':
        case 'g':
        case 'a':
        case 'E':
        case 'G':
                return wcv_put_float_behind(items, at, d->size);
        case 's':
        case '[':
                wcv_put_text(items, at, -1);
                return true;
        default:
                return false;
        }
}

static const char *
wcv_skip_set(const char *at)
{
        if (*at == '^')
                at++;
        if (*at == ']')
                at++;
        while (*at != '\0' && *at != ']')
                at++;
        return *at == ']' ? at + 1 : at;
}

/* scanf's directives: "*" suppresses, a width follows, %[ has a set. */
static const char *
wcv_read_scan_directive(const char *at, struct wcv_directive *d)
{
        int width;
        *d = (struct wcv_directive){.precision = -1};
        if (*at == '*') {
                d->suppressed = true;
                at++;
        }
        at = wcv_read_number(at, &width);
        at = wcv_read_size(at, d);
        d->conversion = *at;
        if (*at == '\0' || *at == '$')
                return at;
        return *at == '[' ? wcv_skip_set(at + 1) : at + 1;
}

static void
wcv_scanf(struct wcv_items *items, const char *format, int matched)
{
        while (matched > 0 && format != NULL && *format != '\0' && !wcv_is_lost(items->source)) {
                struct wcv_directive d;
                if (*format++ != '%')
                        continue;
                format = wcv_read_scan_directive(format, &d);
                if (d.conversion == '%' || d.suppressed)
                        continue;
                if (d.conversion == '\0' || d.conversion == '$')
                        break;
                if (!wcv_put_scanned(items, &d, wcv_word(items->source)))
                        break;
                matched--;
        }
}

#endif
