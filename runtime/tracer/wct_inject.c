/*
 * wct_inject.c: system calls and functions, called in the tracee.
 */
#include "wct.h"

bool
wct_inject_syscall(struct wct_tracee *tracee, long number, const uint64_t args[6], int64_t *result)
{
        (void)tracee;
        (void)number;
        (void)args;
        (void)result;
        return false;
}

bool
wct_inject_call(struct wct_tracee *tracee, uint64_t function, uint64_t *result)
{
        (void)tracee;
        (void)function;
        (void)result;
        return false;
}
