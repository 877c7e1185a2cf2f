/*
 * torture_restarts.c: system calls that signals interrupt, in every way that the kernel knows.
 *
 * For test_agreement.py. Prints, a line each, a call and what it returned (-errno if it failed): those that were interrupted
 * and went on must be there once, with their last result; those that failed with EINTR likewise.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
handler(int number)
{
        (void)number;
        getpid();
}

static void
on_alarm(int flags, void (*what)(int))
{
        struct sigaction action = {.sa_handler = what, .sa_flags = flags};
        sigaction(SIGALRM, &action, NULL);
}

/* Once more later, should the machine be so slow that the first one comes before the call that it is for. */
static void
alarm_soon(void)
{
        const struct itimerval soon = {{0, 500000}, {0, 20000}};
        setitimer(ITIMER_REAL, &soon, NULL);
}

static void
tell(const char *call, long result)
{
        const struct itimerval never = {{0, 0}, {0, 0}};
        printf("%s %ld\n", call, result < 0 ? -(long)errno : result);
        setitimer(ITIMER_REAL, &never, NULL);
}

/* A child that writes a byte, or ends, when the alarm is long over. */
static pid_t
later(int fd)
{
        const pid_t child = fork();
        if (child)
                return child;
        usleep(120000);
        if (fd >= 0)
                (void)!write(fd, "x", 1);
        _exit(3);
}

int
main(void)
{
        int status, ends[2];
        char byte;

        setvbuf(stdout, NULL, _IOFBF, 4096);
        if (pipe(ends))
                return 1;
        pid_t child = later(ends[1]);

        on_alarm(SA_RESTART, handler); /* ERESTARTSYS, goes on */
        alarm_soon();
        tell("read", read(ends[0], &byte, 1));
        wait(&status);
        (void)child;

        on_alarm(0, handler); /* ERESTARTSYS, EINTR */
        alarm_soon();
        tell("read", read(ends[0], &byte, 1));

        on_alarm(SA_RESTART, handler); /* ERESTARTNOHAND: EINTR all the same */
        alarm_soon();
        tell("pause", pause());

        on_alarm(SA_RESTART, handler); /* ERESTART_RESTARTBLOCK: EINTR all the same */
        alarm_soon();
        struct timespec span = {0, 100000000}, rest;
        tell("nanosleep", syscall(SYS_nanosleep, &span, &rest));

        on_alarm(0, SIG_IGN); /* no handler: goes on, at most by way of restart_syscall */
        alarm_soon();
        tell("nanosleep", syscall(SYS_nanosleep, &span, &rest));

        alarm_soon();
        tell("poll", syscall(SYS_poll, NULL, 0, 100));

        on_alarm(SA_RESTART | SA_NODEFER, handler); /* several alarms in one call */
        const struct itimerval often = {{0, 5000}, {0, 5000}};
        setitimer(ITIMER_REAL, &often, NULL);
        span = (struct timespec){0, 60000000};
        while (syscall(SYS_nanosleep, &span, &span) < 0 && errno == EINTR)
                ;
        return 0;
}
