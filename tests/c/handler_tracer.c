/* handler_tracer.c: a handler written with ptrace itself. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>

void
h(struct user_regs_struct *regs, int pid)
{
        struct user_regs_struct mine;
        errno = 0;
        const long first = ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rdi), NULL);
        const long got = ptrace(PTRACE_GETREGS, pid, NULL, &mine);
        printf("rdi %ld, getregs %ld, same %d\n", first, got, mine.rsi == regs->rsi);
        const long word = ptrace(PTRACE_PEEKDATA, pid, regs->rsi, NULL);
        printf("word %.8s\n", (const char *)&word);
        const long bad = ptrace(PTRACE_PEEKDATA, pid, 16, NULL);
        printf("bad address %ld, errno %d\n", bad, errno == EIO);
        mine.rdx = 4;
        ptrace(PTRACE_SETREGS, pid, NULL, &mine);
        fflush(stdout);
}
