/*
 * Calls what programs call every day, so that compilers and headers turn it into other names: fortified, 64-bit, C99.
 * Takes no argument; argc keeps the compiler from knowing sizes. Ends with 0 when every call did what it should.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#define CHECK(condition) ((condition) ? (void)0 : exit(__LINE__ % 200 + 1))

static void
files(int argc)
{
        char buf[64];
        struct stat st;
        const int fd = open("/etc/passwd", argc > 5 ? O_WRONLY : O_RDONLY);
        CHECK(fd >= 0);
        CHECK(read(fd, buf, (size_t)argc + 20) == 21);
        CHECK(pread(fd, buf, (size_t)argc + 4, 0) == 5);
        CHECK(lseek(fd, 5, SEEK_SET) == 5);
        CHECK(fstat(fd, &st) == 0);
        CHECK(stat("/etc/passwd", &st) == 0);
        CHECK(lstat("/no/such/file", &st) == -1);
        CHECK(close(fd) == 0);
        CHECK(openat(AT_FDCWD, "/no/such/file", argc > 5 ? O_WRONLY : O_RDONLY) == -1);
        CHECK(readlink("/proc/self/cwd", buf, sizeof buf - (size_t)argc) > 0);
        CHECK(getcwd(buf, sizeof buf - (size_t)argc) != NULL || argc == 1);
        char *real = realpath("/etc/../etc", NULL);
        CHECK(real != NULL);
        free(real);
}

static void
streams(int argc)
{
        char buf[64], word[32];
        int number;
        double real;
        FILE *stream = fopen("/etc/passwd", "r");
        CHECK(stream != NULL);
        CHECK(fgets(buf, (int)sizeof buf - argc, stream) == buf);
        CHECK(fread(buf, 1, 20 + (size_t)argc, stream) == 21);
        CHECK(fseeko(stream, 0, SEEK_SET) == 0);
        CHECK(fclose(stream) == 0);
        CHECK(snprintf(buf, sizeof buf - (size_t)argc, "%s-%d-%c", "x", 42, 'c') == 6);
        CHECK(sscanf("12 3.5 word", "%d %lf %31s", &number, &real, word) == 3);
        CHECK(printf("%d %s %.2f\n", number, word, real) == 13);
        CHECK(fprintf(stdout, "%s\n", word) == 5);
}

static void
memory(int argc)
{
        const char *volatile unknown = "a name of some length";
        const char *name = unknown;
        char buf[64], copy[64];
        memset(buf, 'x', (size_t)argc + 40);
        memcpy(copy, buf, (size_t)argc + 30);
        CHECK(copy[30] == 'x');
        strcpy(copy, name);
        CHECK(copy[0] == name[0]);
        strncpy(buf, name, (size_t)argc + 10);
        CHECK(memcmp(buf, copy, (size_t)argc) == 0);
        CHECK(write(STDOUT_FILENO, "written\n", (size_t)argc + 7) == 8);
}

int
main(int argc, char **argv)
{
        struct pollfd none = {.fd = -1};
        (void)argv;
        files(argc);
        streams(argc);
        memory(argc);
        CHECK(poll(&none, (nfds_t)argc, 0) == 0);
        CHECK(strtol("77z", NULL, 10) == 77);
        CHECK(fflush(stdout) == 0);
        return 0;
}
