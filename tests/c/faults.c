/*
 * faults.c: calls functions with pointers that lead nowhere, each call in a process of its own, and tells how it ended.
 *
 * Run by test_roles_faults.py, natively and under a shim: both must tell the same (R7). Standard input holds lines
 * "NAME KINDS", a kind per parameter: p pointer, i integer. Every line is tried with each pointer and each integer of
 * the lists below; and, if there are several pointers, with one of them bad while the others lead to a page of zeros.
 * Output lines: name, pointers, integers, "exit" or "signal", its number (of an exit: errno if the result was -1).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define REPORT 3
#define PATIENCE_US 300000
#define PATIENCE_S 2
#define MOST_INPUT 65536

typedef long function(long, long, long, long, long, long);

static const long integers[] = {-1, 0, 1, 64};
static struct pointer {
        const char *name;
        long value;
} pointers[8];
static unsigned pointer_count;
static long zeros;

/* The last size bytes before a page that is not there. */
static void
add_edge(const char *name, int content, size_t size)
{
        char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(pages, content, PAGE);
        munmap(pages + PAGE, PAGE);
        pointers[pointer_count].name = name;
        pointers[pointer_count++].value = (long)(intptr_t)(pages + PAGE - size);
}

static void
add_pointer(const char *name, long value)
{
        pointers[pointer_count].name = name;
        pointers[pointer_count++].value = value;
}

/* In the child: the call, and errno as the exit status of a call that returned -1. */
static _Noreturn void
call(function *called, const long *words)
{
        setitimer(ITIMER_REAL, &(struct itimerval){{0, PATIENCE_US}, {0, PATIENCE_US}}, NULL);
        errno = 0;
        const long result = called(words[0], words[1], words[2], words[3], words[4], words[5]);
        const int error = errno;
        _exit((int)result == -1 ? error : 0);
}

/* Returns the status that a child ended with after the call. */
static int
status_of(function *called, const long *words)
{
        sigset_t child, before;
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        sigprocmask(SIG_BLOCK, &child, &before);
        const pid_t pid = fork();
        if (pid == 0) {
                sigprocmask(SIG_SETMASK, &before, NULL);
                call(called, words);
        }
        int status = 0;
        if (sigtimedwait(&child, NULL, &(struct timespec){PATIENCE_S, 0}) < 0)
                kill(pid, SIGKILL); /* it has blocked SIGALRM, or waits where no signal comes */
        waitpid(pid, &status, 0);
        sigprocmask(SIG_SETMASK, &before, NULL);
        return status;
}

/* bad: which pointer is the bad one while the others are fine; -1: all are. */
static void
try_one(const char *name, const char *kinds, struct pointer pointer, long integer, int bad)
{
        function *called = (function *)(intptr_t)dlsym(RTLD_DEFAULT, name);
        long words[6] = {0};
        for (int i = 0; called != NULL && i < 6 && kinds[i] != '\0'; i++)
                words[i] = kinds[i] == 'i' ? integer : bad < 0 || bad == i ? pointer.value : zeros;
        const int status = called != NULL ? status_of(called, words) : 0;
        const bool signaled = WIFSIGNALED(status);
        char line[256];
        const int length = snprintf(line, sizeof line, "%s %s %d %ld %s %d\n", name, pointer.name, bad, integer,
                                    signaled ? "signal" : "exit", signaled ? WTERMSIG(status) : WEXITSTATUS(status));
        if (write(REPORT, line, (size_t)length) != length)
                _exit(100);
}

static void
try_all(const char *name, const char *kinds)
{
        const unsigned integers_used = strchr(kinds, 'i') != NULL ? sizeof integers / sizeof integers[0] : 1;
        for (unsigned p = 0; p < pointer_count; p++)
                for (unsigned i = 0; i < integers_used; i++)
                        try_one(name, kinds, pointers[p], integers[i], -1);
        if (strchr(kinds, 'p') == strrchr(kinds, 'p'))
                return;
        for (int bad = 0; bad < 6 && kinds[bad] != '\0'; bad++)
                for (unsigned i = 0; kinds[bad] == 'p' && i < integers_used; i++)
                        try_one(name, kinds, (struct pointer){"one", 1}, integers[i], bad);
}

int
main(void)
{
        zeros = (long)(intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        add_pointer("null", 0);
        add_pointer("one", 1);
        add_edge("empty", 0, 1);
        add_edge("zeros", 0, 24);
        add_edge("text", 'A', 16);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        /* All of it first: a child that ends by exit() would move the place where the parent reads on. */
        static char input[MOST_INPUT];
        const size_t size = fread(input, 1, sizeof input - 1, stdin);
        input[size] = '\0';
        const int null = open("/dev/null", O_RDWR);
        dup2(null, 0), dup2(null, 1), dup2(null, 2);
        for (char *line = strtok(input, "\n"); line != NULL; line = strtok(NULL, "\n")) {
                char name[128], kinds[16];
                if (sscanf(line, "%127s %15s", name, kinds) != 2)
                        return 100;
                try_all(name, kinds);
        }
        return 0;
}
