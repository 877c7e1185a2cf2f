/*
 * wc_ptrace.h: what a handler may ask about the process whose call it stands in, and do to it.
 *
 * Included by handler libraries (`cc -shared -fPIC -I$(wc-gen --include-dir) handlers.c -o handlers.so`), in C and C++.
 * A handler is `void NAME(struct user_regs_struct *regs, int pid)`; pass its pid to the functions below. They work where
 * the handler runs in the program itself and where it runs in a tracer, so that a handler need not know which.
 *
 *   memory     PeekData PeekLong PeekInt PeekChar PokeLong PokeInt PokeChar: by the kernel, so that a bad address is an
 *              error and never a SIGSEGV. Peek functions set errno to 0 when they succeed: -1 is a value like any other
 *   registers  GetRegs SetRegs: those of the call that the handler stands in. What SetRegs puts there counts, as does
 *              what the handler writes through its own regs; the later one wins
 *
 * Nothing here prints, allocates or keeps a descriptor.
 */
#ifndef WC_PTRACE_H
#define WC_PTRACE_H

#include <asm/unistd.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#elif defined __STRICT_ANSI__ && !defined __USE_MISC
long syscall(long number, ...); /* -std=c99 hides it */
#endif

#define PEEKSIZE sizeof(long)

#define WC_PTRACE_MOVE(number, pid, here, there, size)                                                                     \
        (syscall((number), (long)(pid), (here), 1L, (there), 1L, 0L) == (long)(size))

/* Read size bytes at src into data. Returns 1; -1 with errno when they cannot be read or size is not positive. */
static inline int
PeekData(int pid, long src, int size, char *data)
{
        if (size <= 0) {
                errno = EINVAL;
                return -1;
        }
        struct iovec here, there;
        here.iov_base = data;
        there.iov_base = (void *)(unsigned long)src;
        here.iov_len = there.iov_len = (size_t)size;
        if (!WC_PTRACE_MOVE(SYS_process_vm_readv, pid, &here, &there, size)) {
                errno = EFAULT; /* or a part of them was read: all or nothing */
                return -1;
        }
        errno = 0;
        return 1;
}

/* Read a value at src. Returns -1 with errno set when it cannot be read. */
static inline int
PeekInt(int pid, long src)
{
        int value;
        return PeekData(pid, src, (int)sizeof value, (char *)&value) == 1 ? value : -1;
}

static inline long
PeekLong(int pid, long src)
{
        long value;
        return PeekData(pid, src, (int)sizeof value, (char *)&value) == 1 ? value : -1;
}

static inline char
PeekChar(int pid, long src)
{
        char value;
        return PeekData(pid, src, (int)sizeof value, &value) == 1 ? value : (char)-1;
}

/* Write size bytes at src. A tracer may also write where the program itself may not: a page that is read-only there. */
static inline bool
wc_poke_data(int pid, long src, const void *data, size_t size)
{
        struct iovec here, there;
        long word;
        memcpy(&here.iov_base, &data, sizeof data);
        there.iov_base = (void *)(unsigned long)src;
        here.iov_len = there.iov_len = size;
        if (WC_PTRACE_MOVE(SYS_process_vm_writev, pid, &here, &there, size))
                return true;
        if (size > sizeof word || PeekData(pid, src, (int)sizeof word, (char *)&word) != 1)
                return false;
        memcpy(&word, data, size);
        return ptrace(PTRACE_POKEDATA, pid, (void *)(unsigned long)src, (void *)word) != -1;
}

/* Write a value at src. */
static inline bool
PokeLong(int pid, long src, long val)
{
        return wc_poke_data(pid, src, &val, sizeof val);
}

static inline bool
PokeInt(int pid, long src, int val)
{
        return wc_poke_data(pid, src, &val, sizeof val);
}

static inline bool
PokeChar(int pid, long src, char val)
{
        return wc_poke_data(pid, src, &val, sizeof val);
}

/* The registers of the call that the handler stands in. Return 0, or -1 with errno outside of a handler. */
static inline int
GetRegs(int pid, struct user_regs_struct *regs)
{
        return ptrace(PTRACE_GETREGS, pid, (void *)0, regs) == -1 ? -1 : 0;
}

static inline int
SetRegs(int pid, struct user_regs_struct *regs)
{
        return ptrace(PTRACE_SETREGS, pid, (void *)0, regs) == -1 ? -1 : 0;
}

#ifdef __cplusplus
}
#endif

#endif
