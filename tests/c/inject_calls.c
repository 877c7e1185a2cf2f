/* What a program sees of injected faults: one scene for each test, named by its argument; a line for each thing seen. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 100

static void *
nothing(void *given)
{
        return given;
}

/* Each kind of failure: -1, NULL, MAP_FAILED, the number itself; results that are given; a call that is not made. */
static void
kinds(void)
{
        errno = 0;
        int result = open("/dev/null", O_RDONLY);
        printf("open %d %s\n", result, strerrorname_np(errno));
        errno = 0;
        FILE *file = fopen("/dev/null", "r");
        printf("fopen %d %s\n", file != NULL, strerrorname_np(errno));
        errno = 0;
        void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        printf("mmap %d %s\n", map == MAP_FAILED, strerrorname_np(errno));
        errno = EDOM;
        pthread_t thread;
        result = pthread_create(&thread, NULL, nothing, NULL);
        printf("pthread_create %s %s\n", strerrorname_np(result), strerrorname_np(errno));
        errno = EDOM;
        result = (int)getppid();
        printf("getppid %d %s\n", result, strerrorname_np(errno));
        volatile double one = 1;
        printf("sin %g\n", sin(one));
        close(creat("kept", 0600));
        result = unlink("kept");
        printf("unlink %d, %d\n", result, access("kept", F_OK));
        errno = 0;
        result = open((const char *)1, O_RDONLY); /* an errno that would prove that the path was read */
        printf("open %d %s\n", result, strerrorname_np(errno));
}

static void *
count_failures(void *shown)
{
        char failed[ROUNDS + 1] = "";
        for (int i = 0; i < ROUNDS; i++)
                failed[i] = access("/", F_OK) == 0 ? '.' : 'x';
        *(char **)shown = strdup(failed);
        return NULL;
}

/* Every thread, and a child, counts for itself. */
static void
threads(void)
{
        pthread_t thread[4];
        char *shown[5];
        for (int i = 0; i < 4; i++)
                pthread_create(&thread[i], NULL, count_failures, &shown[i]);
        for (int i = 0; i < 4; i++) {
                pthread_join(thread[i], NULL);
                puts(shown[i]);
        }
        count_failures(&shown[4]);
        puts(shown[4]);
        fflush(stdout);
        if (fork() == 0) {
                count_failures(&shown[4]);
                puts(shown[4]);
                fflush(stdout);
                _exit(0);
        }
        wait(NULL);
}

static volatile int over;
static volatile long others;

static void *
go_on(void *unused)
{
        (void)unused;
        while (!over) {
                getppid();
                usleep(100);
                others++;
        }
        return NULL;
}

static long
microseconds(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One thread waits, another goes on. */
static void
delayed(void)
{
        pthread_t thread;
        pthread_create(&thread, NULL, go_on, NULL);
        while (others == 0)
                ;
        const long before = others, start = microseconds();
        access("/", F_OK);
        const long spent = microseconds() - start, made = others - before;
        over = 1;
        pthread_join(thread, NULL);
        printf("%s, the other %s\n", spent >= 60000 ? "delayed" : "not delayed", made > 5 ? "went on" : "waited");
}

static sigjmp_buf place;
static volatile int caught;

static void
leave(int number)
{
        (void)number;
        siglongjmp(place, 1);
}

static void
note(int number)
{
        (void)number;
        caught++;
}

/* A signal that comes in a delay: its handler runs, and the delay goes on; or it leaves the call for good. */
static void
signals(void)
{
        const long start = microseconds();
        signal(SIGALRM, note);
        ualarm(10000, 0);
        access("/", F_OK);
        printf("%s, caught %d\n", microseconds() - start >= 60000 ? "delayed" : "not delayed", caught);
        signal(SIGALRM, leave);
        if (sigsetjmp(place, 1) == 0) {
                ualarm(10000, 0);
                access("/", F_OK);
                pause();
        }
        printf("left\n");
        signal(SIGALRM, SIG_IGN);
        printf("access %d\n", access("/", F_OK));
}

/* The program's own exec fails; what began it did not. */
static void
execs(void)
{
        char *const words[] = {"true", NULL};
        const int result = execve("/bin/true", words, environ);
        printf("execve %d %s\n", result, strerrorname_np(errno));
        fflush(stdout);
        const pid_t child = fork();
        printf("fork %d %s\n", (int)child, strerrorname_np(errno));
}

int
main(int argc, char **argv)
{
        static const struct {
                const char *name;
                void (*run)(void);
        } scenes[] = {{"kinds", kinds},     {"threads", threads}, {"delayed", delayed},
                      {"signals", signals}, {"execs", execs}};
        for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
                if (argc > 1 && strcmp(scenes[i].name, argv[1]) == 0)
                        scenes[i].run();
        return 0;
}
