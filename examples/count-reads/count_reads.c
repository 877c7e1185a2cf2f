/*
 * count_reads.c: handlers that count what a program reads, and add a line to the file that $READS names when it ends.
 *
 *     cc -shared -fPIC -I$(wc-gen --include-dir) count_reads.c -o count_reads.so
 *
 * They run in the program, in whichever thread calls read, so that what they share is atomic. What they call themselves
 * is not recorded.
 */
#define _GNU_SOURCE
#include <fcntl.h>
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

/* The program may have closed its standard error by now. */
__attribute__((destructor)) static void
report(void)
{
        const char *path = getenv("READS");
        const int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
        if (fd < 0 || calls == 0)
                return;
        dprintf(fd, "%s: %ld reads, %ld bytes, %ld failed\n", program_invocation_short_name, calls, bytes, failures);
        close(fd);
}
