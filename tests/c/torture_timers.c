/*
 * torture_timers.c: 10 kHz of SIGALRM (setitimer) and of a real-time signal (timer_create) while `work` and getppid are called
 * CALLS times each, and a child sends queued signals. Prints what was handled: "alarms expirations queued", and what was sent.
 *
 * Each handler calls `inside`. The timers end after MOST signals: a slow tracer could be busy with them for ever.
 * lint-flags: -lrt */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile long alarms, handled, queued;
static long most;
static timer_t timer;

__attribute__((noinline, noclone)) long
inside(long number)
{
        return number + 1;
}

__attribute__((noinline, noclone)) long
work(long number)
{
        return number * 2;
}

static void
on_alarm(int number)
{
        (void)number;
        const struct itimerval never = {{0, 0}, {0, 0}};
        alarms = inside(alarms);
        if (alarms == most)
                setitimer(ITIMER_REAL, &never, NULL);
}

static void
on_timer(int number)
{
        (void)number;
        const struct itimerspec never = {{0, 0}, {0, 0}};
        handled = inside(handled);
        if (handled == most)
                timer_settime(timer, 0, &never, NULL);
}

static void
on_queued(int number)
{
        (void)number;
        queued = inside(queued);
}

static pid_t
sender(long count)
{
        const pid_t parent = getpid(), child = fork();
        if (child)
                return child;
        while (count > 0)
                if (sigqueue(parent, SIGRTMIN + 1, (union sigval){0}) == 0)
                        count--;
        _exit(0);
}

int
main(int argc, char **argv)
{
        const long calls = argc > 1 ? atol(argv[1]) : 20000, sent = calls / 10;
        struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
        sigaction(SIGALRM, &action, NULL);
        action.sa_handler = on_queued;
        sigaction(SIGRTMIN + 1, &action, NULL);
        action.sa_handler = on_timer;
        sigaction(SIGRTMIN, &action, NULL);

        most = calls / 8;
        const pid_t child = sender(sent);
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
        const struct itimerspec often = {{0, 100000}, {0, 100000}};
        const struct itimerval also = {{0, 100}, {0, 100}};
        timer_create(CLOCK_MONOTONIC, &event, &timer);
        timer_settime(timer, 0, &often, NULL);
        setitimer(ITIMER_REAL, &also, NULL);
        for (volatile long i = 0; i < calls; i++)
                if (work(i) != 2 * i || syscall(SYS_getppid) < 0)
                        abort();
        waitpid(child, NULL, 0);
        while (queued < sent || alarms < most || handled < most)
                sched_yield();
        printf("%ld %ld %ld %ld\n", alarms, handled, queued, sent);
        return 0;
}
