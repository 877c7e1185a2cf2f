/*
 * processes.c: R8. Makes processes in every way there is. Each process calls getpgid(its pid) a known number of times
 * and says so on standard output, "PID CALLS" a line: what must be found in the records, once each, with that pid.
 * lint-flags: -pthread */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char *self;

static void
work(int calls)
{
        char line[64];
        for (int i = 0; i < calls; i++)
                (void)getpgid(getpid());
        const int length = snprintf(line, sizeof line, "%d %d\n", (int)getpid(), calls);
        (void)!syscall(SYS_write, 1, line, length);
}

static void
await(pid_t child)
{
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
        if (status != 0)
                dprintf(2, "child %d: status %x\n", (int)child, status);
}

static void
forks(void)
{
        for (int i = 1; i <= 3; i++) {
                const pid_t child = fork();
                if (child == 0) {
                        work(10 * i);
                        _exit(0);
                }
                work(1);
                await(child);
        }
        work(2);
}

static void
double_fork(void)
{
        const pid_t child = fork();
        if (child == 0) {
                const pid_t grandchild = fork();
                if (grandchild == 0) {
                        work(5);
                        _exit(0);
                }
                work(6);
                await(grandchild);
                _exit(0);
        }
        await(child);
        work(7);
}

static void
vforks(void)
{
        for (int i = 0; i < 3; i++) {
                const pid_t child = vfork();
                if (child == 0) {
                        work(3); /* more than POSIX allows, and often done */
                        execl(self, self, "worker", "4", (char *)NULL);
                        _exit(127);
                }
                work(2);
                await(child);
        }
}

/* The child may not look into its parent, whose memory it shares: it is somebody else by then. */
static void
dropping(void)
{
        const pid_t child = vfork();
        if (child == 0) {
                syscall(SYS_setuid, 65534);
                (void)getpgid(0);
                execl("/nonexistent/program", "program", (char *)NULL);
                execl("/bin/true", "true", (char *)NULL);
                _exit(127);
        }
        await(child);
}

static void
spawns(void)
{
        pid_t child;
        char *arguments[] = {self, "worker", "8", NULL};
        if (posix_spawn(&child, self, NULL, NULL, arguments, environ) == 0)
                await(child);
        if (posix_spawnp(&child, self, NULL, NULL, arguments, environ) == 0)
                await(child);
        work(1);
}

static void
shells(void)
{
        char command[4200];
        snprintf(command, sizeof command, "'%s' worker 3", self);
        (void)!system(command);
        FILE *pipe = popen(command, "r");
        char line[64];
        while (fgets(line, sizeof line, pipe) != NULL)
                fputs(line, stdout);
        fflush(stdout);
        pclose(pipe);
        work(1);
}

static void *volatile stop;
static pthread_barrier_t barrier;

static void *
busy(void *unused)
{
        int calls = 0;
        pthread_barrier_wait(&barrier);
        for (; stop == NULL; calls++)
                (void)getpgid(getpid());
        return (void *)(intptr_t)calls;
        (void)unused;
}

/* Fork while another thread is inside a wrapper, or in the middle of a record. */
static void
fork_amid_threads(void)
{
        pthread_t thread;
        void *calls;
        pthread_barrier_init(&barrier, NULL, 2);
        pthread_create(&thread, NULL, busy, NULL);
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < 50; i++) {
                const pid_t child = fork();
                if (child == 0) {
                        work(3);
                        _exit(0);
                }
                await(child);
        }
        stop = &thread;
        pthread_join(thread, &calls);
        char line[64];
        const int length = snprintf(line, sizeof line, "%d %d\n", (int)getpid(), (int)(intptr_t)calls);
        (void)!syscall(SYS_write, 1, line, length);
}

static int compared;

static int
compare(const void *a, const void *b)
{
        if (compared++ == 3) {
                const pid_t child = fork();
                if (child == 0) {
                        work(4);
                        return 0; /* the child goes on through qsort's wrapper, which its parent entered */
                }
                await(child);
        }
        return *(const int *)a - *(const int *)b;
}

static void
fork_in_callback(void)
{
        const pid_t parent = getpid();
        int numbers[8] = {3, 1, 2, 9, 8, 7, 6, 5};
        qsort(numbers, 8, sizeof *numbers, compare);
        work(2);
        if (getpid() != parent)
                _exit(0);
}

static void
raw_clone(void)
{
        const pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
                work(9);
                _exit(0);
        }
        await(child);
        work(1);
}

static int
cloned(void *unused)
{
        (void)unused;
        work(6);
        return 0;
}

static void
clone_with_stack(void)
{
        static _Alignas(16) char stack[65536];
        const pid_t child = clone(cloned, stack + sizeof stack, SIGCHLD, NULL);
        await(child);
        work(1);
}

static void
daemons(void)
{
        const pid_t child = fork();
        if (child == 0) {
                if (daemon(1, 1) != 0)
                        _exit(1);
                work(11);
                _exit(0);
        }
        await(child);
        work(1);
}

static void
many(int count)
{
        for (int i = 0; i < count; i++) {
                const pid_t child = fork();
                if (child == 0) {
                        work(2);
                        _exit(0);
                }
                await(child);
        }
}

/* Children that are process 1 of pid namespaces of their own, at once: nobody there can ask who else is alive. */
static void
namespaces(void)
{
        pid_t children[3];
        int go[2];
        char byte;
        (void)!pipe(go);
        for (int i = 0; i < 3; i++) {
                children[i] = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
                if (children[i] < 0)
                        _exit(77);
                if (children[i] == 0) {
                        close(go[1]);
                        (void)getpgid(0);
                        (void)!read(go[0], &byte, 1); /* until all are there */
                        const pid_t grandchild = fork();
                        for (int calls = 0; calls < 20000; calls++)
                                (void)getpgid(0);
                        if (grandchild == 0)
                                _exit(0);
                        await(grandchild);
                        _exit(0);
                }
        }
        close(go[1]);
        for (int calls = 0; calls < 20000; calls++)
                (void)getpgid(0);
        for (int i = 0; i < 3; i++)
                await(children[i]);
}

/* R8: the child could neither open nor map anything any more. */
static void
jailed(void)
{
        if (chroot("/proc/self/fdinfo") != 0 || setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
                _exit(77);
        const pid_t child = fork();
        if (child == 0) {
                work(5);
                _exit(0);
        }
        await(child);
        work(2);
}

int
main(int argc, char **argv)
{
        self = argv[0];
        const char *what = argv[1];
        if (strcmp(what, "worker") == 0)
                work(atoi(argv[2]));
        else if (strcmp(what, "fork") == 0)
                forks();
        else if (strcmp(what, "double fork") == 0)
                double_fork();
        else if (strcmp(what, "vfork") == 0)
                vforks();
        else if (strcmp(what, "dropping") == 0)
                dropping();
        else if (strcmp(what, "spawn") == 0)
                spawns();
        else if (strcmp(what, "shell") == 0)
                shells();
        else if (strcmp(what, "threads") == 0)
                fork_amid_threads();
        else if (strcmp(what, "callback") == 0)
                fork_in_callback();
        else if (strcmp(what, "raw clone") == 0)
                raw_clone();
        else if (strcmp(what, "clone") == 0)
                clone_with_stack();
        else if (strcmp(what, "daemon") == 0)
                daemons();
        else if (strcmp(what, "many") == 0)
                many(argc > 2 ? atoi(argv[2]) : 100);
        else if (strcmp(what, "jailed") == 0)
                jailed();
        else if (strcmp(what, "namespaces") == 0)
                namespaces();
        else
                return 2;
        return 0;
}
