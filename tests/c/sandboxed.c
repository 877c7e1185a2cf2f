/*
 * sandboxed.c: R9. Installs a seccomp filter (or strict mode) that kills at any system call but read, write and exit,
 * and goes on calling wrapped functions. Argument: strict, filter (by prctl), syscall (by syscall(2)), and how many
 * calls to make before. lint-flags: -pthread */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(name)                                                                                                    \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter rules[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(read),
    ALLOW(write),
    ALLOW(exit),
    ALLOW(exit_group),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
static struct sock_fprog program = {sizeof rules / sizeof *rules, rules};

static void
sandbox(const char *how)
{
        if (strcmp(how, "strict") == 0)
                prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (strcmp(how, "filter") == 0)
                prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
        else if (strcmp(how, "syscall") == 0)
                syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int
main(int argc, char **argv)
{
        (void)argc;
        const long before = atol(argv[2]), after = atol(argv[3]);
        const int null = open("/dev/null", O_RDWR);
        char text[] = "some text that is kept where it may be read";
        for (long i = 0; i < before; i++)
                (void)!write(null, text, sizeof text);
        if (strcmp(argv[1], "strict") == 0)
                prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        else
                sandbox(argv[1]);
        for (long i = 0; i < after; i++)
                if (write(null, text, sizeof text) != sizeof text || read(null, text, 1) != 0)
                        syscall(SYS_exit, 1);
        (void)!write(1, "done\n", 5);
        syscall(SYS_exit, 0);
}
