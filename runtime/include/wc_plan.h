/*
 * wc_plan.h: what the tracer is told to intercept: the file "plan" of a session.
 *
 * Written by generator/tracer_plan.py from the same layouts as the shim's wrappers, read by runtime/tracer/wct_plan.c.
 * tests/test_tracer_plan.py compares both through the compiler.  The manifest says what records mean; the plan says how
 * the tracer fills them: where an argument travels, where it stands in the record, what is kept behind a pointer.
 *
 * THE FILE
 *   struct wct_plan_head, then at head.*_at (bytes from the file's start, 8-byte aligned):
 *   struct wct_target[targets]      index is the manifest's target id, and that of its control word
 *   struct wct_symbol[symbols]      those of the manifest whose engine is ptrace, sorted by id
 *   struct wct_argument[arguments]  a symbol's arguments stand together, in declaration order
 *   struct wct_step[steps]          programs of lengths and conditions, and of `when`; each ends with an END; program 0 is
 *                                   only that
 *   struct wc_rule[injects]         declared faults and delays (wc_inject.h)
 *   char texts[texts_size]          NUL-terminated; offset 0 is ""
 *
 * ABSENT ON PURPOSE: pointers, bit fields, addresses of the program (the tracer looks names up where they are mapped).
 */
#ifndef WC_PLAN_H
#define WC_PLAN_H

#include <stdint.h>

#include "wc_inject.h"

#define WCT_PLAN_MAGIC 0x31304e414c504357ull /* "WCPLAN01" */
#define WCT_PLAN_VERSION 5u

struct wct_plan_head {
        uint64_t magic;
        uint32_t version;
        uint32_t size; /* of the file */
        uint64_t manifest; /* the manifest's hash: the session's */
        uint32_t targets, targets_at;
        uint32_t symbols, symbols_at;
        uint32_t arguments, arguments_at;
        uint32_t steps, steps_at;
        uint32_t injects, injects_at;
        uint32_t texts_size, texts_at;
        uint32_t library; /* text: path of the handler library, "" without one */
        uint32_t shim;    /* text: soname-like last part of the shim's name in LD_PRELOAD, "" when the run has no shim */
};

enum wct_record { WCT_RECORD_EXIT = 0, WCT_RECORD_ENTRY = 1, WCT_RECORD_BOTH = 2 };
enum wct_clocks { WCT_CLOCK_TWO = 0, WCT_CLOCK_ONE = 1, WCT_CLOCK_NONE = 2 };

struct wct_target {
        uint32_t name;       /* text */
        uint32_t back_enter; /* text: handler's name, "" without one */
        uint32_t back_exit;
        uint8_t record;      /* enum wct_record */
        uint8_t clocks;      /* enum wct_clocks */
        uint8_t asks;        /* WCT_ASKS_*: its calls wait until somebody outside has decided about them */
        uint8_t spare;
};

#define WCT_ASKS_BEFORE 1u
#define WCT_ASKS_AFTER 2u

/* Bits of wct_symbol.flags. */
#define WCT_NORETURN 1u   /* the ENTER record is all there is of a call (exit_group, longjmp) */
#define WCT_FALLBACK 2u   /* only in images that the shim does not cover (--follow all); else always */
#define WCT_INTERNAL 4u   /* functions: record calls from inside the defining library as well */
#define WCT_UNTYPED 8u    /* no prototype: six integer registers */
#define WCT_PRINTF 16u    /* variadic: decoded after the format string; the format is argument `format` */
#define WCT_SCANF 32u
#define WCT_VA_LIST 64u   /* the same, but the variadic arguments come as a va_list, the argument behind the format */
#define WCT_EXECS 128u    /* replaces the program when it succeeds (execve, execveat) */

enum wct_value { /* how a value travels and stands; sizes in bytes apart */
        WCT_NONE = 0,
        WCT_SIGNED = 1,     /* 4 or 8 */
        WCT_UNSIGNED = 2,   /* 4 or 8, pointers too */
        WCT_BOOL = 3,       /* 1 byte of the register, stands as 4 */
        WCT_FLOAT = 4,      /* 4 or 8, in a vector register */
        WCT_LONG_DOUBLE = 5, /* 16, on the stack; result in st(0) */
        WCT_STRUCT = 6,     /* by value: size bytes, from `words` consecutive places */
        WCT_COMPLEX = 7     /* in vector registers */
};

enum wct_fail { /* when the result means failure; Return.fail of the manifest */
        WCT_FAIL_NEVER = 0,
        WCT_FAIL_MINUS_ONE = 1, /* "-1", "EOF", "MAP_FAILED", "SIG_ERR": all bits of result_size set */
        WCT_FAIL_NULL = 2,      /* "NULL" */
        WCT_FAIL_NEGATIVE = 3,  /* "<0" */
        WCT_FAIL_NONZERO = 4,   /* "nonzero" */
        WCT_FAIL_ZERO = 5,      /* "zero" */
        WCT_FAIL_ERRNO = 6      /* "errno": not 0, and the error number itself */
};

struct wct_symbol {
        uint32_t name;     /* text: as ELF symbol tables or asm/unistd_64.h spell it */
        uint32_t library;  /* text: soname that defines it; "" any object but the program; "." the program itself; "*" any */
        int32_t number;    /* of the system call, -1 for a function */
        uint32_t first;    /* of its arguments */
        uint16_t id;       /* index in the manifest's symbols: what cells carry */
        uint16_t target;
        uint16_t cells;    /* of the fixed part */
        uint16_t caller;   /* offset for the return address (function) or ip (system call), 0: not kept */
        uint8_t arguments;
        uint8_t flags;
        uint8_t result;    /* enum wct_value */
        uint8_t result_size;
        uint16_t result_at; /* WCT_LONG_DOUBLE, STRUCT, COMPLEX: offset in the record */
        uint8_t fail;      /* enum wct_fail; a system call fails by -4095..-1 whatever this says */
        uint8_t format;    /* ordinal of the format argument when PRINTF or SCANF */
        uint16_t injected; /* offset of the byte that tells what was injected, 0: not kept */
        uint16_t inject;   /* 1 + index of its rule, 0: none */
        uint8_t result_means; /* enum wct_means */
        uint8_t can_fail;  /* 1: some result means that the call failed, and with which error */
        uint8_t spare[2];
        uint64_t address;  /* functions with library ".": value of the symbol in the file (not yet relocated), 0: by name */
        uint32_t when_before; /* program of enum wct_condition; 0: none. A call of which it does not hold is not recorded */
        uint32_t when_after;  /* the same, asked when the call is back */
};

enum wct_where {
        WCT_IN_REGISTER = 0, /* place: 0..5 rdi rsi rdx rcx|r10 r8 r9 */
        WCT_IN_VECTOR = 1,   /* place: 0..7 */
        WCT_ON_STACK = 2,    /* place: word 0 is the one above the return address */
        WCT_IN_RESULT = 3,   /* a string that the call returned */
        WCT_IN_VARIADIC = 4  /* the variadic arguments: content VARIADIC */
};

enum wct_content { WCT_KEEP_NOTHING = 0, WCT_KEEP_TEXT = 1, WCT_KEEP_BYTES = 2, WCT_KEEP_TEXTS = 3, WCT_KEEP_VARIADIC = 4 };

enum wct_when { /* when what is behind a pointer is read */
        WCT_AT_ENTRY = 0,
        WCT_AT_SUCCESS = 1, /* after the call, if it succeeded */
        WCT_AT_RETURN = 2,  /* after the call, whatever it returned */
        WCT_AT_BOTH = 3     /* inout: after success as then, else as at entry */
};

enum wct_means { /* what a wc_call handler (wc_call.h) is told of a WCT_UNSIGNED value */
        WCT_MEANS_NUMBER = 0,
        WCT_MEANS_POINTER = 1,
        WCT_MEANS_TEXT = 2 /* const char * */
};
#define WCT_NOT_SHOWN 255u

struct wct_argument {
        uint16_t offset; /* in the record; 0: the value does not stand there */
        uint16_t blob;   /* offset of its struct wci_blob, 0: nothing behind it is kept */
        uint8_t type;    /* enum wct_value */
        uint8_t size;    /* bytes in the record */
        uint8_t where;   /* enum wct_where */
        uint8_t place;
        uint8_t words;   /* 8-byte words that it travels in: 1 but for structs and long double */
        uint8_t content; /* enum wct_content */
        uint8_t when;    /* enum wct_when */
        uint8_t indirect; /* the text's address stands where the pointer points (getline) */
        uint32_t limit;  /* most bytes kept; 0: the session's string limit */
        uint32_t length; /* program; 0: TEXT ends at its NUL, BYTES keep `limit` */
        uint32_t condition; /* program; 0: none. Kept only if the value, as signed, is positive */
        uint32_t name;   /* text: as records have it */
        uint8_t shown;   /* which argument it is for a handler, WCT_NOT_SHOWN: none (what follows a format, __printf_chk's flag) */
        uint8_t means;   /* enum wct_means */
        uint8_t own_size; /* bytes of the C type; 0: unknown */
        uint8_t field;    /* 1 + index of the manifest's field that whoever decides about a call may change; 0: none */
};

enum wct_operation {
        WCT_END = 0,
        WCT_CONSTANT = 1, /* push value */
        WCT_VALUE = 2,    /* push the word of argument `value` */
        WCT_RESULT_VALUE = 3, /* push the call's result */
        WCT_BEHIND = 4,   /* push the unsigned integer of `size` bytes that argument `value` points to; 0 for NULL */
        WCT_ADD = 5, WCT_SUBTRACT = 6, WCT_MULTIPLY = 7, WCT_DIVIDE = 8, WCT_AND = 9, WCT_MINIMUM = 10
};

/*
 * Operations of a `when`: numbers of 64 bits on a stack; what is left at the end is 0 or 1. Of two numbers the upper one is
 * the right side. An order is -1, 0 or 1, which the tests behind it make 1 or 0.
 */
enum wct_condition {
        WCT_WHEN_END = 0,
        WCT_WHEN_CONSTANT = 1, /* push value */
        WCT_WHEN_HIGH = 2,     /* value is the upper half of the topmost number */
        WCT_WHEN_VALUE = 3,    /* push the word of argument `size` */
        WCT_WHEN_RESULT_VALUE = 4, /* push the call's result; -1 of a system call that failed */
        WCT_WHEN_ERROR = 5,    /* push errno, 0 if the call succeeded */
        WCT_WHEN_ADD = 6, WCT_WHEN_SUBTRACT = 7, WCT_WHEN_MULTIPLY = 8,
        WCT_WHEN_DIVIDE = 9, WCT_WHEN_DIVIDE_UNSIGNED = 10, WCT_WHEN_MODULO = 11, WCT_WHEN_MODULO_UNSIGNED = 12,
        WCT_WHEN_AND = 13, WCT_WHEN_OR = 14, WCT_WHEN_XOR = 15,
        WCT_WHEN_LEFT = 16, WCT_WHEN_RIGHT = 17, WCT_WHEN_RIGHT_UNSIGNED = 18,
        WCT_WHEN_NEGATE = 19, WCT_WHEN_COMPLEMENT = 20,
        WCT_WHEN_ORDER = 21, WCT_WHEN_ORDER_UNSIGNED = 22,
        WCT_WHEN_ORDER_MIXED = 23, /* the left side is signed, the right side is not */
        WCT_WHEN_LESS = 24, WCT_WHEN_LESS_EQUAL = 25, WCT_WHEN_GREATER = 26, WCT_WHEN_GREATER_EQUAL = 27,
        WCT_WHEN_EQUAL = 28, WCT_WHEN_UNEQUAL = 29, /* compare the topmost number with 0 */
        WCT_WHEN_TEXT_EQUALS = 30, /* is the text that argument `size` leads to the one at texts + value? push 1 or 0 */
        WCT_WHEN_TEXT_MATCHES = 31 /* does it match that glob (wc_when.h)? */
};

/* In place of an argument, in a step about a text. */
#define WCT_OF_RESULT 0xffu
#define WCT_OF_CALLER 0xfeu /* the path of the object that `back` lies in */

struct wct_step {
        uint8_t operation;
        uint8_t size;
        uint16_t spare;
        uint32_t value;
};

_Static_assert(sizeof(struct wct_plan_head) == 80, "generator/tracer_plan.py packs it");
_Static_assert(sizeof(struct wct_target) == 16, "generator/tracer_plan.py packs it");
_Static_assert(sizeof(struct wct_symbol) == 56, "generator/tracer_plan.py packs it");
_Static_assert(sizeof(struct wct_argument) == 32, "generator/tracer_plan.py packs it");
_Static_assert(sizeof(struct wct_step) == 8, "generator/tracer_plan.py packs it");

#endif
