/*
 * torture_stops.c: a child with three busy threads is stopped and continued COUNT times by its parent, which sees each stop
 * and each continuation; meanwhile the child counts 10 kHz of timer signals, and the parent sends it queued signals.
 *
 *     torture_stops COUNT             prints "stops continues sent received"
 * lint-flags: -pthread */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile long *received; /* shared with the parent */
static volatile long *running;

static void
count(int number)
{
        (void)number;
        __atomic_fetch_add(received, 1, __ATOMIC_RELAXED);
}

static void
nothing(int number)
{
        (void)number;
}

static void *
busy(void *unused)
{
        for (;;) {
                (void)syscall(SYS_getppid);
                __atomic_fetch_add(running, 1, __ATOMIC_RELAXED);
        }
        return unused;
}

static void
child(void)
{
        pthread_t thread;
        const struct itimerval often = {{0, 100}, {0, 100}};
        signal(SIGALRM, nothing);
        signal(SIGRTMIN, count);
        for (int i = 0; i < 2; i++)
                pthread_create(&thread, NULL, busy, NULL);
        setitimer(ITIMER_REAL, &often, NULL);
        busy(NULL);
}

int
main(int argc, char **argv)
{
        const int rounds = argc > 1 ? atoi(argv[1]) : 50;
        long stops = 0, continues = 0, sent = 0;
        long *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        received = shared, running = shared + 8;
        const pid_t pid = fork();
        if (pid == 0)
                child();
        while (*running == 0)
                usleep(1000);
        for (int i = 0, status; i < rounds; i++) {
                const long before = *running;
                kill(pid, SIGSTOP);
                stops += waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
                sent += sigqueue(pid, SIGRTMIN, (union sigval){0}) == 0;
                kill(pid, SIGCONT);
                continues += waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status);
                sent += sigqueue(pid, SIGRTMIN, (union sigval){0}) == 0;
                while (*running == before) /* it goes on */
                        usleep(100);
        }
        while (*received < sent)
                usleep(1000);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        printf("%ld %ld %ld %ld\n", stops, continues, sent, *received);
        return 0;
}
