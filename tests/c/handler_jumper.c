/* handler_jumper.c: a handler that leaves by siglongjmp. */
#include <setjmp.h>
#include <sys/user.h>

extern sigjmp_buf place;

void
h(struct user_regs_struct *regs, int pid)
{
        (void)regs;
        (void)pid;
        siglongjmp(place, 1);
}
