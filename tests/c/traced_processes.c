/*
 * traced_processes.c: a program that makes processes and threads in every way and says how many. For test_tracer_loop.py.
 *
 *   traced_processes MODE [COUNT]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *self;

static void
reap(int children)
{
        int status, right = 0;
        for (int i = 0; i < children; i++)
                if (waitpid(-1, &status, __WALL) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
                        right++;
        printf("%d\n", right);
        fflush(stdout);
}

/* width children, each of which has width children, ... */
static void
storm(int width, int depth)
{
        for (int i = 0; i < width && depth != 0; i++) {
                const pid_t child = fork();
                if (child == 0) {
                        getppid();
                        storm(width, depth - 1);
                        _exit(0);
                }
        }
        for (int i = 0; i < width && depth != 0; i++)
                wait(NULL);
}

static void
vforks(int times)
{
        char *const words[] = {"true", NULL};
        char *const environment[] = {NULL};
        for (volatile int i = 0; i < times; i++) {
                const pid_t child = vfork();
                if (child == 0) {
                        getppid();
                        execve(i % 2 ? "/bin/true" : "/nowhere", words, environment);
                        _exit(0);
                }
        }
        reap(times);
}

static int
child_of_clone(void *unused)
{
        (void)unused;
        syscall(SYS_getppid);
        return 0;
}

/* Children in our memory, children of our parent's making, children that nobody signals. */
static void
clones(int times)
{
        static const int flags[] = {SIGCHLD, CLONE_VM | SIGCHLD, CLONE_VM | CLONE_VFORK | SIGCHLD, CLONE_VM, CLONE_FS | CLONE_FILES};
        const size_t kinds = sizeof flags / sizeof *flags;
        for (int i = 0; i < times; i++) {
                char *stack = mmap(NULL, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                clone(child_of_clone, stack + 65536, flags[(size_t)i % kinds], NULL);
        }
        reap(times);
}

static void
clone3s(int times)
{
        for (int i = 0; i < times; i++) {
                struct clone_args args = {.exit_signal = SIGCHLD, .flags = i % 2 ? CLONE_CLEAR_SIGHAND : 0};
                const long child = syscall(SYS_clone3, &args, sizeof args);
                if (child == 0) {
                        syscall(SYS_getppid);
                        syscall(SYS_exit_group, 0);
                }
        }
        reap(times);
}

static void *
calling(void *times)
{
        for (long i = 0; i < (long)times; i++)
                getppid();
        return NULL;
}

static void
threads(int count, long times)
{
        pthread_t some[256];
        for (int i = 0; i < count; i++)
                pthread_create(&some[i], NULL, calling, (void *)times);
        for (int i = 0; i < count; i++)
                pthread_join(some[i], NULL);
        printf("%d\n", count);
}

static void *
sleeping(void *unused)
{
        for (;;)
                sleep(100);
        return unused;
}

static void *
execing(void *times)
{
        char left[16];
        snprintf(left, sizeof left, "%d", (int)(long)times - 1);
        char *const words[] = {self, "execs", left, NULL};
        execv("/proc/self/exe", words);
        return NULL;
}

/* An image after another, each exec'd by a thread that is not the first, while others sleep or call. */
static void
execs(int times)
{
        pthread_t one;
        getppid();
        if (times == 0) {
                printf("%d\n", getpid() == (pid_t)syscall(SYS_gettid));
                return;
        }
        for (int i = 0; i < 3; i++)
                pthread_create(&one, NULL, i == 0 ? sleeping : calling, (void *)1000000000L);
        pthread_create(&one, NULL, execing, (void *)(long)times);
        sleeping(NULL);
}

static void *
leaving(void *unused)
{
        (void)unused;
        usleep(10000);
        exit(5);
}

/* The first thread ends first; another ends the process. */
static void
leader_leaves(void)
{
        pthread_t one;
        pthread_create(&one, NULL, leaving, NULL);
        pthread_exit(NULL);
}

static long
int80(long number)
{
        long result;
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(number) : "memory", "r8", "r9", "r10", "r11");
        return result;
}

/* A filter of its own: one call fails by it, one asks for a tracer. */
static void
filtering(void)
{
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ, SYS_getppid, 0, 1),
            BPF_STMT(BPF_RET, SECCOMP_RET_ERRNO | 42),
            BPF_JUMP(BPF_JMP | BPF_JEQ, SYS_getpgrp, 0, 1),
            BPF_STMT(BPF_RET, SECCOMP_RET_TRACE | 7),
            BPF_STMT(BPF_RET, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = {sizeof code / sizeof *code, code};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
                exit(77);
        errno = 0;
        const long denied = syscall(SYS_getppid);
        printf("%ld %d ", denied, errno);
        const long traced = syscall(SYS_getpgrp);
        printf("%ld %d\n", traced, errno == ENOSYS);
}

static void
tracing(void)
{
        const long result = ptrace(PTRACE_TRACEME, 0, 0, 0);
        printf("%ld %d\n", result, result == 0 ? 0 : errno == EPERM);
}

static void
placing(void)
{
        cpu_set_t set;
        sched_getaffinity(0, sizeof set, &set);
        const int before = CPU_COUNT(&set);
        CPU_ZERO(&set);
        CPU_SET(0, &set);
        sched_setaffinity(0, sizeof set, &set);
        sched_getaffinity(0, sizeof set, &set);
        printf("%d %d\n", before, CPU_COUNT(&set));
}

int
main(int words, char **word)
{
        const char *mode = words > 1 ? word[1] : "";
        const int times = words > 2 ? atoi(word[2]) : 5;
        self = word[0];
        if (strcmp(mode, "storm") == 0)
                storm(times, 3), printf("%d\n", times + times * times + times * times * times);
        else if (strcmp(mode, "vforks") == 0)
                vforks(times);
        else if (strcmp(mode, "clones") == 0)
                clones(times);
        else if (strcmp(mode, "clone3s") == 0)
                clone3s(times);
        else if (strcmp(mode, "threads") == 0)
                threads(times, 100);
        else if (strcmp(mode, "execs") == 0)
                execs(times);
        else if (strcmp(mode, "leader") == 0)
                leader_leaves();
        else if (strcmp(mode, "int80") == 0)
                printf("%d\n", int80(20) == getpid());
        else if (strcmp(mode, "filter") == 0)
                filtering();
        else if (strcmp(mode, "traceme") == 0)
                tracing();
        else if (strcmp(mode, "affinity") == 0)
                placing();
        else
                return 2;
        return 0;
}
