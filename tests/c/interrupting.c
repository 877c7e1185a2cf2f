/*
 * interrupting.c: a timer interrupts a loop of wrapped calls; its handler calls wrapped functions and returns. Prints
 * how many of each were made. Arguments: signals to take, calls that each handler makes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static volatile long signals, outside, inside;
static long wanted = 1000, per_signal = 1;

/* Once: a handler that takes longer than the interval would never let go otherwise. */
static void
arm(long microseconds)
{
        const struct itimerval once = {{0, 0}, {0, microseconds}};
        setitimer(ITIMER_REAL, &once, NULL);
}

static void
on_timer(int signal)
{
        (void)signal;
        for (long i = 0; i < per_signal; i++) {
                (void)getppid();
                inside++;
        }
        if (++signals < wanted)
                arm(100);
}

int
main(int argc, char **argv)
{
        wanted = argc > 1 ? atol(argv[1]) : 1000;
        per_signal = argc > 2 ? atol(argv[2]) : 1;
        const int null = open("/dev/null", O_WRONLY);
        const char text[] = "0123456789012345678901234567890123456789012345678901234567890123456789";
        struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
        sigaction(SIGALRM, &action, NULL);
        arm(100);
        while (signals < wanted) {
                (void)!write(null, text, sizeof text);
                outside++;
        }
        printf("%ld %ld\n", outside, inside);
        return 0;
}
