/*
 * torture_timers.c: 10 kHz of SIGALRM (setitimer) and of a real-time signal (timer_create) for CALLS calls of `work` and of
 * getppid; a child sends as many queued signals as it can be sent. Prints what was handled: "alarms expirations queued sent".
 *
 * Expirations are handled signals plus overruns, so none is lost however slow the machine; each handler calls `inside`.
 * lint-flags: -lrt */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile long alarms, expirations, handled, queued;

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
        alarms = inside(alarms);
}

static void
on_timer(int number, siginfo_t *info, void *context)
{
        (void)number, (void)context;
        handled = inside(handled);
        expirations += 1 + info->si_overrun;
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
        action = (struct sigaction){.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER};
        sigaction(SIGRTMIN, &action, NULL);

        const pid_t child = sender(sent);
        timer_t timer;
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
        const struct itimerspec often = {{0, 100000}, {0, 100000}};
        const struct itimerval also = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
        timer_create(CLOCK_MONOTONIC, &event, &timer);
        timer_settime(timer, 0, &often, NULL);
        setitimer(ITIMER_REAL, &also, NULL);
        for (volatile long i = 0; i < calls; i++)
                if (work(i) != 2 * i || syscall(SYS_getppid) < 0)
                        abort();
        timer_delete(timer);
        setitimer(ITIMER_REAL, &never, NULL);
        while (waitpid(child, NULL, 0) != child || queued < sent)
                if (queued == sent)
                        break;
        printf("%ld %ld %ld %ld %ld\n", alarms, handled, queued, sent, expirations);
        return 0;
}
