/*
 * known_calls.c: makes calls whose text lines are known, and prints those lines on standard output.
 *
 * Run by test_formats.py in an empty directory, with the functions that it calls as targets. Its own output goes through
 * a FILE whose writes come after all calls that are compared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char expected[1 << 16];
static size_t used;

__attribute__((format(printf, 1, 2))) static void
expect(const char *format, ...)
{
        va_list items;
        va_start(items, format);
        used += (size_t)vsnprintf(expected + used, sizeof expected - used, format, items);
        va_end(items);
        expected[used++] = '\n';
}

static void
files(void)
{
        char buf[16];
        struct stat st;
        int fd = open("missing", O_RDONLY | O_CLOEXEC);
        expect("open(\"missing\", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)");
        fd = open("a \"file\"\n", O_RDWR | O_CREAT | O_EXCL, 0640);
        expect("open(\"a \\\"file\\\"\\n\", O_RDWR|O_CREAT|O_EXCL, 0640) = %d", fd);
        ssize_t n = write(fd, "one\0two\377\n", 9);
        expect("write(%d, \"one\\0two\\377\\n\", 9) = %zd", fd, n);
        off_t at = lseek(fd, -4, SEEK_END);
        expect("lseek(%d, -4, SEEK_END) = %ld", fd, (long)at);
        n = read(fd, buf, sizeof buf);
        expect("read(%d, \"wo\\377\\n\", 16) = %zd", fd, n);
        int ret = fstat(fd, &st);
        expect("fstat(%d, {st_mode=S_IFREG|0640, st_size=9, ...}) = %d", fd, ret);
        ret = close(fd);
        expect("close(%d) = %d", fd, ret);
        ret = close(fd);
        expect("close(%d) = %d EBADF (Bad file descriptor)", fd, ret);
        ret = access("/", R_OK | X_OK);
        expect("access(\"/\", R_OK|X_OK) = %d", ret);
        fd = openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
        expect("openat(AT_FDCWD, \"/\", O_RDONLY|O_DIRECTORY) = %d", fd);
        ret = mkdirat(fd, "/", 01777);
        expect("mkdirat(%d, \"/\", 01777) = %d EEXIST (File exists)", fd, ret);
        close(fd);
        expect("close(%d) = 0", fd);
        const mode_t mask = umask(022);
        expect("umask(022) = 0%02o", mask);
}

static void
memory(void)
{
        void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        expect("mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = %p", at);
        const int ret = munmap(at, 4096);
        expect("munmap(%p, 4096) = %d", at, ret);
        at = mmap(NULL, 0, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        expect("mmap(NULL, 0, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 EINVAL (Invalid argument)");
}

static void
others(void)
{
        int ends[2];
        int ret = pipe(ends);
        expect("pipe([%d, %d]) = %d", ends[0], ends[1], ret);
        struct pollfd fds[1] = {{ends[1], POLLOUT, 0}};
        ret = poll(fds, 1, 0);
        expect("poll([{fd=%d, events=POLLOUT, revents=POLLOUT}], 1, 0) = %d", ends[1], ret);
        ret = fcntl(ends[0], F_GETFD);
        expect("fcntl(%d, F_GETFD) = %d", ends[0], ret);
        ret = kill(0x7ffffffe, SIGTERM);
        expect("kill(2147483646, SIGTERM) = %d ESRCH (No such process)", ret);
        struct sockaddr_un where = {AF_UNIX, "/nowhere"};
        const int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        expect("socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = %d", s);
        ret = connect(s, (struct sockaddr *)&where, sizeof where);
        expect("connect(%d, {sa_family=AF_UNIX, sun_path=\"/nowhere\"}, %zu) = %d ENOENT (No such file or directory)", s,
               sizeof where, ret);
        const char *value = getenv("KNOWN_CALLS");
        expect("getenv(\"KNOWN_CALLS\") = \"%s\"", value);
        const unsigned long number = strtoul("0x10", NULL, 16);
        expect("strtoul(\"0x10\", NULL, 16) = %lu", number);
        char text[32];
        ret = sprintf(text, "%d-%s-%c", -5, "six", '7');
        expect("sprintf(\"-5-six-7\", \"%%d-%%s-%%c\", -5, \"six\", '7') = %d", ret);
}

static void
children(void)
{
        const pid_t child = fork();
        if (child == 0)
                _exit(3);
        expect("fork() = %d", child);
        int status;
        const pid_t ended = waitpid(child, &status, 0);
        expect("waitpid(%d, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0) = %d", child, ended);
}

int
main(void)
{
        files();
        memory();
        others();
        children();
        fputs(expected, stdout);
        return 0;
}
