/*
 * errno_kept.c: R2. Calls wrapped functions that succeed and that fail, in a constructor, in main, as a thread's first
 * calls, in a fork child and in a vfork child, and checks errno after each. Prints what was wrong; exit status 0 if nothing.
 * lint-flags: -pthread */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define STRANGE 12345

static int wrong;

static void
expect(const char *where, const char *what, int expected)
{
        if (errno != expected) {
                dprintf(1, "%s: %s left errno %d, not %d\n", where, what, errno, expected);
                wrong = 1;
        }
}

static volatile double minus_one = -1.0;

static void
check(const char *where)
{
        errno = STRANGE;
        (void)getppid();
        expect(where, "getppid", STRANGE);
        errno = STRANGE;
        const int fd = open("/dev/null", O_RDWR);
        expect(where, "open", STRANGE);
        errno = STRANGE;
        (void)!write(fd, "text", 4);
        expect(where, "write", STRANGE);
        char buffer[8];
        errno = STRANGE;
        (void)!read(fd, buffer, sizeof buffer);
        expect(where, "read", STRANGE);
        errno = STRANGE;
        close(fd);
        expect(where, "close", STRANGE);
        errno = 0;
        (void)!open("/nonexistent/name", O_RDONLY);
        expect(where, "failing open", ENOENT);
        errno = 0;
        (void)!write(-1, "text", 4);
        expect(where, "failing write", EBADF);
        errno = 0;
        (void)!read(-1, buffer, sizeof buffer);
        expect(where, "failing read", EBADF);
        errno = STRANGE;
        (void)strtol("17", NULL, 10);
        expect(where, "strtol", STRANGE);
        errno = 0;
        (void)strtol("99999999999999999999999", NULL, 10);
        expect(where, "overflowing strtol", ERANGE);
}

/* libm's functions are resolved at their first call. */
static void
check_lazy(void)
{
        errno = STRANGE;
        volatile double root = floor(minus_one);
        expect("main", "floor", STRANGE);
        errno = 0;
        root = acos(minus_one - 1);
        expect("main", "acos", EDOM);
        (void)root;
}

__attribute__((constructor)) static void
early(void)
{
        check("constructor");
}

static void *
thread(void *unused)
{
        (void)unused;
        check("thread");
        return NULL;
}

static int
status_of(pid_t child)
{
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
        return status;
}

int
main(int argc, char **argv)
{
        const long rounds = argc > 1 ? atol(argv[1]) : 1;
        for (long i = 0; i < rounds; i++)
                check("main");
        check_lazy();
        pthread_t other;
        pthread_create(&other, NULL, thread, NULL);
        pthread_join(other, NULL);
        pid_t child = fork();
        if (child == 0) {
                check("fork child");
                _exit(wrong);
        }
        wrong |= status_of(child) != 0;
        errno = STRANGE;
        child = vfork();
        if (child == 0) {
                expect("vfork child", "vfork", STRANGE);
                errno = 0;
                execl("/nonexistent/program", "program", (char *)NULL);
                expect("vfork child", "failing execl", ENOENT);
                errno = STRANGE;
                _exit(0);
        }
        expect("parent of a vfork child", "vfork", STRANGE);
        wrong |= status_of(child) != 0;
        return wrong;
}
