/*
 * jumping.c: R3. A timer at 10 kHz interrupts a loop of wrapped calls; its handler calls wrapped functions itself and
 * leaves by siglongjmp, into the middle of whatever was going on. Arguments: jumps to make; "stack": on a signal stack;
 * "thread": in a thread. Each write's content is its length. Prints the jumps. lint-flags: -pthread */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static sigjmp_buf place;
static volatile long jumps, in_handler;
static long wanted = 1000;
static char signal_stack[65536];
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

static void *
loop(void *unused)
{
        static volatile unsigned i;
        sigset_t alarm;
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        const stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
        sigaltstack(&stack, NULL);
        sigsetjmp(place, 1);
        pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
        if (jumps == 0)
                timer(100);
        while (jumps < wanted) {
                marked_write(4 * (1 + i++ % 60));
                (void)getppid();
        }
        pthread_sigmask(SIG_BLOCK, &alarm, NULL);
        timer(0);
        for (i = 0; i < 100; i++)
                (void)getpgid(0);
        dprintf(1, "%ld\n", jumps);
        return unused;
}

int
main(int argc, char **argv)
{
        bool in_thread = false;
        struct sigaction action = {.sa_handler = on_timer};
        if (argc > 1)
                wanted = atol(argv[1]);
        for (int i = 2; i < argc; i++) {
                in_thread |= strcmp(argv[i], "thread") == 0;
                action.sa_flags |= strcmp(argv[i], "stack") == 0 ? SA_ONSTACK : 0;
        }
        null = open("/dev/null", O_WRONLY);
        sigaction(SIGALRM, &action, NULL);
        sigset_t alarm;
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        pthread_sigmask(SIG_BLOCK, &alarm, NULL);
        if (!in_thread) {
                loop(NULL);
        } else {
                pthread_t thread;
                pthread_create(&thread, NULL, loop, NULL);
                pthread_join(thread, NULL);
        }
        return 0;
}
