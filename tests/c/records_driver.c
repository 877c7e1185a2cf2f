/*
 * records_driver.c: the tracer's record path without its loop: makes calls of a plan's symbols, of itself or of a child.
 *
 *   records_driver SESSION SCENARIO [NUMBER]
 *
 * Built by tests/test_tracer_records.py together with runtime/tracer's record files; what these ask of the rest of the tracer
 * stands here. Exits 0 when the scenario ran to its end, 77 where ptrace is not permitted.
 */
/* lint-flags: -Iruntime/tracer */
#define _GNU_SOURCE

#include <complex.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wct.h"

/* --- what the rest of the tracer would offer ---------------------------------------------------------------------- */

struct wct_session wct_session;
static bool handled;

uint64_t
wct_clock(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool
wct_has_handler(const struct wct_symbol *symbol)
{
        (void)symbol;
        return handled;
}

uint32_t
wct_asks(const struct wct_symbol *symbol)
{
        (void)symbol;
        return 0;
}

/* Which they are is nobody's concern here. */
const struct wct_pair *
wct_pair_of(const struct wct_symbol *symbol)
{
        static char pair;
        (void)symbol;
        return handled ? (const struct wct_pair *)(const void *)&pair : NULL;
}

struct user_regs_struct *
wct_regs(struct wct_tracee *tracee)
{
        return ptrace(PTRACE_GETREGS, tracee->tid, NULL, &tracee->regs) == 0 ? &tracee->regs : NULL;
}

static void
die(const char *why)
{
        fprintf(stderr, "records_driver: %s\n", why);
        exit(1);
}

static void *
file_map(const char *path)
{
        const int fd = open(path, O_RDWR);
        struct stat status;
        if (fd < 0 || fstat(fd, &status) != 0)
                die(path);
        void *map = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        return map == MAP_FAILED ? (die(path), NULL) : map;
}

static void
session_open(const char *path)
{
        static char name[4096];
        snprintf(name, sizeof name, "%s/control", path);
        wct_session.path = path;
        wct_session.control = file_map(name);
        wct_session.words = (const uint64_t *)(const void *)((char *)wct_session.control + WCI_CONTROL_WORDS);
        wct_session.limits = (struct wci_limit *)(void *)((char *)wct_session.control + wct_session.control->limits_at);
        snprintf(name, sizeof name, "%s/plan", path);
        const char *why = wct_plan_open(name);
        if (why != NULL)
                die(why);
}

/* --- a thread, and its calls -------------------------------------------------------------------------------------- */

static struct wct_process self;
static struct wct_tracee here;

static struct wct_tracee
tracee_of(struct wct_process *process, pid_t tid)
{
        return (struct wct_tracee){.tid = tid, .process = process, .calls = calloc(64, sizeof(struct wct_call)), .room = 64};
}

static const struct wct_symbol *
symbol_of(const char *name)
{
        for (uint32_t i = 0; i < wct_plan.head->symbols; i++)
                if (strcmp(wct_text(wct_plan.symbols[i].name), name) == 0)
                        return &wct_plan.symbols[i];
        die(name);
        return NULL;
}

static struct wct_call *
enter(struct wct_tracee *tracee, const char *name, const uint64_t registers[6])
{
        const uint64_t sp = 0x7000 - 16 * tracee->depth;
        const struct wct_site site = {.tracee = tracee, .registers = registers, .sp = sp, .back = 0x4242};
        struct wct_call *call = memset(&tracee->calls[tracee->depth++], 0, sizeof *call);
        wct_call_enter(call, symbol_of(name), &site);
        return call;
}

static void
leave(struct wct_tracee *tracee, int64_t result)
{
        static const uint64_t registers[6];
        struct wct_call *call = &tracee->calls[--tracee->depth];
        const int error = call->symbol->number >= 0 && result < 0 ? (int)-result : 0;
        const struct wct_site site = {.tracee = tracee, .registers = registers, .result = result, .error = error};
        wct_call_exit(call, &site);
}

static void
call6(const char *name, int64_t result, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
        const uint64_t registers[6] = {a, b, c, d, e, f};
        enter(&here, name, registers);
        leave(&here, result);
}

#define WORD(x) ((uint64_t)(uintptr_t)(x))

/* Two pages, of which the second is not there. Returns the first byte behind the first. */
static char *
page_end(void)
{
        char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(pages + 4096, 4096);
        return pages + 4096;
}

static char *
ending_at(char *end, const char *text)
{
        return memcpy(end - strlen(text), text, strlen(text));
}

/* --- scenarios ---------------------------------------------------------------------------------------------------- */

static void
system_calls(long many)
{
        char bytes[] = "hello world";
        (void)many;
        call6("open", 3, WORD("/etc/passwd"), 0, 0777, 0, 0, 0);
        call6("open", -ENOENT, WORD("/none"), 0100, 0640, 0, 0, 0);
        call6("open", -EFAULT, 16, 0, 0, 0, 0, 0);
        call6("open", -EFAULT, 0, 0, 0, 0, 0, 0);
        call6("read", 5, 0xffffffff00000003, WORD(bytes), 100, 0, 0, 0);
        call6("read", -EAGAIN, 3, WORD(bytes), 100, 0, 0, 0);
        call6("read", 0, 3, WORD(bytes), 100, 0, 0, 0);
}

static void
texts(long many)
{
        static char path[5000], across[8192] __attribute__((aligned(4096)));
        char *end = page_end();
        (void)many;
        memset(path, 'p', sizeof path - 1);
        memset(across, 'x', sizeof across);
        strcpy(across + 4090, "goes over the page");
        call6("strings", 0, WORD("one"), 0, WORD("three"), 0, 0, 0);
        call6("strings", 0, 16, WORD("two"), 24, 0, 0, 0);
        call6("strings", 0, WORD(across + 4090), WORD(ending_at(end, "cut")), WORD(end), 0, 0, 0);
        call6("strings", 0, WORD(path), WORD(""), WORD(path + sizeof path - 1 - 64), 0, 0, 0);
        call6("open", 3, WORD(path), 0, 0, 0, 0, 0);
        call6("open", 3, WORD(path + 1000), 0, 0, 0, 0, 0);
        call6("within", 0, WORD(path), 5, 0, 0, 0, 0);
        call6("within", 0, WORD("seven"), 100, 0, 0, 0, 0);
        call6("within", 0, WORD("none"), 0, 0, 0, 0, 0);
        call6("within", 0, WORD(ending_at(end, "end")), 3, 0, 0, 0, 0);
}

static void
buffers(long many)
{
        char buffer[200], *line = buffer, *missing = NULL, *wrong = (char *)16;
        uint32_t length = 6, huge = 0x80000000;
        char *end = page_end();
        (void)many;
        for (int i = 0; i < 200; i++)
                buffer[i] = (char)i;
        call6("recvfrom", 3, 4, WORD(buffer), 100, WORD(buffer + 10), WORD(&length), 0);
        call6("recvfrom", 300, 4, WORD(buffer), 100, WORD(buffer + 10), 0, 0);
        call6("recvfrom", 3, 4, WORD(end - 2), 100, WORD(buffer), WORD(&huge), 0);
        call6("recvfrom", -1, 4, WORD(buffer), 100, WORD(buffer + 10), WORD(&length), 0);
        strcpy(buffer, "a line\n");
        call6("getline", 7, WORD(&line), 0, 0, 0, 0, 0);
        call6("getline", -1, WORD(&line), 0, 0, 0, 0, 0);
        call6("getline", 7, WORD(&missing), 0, 0, 0, 0, 0);
        call6("getline", 7, WORD(&wrong), 0, 0, 0, 0, 0);
        call6("getline", 7, 24, 0, 0, 0, 0, 0);
        call6("inout", 0, WORD("before"), 6, 0, 0, 0, 0);
        call6("inout", -1, WORD("before"), 6, 0, 0, 0, 0);
        call6("returns_text", (int64_t)WORD("from the call"), 0, 0, 0, 0, 0, 0);
        call6("returns_text", 0, 0, 0, 0, 0, 0, 0);
}

static void
lists(long many)
{
        const char *two[] = {"ls", "-l", NULL}, *bad[] = {"ls", (char *)16, "x", NULL};
        const char *none[] = {NULL};
        const char *long_list[101] = {NULL}, *empty[101] = {NULL};
        char **cut = (char **)(void *)(page_end() - 8);
        (void)many;
        for (int i = 0; i < 100; i++)
                long_list[i] = "0123456789abcdef0123456789abcdef", empty[i] = "";
        cut[0] = strdup("only");
        call6("argv", 0, WORD(two), 0, 0, 0, 0, 0);
        call6("argv", 0, WORD(none), 0, 0, 0, 0, 0);
        call6("argv", 0, WORD(bad), 0, 0, 0, 0, 0);
        call6("argv", 0, WORD(long_list), 0, 0, 0, 0, 0);
        call6("argv", 0, WORD(empty), 0, 0, 0, 0, 0);
        call6("argv", 0, WORD(cut), 0, 0, 0, 0, 0);
        call6("argv", 0, 0, 0, 0, 0, 0, 0);
        call6("argv", 0, 16, 0, 0, 0, 0, 0);
}

static void
too_much(long many)
{
        static char page[4096];
        (void)many;
        memset(page, 'b', sizeof page);
        call6("many_buffers", 0, WORD(page), WORD(page), WORD(page), WORD(page), WORD(page), 0);
}

static void
modes(long many)
{
        (void)many;
        call6("both", 7, WORD("in"), 2, 0, 0, 0, 0);
        call6("entry", 7, 1, 2, 0, 0, 0, 0);
        call6("exit_group", 7, 1, 2, 0, 0, 0, 0);
        for (int i = 0; i < 10; i++)
                call6("third", i, (uint64_t)i, 0, 0, 0, 0, 0);
        call6("off", 0, 1, 0, 0, 0, 0, 0);
        call6("timeless", 0, 1, 0, 0, 0, 0, 0);
}

/* Functions that replace the program: one that fails, one after which nothing comes. */
static void
execs(long many)
{
        static const uint64_t registers[6];
        (void)many;
        call6("run", -1, WORD("/bin/none"), 0, 0, 0, 0, 0);
        call6("run", -1, 16, 0, 0, 0, 0, 0);
        const uint64_t last[6] = {WORD("/bin/true")};
        enter(&here, "plain", registers);
        enter(&here, "run", last);
        wct_call_drop(&here.calls[1], &here);
        wct_call_drop(&here.calls[0], &here);
}

/* A handler changes the arguments between wct_call_enter and wct_call_changed. */
static void
changed(long many)
{
        static const uint64_t before[6] = {1}, after[6] = {2};
        (void)many;
        handled = true;
        const char *names[] = {"plain", "both", "entry", "exit_group"};
        for (int i = 0; i < 4; i++) {
                struct wct_call *call = enter(&here, names[i], before);
                const struct wct_site site = {.tracee = &here, .registers = after};
                if (!call->recorded)
                        die("a call with a handler is recorded");
                wct_call_changed(call, &site);
                wct_call_goes_on(call, &site);
                wct_call_returned(call);
                leave(&here, 5);
        }
        handled = false;
}

/* Records of all sizes, lap after lap. */
static void
laps(long many)
{
        static char text[4096];
        memset(text, 't', sizeof text - 1);
        for (long i = 0; i < many; i++) {
                const uint64_t length = (uint64_t)(i * 37 % 1500);
                call6("sized", i, (uint64_t)i, WORD(text), length, 0, 0, 0);
        }
}

static void
plain(long many)
{
        for (long i = 0; i < many; i++)
                call6("plain", i, (uint64_t)i, 0, 0, 0, 0, 0);
}

/* Threads that end well, inside of a call, left by a longjmp; a child that shares the segment. */
static void
threads(long many)
{
        static const uint64_t none[6];
        struct wct_tracee one = tracee_of(&self, 1001), two = tracee_of(&self, 1002), three = tracee_of(&self, 1003);
        struct wct_process child = {.pid = 2000, .parent = self.pid, .forked = true};
        child.segment = wct_segment_share(self.segment);
        struct wct_tracee four = tracee_of(&child, 2000);
        (void)many;
        enter(&one, "plain", none);
        leave(&one, 0);
        wct_ring_leave(&one); /* its ring is the next one's */
        enter(&two, "plain", none);
        enter(&two, "read", none);
        const struct wci_ring *of_two = two.ring;
        wct_call_drop(&two.calls[1], &two);
        wct_call_drop(&two.calls[0], &two);
        wct_ring_leave(&two); /* it died inside: its ring is nobody's while there are others */
        enter(&three, "plain", none);
        if (three.ring == of_two)
                die("the ring of a call that a thread died in has been taken");
        enter(&three, "read", none);
        wct_call_drop(&three.calls[--three.depth], &three); /* longjmp */
        enter(&three, "plain", none);
        leave(&three, 1);
        leave(&three, 2);
        enter(&four, "plain", none);
        leave(&four, 3);
        wct_ring_leave(&three);
        wct_ring_leave(&four);
        wct_segment_release(child.segment);
}

/* More threads than rings; then one of them ends. */
static void
crowd(long many)
{
        static const uint64_t none[6];
        struct wct_tracee first = {0};
        for (long i = 0; i < many; i++) {
                struct wct_tracee tracee = tracee_of(&self, (pid_t)(5000 + i));
                enter(&tracee, "plain", none);
                if (i == 0)
                        first = tracee;
                if (tracee.ring != NULL)
                        leave(&tracee, i);
        }
        wct_ring_leave(&first);
        struct wct_tracee last = tracee_of(&self, 9999);
        enter(&last, "plain", none);
        leave(&last, 0);
}

/* Images that come and go. */
static void
images(long many)
{
        for (long i = 0; i < many; i++) {
                wct_ring_leave(&here);
                wct_segment_release(self.segment);
                self.segment = wct_segment_new(self.pid, 1, "/bin/next");
                if (self.segment == NULL)
                        continue;
                call6("plain", i, 0, 0, 0, 0, 0, 0);
        }
}

static double
processor_ns(void)
{
        struct timespec now;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static size_t
plan_read(unsigned char *into, size_t room)
{
        char path[4096];
        snprintf(path, sizeof path, "%s/plan", wct_session.path);
        const int fd = open(path, O_RDONLY);
        const ssize_t size = read(fd, into, room);
        close(fd);
        if (size <= 0 || (size_t)size == room)
                die("a plan that large");
        return (size_t)size;
}

/* Plans with a few bytes changed: refused, or good enough for calls with any registers. */
static void
fuzz(long many)
{
        static unsigned char bytes[1 << 16], changed_bytes[1 << 16];
        char path[64], *end = page_end();
        const uint64_t words[] = {0, 1, 16, WORD(bytes), WORD(end), WORD(end - 3), UINT64_MAX, INT64_MAX, 1ull << 63, 4096};
        const int file = memfd_create("plan", 0);
        long good = 0;
        const size_t size = plan_read(bytes, sizeof bytes);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        for (long i = 0; i < many; i++) {
                memcpy(changed_bytes, bytes, size);
                for (int changes = 1 + rand() % 3; changes > 0; changes--)
                        changed_bytes[rand() % size] = (unsigned char)(rand() % 3 ? rand() : rand() % 9);
                const off_t cut = (off_t)(i % 16 ? size : size / 2);
                if (pwrite(file, changed_bytes, size, 0) != (ssize_t)size || ftruncate(file, cut) != 0)
                        die("memfd");
                if (wct_plan_open(path) != NULL)
                        continue;
                good++;
                for (uint32_t at = 0; at < wct_plan.head->symbols; at++) {
                        uint64_t registers[6];
                        for (int k = 0; k < 6; k++)
                                registers[k] = words[rand() % 10];
                        struct wct_site site = {.tracee = &here, .registers = registers, .sp = words[rand() % 10],
                                                .result = (int64_t)words[rand() % 10]};
                        struct wct_call *call = &here.calls[here.depth++];
                        memset(call, 0, sizeof *call);
                        wct_call_enter(call, &wct_plan.symbols[at], &site);
                        wct_call_exit(call, &site);
                        here.depth--;
                }
                wct_plan_function("plain", NULL);
                wct_plan_syscall(rand() % 2000);
        }
        printf("%ld\n", good);
}

/* Formats that nobody would write, with arguments that lead anywhere. */
static void
formats(long many)
{
        static const char letters[] = "%%%%dsfgLlhzq*.$0159-+#[]^cnpxX aS";
        static uint64_t stack[64];
        char text[300], *end = page_end();
        const uint64_t words[] = {0, 1, 16, WORD(text), WORD(end - 3), WORD(stack), UINT64_MAX};
        for (long i = 0; i < many; i++) {
                const int length = rand() % (int)sizeof text;
                for (int k = 0; k < length; k++)
                        text[k] = letters[rand() % (int)(sizeof letters - 1)];
                text[length] = '\0';
                for (int k = 0; k < 64; k++)
                        stack[k] = words[rand() % 7];
                /* Both functions take the format second. */
                const uint64_t registers[6] = {stack[0], WORD(text), stack[1], stack[2], stack[3], stack[4]};
                const uint64_t sp = WORD(stack) - 8;
                const struct wct_site site = {.tracee = &here, .registers = registers, .sp = sp, .result = rand() % 6};
                struct wct_call *call = memset(&here.calls[here.depth++], 0, sizeof *call);
                wct_call_enter(call, symbol_of(i % 2 ? "print" : "scan"), &site);
                wct_call_exit(call, &site);
                here.depth--;
        }
}

/* Nanoseconds of processor time that one call costs, on standard output: without and with a text. */
static void
speed(long many)
{
        const char *names[] = {"plain", "open"};
        for (int which = 0; which < 2; which++) {
                const double begun = processor_ns();
                for (long i = 0; i < many; i++)
                        call6(names[which], 0, WORD("/some/path"), 0, 0, 0, 0, 0);
                printf("%s %.0f\n", names[which], (processor_ns() - begun) / (double)many);
        }
}

/* The other end of wct_write: all or nothing, into pages that the program cannot write to. */
static void
tracee_of_writes(char *pages)
{
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        _exit(memcmp(pages + 4090, "twelve bytes", 12) != 0 || memcmp(pages + 4080, "ok", 2) != 0 || pages[8191] != 'l');
}

static void
writes(long many)
{
        char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int status;
        bool ended;
        char text[64];
        (void)many;
        memset(pages, 'l', 8192);
        mprotect(pages, 8192, PROT_READ);
        munmap(pages + 8192, 4096);
        const pid_t child = fork();
        if (child == 0)
                tracee_of_writes(pages);
        if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
                exit(77);
        const uint64_t at = WORD(pages);
        bool good = wct_write(child, at + 4090, "twelve bytes", 12) && wct_write(child, at + 4080, "ok", 2);
        good = good && !wct_write(child, at + 8190, "over", 4) && !wct_write(child, 16, "x", 1);
        good = good && wct_read(child, text, at + 8188, 64) == 4 && wct_read(child, text, 16, 4) == 0;
        good = good && wct_read_text(child, text, at + 8188, 64, &ended) == 4 && !ended;
        ptrace(PTRACE_CONT, child, NULL, NULL);
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0 || !good)
                die("writes");
}

/* --- a real child: functions that begin with a breakpoint --------------------------------------------------------- */

struct pair {
        long first, second;
};
struct triple {
        long first, second, third;
};
struct point {
        double x, y;
};

#define TRACED(type, name, parameters)                                                                                     \
        type name##_real parameters;                                                                                       \
        __attribute__((naked)) type name parameters                                                                        \
        {                                                                                                                  \
                __asm__("int3\n\tjmp " #name "_real");                                                                     \
        }                                                                                                                  \
        type name##_real parameters

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wreturn-type"
TRACED(double, mixed, (int a, double b, float c, long double d, struct triple t, struct pair p, struct point q, long e,
                       long f, int g, _Bool h))
{
        return b + (double)c;
}
TRACED(struct pair, pairs, (long a))
{
        return (struct pair){a, -a};
}
TRACED(struct triple, triples, (long a))
{
        return (struct triple){a, 2 * a, 3 * a};
}
TRACED(struct point, points, (double a))
{
        return (struct point){a, -a};
}
TRACED(long double, extended, (long a))
{
        return (long double)a / 4;
}
TRACED(float, single, (float a))
{
        return a * 2;
}
TRACED(float complex, complex_single, (float a))
{
        return CMPLXF(a, -a);
}
TRACED(long double complex, complex_extended, (long a))
{
        return CMPLXL((long double)a, (long double)-a);
}
TRACED(int, print, (int level, const char *format, ...))
{
        return level;
}
TRACED(int, vprint, (const char *format, va_list list))
{
        return 1;
}
TRACED(int, scan, (const char *from, const char *format, ...))
{
        va_list list;
        va_start(list, format);
        const int matched = vsscanf(from, format, list);
        va_end(list);
        return matched;
}
#pragma GCC diagnostic pop

static const struct {
        const char *name;
        void *address;
} functions[] = {
    {"mixed", mixed},   {"pairs", pairs},   {"triples", triples}, {"points", points},
    {"extended", extended}, {"single", single}, {"complex_single", complex_single}, {"complex_extended", complex_extended},
    {"print", print},   {"vprint", vprint}, {"scan", scan},
};

static void
vprint_with(const char *format, ...)
{
        va_list list;
        va_start(list, format);
        vprint(format, list);
        va_end(list);
}

static _Noreturn void
child_calls(void)
{
        int number = 0;
        short small = 0;
        double value = 0;
        long double wide = 0;
        char word[16] = "";
        signal(SIGALRM, SIG_DFL);
        alarm(60);
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        mixed(-1, 0.5, 0.25f, 3.5L, (struct triple){1, 2, 3}, (struct pair){4, 5}, (struct point){1.5, 2.5}, 6, -7, -8, 1);
        pairs(9);
        triples(9);
        points(1.25);
        extended(9);
        single(1.5f);
        complex_single(1.5f);
        complex_extended(9);
        print(1, "%d %s %5.2f %c %% %lx %p %.3s %*d", -5, "text", 1.5, 'q', 0x123456789abcl, (void *)16, "abcdef", 7, 8);
        print(2, "%Lf %g %g %g %g %g %g %g %g %g %d %s", 2.5L, 1., 2., 3., 4., 5., 6., 7., 8., 9., 10, (char *)NULL);
        print(-1, "%d", 3);
        print(3, "%s %d", (char *)16, 4);
        print(4, NULL);
        print(5, "%1$d", 3);
        print(6, "%s",
              "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789");
        vprint_with("%d %f %s %d %d %d %d %f", 1, 2.5, "three", 4, 5, 6, 7, 8.5);
        vprint("%d", *(va_list *)NULL);
        scan("12 -3 1.5 2.5 word", "%d %hd %lf %Lf %15s", &number, &small, &value, &wide, word);
        scan("7 x", "%d %d", &number, &number);
        scan("", "%d", &number);
        _exit(0);
}

/* Everything that the tracer's loop and its breakpoints would do, for one thread and calls that do not nest. */
static bool
breakpoint_hit(struct wct_tracee *tracee, uint64_t *back, unsigned char *instead)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        if (*back != 0 && regs->rip == *back + 1) {
                const uint64_t registers[6] = {0};
                const struct wct_site site = {.tracee = tracee, .registers = registers, .result = (int64_t)regs->rax};
                wct_call_exit(&tracee->calls[--tracee->depth], &site);
                regs->rip = *back;
                wct_write(tracee->tid, *back, instead, 1);
                *back = 0;
                return ptrace(PTRACE_SETREGS, tracee->tid, NULL, regs) == 0;
        }
        for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
                if (regs->rip != WORD(functions[i].address) + 1)
                        continue;
                const uint64_t registers[6] = {regs->rdi, regs->rsi, regs->rdx, regs->rcx, regs->r8, regs->r9};
                wct_read(tracee->tid, back, regs->rsp, sizeof *back);
                const struct wct_site site = {.tracee = tracee, .registers = registers, .sp = regs->rsp, .back = *back};
                struct wct_call *call = memset(&tracee->calls[tracee->depth++], 0, sizeof *call);
                wct_call_enter(call, symbol_of(functions[i].name), &site);
                wct_read(tracee->tid, instead, *back, 1);
                return wct_write(tracee->tid, *back, "\xcc", 1);
        }
        return false;
}

static void
traced(long many)
{
        int status;
        uint64_t back = 0;
        unsigned char instead;
        const pid_t child = fork();
        (void)many;
        if (child == 0)
                child_calls();
        if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
                exit(77);
        struct wct_process process = {.pid = child, .parent = self.pid, .forked = true};
        process.segment = wct_segment_share(self.segment);
        struct wct_tracee tracee = tracee_of(&process, child);
        for (;;) {
                ptrace(PTRACE_CONT, child, NULL, NULL);
                if (waitpid(child, &status, 0) != child)
                        die("the child has been lost");
                if (!WIFSTOPPED(status))
                        break;
                if (WSTOPSIG(status) != SIGTRAP || !breakpoint_hit(&tracee, &back, &instead)) {
                        kill(child, SIGKILL);
                        die(strsignal(WSTOPSIG(status)));
                }
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                die("the child did not end well");
        wct_ring_leave(&tracee);
        wct_segment_release(process.segment);
}

static const struct {
        const char *name;
        void (*run)(long many);
} scenarios[] = {
    {"system_calls", system_calls}, {"texts", texts}, {"buffers", buffers}, {"lists", lists}, {"too_much", too_much},
    {"modes", modes}, {"changed", changed}, {"laps", laps}, {"plain", plain}, {"threads", threads}, {"crowd", crowd},
    {"images", images}, {"speed", speed}, {"writes", writes}, {"traced", traced},
    {"fuzz", fuzz}, {"execs", execs}, {"formats", formats},
};

int
main(int argc, char **argv)
{
        if (argc == 3 && strcmp(argv[1], "plan") == 0) { /* only look at a plan */
                const char *why = wct_plan_open(argv[2]);
                return why == NULL ? 0 : (puts(why), 3);
        }
        if (argc < 3)
                die("SESSION SCENARIO [NUMBER]");
        session_open(argv[1]);
        self = (struct wct_process){.pid = getpid(), .parent = 1};
        self.segment = wct_segment_new(self.pid, 1, "/bin/driver");
        here = tracee_of(&self, self.pid);
        for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
                if (strcmp(argv[2], scenarios[i].name) == 0) {
                        scenarios[i].run(argc > 3 ? atol(argv[3]) : 0);
                        wct_ring_leave(&here);
                        wct_segment_release(self.segment);
                        return 0;
                }
        die("no such scenario");
}
