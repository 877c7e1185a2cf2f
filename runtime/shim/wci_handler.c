/*
 * wci_handler.c: user handlers: running them, and what they may do to the call they stand in.
 *
 * Called by generated wrappers whose target has handlers now, and by wci_tail.c for tail-jumps.  Rules:
 *   R2  errno is what the real call left, unless the handler puts a result of its own in its place
 *   R3  this is the only guard there is: while a handler runs the thread has no ring, so that its intercepted calls come
 *       to wci_ring_acquire, which counts them as suppressed. A longjmp may leave a handler: wci_handler_left
 * A handler sees its call in a struct user_regs_struct. The same registers answer ptrace(2) on the handler's own pid, so
 * that what is written for a tracer (wc_ptrace.h, or ptrace itself) works in process: nothing else than the shim's ptrace
 * knows them.
 * Absent on purpose: which handlers there are (wci_swap.c), what stands in which register (generator/registers.py).
 */
#include "wci_handler.h"

#include "wci_call.h"
#include "wci_hooks.h"
#include "wci_runtime.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define WCI_STACK_NEAR (64ul << 20) /* two frames farther apart lie on different stacks */
#define WCI_JMP_RSP 6               /* glibc: where a jmp_buf keeps the stack pointer, mangled */

struct wci_place
wci_handler_begin(struct wci_ring *ring, struct user_regs_struct *regs, uintptr_t frame)
{
        const struct wci_place before = {wci_tls.ring, wci_tls.suspended, wci_tls.regs, wci_tls.handler_frame};
        wci_tls.suspended = ring;
        wci_tls.regs = regs;
        wci_tls.handler_frame = frame;
        WCI_ORDER(); /* a signal handler that finds no ring must find out why */
        wci_tls.ring = NULL;
        return before;
}

void
wci_handler_end(const struct wci_place *before)
{
        wci_tls.ring = before->ring;
        WCI_ORDER();
        wci_tls.handler_frame = before->frame;
        wci_tls.regs = before->regs;
        wci_tls.suspended = before->suspended;
}

/* view: for a handler of wc_call.h, which has no other use of regs. */
static void
run(wci_handler handler, struct wci_call *call, struct user_regs_struct *regs, struct wci_view *view)
{
        const uint32_t pid = call->ring->record_pid;
        const struct wci_place before = wci_handler_begin(call->ring, regs, (uintptr_t)__builtin_frame_address(0));
        if (view != NULL)
                wci_view_run((const void *)(uintptr_t)handler, view);
        else
                handler(regs, (int)pid);
        wci_handler_end(&before);
}

/* The time that the handler took is not the call's: it begins anew. */
static void
begin_anew(struct wci_call *call, uint32_t clocks)
{
        struct wci_ring *ring = call->ring;
        if (clocks & WCI_CLOCK_AT_ENTRY)
                call->clock = wci_clock();
        const uint32_t claims = call->claims & ~WCI_CALL_LIMITED;
        if (ring->owner_pid == wci_alive->pid && ring->claims == claims && call->depth < WCI_INFLIGHT)
                ring->inside[call->depth].clock = call->clock;
}

/* A handler of wc_call.h says itself what errno is to be. */
static WCI_COLD bool
enter_marked(wci_handler handler, struct wci_call *call, struct user_regs_struct *regs, const struct wci_shape *shape,
             unsigned long *vectors)
{
        const int error = errno;
        struct wci_view view;
        wci_view_begin(&view, call, regs, shape, vectors, false);
        run(handler, call, regs, &view);
        errno = view.has_error ? view.error : error;
        return (long)regs->orig_rax != -1;
}

static WCI_COLD void
exit_marked(wci_handler handler, struct wci_call *call, struct user_regs_struct *regs, const struct wci_shape *shape,
            unsigned long *vectors)
{
        const int error = errno;
        struct wci_view view;
        wci_view_begin(&view, call, regs, shape, vectors, true);
        run(handler, call, regs, &view);
        errno = view.has_error ? view.error : error;
        if (view.has_error)
                call->error = view.error;
}

bool
wci_handler_enter(wci_handler handler, struct wci_call *call, struct user_regs_struct *regs, uint32_t clocks,
                  const struct wci_shape *shape, unsigned long *vectors)
{
        bool goes_on;
        if (wci_handler_is_marked((const void *)(uintptr_t)handler)) {
                goes_on = enter_marked(handler, call, regs, shape, vectors);
        } else {
                const int error = errno;
                run(handler, call, regs, NULL);
                goes_on = (long)regs->orig_rax != -1;
                if (goes_on)
                        errno = error;
        }
        begin_anew(call, clocks);
        return goes_on;
}

void
wci_handler_exit(wci_handler handler, struct wci_call *call, struct user_regs_struct *regs, const struct wci_shape *shape,
                 unsigned long *vectors)
{
        const int error = errno;
        const uint64_t result = regs->rax;
        if (wci_handler_is_marked((const void *)(uintptr_t)handler)) {
                exit_marked(handler, call, regs, shape, vectors);
                return;
        }
        run(handler, call, regs, NULL);
        if (regs->rax == result)
                errno = error;
        else
                call->error = errno;
}

/* x86-64's va_list: the words that came in registers, as the callee has saved them, and those on the stack. */
struct varargs {
        uint32_t general; /* byte offset of the next general register in saved */
        uint32_t floating;
        unsigned long *stack;
        unsigned long *saved;
};

static unsigned long long *
argument_register(struct user_regs_struct *regs, uint32_t index)
{
        unsigned long long *const registers[6] = {
            &regs->rdi, &regs->rsi, &regs->rdx, &regs->rcx, &regs->r8, &regs->r9};
        return registers[index];
}

static void
exchange(unsigned long *word, unsigned long long *shown, bool back)
{
        if (back)
                *word = *shown;
        else
                *shown = *word;
}

void
wci_handler_varargs(struct user_regs_struct *regs, void *args, uint32_t hidden, bool back)
{
        const struct varargs *list = args;
        uint32_t shown = list->general / 8 - hidden;
        for (uint32_t i = list->general / 8; i < 6; i++)
                exchange(&list->saved[i], argument_register(regs, shown++), back);
        for (uint32_t i = 0; i < hidden && shown < 6; i++)
                exchange(&list->stack[i], argument_register(regs, shown++), back);
        regs->rsp = (uintptr_t)(list->stack + hidden - 1); /* the return address lies below the words on the stack */
}

/* --- has a handler been left? --------------------------------------------------------------------------------------- */

static bool
on_signal_stack(void)
{
        stack_t stack = {.ss_flags = SS_DISABLE};
        if (wci_quiet || wci_syscall3(SYS_sigaltstack, 0, &stack, 0) != 0)
                return false;
        const uintptr_t base = (uintptr_t)stack.ss_sp;
        return (stack.ss_flags & SS_ONSTACK) && wci_tls.handler_frame - base >= stack.ss_size;
}

/* A vfork child that ends or execs in a handler leaves it to its parent, whose thread-local storage it shares. */
static bool
of_a_vfork_child(void)
{
        const struct wci_ring *ring = wci_tls.suspended;
        return wci_tls.vfork != NULL && ring != NULL && !wci_quiet &&
               (uint32_t)wci_syscall0(SYS_getpid) != ring->record_pid;
}

/*
 * Calls that a handler makes come from deeper frames than its own; one from a shallower frame shows that the handler was
 * left by siglongjmp or an exception, unless it comes from a signal handler on a stack of its own.
 */
bool
wci_handler_left(uintptr_t frame)
{
        if (WCI_UNLIKELY(of_a_vfork_child()))
                return true;
        return frame > wci_tls.handler_frame && !on_signal_stack();
}

/* The thread has its ring again. That of a vfork child is asked for anew with each call. */
void
wci_handler_forget(void)
{
        wci_tls.ring = wci_tls.vfork == NULL ? wci_tls.suspended : NULL;
        wci_tls.handler_frame = 0;
        wci_tls.suspended = NULL;
        wci_tls.regs = NULL;
}

/* glibc keeps the stack pointer in the jmp_buf xor'ed with a secret and rotated. */
uintptr_t
wci_handler_jump(const void *env)
{
        uint64_t secret, rsp = ((const uint64_t *)env)[WCI_JMP_RSP];
        __asm__("movq %%fs:0x30, %0" : "=r"(secret));
        return (rsp >> 17 | rsp << 47) ^ secret;
}

/*
 * Before longjmp: does it leave the handler that runs? Deeper calls would look like the handler's for good. What does not
 * look like a stack pointer tells nothing.
 */
void
wci_handler_longjmp(const void *env)
{
        if (wci_tls.handler_frame == 0)
                return;
        const uintptr_t rsp = wci_handler_jump(env);
        if (rsp > wci_tls.handler_frame && rsp - wci_tls.handler_frame < WCI_STACK_NEAR)
                wci_handler_forget();
}

/* --- ptrace on the handler's own process ---------------------------------------------------------------------------- */

static bool
move(const void *from, void *to, size_t size)
{
        const struct iovec source = {(void *)(uintptr_t)from, size}, sink = {to, size};
        return wci_syscall6(SYS_process_vm_readv, (long)wci_syscall0(SYS_getpid), (long)&sink, 1, (long)&source, 1, 0) ==
               (long)size;
}

static bool
move_out(const void *from, void *to, size_t size)
{
        const struct iovec source = {(void *)(uintptr_t)from, size}, sink = {to, size};
        return wci_syscall6(SYS_process_vm_writev, (long)wci_syscall0(SYS_getpid), (long)&source, 1, (long)&sink, 1, 0) ==
               (long)size;
}

static unsigned long *
user_word(uintptr_t offset)
{
        if (offset % 8 != 0 || offset >= sizeof(struct user_regs_struct))
                return NULL;
        return (unsigned long *)((char *)wci_tls.regs + offset);
}

static long
answered(bool done, long result)
{
        errno = done ? 0 : EIO;
        return done ? result : -1;
}

long
wci_handler_ptrace(long request, long pid, void *address, void *data)
{
        unsigned long word = (unsigned long)(uintptr_t)data, *place;
        bool done;
        (void)pid;
        switch (request) {
        case PTRACE_PEEKTEXT:
        case PTRACE_PEEKDATA:
                done = move(address, &word, sizeof word);
                return answered(done, (long)word);
        case PTRACE_POKETEXT:
        case PTRACE_POKEDATA:
                return answered(move_out(&word, address, sizeof word), 0);
        case PTRACE_PEEKUSER:
                place = user_word((uintptr_t)address);
                return answered(place != NULL, place != NULL ? (long)*place : 0);
        case PTRACE_POKEUSER:
                place = user_word((uintptr_t)address);
                if (place != NULL)
                        *place = word;
                return answered(place != NULL, 0);
        case PTRACE_GETREGS:
                return answered(move_out(wci_tls.regs, data, sizeof *wci_tls.regs), 0);
        default: /* PTRACE_SETREGS */
                return answered(move(data, wci_tls.regs, sizeof *wci_tls.regs), 0);
        }
}

static bool
is_answered(long request)
{
        switch (request) {
        case PTRACE_PEEKTEXT:
        case PTRACE_PEEKDATA:
        case PTRACE_PEEKUSER:
        case PTRACE_POKETEXT:
        case PTRACE_POKEDATA:
        case PTRACE_POKEUSER:
        case PTRACE_GETREGS:
        case PTRACE_SETREGS:
                return true;
        default:
                return false;
        }
}

bool
wci_handler_answers(long request, long pid, uintptr_t frame)
{
        return wci_tls.handler_frame != 0 && wci_tls.regs != NULL && wci_tls.suspended != NULL &&
               pid == (long)wci_tls.suspended->record_pid && is_answered(request) && !wci_handler_left(frame);
}
