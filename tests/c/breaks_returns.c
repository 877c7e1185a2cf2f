/*
 * breaks_returns.c: functions that return in every way there is. Argument: which; "crowded" before it: in an image in which
 * nobody, the tracer neither, may map memory at an address of his choice.
 *
 * Every traced function is named f_*; main prints "expect NAME CALLS RETURNS" for each, so that the test compares with that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define TRACED __attribute__((noinline, noipa))

static void
expect(const char *name, int calls, int returns)
{
        printf("expect %s %d %d\n", name, calls, returns);
}

/* --- recursion ------------------------------------------------------------------------------------------------------- */

TRACED int
f_deep(int n)
{
        return n == 0 ? 0 : 1 + f_deep(n - 1);
}

static int
recursion(void)
{
        expect("f_deep", 1001, 1001);
        return f_deep(1000) != 1000;
}

/* --- longjmp ---------------------------------------------------------------------------------------------------------- */

static jmp_buf home;
static volatile int nobody;

TRACED void
f_leaves(int n)
{
        if (n == 0)
                longjmp(home, 1);
        if (nobody == 0)
                f_leaves(n - 1);
        nobody--;
}

TRACED int
f_stays(int n)
{
        if (setjmp(home) == 0)
                f_leaves(n);
        return n;
}

static int
jumps(void)
{
        int sum = 0;
        for (int i = 0; i < 50; i++)
                sum += f_stays(i % 4);
        expect("f_stays", 50, 50);
        expect("f_leaves", 123, 0);
        return sum != 73;
}

/* --- tail calls ------------------------------------------------------------------------------------------------------- */

TRACED int f_second(int n);

__attribute__((optimize("O2"))) TRACED int
f_first(int n)
{
        return f_second(n + 1);
}

TRACED int
f_second(int n)
{
        return n * 2;
}

static int
tails(void)
{
        int sum = 0;
        for (int i = 0; i < 20; i++)
                sum += f_first(i);
        expect("f_first", 20, 20);
        expect("f_second", 20, 20);
        return sum != 420;
}

/* --- threads ------------------------------------------------------------------------------------------------------------ */

#define THREADS 8
#define ROUNDS 300

TRACED long
f_shared(long n)
{
        return n < 3 ? n : f_shared(n - 1) + 1;
}

static void *
thread(void *mine)
{
        long wrong = 0;
        for (int i = 0; i < ROUNDS; i++)
                wrong += f_shared(5) != 5;
        *(long *)mine = wrong;
        return NULL;
}

static int
threads(void)
{
        pthread_t all[THREADS];
        long wrong[THREADS], sum = 0;
        for (int i = 0; i < THREADS; i++)
                pthread_create(&all[i], NULL, thread, &wrong[i]);
        for (int i = 0; i < THREADS; i++) {
                pthread_join(all[i], NULL);
                sum += wrong[i];
        }
        expect("f_shared", THREADS * ROUNDS * 4, THREADS * ROUNDS * 4);
        return sum != 0;
}

/* --- coroutines, on stacks of the heap ---------------------------------------------------------------------------------- */

static ucontext_t main_context, contexts[2];
static int finished;

TRACED int
f_waits(int who)
{
        swapcontext(&contexts[who], &main_context);
        return who;
}

static void
coroutine(int who)
{
        for (int i = 0; i < 10; i++)
                finished += f_waits(who) == who;
}

static int
coroutines(void)
{
        for (int i = 0; i < 2; i++) {
                getcontext(&contexts[i]);
                contexts[i].uc_stack.ss_sp = malloc(65536);
                contexts[i].uc_stack.ss_size = 65536;
                contexts[i].uc_link = &main_context;
                makecontext(&contexts[i], (void (*)(void))coroutine, 1, i);
        }
        for (int i = 0; i < 11; i++) {
                swapcontext(&main_context, &contexts[0]);
                swapcontext(&main_context, &contexts[1]);
        }
        expect("f_waits", 20, 20);
        return finished != 20;
}

/* --- signal handlers on a stack of their own ------------------------------------------------------------------------------ */

static volatile int handled;

TRACED void
f_handler(int number)
{
        (void)number;
        handled++;
}

TRACED int
f_raises(int n)
{
        raise(SIGUSR1);
        return n;
}

static int
handlers(void)
{
        const stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
        struct sigaction action = {.sa_handler = f_handler, .sa_flags = SA_ONSTACK};
        sigaltstack(&stack, NULL);
        sigaction(SIGUSR1, &action, NULL);
        int sum = 0;
        for (int i = 0; i < 25; i++)
                sum += f_raises(i);
        expect("f_handler", 25, 25);
        expect("f_raises", 25, 25);
        return sum != 300 || handled != 25;
}

/* --- children -------------------------------------------------------------------------------------------------------------- */

TRACED int
f_counted(int n)
{
        return n + 1;
}

static int
forks(void)
{
        int status, wrong = 0;
        for (int i = 0; i < 5; i++) {
                const pid_t child = fork();
                if (child == 0)
                        _exit(f_counted(i));
                wrong += waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != i + 1;
                wrong += f_counted(i) != i + 1;
        }
        expect("f_counted", 10, 10);
        return wrong;
}

static int
vforks(void)
{
        volatile int wrong = 0;
        int status;
        for (volatile int i = 0; i < 5; i++) {
                const pid_t child = vfork();
                if (child == 0)
                        _exit(f_counted(i));
                wrong += waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != i + 1;
                wrong += f_counted(i) != i + 1;
        }
        expect("f_counted", 10, 10);
        return wrong;
}

/* --- never --------------------------------------------------------------------------------------------------------------------- */

TRACED __attribute__((noreturn)) void
f_ends(int status)
{
        exit(status);
}

static int
never(void)
{
        expect("f_ends", 1, 0);
        fflush(stdout);
        f_ends(0);
}

/* mmap with MAP_FIXED_NOREPLACE fails from now on, in what is executed too. */
static int
crowd(char **arguments)
{
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
                BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x100000, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
                return 77;
        execv("/proc/self/exe", arguments);
        return 1;
}

int
main(int count, char **arguments)
{
        static const struct {
                const char *name;
                int (*run)(void);
        } ways[] = {{"recursion", recursion}, {"jumps", jumps}, {"tails", tails}, {"threads", threads},
                    {"coroutines", coroutines}, {"handlers", handlers}, {"forks", forks}, {"vforks", vforks}, {"never", never}};
        setvbuf(stdout, NULL, _IONBF, 0);
        if (count > 2 && strcmp(arguments[1], "crowded") == 0)
                return crowd(arguments + 1);
        for (size_t i = 0; count > 1 && i < sizeof ways / sizeof ways[0]; i++) {
                if (strcmp(arguments[1], ways[i].name) == 0)
                        return ways[i].run();
        }
        return 2;
}
