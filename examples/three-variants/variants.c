/*
 * variants.c: starts three copies of a program, and tells what became of them.
 *
 *     variants COMMAND COMMAND COMMAND
 *
 * Each command finds its number in $VARIANT and the memory that they share under the path $VARIANTS. What they may do is
 * judged by the handlers of judge.c; here it is only noted that a copy has ended, so that nobody waits for it.
 */
#define _GNU_SOURCE
#include "variants.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct variants *
variants_new(void)
{
        char path[64];
        const int fd = memfd_create("variants", 0);
        if (fd < 0 || ftruncate(fd, sizeof(struct variants)) != 0)
                return NULL;
        struct variants *all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (all == MAP_FAILED)
                return NULL;
        pthread_mutexattr_t kind;
        pthread_mutexattr_init(&kind);
        pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&all->lock, &kind);
        snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), fd);
        setenv("VARIANTS", path, 1);
        return all;
}

static pid_t
start(int number, const char *command)
{
        char text[16], *line = NULL;
        snprintf(text, sizeof text, "%d", number);
        const pid_t pid = fork();
        if (pid != 0)
                return pid;
        setenv("VARIANT", text, 1);
        if (asprintf(&line, "exec %s", command) > 0)
                execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
}

/* Returns whether the copy was stopped. */
static bool
note_the_end(struct variants *all, int number)
{
        if (pthread_mutex_lock(&all->lock) == EOWNERDEAD)
                pthread_mutex_consistent(&all->lock);
        const bool stopped = all->state[number] == STOPPED;
        if (!stopped)
                all->state[number] = ENDED;
        pthread_mutex_unlock(&all->lock);
        return stopped;
}

int
main(int argc, char **argv)
{
        pid_t pids[VARIANTS];
        int status, result = 1;
        if (argc != VARIANTS + 1) {
                fprintf(stderr, "usage: variants COMMAND COMMAND COMMAND\n");
                return 2;
        }
        struct variants *all = variants_new();
        if (all == NULL) {
                perror("variants");
                return 2;
        }
        for (int i = 0; i < VARIANTS; i++)
                pids[i] = start(i, argv[i + 1]);
        for (int left = VARIANTS; left > 0; left--) {
                const pid_t pid = wait(&status);
                for (int i = 0; i < VARIANTS; i++)
                        if (pids[i] == pid && !note_the_end(all, i) && WIFEXITED(status))
                                result = WEXITSTATUS(status);
        }
        return result;
}
