/*
 * conformance.h: what generated calls work with, and how they are told. Included by the program of conformance.py.
 *
 *     program REPORT MILLISECONDS [SKIP]
 *
 * where SKIP is a file of a byte per call, '1' for those that are not to be made.
 *
 * The program makes the calls of one function after the other in children, each in a directory of its own below the
 * working directory, and writes a line per call to the file REPORT:
 *
 *     number name ret=... errno=... fe=... 0=... file=... said=... raw=...
 *
 * A pointer is told as what it points into ("1+5": buffer 1), NULL as 0, any other as "ptr"; raw is the address itself.
 * Words of buffers and structs that look like addresses are told the same way. A call that kills its child is told as
 * "number name signal=N", and the next child goes on behind it. Everything here uses system calls of its own, so that a
 * trace holds the generated calls and little else; only fork and what stands on streams goes through libc.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <locale.h>
#include <search.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#define BUFFERS 10
#define ROOM 4096
#define GUARD 64
#define MARK 1000000000UL
#define MIX(a, b) __builtin_complex((__typeof__((a) + (b)))(a), (__typeof__((a) + (b)))(b))

typedef uint64_t __attribute__((may_alias, aligned(1))) unaligned_word;

struct call {
        void (*make)(void);
        const char *name;
};
extern const struct call calls[];
extern const int call_count;

static char arena[BUFFERS][ROOM + GUARD] __attribute__((aligned(64)));
static char used[BUFFERS], holds_stat[BUFFERS];
static void *null;
static locale_t locale;
static int report, file_fd, dir_fd, pipe_fd, current, result_errno;
static unsigned flags_raised;
static long limit;
static FILE *streams[BUFFERS];
static char line[8192];
static int line_length;

static long
kernel(long number, long a, long b, long c, long d)
{
        register long r10 __asm__("r10") = d;
        long ret;
        __asm__ volatile("syscall" : "=a"(ret) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
        return ret;
}

/* --- telling --- */

static void
say(const char *text)
{
        while (*text != '\0' && line_length < (int)sizeof line - 1)
                line[line_length++] = *text++;
}

static void
say_number(unsigned long value, unsigned base)
{
        char digits[32];
        int at = 31;
        digits[at] = '\0';
        do
                digits[--at] = "0123456789abcdef"[value % base];
        while ((value /= base) != 0);
        say(&digits[at]);
}

static void
say_signed(long value)
{
        if (value < 0)
                say("-");
        say_number(value < 0 ? -(unsigned long)value : (unsigned long)value, 10);
}

static void
say_line(void)
{
        say("\n");
        kernel(SYS_write, report, (long)line, line_length, 0);
        line_length = 0;
}

/* What an address is told as: 0, 1 + the offset in the arena, or ~0 for any other; *is* says whether it is one. */
static int
is_address(uint64_t word)
{
        return (word >= 0x550000000000 && word < 0x570000000000) || (word >= 0x7e0000000000 && word < 0x800000000000);
}

static uint64_t
meaning(uint64_t word)
{
        const uint64_t at = word - (uint64_t)(uintptr_t)arena;
        if (at <= sizeof arena)
                return 0xa000000000000000 + at;
        return is_address(word) ? ~(uint64_t)0 : word;
}

static uint64_t
mixed(uint64_t sum, uint64_t word)
{
        sum ^= word + 0x9e3779b97f4a7c15 + (sum << 6) + (sum >> 2);
        return sum * 0xff51afd7ed558ccd;
}

static uint64_t
sum_of(const void *data, size_t size)
{
        const unsigned char *bytes = data;
        uint64_t sum = size, word;
        for (; size >= 8; size -= 8, bytes += 8)
                sum = mixed(sum, meaning(*(const unaligned_word *)bytes));
        for (word = 0; size > 0; size--)
                word = word << 8 | bytes[size - 1];
        return mixed(sum, word);
}

static void
show_int(long ret)
{
        say(" ret=");
        say_signed(ret);
}

static void
show_uint(unsigned long ret)
{
        say(" ret=");
        say_number(ret, 10);
}

static void
show_double(double ret)
{
        say(" ret=0x");
        say_number(*(const unaligned_word *)&ret, 16);
}

static void
show_bytes(const void *data, size_t size)
{
        say(" ret=bytes:");
        for (size_t i = 0; i < size; i++) {
                say_number(((const unsigned char *)data)[i] >> 4, 16);
                say_number(((const unsigned char *)data)[i] & 15, 16);
        }
}

#define show_complex(ret) show_bytes(&(ret), sizeof(ret))
#define show_wide_complex(ret, part)                                             \
        do {                                                                     \
                show_bytes(&(ret), (part));                                      \
                show_bytes((const char *)&(ret) + sizeof(ret) / 2, (part));      \
        } while (0)

static void
show_words(const void *data, size_t size)
{
        say(" ret=words:");
        say_number(sum_of(data, size), 16);
}

static void
show_pointer(const void *ret)
{
        const uint64_t word = (uint64_t)(uintptr_t)ret, at = word - (uint64_t)(uintptr_t)arena;
        say(" ret=");
        if (at < sizeof arena) {
                say_number(at / sizeof arena[0], 10);
                say("+");
                say_number(at % sizeof arena[0], 10);
        } else if (is_address(word)) {
                say("ptr");
        } else {
                say_number(word, 16);
        }
        say(" raw=");
        say_number(word, 10);
}

static void
show_text(const char *ret)
{
        size_t length = 0;
        show_pointer(ret);
        if (ret == NULL)
                return;
        while (length < 512 && ret[length] != '\0')
                length++;
        say(" text=");
        say_number(sum_of(ret, length), 16);
}

static void
show_tm(const struct tm *ret)
{
        show_pointer(ret);
        if (ret != NULL) {
                say(" tm=");
                say_number(sum_of(ret, sizeof *ret), 16);
        }
}

static void
show_file(const char *key, const char *path)
{
        static char content[ROOM];
        const long fd = kernel(SYS_open, (long)path, O_RDONLY, 0, 0);
        const long size = fd < 0 ? 0 : kernel(SYS_read, fd, (long)content, sizeof content, 0);
        say(key);
        say_number(fd < 0 ? 0 : sum_of(content, size < 0 ? 0 : (size_t)size), 16);
        if (fd >= 0)
                kernel(SYS_close, fd, 0, 0, 0);
}

/* --- arguments --- */

static char *
fill(int index, int byte)
{
        for (int i = 0; i < ROOM + GUARD; i++)
                arena[index][i] = (char)(i < ROOM ? byte : 0x5a);
        used[index] = 1;
        return arena[index];
}

static char *
zero(int index)
{
        return fill(index, 0);
}

static char *
text(int index, const char *from)
{
        char *to = fill(index, 0);
        for (int i = 0; from[i] != '\0'; i++)
                to[i] = from[i];
        return to;
}

/* Bytes of all kinds, with a NUL here and there. */
static char *
full(int index)
{
        char *to = fill(index, 0);
        for (int i = 0; i < ROOM; i++)
                to[i] = (char)(i * 37 % 251);
        to[0] = 'q';
        return to;
}

static wchar_t *
wide(int index, const wchar_t *from)
{
        wchar_t *to = (wchar_t *)fill(index, 0);
        for (int i = 0; from[i] != L'\0'; i++)
                to[i] = from[i];
        return to;
}

static long *
integer(int index, long value)
{
        long *to = (long *)fill(index, 0);
        *to = value;
        return to;
}

/* A pointer to a pointer to a string. */
static void *
pointer(int index)
{
        void **to = (void **)fill(index, 0);
        to[0] = text(9, "pointed, to");
        return to;
}

static struct tm *
day(int index, int which)
{
        struct tm *to = (struct tm *)fill(index, 0);
        if (which == 1)
                *to = (struct tm){.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
        else
                *to = (struct tm){.tm_sec = 56, .tm_min = 34, .tm_hour = 12, .tm_mday = 31 + which, .tm_mon = 11,
                                  .tm_year = 123, .tm_wday = 0, .tm_yday = 364, .tm_isdst = which ? -1 : 0};
        return to;
}

static void *
status(int index)
{
        holds_stat[index] = 1;
        return zero(index);
}

static FILE *
stream(int index)
{
        return streams[index] = fopen("file", "r+");
}

static DIR *
directory(void)
{
        return opendir("dir");
}

static int
compare(const void *a, const void *b)
{
        return *(const unsigned char *)a - *(const unsigned char *)b;
}

static int
compare_with(const void *a, const void *b, void *more)
{
        (void)more;
        return compare(a, b);
}

static void nothing(void) {}
static void ignore(void *p) { (void)p; }
static void ignore_node(const void *p, VISIT v, int d) { (void)p, (void)v, (void)d; }
static int any_entry(const void *entry) { return entry != NULL; }
static int walk(const char *path, const struct stat *st, int flag) { return (void)path, (void)st, (void)flag, 0; }
static int walk_more(const char *path, const struct stat *st, int flag, struct FTW *f) { return (void)f, walk(path, st, flag); }

/* --- a call --- */

static void
timer(long duration)
{
        const struct itimerval value = {.it_value = {duration / 1000, duration % 1000 * 1000}};
        kernel(SYS_setitimer, ITIMER_REAL, (long)&value, 0, 0);
}

static void
ready(void)
{
        unsigned control = 0x1f80;
        getauxval(MARK + (unsigned long)current);
        timer(limit);
        __asm__ volatile("fnclex\n\tldmxcsr %0" : : "m"(control));
        errno = 0;
}

static void
over(void)
{
        unsigned control;
        unsigned short x87;
        result_errno = errno;
        __asm__ volatile("stmxcsr %0\n\tfnstsw %1" : "=m"(control), "=am"(x87));
        flags_raised = (control | x87) & 0x3d;
        timer(0);
}

/* A fresh file, directory and descriptors for every call. */
static void
place(void)
{
        static const char content[] = "line one\nline two 42\nthird: 3.25 words, end\n";
        const struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
        kernel(SYS_unlink, (long)"new", 0, 0, 0);
        kernel(SYS_rmdir, (long)"new", 0, 0, 0);
        kernel(SYS_mkdir, (long)"dir", 0755, 0, 0);
        kernel(SYS_chmod, (long)"dir", 0755, 0, 0);
        long fd = kernel(SYS_open, (long)"file", O_CREAT | O_RDWR | O_NOFOLLOW, 0644, 0);
        if (fd < 0) {
                kernel(SYS_unlink, (long)"file", 0, 0, 0);
                fd = kernel(SYS_open, (long)"file", O_CREAT | O_RDWR, 0644, 0);
        }
        kernel(SYS_fchmod, fd, 0644, 0, 0);
        kernel(SYS_write, fd, (long)content, sizeof content - 1, 0);
        kernel(SYS_ftruncate, fd, sizeof content - 1, 0, 0);  /* emptied first, ext4 would write it to the disk */
        kernel(SYS_utimensat, AT_FDCWD, (long)"file", (long)times, 0);
        kernel(SYS_utimensat, AT_FDCWD, (long)"dir", (long)times, 0);
        kernel(SYS_lseek, fd, 0, SEEK_SET, 0);
        kernel(SYS_dup2, fd, file_fd, 0, 0);
        kernel(SYS_close, fd, 0, 0, 0);
}

static int
closes(const char *name)
{
        static const char word[] = "close";
        for (; *name != '\0'; name++)
                for (int i = 0; name[i] == word[i]; i++)
                        if (word[i + 1] == '\0')
                                return 1;
        return 0;
}

static void
tell(int number)
{
        say(" errno=");
        say_signed(result_errno);
        say(" fe=");
        say_number(flags_raised, 16);
        for (int i = 0; i < BUFFERS; i++) {
                if (!used[i])
                        continue;
                if (holds_stat[i]) {  /* inode and time of change differ from run to run */
                        struct stat *st = (struct stat *)arena[i];
                        st->st_ino = 0;
                        st->st_ctim = (struct timespec){0};
                }
                say(" ");
                say_number((unsigned)i, 10);
                say("=");
                say_number(sum_of(arena[i], sizeof arena[i]), 16);
        }
        for (int i = 0; i < BUFFERS; i++)
                if (streams[i] != NULL && !closes(calls[number].name))
                        fflush(streams[i]);
        fflush(stdout);
        show_file(" file=", "file");
        show_file(" said=", "said");
        say_line();
}

static void
make(int number)
{
        current = number;
        place();
        for (int i = 0; i < BUFFERS; i++) {
                used[i] = holds_stat[i] = 0;
                streams[i] = NULL;
        }
        say_signed(number);
        say(" ");
        say(calls[number].name);
        calls[number].make();
        tell(number);
}

static char skip[100000];

static void
read_skip(const char *path)
{
        const long fd = kernel(SYS_open, (long)path, O_RDONLY, 0, 0);
        kernel(SYS_read, fd, (long)skip, sizeof skip, 0);
        kernel(SYS_close, fd, 0, 0, 0);
}

static int
same(const char *a, const char *b)
{
        while (*a != '\0' && *a == *b)
                a++, b++;
        return *a == *b;
}

/* --- children --- */

static void
enter_directory(int number)
{
        char name[16] = "w0000000";
        for (int i = 7; number != 0; number /= 10)
                name[i--] = (char)('0' + number % 10);
        kernel(SYS_mkdir, (long)name, 0755, 0, 0);
        kernel(SYS_chdir, (long)name, 0, 0, 0);
        kernel(SYS_dup2, kernel(SYS_open, (long)"said", O_CREAT | O_TRUNC | O_RDWR | O_APPEND, 0644, 0), 1, 0, 0);
        kernel(SYS_dup2, 1, 2, 0, 0);
        place();
        kernel(SYS_dup2, kernel(SYS_open, (long)"file", O_RDONLY, 0, 0), 0, 0, 0);
        dir_fd = (int)kernel(SYS_dup2, kernel(SYS_open, (long)"dir", O_RDONLY | O_DIRECTORY, 0, 0), 32, 0, 0);
}

/* The calls of the function that begins at *number, from there on; *done is the number of the one being made. */
static void
child(int number, int *done)
{
        const char *name = calls[number].name;
        enter_directory(number);
        for (; number < call_count && same(calls[number].name, name); number++) {
                *done = number;
                if (skip[number] != '1')
                        make(number);
        }
        *done = number;
        kernel(SYS_exit_group, 0, 0, 0, 0);
}

int
main(int argc, char **argv)
{
        int ends[2], status_;
        int *done;
        report = (int)kernel(SYS_open, (long)argv[1], O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0644, 0);
        report = (int)kernel(SYS_dup2, report, 200, 0, 0);
        limit = atol(argv[2]);
        const long none[2] = {0, 0};
        kernel(SYS_setrlimit, 4 /* RLIMIT_CORE */, (long)none, 0, 0);
        if (argc > 3)
                read_skip(argv[3]);
        file_fd = 30;
        pipe_fd = pipe(ends) == 0 ? dup2(ends[0], 31) : -1;
        locale = newlocale(LC_ALL_MASK, "C", NULL);
        done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        for (int number = 0; number < call_count; number = *done) {
                *done = number;
                const pid_t pid = fork();
                if (pid == 0)
                        child(number, done);
                waitpid(pid, &status_, 0);
                if (WIFSIGNALED(status_)) {
                        say_signed(*done);
                        say(" ");
                        say(calls[*done].name);
                        say(" signal=");
                        say_signed(WTERMSIG(status_));
                        say_line();
                        ++*done;
                } else if (WIFEXITED(status_) && WEXITSTATUS(status_) != 0) {
                        ++*done;
                }
        }
        return 0;
}
