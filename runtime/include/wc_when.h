/*
 * wc_when.h: what a target's `when` computes with, the same in both engines: whole numbers, and texts of the program.
 *
 * Included by generated wrappers and wci_when.c, and by runtime/tracer/wct_when.c.  generator/when.py says what an
 * expression means, and which of these a piece of it becomes.  Rules: arithmetic is that of 64 bits and wraps; nothing that
 * is computed can raise a signal (division by zero gives zero, a shift by 64 or more has shifted everything out); a text is
 * looked at piece by piece, so that a small stack is enough, and no farther than WC_TEXT_MOST bytes.
 *
 * Absent on purpose: how a text's bytes are had (struct wc_text.read): a wrong pointer must do no harm.
 */
#ifndef WC_WHEN_H
#define WC_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WC_TEXT_MOST 4096u   /* bytes of a text that are looked at: a longer one ends there */
#define WC_TEXT_WINDOW 256u  /* of them at a time */
#define WC_TEXT_BEFORE 64u   /* of a window: a glob steps back a little when it tries again */

/* --- numbers ------------------------------------------------------------------------------------------------------ */

static inline int64_t
wc_divide(int64_t a, int64_t b)
{
        return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static inline uint64_t
wc_divide_unsigned(uint64_t a, uint64_t b)
{
        return b == 0 ? 0 : a / b;
}

static inline int64_t
wc_modulo(int64_t a, int64_t b)
{
        return b == 0 || b == -1 ? 0 : a % b;
}

static inline uint64_t
wc_modulo_unsigned(uint64_t a, uint64_t b)
{
        return b == 0 ? 0 : a % b;
}

static inline uint64_t
wc_shift_left(uint64_t a, uint64_t count)
{
        return count > 63 ? 0 : a << count;
}

static inline uint64_t
wc_shift_right_unsigned(uint64_t a, uint64_t count)
{
        return count > 63 ? 0 : a >> count;
}

static inline int64_t
wc_shift_right(int64_t a, uint64_t count)
{
        return a >> (count > 63 ? 63 : count);
}

/* As numbers, not as bits: -1 is less than any size. Returns -1, 0 or 1. */
static inline int64_t
wc_order_mixed(int64_t a, uint64_t b)
{
        if (a < 0 || (uint64_t)a < b)
                return -1;
        return (uint64_t)a > b;
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

struct wc_text {
        uint64_t from; /* its address */
        uint32_t (*read)(void *context, void *to, uint64_t from, uint32_t size); /* NULL: it may be read directly */
        void *context;
        uint32_t start, got; /* which piece of it stands in window */
        uint8_t window[WC_TEXT_WINDOW];
};

static inline void
wc_text_begin(struct wc_text *text, uint64_t from, uint32_t (*read)(void *, void *, uint64_t, uint32_t), void *context)
{
        text->from = from;
        text->read = read;
        text->context = context;
        text->start = text->got = 0;
}

/* Its byte at an index, 0 behind its end; -1: it cannot be read there. */
static inline int
wc_text_at(struct wc_text *text, uint32_t index)
{
        if (text->from == 0)
                return -1;
        if (index >= WC_TEXT_MOST)
                return 0;
        if (text->read == NULL)
                return ((const uint8_t *)(uintptr_t)text->from)[index];
        if (index < text->start || index >= text->start + text->got) {
                text->start = index > WC_TEXT_BEFORE ? index - WC_TEXT_BEFORE : 0;
                text->got = text->read(text->context, text->window, text->from + text->start, WC_TEXT_WINDOW);
                if (index >= text->start + text->got)
                        return -1;
        }
        return text->window[index - text->start];
}

static inline bool
wc_text_equals(struct wc_text *text, const char *other)
{
        uint32_t i = 0;
        int byte = wc_text_at(text, 0);
        while (byte > 0 && byte == (uint8_t)other[i])
                byte = wc_text_at(text, ++i);
        return byte == 0 && other[i] == '\0';
}

/* Does the set that begins behind its '[' hold the byte? *end: behind its ']'; NULL: it has none. */
static inline bool
wc_glob_set(const char *set, int byte, const char **end)
{
        const bool negated = *set == '!' || *set == '^';
        const char *at = set + negated;
        bool found = false;
        *end = NULL;
        do {
                if (*at == '\\' && at[1] != '\0')
                        at++;
                if (*at == '\0')
                        return false;
                const uint8_t low = (uint8_t)*at++;
                uint8_t high = low;
                if (at[0] == '-' && at[1] != ']' && at[1] != '\0') {
                        at += at[1] == '\\' && at[2] != '\0' ? 2 : 1;
                        high = (uint8_t)*at++;
                }
                found |= byte >= low && byte <= high;
        } while (*at != ']');
        *end = at + 1;
        return found != negated;
}

/* What of the glob follows when its first sign takes the byte; NULL: it does not. */
static inline const char *
wc_glob_one(const char *glob, int byte)
{
        const char *end;
        if (*glob == '?')
                return glob + 1;
        if (*glob == '[') {
                const bool found = wc_glob_set(glob + 1, byte, &end);
                if (end != NULL)
                        return found ? end : NULL;
        }
        if (*glob == '\\' && glob[1] != '\0')
                glob++;
        return *glob != '\0' && byte == (uint8_t)*glob ? glob + 1 : NULL;
}

/* * any bytes, a slash too; ? one byte; [a-z] [!a-z] one of a set; \ takes what follows as it is. */
static inline bool
wc_text_matches(struct wc_text *text, const char *glob)
{
        const char *star = NULL;
        uint32_t at = 0, from_star = 0;
        for (;;) {
                if (*glob == '*') {
                        star = ++glob;
                        from_star = at;
                        continue;
                }
                const int byte = wc_text_at(text, at);
                if (byte < 0)
                        return false;
                if (*glob == '\0' && (byte == 0 || glob == star))
                        return true;
                if (byte == 0)
                        return false;
                const char *next = wc_glob_one(glob, byte);
                if (next != NULL) {
                        glob = next;
                        at++;
                } else if (star != NULL) {
                        glob = star;
                        at = ++from_star;
                } else {
                        return false;
                }
        }
}

#endif
