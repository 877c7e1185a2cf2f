/*
 * wc_call.h: a handler that works on its call by name: arguments, result, errno, memory, and whether it is made at all.
 *
 * Included by handler libraries (`cc -shared -fPIC -I$(wc-gen --include-dir) handlers.c -o handlers.so`), in C and C++.
 *
 *   WC_HANDLER(no_secrets)
 *   {
 *           char path[4096];
 *           if (wc_call_string(call, wc_call_arg(call, "pathname"), path, sizeof path) && strcmp(path, "/secret") == 0)
 *                   wc_call_fail(call, EACCES);
 *   }
 *
 * WC_HANDLER(name) begins the function `void name(struct wc_call *call)` and marks it, so that the config's back_enter
 * and back_exit take it beside handlers of wc_ptrace.h. The same library serves the program itself and the tracer.
 *
 * Which value is meant is a number: 0, 1, ... for the arguments in their order, what wc_call_arg says of a name, or
 * WC_RESULT. Rules: what returns bool returns false, and changes nothing, when it makes no sense: an argument that is not
 * there, another type, a number too large for it, a result before the call, an address that cannot be read. Nothing here
 * crashes, prints or allocates. call is valid until the handler ends.
 *
 * Absent on purpose: structs by value, complex numbers and what follows a format: described, not read.
 */
#ifndef WC_CALL_H
#define WC_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define WC_CALL_C extern "C"
#define WC_CALL_DATA extern "C"
extern "C" {
#else
#define WC_CALL_C
#define WC_CALL_DATA extern
#endif

#define WC_CALL_VERSION 1u
#define WC_HANDLER_MAGIC 0x6c6c6163u /* "call" */

#define WC_RESULT (-1)      /* in place of an argument's number */
#define WC_NO_ARGUMENT (-2) /* wc_call_arg found none; refused by every function */

enum wc_kind {
        WC_NONE = 0,     /* void */
        WC_SIGNED = 1,   /* char, int, long... */
        WC_UNSIGNED = 2,
        WC_BOOL = 3,
        WC_POINTER = 4,
        WC_TEXT = 5,     /* a pointer to characters that are not written: const char * */
        WC_FLOATING = 6, /* float, double, long double */
        WC_OTHER = 7     /* a struct, a complex number */
};

struct wc_value {
        const char *name; /* of the parameter, as records have it; "" for the result */
        uint32_t kind;    /* enum wc_kind */
        uint32_t size;    /* bytes of the C type */
        union {
                int64_t number;    /* SIGNED, UNSIGNED (a 64-bit one: its bits), BOOL */
                uint64_t address;  /* POINTER, TEXT: in the program */
                double floating;
        } is;
};

struct wc_call_actions;

/* Read-only. Later versions append members. */
struct wc_call {
        uint32_t version; /* of who fills it: at least the WC_CALL_VERSION that the handler was compiled with */
        uint32_t size;    /* of this struct there */
        const char *name;   /* of the target: "open" */
        const char *symbol; /* what was called: "open64", "__open_2" */
        int32_t pid, tid;   /* whose call it is */
        uint32_t arguments; /* how many */
        uint8_t at_exit;    /* 0: before the call (back_enter), 1: after it (back_exit) */
        uint8_t is_syscall; /* a system call, not a function */
        uint8_t skipped;    /* at exit: back_enter did not let it be made */
        uint8_t in_program; /* the handler runs in the program itself: its addresses are pointers here */
        const struct wc_call_actions *actions;
};

/* How the engine answers. For the functions below; later versions append members. */
struct wc_call_actions {
        uint64_t size;
        bool (*describe)(const struct wc_call *call, int which, struct wc_value *value);
        bool (*get)(const struct wc_call *call, int which, struct wc_value *value);
        bool (*set)(struct wc_call *call, int which, const struct wc_value *value);
        bool (*skip)(struct wc_call *call);
        bool (*fail)(struct wc_call *call, int error);
        int (*error)(const struct wc_call *call);
        bool (*set_error)(struct wc_call *call, int error);
        bool (*read)(const struct wc_call *call, uint64_t address, void *to, size_t size);
        bool (*write)(struct wc_call *call, uint64_t address, const void *from, size_t size);
        bool (*read_text)(const struct wc_call *call, uint64_t address, char *to, size_t room);
};

struct wc_handler_mark {
        uint32_t magic;
        uint32_t version;
        void (*run)(struct wc_call *call);
};

#define WC_CALL_SHOWN __attribute__((visibility("default")))
#define WC_HANDLER(name)                                                                                                   \
        WC_CALL_C WC_CALL_SHOWN void name(struct wc_call *call);                                                           \
        WC_CALL_DATA WC_CALL_SHOWN const struct wc_handler_mark wc_handler_##name;                                         \
        const struct wc_handler_mark wc_handler_##name = {WC_HANDLER_MAGIC, WC_CALL_VERSION, name};                        \
        void name(struct wc_call *call __attribute__((unused)))

/* --- which value ------------------------------------------------------------------------------------------------------ */

/* Name, kind and size, whether or not the value can be had. */
static inline bool
wc_call_describe(const struct wc_call *call, int which, struct wc_value *value)
{
        return call->actions->describe(call, which, value);
}

/* The number of the argument of that name, as records have it ("pathname"); WC_NO_ARGUMENT without one. */
static inline int
wc_call_arg(const struct wc_call *call, const char *name)
{
        struct wc_value value;
        for (int i = 0; i < (int)call->arguments; i++) {
                if (!wc_call_describe(call, i, &value))
                        continue;
                size_t same = 0;
                while (name[same] != '\0' && name[same] == value.name[same])
                        same++;
                if (name[same] == '\0' && value.name[same] == '\0')
                        return i;
        }
        return WC_NO_ARGUMENT;
}

/* --- reading values --------------------------------------------------------------------------------------------------- */

static inline bool
wc_call_get(const struct wc_call *call, int which, struct wc_value *value)
{
        return call->actions->get(call, which, value);
}

/* An integer, a bool, or a pointer's address. */
static inline bool
wc_call_int(const struct wc_call *call, int which, long *number)
{
        struct wc_value value;
        if (!wc_call_get(call, which, &value) || value.kind < WC_SIGNED || value.kind > WC_TEXT)
                return false;
        *number = (long)value.is.number;
        return true;
}

/* A pointer's address in the program. */
static inline bool
wc_call_pointer(const struct wc_call *call, int which, uint64_t *address)
{
        struct wc_value value;
        if (!wc_call_get(call, which, &value) || (value.kind != WC_POINTER && value.kind != WC_TEXT))
                return false;
        *address = value.is.address;
        return true;
}

static inline bool
wc_call_double(const struct wc_call *call, int which, double *number)
{
        struct wc_value value;
        if (!wc_call_get(call, which, &value) || value.kind != WC_FLOATING)
                return false;
        *number = value.is.floating;
        return true;
}

/* --- memory of the program -------------------------------------------------------------------------------------------- */

/* False when not all of it is there. */
static inline bool
wc_call_read(const struct wc_call *call, uint64_t address, void *to, size_t size)
{
        return call->actions->read(call, address, to, size);
}

/* False when the program itself could not write all of it. */
static inline bool
wc_call_write(struct wc_call *call, uint64_t address, const void *from, size_t size)
{
        return call->actions->write(call, address, from, size);
}

/* The text at address, with its NUL. False when it cannot be read or does not fit; then `to` has what does, and a NUL. */
static inline bool
wc_call_text(const struct wc_call *call, uint64_t address, char *to, size_t room)
{
        return call->actions->read_text(call, address, to, room);
}

/* The text that a pointer argument, or a pointer result, leads to. */
static inline bool
wc_call_string(const struct wc_call *call, int which, char *to, size_t room)
{
        uint64_t address;
        return wc_call_pointer(call, which, &address) && wc_call_text(call, address, to, room);
}

/* --- changing values: arguments before the call, the result after it -------------------------------------------------- */

static inline bool
wc_call_set_int(struct wc_call *call, int which, long number)
{
        struct wc_value value = {"", WC_SIGNED, sizeof number, {0}};
        value.is.number = number;
        return call->actions->set(call, which, &value);
}

/* An address in the program. */
static inline bool
wc_call_set_pointer(struct wc_call *call, int which, uint64_t address)
{
        struct wc_value value = {"", WC_POINTER, sizeof address, {0}};
        value.is.address = address;
        return call->actions->set(call, which, &value);
}

static inline bool
wc_call_set_double(struct wc_call *call, int which, double number)
{
        struct wc_value value = {"", WC_FLOATING, sizeof number, {0}};
        value.is.floating = number;
        return call->actions->set(call, which, &value);
}

/* --- the outcome: before the call it is not made, and this is what it gives; after it, this in place of the real one -- */

static inline bool
wc_call_return_int(struct wc_call *call, long number)
{
        return wc_call_set_int(call, WC_RESULT, number);
}

static inline bool
wc_call_return_pointer(struct wc_call *call, uint64_t address)
{
        return wc_call_set_pointer(call, WC_RESULT, address);
}

static inline bool
wc_call_return_double(struct wc_call *call, double number)
{
        return wc_call_set_double(call, WC_RESULT, number);
}

/* Not made; its result is 0, NULL, nothing. Before the call only. */
static inline bool
wc_call_skip(struct wc_call *call)
{
        return call->actions->skip(call);
}

/* It fails with that errno: the result is the one by which this function says so. False where none is known. */
static inline bool
wc_call_fail(struct wc_call *call, int error)
{
        return call->actions->fail(call, error);
}

/* errno as a failed call left it, or as the handler has set it; else 0. */
static inline int
wc_call_errno(const struct wc_call *call)
{
        return call->actions->error(call);
}

/* With a result of the handler's own, or after the call. A system call has its errno in its result: wc_call_fail. */
static inline bool
wc_call_set_errno(struct wc_call *call, int error)
{
        return call->actions->set_error(call, error);
}

#ifdef __cplusplus
}
#endif

#endif
