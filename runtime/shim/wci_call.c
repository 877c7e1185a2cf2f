/*
 * wci_call.c: what a handler of wc_call.h asks about its call, answered in the program.
 *
 * Called by wci_handler.c, and by handlers through struct wc_call_actions. The call is the struct user_regs_struct that
 * every handler sees, a shape that says which argument stands where in it, and a word for each floating argument.  Rules:
 *   R1  nothing is called that could be intercepted; memory of the program is read and written through the kernel, so that
 *       a bad address is an answer
 *   R2  errno is set by wc_call_fail and wc_call_set_errno alone
 *   R9  no system call once a seccomp filter may be in force: then memory is not read
 * What makes no sense is refused and changes nothing.
 * Absent on purpose: running handlers (wci_handler.c), types of values (wc_value.h).
 */
#include "wci_call.h"

#include "wci_handler.h"
#include "wci_runtime.h"

#include <dlfcn.h>
#include <sys/uio.h>

#define SKIP (~0ull)
#define PAGE 4096ul
#define FIRST_PIECE 256ul /* of a text: most end there */
#define MARK "wc_handler_"
#define MOST_NAME 200

static struct wci_view *
view_of(const struct wc_call *call)
{
        return (struct wci_view *)(uintptr_t)call;
}

/* --- values --------------------------------------------------------------------------------------------------------- */

static const char *
text_at(const struct wci_shape *shape, uint16_t offset)
{
        return (const char *)shape + shape->texts + offset;
}

static const struct wci_shape_argument *
argument_at(const struct wci_view *view, int which)
{
        if (view->shape == NULL || which < 0 || which >= view->shape->arguments)
                return NULL;
        return (const struct wci_shape_argument *)(const void *)(view->shape + 1) + which;
}

static bool
describe(const struct wc_call *call, int which, struct wc_value *value)
{
        const struct wci_view *view = view_of(call);
        const struct wci_shape_argument *argument = argument_at(view, which);
        if (which == WC_RESULT && view->shape != NULL) {
                value->name = "";
                value->size = view->shape->result_size;
                value->kind = wc_value_kind(view->shape->result, view->shape->result_size, view->shape->result_means);
                return true;
        }
        if (argument == NULL)
                return false;
        value->name = text_at(view->shape, argument->name);
        value->size = argument->size;
        value->kind = wc_value_kind(argument->type, argument->size, argument->means);
        return true;
}

/* Where the argument's words are; NULL: nowhere. */
static void *
words_of(const struct wci_view *view, const struct wci_shape_argument *argument)
{
        struct user_regs_struct *regs = view->regs;
        unsigned long long *const registers[6] = {&regs->rdi, &regs->rsi, &regs->rdx, &regs->rcx, &regs->r8, &regs->r9};
        switch (argument->where) {
        case WCT_IN_REGISTER:
                return argument->place < 6 ? registers[argument->place] : NULL;
        case WCT_IN_VECTOR:
                return view->vectors != NULL ? &view->vectors[argument->place] : NULL;
        default:
                return (unsigned long *)(uintptr_t)regs->rsp + 1 + argument->place;
        }
}

static uint32_t
words_size(const struct wci_shape_argument *argument)
{
        return argument->type == WCT_LONG_DOUBLE ? 16 : 8;
}

/* A floating result stands in rax as the bits of a double, whatever its type. */
static bool
result_get(const struct wci_view *view, struct wc_value *value)
{
        const uint64_t words[2] = {view->regs->rax, 0};
        if (!view->call.at_exit && !view->has_result)
                return false;
        if (value->kind == WC_FLOATING) {
                value->is.floating = wc_value_from_bits(words[0]);
                return true;
        }
        return wc_value_take(value, words);
}

static bool
get(const struct wc_call *call, int which, struct wc_value *value)
{
        const struct wci_view *view = view_of(call);
        uint64_t words[2] = {0, 0};
        if (!describe(call, which, value))
                return false;
        if (which == WC_RESULT)
                return result_get(view, value);
        const struct wci_shape_argument *argument = argument_at(view, which);
        const void *from = words_of(view, argument);
        if (from == NULL)
                return false;
        __builtin_memcpy(words, from, 8);
        if (words_size(argument) == 16)
                __builtin_memcpy(&words[1], (const char *)from + 8, 8);
        return wc_value_take(value, words);
}

/* --- changes -------------------------------------------------------------------------------------------------------- */

static bool
may_give_result(const struct wci_view *view)
{
        return view->shape != NULL && (view->call.at_exit || !view->shape->noreturn);
}

static void
result_give(struct wci_view *view, uint64_t word)
{
        view->regs->rax = word;
        view->has_result = true;
        if (!view->call.at_exit)
                view->regs->orig_rax = SKIP;
}

static bool
result_set(struct wci_view *view, const struct wc_value *type, const struct wc_value *value)
{
        uint64_t words[2] = {0, 0};
        if (!may_give_result(view) || !wc_value_give(type, value, words))
                return false;
        result_give(view, type->kind == WC_FLOATING ? wc_value_to_bits(value->is.floating) : words[0]);
        return true;
}

static bool
set(struct wc_call *call, int which, const struct wc_value *value)
{
        struct wci_view *view = view_of(call);
        struct wc_value type;
        uint64_t words[2] = {0, 0};
        if (!describe(call, which, &type))
                return false;
        if (which == WC_RESULT)
                return result_set(view, &type, value);
        const struct wci_shape_argument *argument = argument_at(view, which);
        void *to = words_of(view, argument);
        if (to == NULL || call->at_exit || !wc_value_give(&type, value, words))
                return false;
        __builtin_memcpy(to, words, 8);
        if (words_size(argument) == 16)
                __builtin_memcpy((char *)to + 8, &words[1], 8);
        return true;
}

static bool
skip(struct wc_call *call)
{
        struct wci_view *view = view_of(call);
        if (call->at_exit || !may_give_result(view))
                return false;
        result_give(view, 0);
        if (view->shape->result_size > 8 && view->shape->result_size <= 16)
                view->regs->rdx = 0; /* the second half of a struct */
        return true;
}

static bool
set_error(struct wc_call *call, int error)
{
        struct wci_view *view = view_of(call);
        if (!call->at_exit && !view->has_result)
                return false;
        view->error = error;
        view->has_error = true;
        return true;
}

static bool
fail(struct wc_call *call, int error)
{
        struct wci_view *view = view_of(call);
        struct wc_value type, value;
        if (!describe(call, WC_RESULT, &type) || !wc_value_failure(view->shape->fail, type.kind, error, &value) ||
            !result_set(view, &type, &value))
                return false;
        return view->shape->fail == WCT_FAIL_ERRNO || set_error(call, error);
}

static int
error_of(const struct wc_call *call)
{
        const struct wci_view *view = view_of(call);
        struct wc_value value;
        if (view->has_error)
                return view->error;
        if (!get(call, WC_RESULT, &value) || value.kind == WC_FLOATING)
                return call->at_exit ? view->error : 0;
        if (view->shape->fail == WCT_FAIL_ERRNO)
                return (int)value.is.number;
        return call->at_exit && wc_value_is_failure(view->shape->fail, &value) ? view->error : 0;
}

/* --- memory --------------------------------------------------------------------------------------------------------- */

static bool
moved(long number, const void *here, uint64_t there, size_t size)
{
        const struct iovec own = {(void *)(uintptr_t)here, size}, other = {(void *)(uintptr_t)there, size};
        if (size == 0)
                return true;
        if (wci_quiet)
                return false;
        return wci_syscall6(number, (long)wci_syscall0(SYS_getpid), (long)&own, 1, (long)&other, 1, 0) == (long)size;
}

static bool
read_memory(const struct wc_call *call, uint64_t address, void *to, size_t size)
{
        (void)call;
        return moved(SYS_process_vm_readv, to, address, size);
}

static bool
write_memory(struct wc_call *call, uint64_t address, const void *from, size_t size)
{
        (void)call;
        return moved(SYS_process_vm_writev, from, address, size);
}

/* By pieces that end at pages: what lies behind its page may be missing. */
static bool
read_text(const struct wc_call *call, uint64_t address, char *to, size_t room)
{
        size_t done = 0, most = FIRST_PIECE;
        while (done < room) {
                size_t size = wc_smaller_size(PAGE - ((address + done) & (PAGE - 1)), room - done);
                size = wc_smaller_size(size, most);
                if (!read_memory(call, address + done, to + done, size))
                        break;
                for (const size_t end = done + size; done < end; done++) {
                        if (to[done] == '\0')
                                return true;
                }
                most = PAGE;
        }
        if (room > 0)
                to[done < room ? done : room - 1] = '\0';
        return false;
}

static const struct wc_call_actions actions = {
    sizeof actions, describe, get, set, skip, fail, error_of, set_error, read_memory, write_memory, read_text,
};

/* --- around a handler ----------------------------------------------------------------------------------------------- */

void
wci_view_begin(struct wci_view *view, const struct wci_call *call, struct user_regs_struct *regs,
               const struct wci_shape *shape, unsigned long *vectors, bool at_exit)
{
        const struct wci_ring *ring = call->ring;
        const bool of_child = ring->record_pid != ring->owner_pid; /* of vfork: one thread */
        view->call.version = WC_CALL_VERSION;
        view->call.size = sizeof view->call;
        view->call.name = shape != NULL ? text_at(shape, 0) : "";
        view->call.symbol = shape != NULL ? text_at(shape, shape->symbol) : "";
        view->call.pid = (int32_t)ring->record_pid;
        view->call.tid = (int32_t)(of_child ? ring->record_pid : ring->owner_tid);
        view->call.arguments = shape != NULL ? shape->arguments : 0;
        view->call.at_exit = at_exit;
        view->call.is_syscall = 0;
        view->call.skipped = at_exit && regs->orig_rax == SKIP;
        view->call.in_program = 1;
        view->call.actions = &actions;
        view->regs = regs;
        view->shape = shape;
        view->vectors = vectors;
        view->error = call->error;
        view->has_error = view->has_result = false;
}

/* --- finding one ---------------------------------------------------------------------------------------------------- */

static const struct wc_handler_mark *
mark_of(void *library, const char *name)
{
        char symbol[sizeof MARK + MOST_NAME];
        struct wci_text text = {symbol, symbol + sizeof symbol};
        if (wci_text_length(name) > MOST_NAME)
                return NULL;
        wci_text_add(&text, MARK);
        wci_text_add(&text, name);
        return dlsym(library, symbol);
}

void *
wci_handler_find(void *library, const char *name, void (*warn)(const char *what, const char *why))
{
        const struct wc_handler_mark *mark = mark_of(library, name);
        if (mark == NULL || mark->magic != WC_HANDLER_MAGIC) {
                void *plain = dlsym(library, name);
                if (plain == NULL)
                        warn("the handler library has no function named ", name);
                return plain;
        }
        if (mark->version == 0 || mark->version > WC_CALL_VERSION) {
                warn("compiled with a later wc_call.h than this wc-intercept has, and switched off: the handler ", name);
                return NULL;
        }
        return (void *)((uintptr_t)mark->run | WCI_MARKED);
}
