/*
 * loaded.c: handlers that load the dice: rand always returns the face that the environment variable FACE names, srand
 * is never called at all, and whoever opens the real source of randomness gets zeros.
 *
 *     cc -shared -fPIC -I$(wc-gen --include-dir) loaded.c -o loaded.so
 */
#include <wc_ptrace.h>

/* back_exit of rand: another result. */
void
loaded_rand(struct user_regs_struct *regs, int pid)
{
        const char *face = getenv("FACE");
        (void)pid;
        if (face != NULL)
                regs->rax = (unsigned long)atoi(face) - 1;
}

/* back_enter of srand: no call. */
void
no_srand(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        regs->orig_rax = (unsigned long)-1;
}

/* back_enter of open: another argument. */
void
zeros_for_random(struct user_regs_struct *regs, int pid)
{
        char path[13];
        if (PeekData(pid, (long)regs->rdi, sizeof path, path) == 1 && memcmp(path, "/dev/urandom", 13) == 0)
                regs->rdi = (unsigned long)"/dev/zero";
}
