/*
 * count_reads.c: handlers that count what a program reads, and say so when it ends.
 *
 *     cc -shared -fPIC -I$(wc-gen --include-dir) count_reads.c -o count_reads.so
 *
 * They run in the program, in whichever thread calls read, so that what they share is atomic. What they call themselves
 * is not recorded.
 */
#include <stdio.h>
#include <wc_ptrace.h>

static long calls, bytes, failures;

void
after_read(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
        if ((long)regs->rax < 0)
                __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
        else
                __atomic_fetch_add(&bytes, (long)regs->rax, __ATOMIC_RELAXED);
}

__attribute__((destructor)) static void
report(void)
{
        fprintf(stderr, "process %d: %ld reads, %ld bytes, %ld failed\n", getpid(), calls, bytes, failures);
}
