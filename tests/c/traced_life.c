/*
 * traced_life.c: a program to be attached to in one state or another. It lives until its standard input ends, and then says
 * whether it went round, and how often something was wrong.
 *
 *   traced_life busy|threads|asleep|napping|vforking|forking|leaderless|foreign
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int over;
static unsigned long rounds, wrong;
static pid_t parent;

__attribute__((noinline)) static int
turn(int number)
{
        __asm__ volatile("" ::: "memory");
        return number + 1;
}

static int
has_ended(void)
{
        struct pollfd input = {.fd = 0, .events = POLLIN};
        return over || poll(&input, 1, 0) != 0;
}

static void
busy(void)
{
        for (int i = 0; !(i % 64 == 0 && has_ended()); i++) {
                wrong += getppid() != parent;
                wrong += turn(i) != i + 1;
                rounds++;
        }
}

static void *
busy_thread(void *unused)
{
        while (!over) {
                wrong += getppid() != parent;
                wrong += turn(5) != 6;
                __atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
        }
        return unused;
}

static void *
short_thread(void *unused)
{
        wrong += getppid() != parent;
        return unused;
}

/* Eight that stay, and ever new ones that do not. */
static void
threads(void)
{
        pthread_t some[8], one;
        for (int i = 0; i < 8; i++)
                pthread_create(&some[i], NULL, busy_thread, NULL);
        while (!has_ended()) {
                if (pthread_create(&one, NULL, short_thread, NULL) != 0 || pthread_join(one, NULL) != 0)
                        wrong++;
                usleep(200);
        }
        over = 1;
        for (int i = 0; i < 8; i++)
                pthread_join(some[i], NULL);
}

/* In one long system call: it must not end before its time. */
static void
asleep(void)
{
        struct pollfd input = {.fd = 0, .events = POLLIN};
        wrong += poll(&input, 1, 30000) != 1;
        rounds++;
}

static void
napping(void)
{
        while (!has_ended()) {
                const struct timespec nap = {0, 20000000};
                wrong += nanosleep(&nap, NULL) != 0;
                rounds++;
        }
}

/* Its one thread waits in the kernel until a child execs, which takes its time. */
static void
vforking(void)
{
        char *const words[] = {"sleep", "0", NULL};
        char *const environment[] = {NULL};
        const struct timespec nap = {0, 300000000};
        while (!has_ended()) {
                const pid_t child = vfork();
                if (child == 0) {
                        nanosleep(&nap, NULL);
                        execve("/bin/sleep", words, environment);
                        _exit(1);
                }
                int status = -1;
                wrong += waitpid(child, &status, 0) != child || status != 0;
                rounds++;
        }
}

static void
forking(void)
{
        while (!has_ended()) {
                const pid_t child = fork();
                if (child == 0)
                        _exit(turn(6));
                int status = -1;
                wrong += waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7;
                rounds++;
        }
}

static void
tell(void)
{
        printf("%d %lu\n", rounds > 0, wrong);
        exit(wrong != 0);
}

static void *
last_thread(void *unused)
{
        (void)unused;
        busy();
        tell();
        return NULL;
}

/* System calls of 32-bit code beside those of its own. */
static void
foreign(void)
{
        while (!has_ended()) {
                long result = 20; /* getpid */
                __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
                wrong += result != getpid() || getppid() != parent;
                rounds++;
        }
}

/* The first thread is gone; /proc shows a zombie that nobody can attach to. */
static void
leaderless(void)
{
        pthread_t one;
        pthread_create(&one, NULL, last_thread, NULL);
        pthread_exit(NULL);
}

int
main(int words, char **word)
{
        static const struct {
                const char *name;
                void (*live)(void);
        } lives[] = {{"busy", busy}, {"threads", threads}, {"asleep", asleep},
                     {"napping", napping}, {"vforking", vforking}, {"forking", forking}, {"leaderless", leaderless},
                     {"foreign", foreign}};
        parent = getppid();
        for (size_t i = 0; words > 1 && i < sizeof lives / sizeof *lives; i++)
                if (strcmp(word[1], lives[i].name) == 0) {
                        puts("ready");
                        fflush(stdout);
                        lives[i].live();
                        tell();
                }
        return 2;
}
