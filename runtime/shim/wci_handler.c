/*
 * wci_handler.c: user handlers: loading them, running them, and what they may do to the call they stand in.
 *
 * Called by generated wrappers whose target has back_enter or back_exit, by wci_tail.c for tail-jumps, and when the
 * program's _start comes to __libc_start_main (wci_handlers_load).  Rules:
 *   R2  errno is what the real call left, unless the handler puts a result of its own in its place
 *   R3  this is the only guard there is: while a handler runs the thread has no ring, so that its intercepted calls come
 *       to wci_ring_acquire, which counts them as suppressed. A longjmp may leave a handler: wci_handler_left
 *   R4  a handler library that cannot be loaded is reported in the session's file `warnings`; the program runs on
 * A handler sees its call in a struct user_regs_struct. The same registers answer ptrace(2) on the handler's own pid, so
 * that what is written for a tracer (wc_ptrace.h, or ptrace itself) works in process: nothing else than the shim's ptrace
 * knows them.
 * Absent on purpose: what stands in which register (generator/registers.py).
 */
#include "wci_handler.h"

#include "wci_hooks.h"
#include "wci_runtime.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define WCI_STACK_NEAR (64ul << 20) /* two frames farther apart lie on different stacks */
#define WCI_JMP_RSP 6               /* glibc: where a jmp_buf keeps the stack pointer, mangled */

struct place {
        struct wci_ring *ring;
        struct wci_ring *suspended;
        struct user_regs_struct *regs;
        uintptr_t frame;
};

static struct place
enter_handler(struct wci_ring *ring, struct user_regs_struct *regs, uintptr_t frame)
{
        const struct place before = {wci_tls.ring, wci_tls.suspended, wci_tls.regs, wci_tls.handler_frame};
        wci_tls.suspended = ring;
        wci_tls.regs = regs;
        wci_tls.handler_frame = frame;
        WCI_ORDER(); /* a signal handler that finds no ring must find out why */
        wci_tls.ring = NULL;
        return before;
}

static void
leave_handler(const struct place *before)
{
        wci_tls.ring = before->ring;
        WCI_ORDER();
        wci_tls.handler_frame = before->frame;
        wci_tls.regs = before->regs;
        wci_tls.suspended = before->suspended;
}

static void
run(wci_handler handler, struct wci_call *call, struct user_regs_struct *regs)
{
        const uint32_t pid = call->ring->record_pid;
        const struct place before = enter_handler(call->ring, regs, (uintptr_t)__builtin_frame_address(0));
        handler(regs, (int)pid);
        leave_handler(&before);
}

/* The time that the handler took is not the call's: it begins anew. */
static void
begin_anew(struct wci_call *call, uint32_t clocks)
{
        struct wci_ring *ring = call->ring;
        if (clocks & WCI_CLOCK_AT_ENTRY)
                call->clock = wci_clock();
        if (ring->owner_pid == wci_alive->pid && ring->claims == call->claims && call->depth < WCI_INFLIGHT)
                ring->inside[call->depth].clock = call->clock;
}

bool
wci_handler_enter(wci_handler handler, struct wci_call *call, struct user_regs_struct *regs, uint32_t clocks)
{
        const int error = errno;
        run(handler, call, regs);
        begin_anew(call, clocks);
        if ((long)regs->orig_rax == -1)
                return false;
        errno = error;
        return true;
}

void
wci_handler_exit(wci_handler handler, struct wci_call *call, struct user_regs_struct *regs)
{
        const int error = errno;
        const uint64_t result = regs->rax;
        run(handler, call, regs);
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

/*
 * Before longjmp: does it leave the handler that runs? Deeper calls would look like the handler's for good. glibc keeps
 * the stack pointer in the jmp_buf xor'ed with a secret and rotated; what does not look like one tells nothing.
 */
void
wci_handler_longjmp(const void *env)
{
        if (wci_tls.handler_frame == 0)
                return;
        uint64_t secret, rsp = ((const uint64_t *)env)[WCI_JMP_RSP];
        __asm__("movq %%fs:0x30, %0" : "=r"(secret));
        rsp = (rsp >> 17 | rsp << 47) ^ secret;
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

/* --- loading -------------------------------------------------------------------------------------------------------- */

/* One line for the consumer: the program's own output is not ours to write to. */
static void
warn(const char *what, const char *why)
{
        char path[256], line[1024];
        struct wci_text text = {path, path + sizeof path};
        wci_text_add(&text, wci_session_path());
        wci_text_add(&text, "/warnings");
        struct wci_text message = {line, line + sizeof line - 1};
        wci_text_add(&message, what);
        wci_text_add(&message, why);
        message.at[0] = '\n';
        const long fd = wci_syscall6(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                                     0600, 0, 0);
        if (fd < 0)
                return;
        wci_syscall3(SYS_write, fd, line, message.at + 1 - line);
        wci_syscall3(SYS_close, fd, 0, 0);
}

/* The library's own path, not the session's link to it: its $ORIGIN is where it lies. */
static const char *
library_path(char *room, size_t size)
{
        char link[256];
        struct wci_text text = {link, link + sizeof link};
        wci_text_add(&text, wci_session_path());
        wci_text_add(&text, "/handlers.so");
        const long length = wci_syscall3(SYS_readlink, link, room, size - 1);
        if (length <= 0 || length == (long)size - 1)
                return NULL;
        room[length] = '\0';
        return room;
}

static void
load(void)
{
        char room[4096];
        const char *path = library_path(room, sizeof room);
        (void)wci_dlerror(); /* looked up now: later that would clear what dlopen has to say */
        void *library = path != NULL ? wci_dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
        if (library == NULL) {
                const char *why = path != NULL ? wci_dlerror() : "the session has no handlers.so";
                warn("no handler runs: ", why != NULL ? why : "dlopen failed");
                return;
        }
        for (uint32_t i = 0; wci_handler_slots[i].name != NULL; i++) {
                *wci_handler_slots[i].pointer = dlsym(library, wci_handler_slots[i].name);
                if (*wci_handler_slots[i].pointer == NULL)
                        warn("the handler library has no function named ", wci_handler_slots[i].name);
        }
        (void)wci_dlerror();
}

/*
 * Called when the program's _start has come to __libc_start_main: all libraries are initialised, none of the program's
 * own code has run. What dlopen calls, and the library's constructors, are not the program's calls either.
 */
void
wci_handlers_load(void)
{
        if (wci_handler_slots[0].name == NULL || wci_segment == NULL)
                return;
        const int error = errno;
        const struct place before = enter_handler(wci_tls.ring, NULL, (uintptr_t)__builtin_frame_address(0));
        load();
        leave_handler(&before);
        errno = error;
}
