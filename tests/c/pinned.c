/*
 * Says on which processors it may run: by its own view (sched_getaffinity) and by /proc's. Used by test_tracer_pin.py.
 * Words: own, seen, tracer (its mask as /proc has it), set=N (to processor N), set=all (to what it had at its start), fork,
 * vfork, thread, spawn (own and seen in a child), wait (a line from stdin), bad (what the kernel refuses).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static cpu_set_t at_start;
static const char *self;

static void
tell_set(const char *what, const cpu_set_t *set)
{
        char line[4096];
        int length = snprintf(line, sizeof line, "%s", what);
        for (int i = 0; i < CPU_SETSIZE; i++) {
                if (CPU_ISSET(i, set))
                        length += snprintf(line + length, sizeof line - (size_t)length, " %d", i);
        }
        dprintf(1, "%s\n", line);
}

static void
tell_own(const char *what)
{
        cpu_set_t set;
        if (sched_getaffinity(0, sizeof set, &set) != 0)
                dprintf(1, "%s error %d\n", what, errno);
        else
                tell_set(what, &set);
}

/* Value of a line of /proc/PID/status; a thread's own is read too. */
static void
proc_value(const char *path, const char *key, char *value, size_t room)
{
        char line[4096];
        FILE *status = fopen(path, "re");
        *value = '\0';
        while (status != NULL && fgets(line, sizeof line, status) != NULL) {
                if (strncmp(line, key, strlen(key)) == 0)
                        snprintf(value, room, "%.*s", (int)strcspn(line + strlen(key), "\n"), line + strlen(key));
        }
        if (status != NULL)
                fclose(status);
}

static void
tell_seen(const char *what)
{
        char value[2048];
        proc_value("/proc/thread-self/status", "Cpus_allowed_list:\t", value, sizeof value);
        dprintf(1, "%s %s\n", what, value);
}

static void
tell_tracer(void)
{
        char pid[32], path[64], value[2048];
        proc_value("/proc/self/status", "TracerPid:\t", pid, sizeof pid);
        snprintf(path, sizeof path, "/proc/%s/status", pid);
        proc_value(path, "Cpus_allowed_list:\t", value, sizeof value);
        dprintf(1, "tracer %s\n", value);
}

static void
tell_child(void)
{
        tell_seen("child seen");
        tell_own("child own");
}

static void *
in_thread(void *nothing)
{
        tell_child();
        return nothing;
}

static void
be_born(const char *how)
{
        pthread_t thread;
        pid_t child = -1;
        char *const words[] = {(char *)self, "seen", "own", NULL};
        if (strcmp(how, "thread") == 0) {
                pthread_create(&thread, NULL, in_thread, NULL);
                pthread_join(thread, NULL);
                return;
        }
        if (strcmp(how, "spawn") == 0) {
                posix_spawn(&child, self, NULL, NULL, words, environ);
        } else if (strcmp(how, "vfork") == 0) {
                child = vfork();
                if (child == 0) {
                        execv(self, words);
                        _exit(1);
                }
        } else {
                child = fork();
                if (child == 0) {
                        tell_child();
                        _exit(0);
                }
        }
        waitpid(child, NULL, 0);
}

static void
be_refused(void)
{
        cpu_set_t none;
        CPU_ZERO(&none);
        const int empty = sched_setaffinity(0, sizeof none, &none) == 0 ? 0 : errno;
        const int small = syscall(SYS_sched_getaffinity, 0, 1, &none) >= 0 ? 0 : errno;
        const int nobody = sched_getaffinity(0x3fffffff, sizeof none, &none) == 0 ? 0 : errno;
        dprintf(1, "bad %d %d %d\n", empty == EINVAL, small == EINVAL, nobody == ESRCH);
}

static void
set(const char *to)
{
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(atoi(to), &one);
        const cpu_set_t *which = strcmp(to, "all") == 0 ? &at_start : &one;
        dprintf(1, "set %d\n", sched_setaffinity(0, sizeof *which, which));
}

int
main(int argc, char **argv)
{
        self = argv[0];
        sched_getaffinity(0, sizeof at_start, &at_start);
        for (int i = 1; i < argc; i++) {
                char line[64];
                if (strcmp(argv[i], "own") == 0)
                        tell_own("own");
                else if (strcmp(argv[i], "seen") == 0)
                        tell_seen("seen");
                else if (strcmp(argv[i], "tracer") == 0)
                        tell_tracer();
                else if (strncmp(argv[i], "set=", 4) == 0)
                        set(argv[i] + 4);
                else if (strcmp(argv[i], "bad") == 0)
                        be_refused();
                else if (strcmp(argv[i], "wait") == 0 && fgets(line, sizeof line, stdin) == NULL)
                        return 1;
                else if (strcmp(argv[i], "wait") != 0)
                        be_born(argv[i]);
        }
        return 0;
}
