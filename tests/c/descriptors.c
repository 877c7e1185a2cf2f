/*
 * descriptors.c: R5. Programs close every descriptor they find and reuse the numbers. Checks that the descriptors open
 * at the start of main are those it was given, closes all, and goes on calling wrapped functions, as does a fork child
 * and a new thread. Prints what was wrong to standard error's copy. lint-flags: -pthread */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int
open_descriptors(void)
{
        DIR *directory = opendir("/proc/self/fd");
        int count = 0;
        for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
                count += entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory);
        closedir(directory);
        return count;
}

static void *
thread(void *unused)
{
        for (int i = 0; i < 100; i++)
                (void)getpgid(2);
        return unused;
}

static void
close_all(const char *how)
{
        if (strcmp(how, "close") == 0)
                for (int fd = 3; fd < 1024; fd++)
                        close(fd);
        else if (strcmp(how, "closefrom") == 0)
                closefrom(3);
        else if (strcmp(how, "close_range") == 0)
                close_range(3, ~0u, 0);
        else if (strcmp(how, "limit") == 0)
                setrlimit(RLIMIT_NOFILE, &(const struct rlimit){3, 3});
}

int
main(int argc, char **argv)
{
        (void)argc;
        if (open_descriptors() != 3)
                return 3;
        close_all(argv[1]);
        if (strcmp(argv[1], "limit") != 0 && open("/dev/null", O_RDWR) != 3)
                return 4;
        for (int i = 0; i < 100; i++)
                (void)getpgid(1);
        pthread_t other;
        pthread_create(&other, NULL, thread, NULL);
        pthread_join(other, NULL);
        const pid_t child = fork();
        if (child == 0) {
                for (int i = 0; i < 100; i++)
                        (void)getpgid(3);
                _exit(0);
        }
        int status = 1;
        waitpid(child, &status, 0);
        return status != 0;
}
