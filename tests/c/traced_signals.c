/*
 * traced_signals.c: a program that is signalled in every way and says what came of it. Its output is the same traced or not.
 *
 *   traced_signals MODE [COUNT]      for test_tracer_signals.py
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t *seen; /* in memory shared with children: handlers that ran */
static volatile sig_atomic_t caught;
static sigjmp_buf back;
static siginfo_t last;

static void
count(int number, siginfo_t *info, void *context)
{
        (void)number, (void)context;
        last = *info;
        caught++;
        ++*seen;
}

static void
leave(int number)
{
        (void)number;
        siglongjmp(back, 1);
}

static void
catch(int number, int flags)
{
        struct sigaction action = {.sa_flags = SA_SIGINFO | flags};
        action.sa_sigaction = count;
        sigaction(number, &action, NULL);
}

/* A child that sends `times` signals while its parent blocks, each when the last was handled, then a byte to end_fd. */
static pid_t
sender(int number, int times, int end_fd, bool handled)
{
        const pid_t to = getpid(), child = fork();
        if (child != 0)
                return child;
        for (int i = 0; i < times; i++) {
                usleep(3000);
                kill(to, number);
                while (handled && *seen <= i)
                        usleep(100);
        }
        usleep(3000);
        if (end_fd >= 0 && write(end_fd, "x", 1) != 1)
                _exit(1);
        _exit(0);
}

/* read, by SA_RESTART or not, while signals come. */
static void
reading(int flags, int times)
{
        int ends[2];
        char byte = 0;
        if (pipe(ends) != 0)
                exit(1);
        catch(SIGUSR1, flags);
        const pid_t child = sender(SIGUSR1, times, ends[1], true);
        int interrupted = 0;
        while (read(ends[0], &byte, 1) == -1 && errno == EINTR)
                interrupted++;
        waitpid(child, NULL, 0);
        printf("%c %d %d\n", byte, caught, interrupted);
}

static void
sleeping(int number)
{
        struct timespec request = {0, 60000000}, rest = {0, 0};
        const pid_t child = sender(number, 5, -1, false);
        const int result = nanosleep(&request, &rest);
        printf("%d %d\n", result, result == -1 ? errno : 0);
        while (waitpid(child, NULL, 0) == -1 && errno == EINTR)
                continue;
}

/* poll ends with EINTR whatever SA_RESTART says. */
static void
polling(void)
{
        catch(SIGUSR1, SA_RESTART);
        const pid_t child = sender(SIGUSR1, 1, -1, true);
        const int result = poll(NULL, 0, 5000);
        printf("%d %d\n", result, errno);
        while (waitpid(child, NULL, 0) == -1 && errno == EINTR)
                continue;
}

/* A handler that never returns, out of a read that would go on. */
static void
jumping(int times)
{
        int ends[2];
        char byte;
        volatile int jumps = 0;
        const struct sigaction action = {.sa_handler = leave, .sa_flags = SA_RESTART | SA_NODEFER};
        if (pipe(ends) != 0)
                exit(1);
        sigaction(SIGALRM, &action, NULL);
        if (sigsetjmp(back, 1) != 0)
                jumps++;
        if (jumps < times) {
                const struct itimerval soon = {{0, 0}, {0, 3000}};
                setitimer(ITIMER_REAL, &soon, NULL);
                if (read(ends[0], &byte, 1) != 1)
                        exit(1);
        }
        printf("%d %d\n", jumps, (int)write(ends[1], "x", 1));
}

/* On a stack of its own, above or below. */
static void
elsewhere(int times)
{
        const stack_t stack = {.ss_sp = mmap(NULL, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 65536};
        sigaltstack(&stack, NULL);
        reading(SA_RESTART | SA_ONSTACK, times);
}

/* A timer of `hertz` and a count of calls: no call fails, every expiry is seen or counted as overrun. */
static void
timing(int hertz, int calls)
{
        timer_t timer;
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
        const struct itimerspec each = {{0, 1000000000 / hertz}, {0, 1000000000 / hertz}}, never = {{0, 0}, {0, 0}};
        catch(SIGRTMIN, SA_RESTART);
        timer_create(CLOCK_MONOTONIC, &event, &timer);
        timer_settime(timer, 0, &each, NULL);
        int wrong = 0;
        for (int i = 0; i < calls; i++)
                wrong += getppid() <= 0;
        while (caught < 20)
                pause();
        timer_settime(timer, 0, &never, NULL);
        printf("%d %d\n", wrong, caught >= 20);
        fprintf(stderr, "%d\n", caught);
}

/* Queued signals are each delivered once, with the value that they were sent with. */
static long long values;

static void
sum(int number, siginfo_t *info, void *context)
{
        (void)number, (void)context;
        values += info->si_value.sival_int;
        caught++;
}

static void
queueing(int times)
{
        struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
        action.sa_sigaction = sum;
        sigaction(SIGRTMIN + 1, &action, NULL);
        const pid_t to = getpid(), child = fork();
        if (child == 0) {
                for (int i = 1; i <= times; i++)
                        while (sigqueue(to, SIGRTMIN + 1, (union sigval){.sival_int = i}) != 0)
                                usleep(100);
                _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        while (caught < times)
                getppid();
        printf("%d %lld\n", caught, values);
}

/* What the kernel says with a signal arrives as it was. */
static void
knowing(void)
{
        catch(SIGUSR1, 0);
        catch(SIGTRAP, 0);
        sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 77});
        printf("queued %d %d %d\n", last.si_code, last.si_value.sival_int, last.si_pid == getpid());
        kill(getpid(), SIGUSR1);
        printf("killed %d %d\n", last.si_code, last.si_pid == getpid());
        raise(SIGTRAP);
        printf("raised %d %d\n", last.si_code, caught);
        __asm__ volatile("int3");
        printf("int3 %d %d\n", last.si_code, caught);
        kill(getpid(), SIGTRAP);
        printf("trap %d %d\n", last.si_code, caught);
}

static volatile int *volatile nowhere = (volatile int *)16;

static void
faulting(void)
{
        const struct sigaction jump = {.sa_handler = leave, .sa_flags = SA_NODEFER};
        sigaction(SIGSEGV, &jump, NULL);
        volatile int faults = 0;
        if (sigsetjmp(back, 1) != 0)
                faults++;
        if (faults < 10)
                *nowhere = 1;
        printf("%d\n", faults);
        signal(SIGSEGV, SIG_DFL);
        fflush(stdout);
        *nowhere = 1;
}

/* A child that stops itself again and again; its parent sees each stop and sets it going. */
static void
stopping(int times)
{
        const pid_t child = fork();
        if (child == 0) {
                setpgid(0, 0); /* SIGTSTP does nothing in an orphaned group, which the parent's may be */
                for (int i = 0; i < times; i++)
                        raise(i % 2 ? SIGSTOP : SIGTSTP);
                _exit(7);
        }
        int stops = 0, continues = 0, status;
        while (waitpid(child, &status, WUNTRACED | WCONTINUED) == child && !WIFEXITED(status)) {
                stops += WIFSTOPPED(status);
                continues += WIFCONTINUED(status);
                if (WIFSTOPPED(status))
                        kill(child, SIGCONT);
        }
        printf("%d %d %d\n", stops, continues <= stops, WEXITSTATUS(status));
}

/* Stopped and continued in the middle of a sleep: the kernel goes on by restart_syscall. */
static void
stopped_asleep(void)
{
        const pid_t to = getpid(), child = fork();
        if (child == 0) {
                for (int i = 0; i < 5; i++) {
                        usleep(5000);
                        kill(to, SIGSTOP);
                        usleep(5000);
                        kill(to, SIGCONT);
                }
                _exit(0);
        }
        const struct timespec request = {0, 100000000};
        const int result = nanosleep(&request, NULL);
        printf("%d\n", result);
        waitpid(child, NULL, 0);
}

int
main(int words, char **word)
{
        const char *mode = words > 1 ? word[1] : "";
        const int times = words > 2 ? atoi(word[2]) : 5;
        seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (strcmp(mode, "restart") == 0)
                reading(SA_RESTART, times);
        else if (strcmp(mode, "interrupt") == 0)
                reading(0, times);
        else if (strcmp(mode, "altstack") == 0)
                elsewhere(times);
        else if (strcmp(mode, "ignored") == 0)
                sleeping(SIGWINCH);
        else if (strcmp(mode, "caught") == 0)
                catch(SIGUSR1, SA_RESTART), sleeping(SIGUSR1);
        else if (strcmp(mode, "poll") == 0)
                polling();
        else if (strcmp(mode, "jump") == 0)
                jumping(times);
        else if (strcmp(mode, "timer") == 0)
                timing(times, words > 3 ? atoi(word[3]) : 1000);
        else if (strcmp(mode, "queue") == 0)
                queueing(times);
        else if (strcmp(mode, "info") == 0)
                knowing();
        else if (strcmp(mode, "fault") == 0)
                faulting();
        else if (strcmp(mode, "stop") == 0)
                stopping(times);
        else if (strcmp(mode, "asleep") == 0)
                stopped_asleep();
        else if (strcmp(mode, "die") == 0)
                signal(times, SIG_DFL), kill(getpid(), times), pause();
        else
                return 2;
        return 0;
}
