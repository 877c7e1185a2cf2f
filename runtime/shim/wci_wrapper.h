/*
 * wci_wrapper.h: the small vocabulary that generated wrappers are written in. Included by generated C only.
 *
 * WCI_FUNC(name) declares the cached pointer wc_<name>; INITIAL(name, missing) fills it at the latest at the first call
 * and runs `missing` when the function exists nowhere: a wrapper never calls NULL.
 */
#ifndef WCI_WRAPPER_H
#define WCI_WRAPPER_H

#include "wci_ask.h"
#include "wci_shim.h"
#include "wci_handler.h"
#include "wci_hooks.h"
#include "wci_inject.h"

#include <errno.h>

#define WCI_FUNC(name, symbol, symbol_version, symbol_library)                                                            \
        static __typeof__(wrap_##name) *wc_##name;                                                                         \
        static const struct wci_slot wci_slot_##name = {symbol, symbol_version, symbol_library, (void **)&wc_##name}

/* The same for a function that only stands in for another: vprintf for printf. Its type is wc_<name>_type. */
#define WCI_TWIN(name, symbol, symbol_library)                                                                             \
        static wc_##name##_type *wc_##name;                                                                                \
        static const struct wci_slot wci_slot_##name = {symbol, NULL, symbol_library, (void **)&wc_##name}

#define INITIAL(name, missing)                                                                                             \
        do {                                                                                                               \
                if (WCI_UNLIKELY(wc_##name == NULL)) {                                                                     \
                        wci_resolve(&wci_slot_##name);                                                                     \
                        if (wc_##name == NULL) {                                                                           \
                                errno = ENOSYS;                                                                            \
                                missing;                                                                                   \
                        }                                                                                                  \
                }                                                                                                          \
        } while (0)

WCI_INLINE uint64_t
wci_min(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

WCI_INLINE uint64_t
wci_double_bits(double value)
{
        uint64_t bits;
        __builtin_memcpy(&bits, &value, sizeof bits);
        return bits;
}

/* Results are kept as doubles; widening must not raise "invalid" for a signaling NaN, which the program returned quietly. */
WCI_INLINE uint64_t
wci_float_bits(float value)
{
        uint32_t bits;
        __builtin_memcpy(&bits, &value, sizeof bits);
        if ((bits & 0x7f800000) == 0x7f800000)
                return (uint64_t)(bits >> 31) << 63 | 0x7ff0000000000000 | (uint64_t)(bits & 0x7fffff) << 29;
        return wci_double_bits((double)value);
}

#if defined __x86_64__
/* Narrowing raises flags, which a program may look at or have trap: the environment is put aside. */
WCI_INLINE uint64_t
wci_quad_bits(_Float128 value)
{
        uint32_t x87[7], control;
        const uint32_t quiet = 0x1f80;
        __asm__ volatile("fnstenv %0\n\tstmxcsr %1\n\tldmxcsr %3" : "=m"(x87), "=m"(control), "+x"(value) : "m"(quiet));
        double narrow = (double)value;
        __asm__ volatile("fldenv %1\n\tldmxcsr %2" : "+x"(narrow) : "m"(x87), "m"(control));
        return wci_double_bits(narrow);
}
#else
#define wci_quad_bits(value) wci_double_bits((double)(value))
#endif

WCI_INLINE struct wci_capture
wci_capture_none(const void *from)
{
        struct wci_capture capture;
        wci_capture_begin(&capture, from, 0);
        return capture;
}

/* What a helper has put into the wrapper's own stack buffer. */
WCI_INLINE struct wci_capture
wci_capture_room(const void *room, uint32_t length)
{
        struct wci_capture capture;
        wci_capture_begin(&capture, room, WCI_BLOB_KEPT);
        capture.length = length;
        capture.cells = (uint16_t)((length + WCI_CONT_PAYLOAD - 1) / WCI_CONT_PAYLOAD);
        return capture;
}

/*
 * fwrite has copied all of its bytes into the stream's buffer: it hands whole blocks to the kernel, and nothing smaller
 * than a block, unless the buffer is smaller than 128 bytes (an unbuffered stream). Of no bytes at all it does not even
 * look at the stream. A macro: not every file has FILE.
 */
#define wci_stdio_took(stream, bytes, all)                                                                                 \
        ((bytes) != 0 && (all) && (stream)->_IO_buf_end - (stream)->_IO_buf_base >= 128 &&                                \
         (uint64_t)(bytes) < (uint64_t)((stream)->_IO_buf_end - (stream)->_IO_buf_base))

#endif
