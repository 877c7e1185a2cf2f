/*
 * wci_varargs.c: the variable arguments of printf and scanf, as items that the consumer can read without the format.
 *
 * Called by v-twin wrappers after the real call, with a copy of the va_list.  An item is a tag byte, a length byte and
 * the bytes: i u f c p (8 bytes, little endian), s (text), t (text that was cut), z (NULL string).  Parsing stops at what
 * it does not know: a wrong guess would read arguments that were not passed.  No locale, no stdio (R1).
 * Strings are read through the guarded capture: "%.3s" need not be terminated.
 */
#include "wci_runtime.h"

struct items {
        uint8_t *out;
        uint32_t used;
        uint32_t room;
        uint32_t text_limit;
};

enum size { SIZE_INT, SIZE_CHAR, SIZE_SHORT, SIZE_LONG, SIZE_LONG_DOUBLE };

struct directive {
        char conversion;
        enum size size;
        bool width_star;
        bool precision_star;
        bool suppressed;
        int precision; /* -1: none */
};

static void
put_bytes(struct items *items, char tag, const void *bytes, uint32_t length)
{
        if (items->used + 2 + length > items->room)
                return;
        items->out[items->used++] = (uint8_t)tag;
        items->out[items->used++] = (uint8_t)length;
        for (uint32_t i = 0; i < length; i++)
                ((volatile uint8_t *)items->out)[items->used++] = ((const uint8_t *)bytes)[i];
}

static void
put_word(struct items *items, char tag, uint64_t word)
{
        put_bytes(items, tag, &word, sizeof word);
}

static void
put_text(struct items *items, const char *text, int precision)
{
        if (text == NULL) {
                put_bytes(items, 'z', NULL, 0);
                return;
        }
        uint8_t copy[WCI_CELL_SIZE * 2];
        uint32_t limit = items->text_limit < sizeof copy ? items->text_limit : sizeof copy;
        const bool bounded = precision >= 0 && (uint32_t)precision < limit;
        if (bounded)
                limit = (uint32_t)precision;
        bool more = false;
        const uint32_t length = wci_read_text(text, copy, limit, &more);
        put_bytes(items, more && !bounded ? 't' : 's', copy, length);
}

static const char *
read_number(const char *at, int *number)
{
        *number = 0;
        while (*at >= '0' && *at <= '9')
                *number = *number * 10 + (*at++ - '0');
        return at;
}

static const char *
read_size(const char *at, struct directive *d)
{
        d->size = SIZE_INT;
        for (;; at++) {
                if (*at == 'h')
                        d->size = d->size == SIZE_SHORT ? SIZE_CHAR : SIZE_SHORT;
                else if (*at == 'l' || *at == 'q' || *at == 'j' || *at == 'z' || *at == 'Z' || *at == 't')
                        d->size = SIZE_LONG;
                else if (*at == 'L')
                        d->size = SIZE_LONG_DOUBLE;
                else
                        return at;
        }
}

/* Parse from behind '%'. Returns behind the conversion; conversion 0: not understood (positional arguments, end). */
static const char *
read_directive(const char *at, struct directive *d)
{
        int number;
        *d = (struct directive){.precision = -1};
        while (*at == '-' || *at == '+' || *at == ' ' || *at == '#' || *at == '0' || *at == '\'' || *at == 'I')
                at++;
        if (*at == '*') {
                d->width_star = true;
                at++;
        } else {
                at = read_number(at, &number);
        }
        if (*at == '$')
                return at;
        if (*at == '.') {
                at++;
                d->precision_star = *at == '*';
                at = d->precision_star ? at + 1 : read_number(at, &d->precision);
        }
        at = read_size(at, d);
        d->conversion = *at;
        return *at == '\0' ? at : at + 1;
}

/* Take one argument of printf. False: unknown conversion, stop. */
static bool
take_printf(struct items *items, const struct directive *d, __builtin_va_list *args)
{
        switch (d->conversion) {
        case 'd':
        case 'i':
                put_word(items, 'i', d->size == SIZE_LONG || d->size == SIZE_LONG_DOUBLE
                                         ? (uint64_t)__builtin_va_arg(*args, long)
                                         : (uint64_t)(int64_t)__builtin_va_arg(*args, int));
                return true;
        case 'u':
        case 'x':
        case 'X':
        case 'o':
                put_word(items, 'u', d->size == SIZE_LONG || d->size == SIZE_LONG_DOUBLE
                                         ? __builtin_va_arg(*args, unsigned long)
                                         : __builtin_va_arg(*args, unsigned int));
                return true;
        case 'c':
                put_word(items, 'c', (uint64_t)(uint32_t)__builtin_va_arg(*args, int));
                return true;
        case 'e':
        case 'E':
        case 'f':
        case 'F':
        case 'g':
        case 'G':
        case 'a':
        case 'A': {
                const double value = d->size == SIZE_LONG_DOUBLE ? (double)__builtin_va_arg(*args, long double)
                                                                 : __builtin_va_arg(*args, double);
                put_bytes(items, 'f', &value, sizeof value);
                return true;
        }
        case 's':
                if (d->size == SIZE_LONG)
                        put_word(items, 'p', (uint64_t)(uintptr_t)__builtin_va_arg(*args, void *));
                else
                        put_text(items, __builtin_va_arg(*args, const char *), d->precision);
                return true;
        case 'p':
        case 'n':
        case 'S':
                put_word(items, 'p', (uint64_t)(uintptr_t)__builtin_va_arg(*args, void *));
                return true;
        case '%':
        case 'm':
                return true;
        default:
                return false;
        }
}

uint32_t
wci_varargs_printf(const char *format, __builtin_va_list args, uint8_t *out, uint32_t room, uint32_t text_limit)
{
        struct items items = {out, 0, room, text_limit};
        __builtin_va_list own;
        __builtin_va_copy(own, args);
        while (format != NULL && *format != '\0') {
                struct directive d;
                if (*format++ != '%')
                        continue;
                format = read_directive(format, &d);
                if (d.width_star)
                        put_word(&items, 'i', (uint64_t)(int64_t)__builtin_va_arg(own, int));
                if (d.precision_star) {
                        d.precision = __builtin_va_arg(own, int);
                        put_word(&items, 'i', (uint64_t)(int64_t)d.precision);
                }
                if (d.conversion == '\0' || !take_printf(&items, &d, &own))
                        break;
        }
        __builtin_va_end(own);
        return items.used;
}

static uint64_t
signed_behind(const void *pointer, enum size size)
{
        switch (size) {
        case SIZE_CHAR:
                return (uint64_t)(int64_t) * (const signed char *)pointer;
        case SIZE_SHORT:
                return (uint64_t)(int64_t) * (const short *)pointer;
        case SIZE_INT:
                return (uint64_t)(int64_t) * (const int *)pointer;
        default:
                return (uint64_t) * (const long *)pointer;
        }
}

static uint64_t
unsigned_behind(const void *pointer, enum size size)
{
        const uint64_t all = signed_behind(pointer, size);
        return size == SIZE_CHAR ? (uint8_t)all : size == SIZE_SHORT ? (uint16_t)all : size == SIZE_INT ? (uint32_t)all : all;
}

static void
put_float_behind(struct items *items, const void *pointer, enum size size)
{
        const double value = size == SIZE_LONG_DOUBLE ? (double)*(const long double *)pointer
                             : size == SIZE_LONG      ? *(const double *)pointer
                                                      : (double)*(const float *)pointer;
        put_bytes(items, 'f', &value, sizeof value);
}

/* Put what scanf stored behind pointer. False: unknown conversion, stop. */
static bool
put_scanned(struct items *items, const struct directive *d, const void *pointer)
{
        switch (d->conversion) {
        case 'd':
        case 'i':
                put_word(items, 'i', signed_behind(pointer, d->size));
                return true;
        case 'u':
        case 'x':
        case 'X':
        case 'o':
                put_word(items, 'u', unsigned_behind(pointer, d->size));
                return true;
        case 'e':
        case 'f':
        case 'g':
        case 'a':
        case 'E':
        case 'G':
                put_float_behind(items, pointer, d->size);
                return true;
        case 's':
        case '[':
                put_text(items, pointer, -1);
                return true;
        default:
                return false;
        }
}

static const char *
skip_set(const char *at)
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
read_scan_directive(const char *at, struct directive *d)
{
        int width;
        *d = (struct directive){.precision = -1};
        if (*at == '*') {
                d->suppressed = true;
                at++;
        }
        at = read_number(at, &width);
        at = read_size(at, d);
        d->conversion = *at;
        if (*at == '\0' || *at == '$')
                return at;
        return *at == '[' ? skip_set(at + 1) : at + 1;
}

uint32_t
wci_varargs_scanf(const char *format, __builtin_va_list args, int matched, uint8_t *out, uint32_t room,
                  uint32_t text_limit)
{
        struct items items = {out, 0, room, text_limit};
        __builtin_va_list own;
        __builtin_va_copy(own, args);
        while (matched > 0 && format != NULL && *format != '\0') {
                struct directive d;
                if (*format++ != '%')
                        continue;
                format = read_scan_directive(format, &d);
                if (d.conversion == '%' || d.suppressed)
                        continue;
                if (d.conversion == '\0' || d.conversion == '$')
                        break;
                if (!put_scanned(&items, &d, __builtin_va_arg(own, const void *)))
                        break;
                matched--;
        }
        __builtin_va_end(own);
        return items.used;
}
