/*
 * torture_calls.c: library calls of every manner, for comparing two engines call by call: formats both ways, callbacks,
 * recursion through libc, threads, longjmp out of a callback, failures, results of every type. Deterministic.
 * lint-flags: -pthread */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static jmp_buf out;
static int comparisons;

static int
by_number(const void *a, const void *b)
{
        char left[16], right[16];
        snprintf(left, sizeof left, "%04d", *(const int *)a);
        snprintf(right, sizeof right, "%04d", *(const int *)b);
        comparisons++;
        return strcmp(left, right) + 0 * comparisons;
}

static int
leaving(const void *a, const void *b)
{
        if (strtol("17", NULL, 10) == 17 && a != b)
                longjmp(out, 3);
        return 0;
}

static int
sorting(const void *a, const void *b)
{
        int inner[3] = {3, 1, 2};
        qsort(inner, 3, sizeof *inner, by_number);
        return *(const int *)a - *(const int *)b + inner[0] - 1;
}

static void *
in_thread(void *number)
{
        char text[64];
        for (long i = 0; i < 20; i++) {
                snprintf(text, sizeof text, "thread %ld, round %ld", (long)number, i);
                if (strlen(text) < 10 || atoi(strrchr(text, ' ')) != i)
                        abort();
        }
        return NULL;
}

static void
formats(void)
{
        int number = 0;
        double real = 0;
        char word[16] = "", letter = 0;
        printf("%d %s %.3f %c %lu %Lf %%\n", -5, "text", 2.5, 'x', 18446744073709551615ul, 1.25L);
        printf("%*d|%-8.3s|%p\n", 6, 42, "abcdef", (void *)0);
        fprintf(stderr, "%s", "");
        printf("%d\n", sscanf("12 3.5 word x", "%d %lf %15s %c", &number, &real, word, &letter));
        printf("%d\n", sscanf("none", "%d", &number));
}

static void
files(const char *folder)
{
        char path[256], line[64] = "";
        struct stat status;
        snprintf(path, sizeof path, "%s/file", folder);
        FILE *file = fopen(path, "w");
        if (!file)
                abort();
        fputs("first\nsecond\n", file);
        fprintf(file, "%d\n", 3);
        fclose(file);
        file = fopen(path, "r");
        while (file && fgets(line, sizeof line, file))
                ;
        if (file)
                fclose(file);
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        (void)!read(fd, line, 8);
        lseek(fd, 0, SEEK_END);
        (void)!read(fd, line, 8);
        close(fd);
        close(fd);
        stat(path, &status);
        stat("/nonexistent/at/all", &status);
        if (open("/nonexistent", O_RDONLY) >= 0 || fopen("/nonexistent", "r"))
                abort();
        DIR *stream = opendir(folder);
        for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
                (void)strlen(entry->d_name);
        closedir(stream);
        mkdir(path, 0700);
        unlink(path);
        unlink(path);
        rmdir("/nonexistent");
}

int
main(int argc, char **argv)
{
        int numbers[] = {5, 3, 9, 1, 7};
        pthread_t threads[3];
        struct tm when = {0};
        char text[64];
        setvbuf(stdout, NULL, _IOFBF, 4096);
        formats();
        files(argc > 1 ? argv[1] : ".");
        qsort(numbers, 5, sizeof *numbers, by_number);
        qsort(numbers, 2, sizeof *numbers, sorting);
        if (setjmp(out) == 0)
                qsort(numbers, 5, sizeof *numbers, leaving);
        if (!bsearch(&numbers[2], numbers, 5, sizeof *numbers, by_number))
                abort();
        for (long i = 0; i < 3; i++) {
                if (pthread_create(&threads[i], NULL, in_thread, (void *)i) != 0)
                        return 1;
                pthread_join(threads[i], NULL);
        }
        const time_t zero = 86400 * 365;
        gmtime_r(&zero, &when);
        strftime(text, sizeof text, "%Y-%m-%d", &when);
        const div_t parts = div(17, 5);
        const double value = strtod("2.25e1", NULL) + ldexp(0.5, argc + 2) + fabs(-1.5 * argc) + hypot(3, 4 * argc);
        printf("%s %d %d %.2f %s\n", text, parts.quot, parts.rem, value, strerror(ENOENT));
        printf("%s %s\n", getenv("TORTURE_NOTHING") ? "set" : "unset", strstr(text, "71") ? "found" : "not");
        return 0;
}
