/*
 * torture_text.c: calls `work`, forks a child which calls it too and then compares the machine code that it has with that
 * of the files it was mapped from. Prints how many bytes differ: breakpoints that somebody has left in it.
 *
 *     torture_text [self]             self: no child, look at the process itself
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline, noclone)) int
work(int number)
{
        return number + 1;
}

static long
different(const char *code, size_t size, const char *path, long offset)
{
        long found = 0;
        const int file = open(path, O_RDONLY);
        char *bytes = malloc(size);
        const ssize_t got = pread(file, bytes, size, offset);
        for (ssize_t i = 0; i < got; i++)
                found += bytes[i] != code[i];
        free(bytes);
        close(file);
        return found;
}

static long
all_different(void)
{
        char line[512], path[256], bits[8];
        unsigned long from, to, offset;
        long found = 0;
        FILE *maps = fopen("/proc/self/maps", "r");
        while (maps && fgets(line, sizeof line, maps)) {
                const int words = sscanf(line, "%lx-%lx %7s %lx %*s %*s %255s", &from, &to, bits, &offset, path);
                if (words == 5 && bits[0] == 'r' && bits[2] == 'x' && path[0] == '/')
                        found += different((const char *)from, to - from, path, (long)offset);
        }
        if (maps)
                fclose(maps);
        return found;
}

int
main(int argc, char **argv)
{
        (void)argv;
        const int is_child = argc > 1 || fork() == 0;
        if (work(1) != 2)
                return 1;
        if (is_child)
                printf("%ld\n", all_different());
        else
                wait(NULL);
        return 0;
}
