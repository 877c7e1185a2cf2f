/*
 * wc_value.h: the values that a wc_call handler reads and gives, to and from the words that a call is made of.
 *
 * Included by both engines (runtime/shim/wci_call.c, runtime/tracer/wct_handler_call.c), which know where those words stand.
 * Rules: a value is refused when its C type cannot hold it; nothing is called but memcpy's builtin.
 * Absent on purpose: structs and complex numbers (WC_OTHER).
 */
#ifndef WC_VALUE_H
#define WC_VALUE_H

#include <limits.h>

#include "wc_call.h"
#include "wc_plan.h"

/* Which kind a handler sees of a value that travels as `type` and means `meaning`; size in bytes of the C type. */
static inline uint32_t
wc_value_kind(uint8_t type, uint8_t size, uint8_t meaning)
{
        if (type >= WCT_SIGNED && type <= WCT_BOOL && size > 8)
                return WC_OTHER; /* half of a struct */
        switch (type) {
        case WCT_NONE:
                return size == 0 ? WC_NONE : WC_OTHER;
        case WCT_SIGNED:
                return WC_SIGNED;
        case WCT_UNSIGNED:
                return meaning == WCT_MEANS_POINTER ? WC_POINTER : meaning == WCT_MEANS_TEXT ? WC_TEXT : WC_UNSIGNED;
        case WCT_BOOL:
                return WC_BOOL;
        case WCT_FLOAT:
        case WCT_LONG_DOUBLE:
                return WC_FLOATING;
        default:
                return WC_OTHER;
        }
}

static inline double
wc_value_from_bits(uint64_t bits)
{
        double value;
        __builtin_memcpy(&value, &bits, sizeof value);
        return value;
}

static inline uint64_t
wc_value_to_bits(double value)
{
        uint64_t bits;
        __builtin_memcpy(&bits, &value, sizeof bits);
        return bits;
}

static inline uint64_t
wc_value_extended(uint32_t kind, uint32_t size, uint64_t word)
{
        const unsigned above = size > 0 && size < 8 ? 64 - 8 * size : 0;
        if (kind == WC_BOOL)
                return (word & 0xff) != 0;
        return kind == WC_SIGNED ? (uint64_t)((int64_t)(word << above) >> above) : word << above >> above;
}

/* From the words that hold it (a long double has two). value->kind and size say what it is. False: it cannot be read. */
static inline bool
wc_value_take(struct wc_value *value, const uint64_t words[2])
{
        float narrow;
        long double wide = 0;
        switch (value->kind) {
        case WC_NONE:
        case WC_OTHER:
                return false;
        case WC_FLOATING:
                __builtin_memcpy(&narrow, words, sizeof narrow);
                __builtin_memcpy(&wide, words, 10);
                value->is.floating = value->size == 4   ? (double)narrow
                                     : value->size == 8 ? wc_value_from_bits(words[0])
                                                        : (double)wide;
                return true;
        default:
                value->is.number = (int64_t)wc_value_extended(value->kind, value->size, words[0]);
                return true;
        }
}

/* Whether an integer of that size holds the number, read as signed or as unsigned. */
static inline bool
wc_value_fits(uint32_t kind, uint32_t size, int64_t number)
{
        if (kind == WC_BOOL)
                return number == 0 || number == 1;
        if (size >= 8 || size == 0)
                return true;
        return number >= -(1ll << (8 * size - 1)) && number < 1ll << 8 * size;
}

/* Into the words; those that the type does not fill keep what they hold. False: it is of another type, or does not fit. */
static inline bool
wc_value_give(const struct wc_value *type, const struct wc_value *value, uint64_t words[2])
{
        const float narrow = (float)value->is.floating;
        const long double wide = value->is.floating;
        if (type->kind == WC_NONE || type->kind == WC_OTHER)
                return false;
        if ((type->kind == WC_FLOATING) != (value->kind == WC_FLOATING))
                return false;
        if (type->kind != WC_FLOATING) {
                if (!wc_value_fits(type->kind, type->size, value->is.number))
                        return false;
                words[0] = (uint64_t)value->is.number;
        } else if (type->size == 4) {
                __builtin_memcpy(words, &narrow, sizeof narrow);
        } else if (type->size == 8) {
                words[0] = wc_value_to_bits(value->is.floating);
        } else {
                __builtin_memcpy(words, &wide, 10);
        }
        return true;
}

/* The result by which a function of that kind says that it failed: `fail` is an enum wct_fail. False: none is known. */
static inline bool
wc_value_failure(uint8_t fail, uint32_t kind, int error, struct wc_value *value)
{
        value->name = "";
        value->kind = WC_SIGNED;
        value->size = 8;
        switch (fail) {
        case WCT_FAIL_MINUS_ONE:
        case WCT_FAIL_NEGATIVE:
        case WCT_FAIL_NONZERO:
                value->is.number = kind == WC_BOOL ? 1 : -1;
                break;
        case WCT_FAIL_NULL:
        case WCT_FAIL_ZERO:
                value->is.number = 0;
                break;
        case WCT_FAIL_ERRNO:
                value->is.number = error;
                break;
        default:
                return false;
        }
        return kind >= WC_SIGNED && kind <= WC_TEXT;
}

/* Whether a function that fails so has failed. */
static inline bool
wc_value_is_failure(uint8_t fail, const struct wc_value *result)
{
        switch (fail) {
        case WCT_FAIL_MINUS_ONE:
                return wc_value_extended(WC_SIGNED, result->size, (uint64_t)result->is.number) == UINT64_MAX;
        case WCT_FAIL_NULL:
        case WCT_FAIL_ZERO:
                return result->is.number == 0;
        case WCT_FAIL_NEGATIVE:
                return result->is.number < 0;
        case WCT_FAIL_NONZERO:
        case WCT_FAIL_ERRNO:
                return result->is.number != 0;
        default: /* nobody knows: errno may mean something */
                return true;
        }
}

static inline size_t
wc_smaller_size(size_t a, size_t b)
{
        return a < b ? a : b;
}

#endif
