/* What a program does that a thread of ours in it must not be noticed by. argv[1] says which. */
/* lint-flags: -pthread -D_GNU_SOURCE */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Says "ready", then calls rand until it gives VALUE; 0 when it does. */
static int
until(int value)
{
        puts("ready");
        fflush(stdout);
        for (int i = 0; i < 20000; i++) {
                if (rand() == value)
                        return 0;
                usleep(1000);
        }
        return 1;
}

static int
forked(int value)
{
        int status = 1;
        const pid_t child = fork();
        if (child == 0)
                _exit(until(value));
        waitpid(child, &status, 0);
        return status;
}

/* Succeeds in processes of one thread only; then the handlers come all the same. */
static int
alone(int value)
{
        if (syscall(SYS_unshare, CLONE_THREAD) != 0 || unshare(CLONE_THREAD) != 0) {
                printf("unshare: %s\n", strerror(errno));
                return 1;
        }
        return until(value);
}

static void *
last(void *unused)
{
        usleep(20000);
        puts("last");
        fflush(stdout);
        return unused;
}

static int
main_ends(void)
{
        pthread_t thread;
        if (pthread_create(&thread, NULL, last, NULL) != 0)
                return 1;
        pthread_exit(NULL);
}

/* What the thread would do from now on ends the process. */
static int
filtered(void)
{
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 2, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        };
        struct sock_fprog program = {sizeof code / sizeof *code, code};
        struct timespec while_it_would_look = {0, 700000000};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
                return 1;
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
                return 1;
        nanosleep(&while_it_would_look, NULL);
        return 0;
}

static volatile int alarms;

static void
on_alarm(int number)
{
        alarms += number == SIGALRM;
}

/* Every thread takes part in a change of user, and signals of the process are the program's. */
static int
plain(void)
{
        signal(SIGALRM, on_alarm);
        if (setuid(getuid()) != 0)
                return 1;
        kill(getpid(), SIGALRM);
        return alarms != 1;
}

int
main(int argc, char **argv)
{
        const char *what = argc > 1 ? argv[1] : "";
        const int value = argc > 2 ? atoi(argv[2]) : 0;
        if (strcmp(what, "fork") == 0)
                return forked(value);
        if (strcmp(what, "unshare") == 0)
                return alone(value);
        if (strcmp(what, "main ends") == 0)
                return main_ends();
        if (strcmp(what, "seccomp") == 0)
                return filtered();
        return plain();
}
