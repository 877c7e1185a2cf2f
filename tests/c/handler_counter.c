/* handler_counter.c: handlers that count their runs per thread and make calls themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/user.h>
#include <unistd.h>

static _Thread_local int entered, left;

static void
call_something(void)
{
        getppid();
        free(malloc(10));
}

__attribute__((constructor)) static void
loaded(void)
{
        call_something();
}

void
enter(struct user_regs_struct *regs, int pid)
{
        (void)regs;
        (void)pid;
        entered++;
        call_something();
}

void
leave(struct user_regs_struct *regs, int pid)
{
        (void)regs;
        left += pid == getpid();
}

void
report(struct user_regs_struct *regs, int pid)
{
        (void)regs;
        (void)pid;
        printf("entered %d, left %d\n", entered, left);
        fflush(stdout);
}
