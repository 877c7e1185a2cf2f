/*
 * torture_forks.c: a storm of processes: every process makes WIDTH children, DEPTH generations long, by fork, vfork,
 * posix_spawn of itself, clone with and without shared memory, in turn, waits for them, and calls `work` once.
 *
 *     torture_forks WIDTH DEPTH       prints how many processes there were, and how many times `work` was called in them
 *
 * vfork's and clone's children that share memory only call `work` and end.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sums {
        long processes, works;
} *sums; /* shared by all: below descriptor 9, which posix_spawn hands on */

__attribute__((noinline, noclone)) int
work(int number)
{
        __atomic_fetch_add(&sums->works, 1, __ATOMIC_RELAXED);
        return number + 1;
}

static int
alone(void *number)
{
        __atomic_fetch_add(&sums->processes, 1, __ATOMIC_RELAXED);
        _exit(work((int)(long)number) == 0);
}

static void storm(int width, int depth);

static pid_t
child_of_kind(int kind, int width, int depth, char *stack)
{
        char texts[3][16];
        char *words[] = {(char *)"torture_forks", texts[0], texts[1], texts[2], NULL};
        pid_t child;
        switch (kind % 5) {
        case 0:
                child = fork();
                if (child == 0) {
                        storm(width, depth);
                        _exit(0);
                }
                return child;
        case 1:
                child = vfork();
                if (child == 0)
                        alone((void *)1L);
                return child;
        case 2:
                snprintf(texts[0], 16, "%d", width);
                snprintf(texts[1], 16, "%d", depth);
                snprintf(texts[2], 16, "child");
                return posix_spawn(&child, "/proc/self/exe", NULL, NULL, words, environ) == 0 ? child : -1;
        case 3:
                return clone(alone, stack, SIGCHLD, (void *)2L);
        default:
                return clone(alone, stack, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)3L);
        }
}

static void
storm(int width, int depth)
{
        char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        __atomic_fetch_add(&sums->processes, 1, __ATOMIC_RELAXED);
        work(depth);
        for (int i = 0; depth > 0 && i < width; i++)
                if (child_of_kind(i, width, depth - 1, stack + 65536) < 0)
                        abort();
        for (int status; wait(&status) > 0;)
                if (status != 0)
                        abort();
}

int
main(int argc, char **argv)
{
        const int width = argc > 1 ? atoi(argv[1]) : 5, depth = argc > 2 ? atoi(argv[2]) : 2;
        if (argc <= 3 && (dup2(memfd_create("sums", 0), 9) != 9 || ftruncate(9, 4096) != 0))
                return 1;
        sums = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 9, 0);
        if (sums == MAP_FAILED)
                return 1;
        storm(width, depth);
        if (argc <= 3)
                printf("%ld %ld\n", sums->processes, sums->works);
        return 0;
}
