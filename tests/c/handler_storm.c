/* handler_storm.c: a timer at 10 kHz leaves rand, and whatever handler runs there, by siglongjmp; then calls from deep. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static sigjmp_buf place;
static volatile sig_atomic_t armed;

static void
on_alarm(int number)
{
        (void)number;
        if (armed)
                siglongjmp(place, 1);
}

__attribute__((noinline)) static int
deep(int n)
{
        volatile char room[512];
        room[n] = 1;
        return n ? deep(n - 1) + room[n] : getppid();
}

int
main(int argc, char **argv)
{
        volatile int jumps = 0;
        const int most = argc > 1 ? atoi(argv[1]) : 1000;
        signal(SIGALRM, on_alarm);
        const struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
        setitimer(ITIMER_REAL, &often, NULL);
        while (jumps < most) {
                if (sigsetjmp(place, 1) == 0) {
                        armed = 1;
                        for (;;)
                                rand();
                }
                armed = 0;
                jumps++;
        }
        setitimer(ITIMER_REAL, &never, NULL);
        printf("%d jumps, %d\n", jumps, deep(20) != 0);
        return 0;
}
