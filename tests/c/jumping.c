/*
 * jumping.c: R3. A timer at 10 kHz interrupts a loop of wrapped calls; its handler calls wrapped functions itself and
 * leaves by siglongjmp, into the middle of whatever was going on. Arguments: jumps to make, where to jump to stand.
 * Each write carries its number in its count and its content. Prints calls made and jumps. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static sigjmp_buf place;
static volatile long jumps, in_handler, after_timer;
static int null;

/* A call whose record tells on itself: the buffer's 4-byte words are all the buffer's length. */
static void
marked_write(unsigned length)
{
        unsigned words[64];
        for (unsigned i = 0; i < 64; i++)
                words[i] = length;
        (void)!write(null, words, length);
}

static void
on_timer(int signal)
{
        (void)signal;
        (void)getppid();
        marked_write(4 * (1 + (unsigned)(++in_handler) % 60));
        jumps++;
        siglongjmp(place, 1);
}

static void
timer(long microseconds)
{
        const struct itimerval every = {{0, microseconds}, {0, microseconds}};
        setitimer(ITIMER_REAL, &every, NULL);
}

int
main(int argc, char **argv)
{
        const long wanted = argc > 1 ? atol(argv[1]) : 1000;
        null = open("/dev/null", O_WRONLY);
        struct sigaction action = {.sa_handler = on_timer};
        sigaction(SIGALRM, &action, NULL);
        static volatile unsigned i;
        sigsetjmp(place, 1);
        if (jumps == 0)
                timer(100);
        while (jumps < wanted) {
                marked_write(4 * (1 + i++ % 60));
                (void)getppid();
        }
        timer(0);
        for (i = 0; i < 100; i++)
                (void)getpgid(0);
        dprintf(1, "%ld\n", jumps);
        return 0;
}
