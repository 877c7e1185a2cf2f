/*
 * wct_main.c: wc-tracer: its options, its session, its line to wc-run.
 *
 *   wc-tracer --session DIR --line FD [--beside] [--no-pin]
 *
 * Started by wc-run.  The line is a SOCK_SEQPACKET socket, a packet a message:
 *   to us    launch PID FILTERED | attach PID | handlers (answered in the session's table) | detach
 *            plan FIRST_TARGET FIRST_SYMBOL PATH | drop TARGET,... | want TARGET,...
 *   from us  ok PID | error TEXT | warn TEXT | exit PID STATUS (as waitpid has it) | end
 * Two threads: main makes all ptrace calls and runs the handlers; the other hears the line and the signals that end us, and
 * wakes main out of waitpid by a signal, again and again until main has looked, since the first may come before the wait.
 * SIGTERM, the other signals that mean an end, and the end of the line mean "detach", and that nobody reads any more.  The
 * keyboard's signals are the program's: they are ignored.  Should the tracer crash, it lets go what it has attached to before it
 * dies, since that would meet its breakpoints; what it launched ends with it anyway.
 *
 * Absent on purpose: starting the program (wc-run stays its parent), and ending it.
 */
#define _GNU_SOURCE
#include "wct_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE 512
#define WAKE SIGURG
#define CRASH_STACK (256 << 10)
#define CRASH_SECONDS 10

struct wct_session wct_session;

static int line = -1, ending = -1, asked_to_end = -1; /* ending: a signalfd; asked_to_end: an eventfd */
static pthread_t main_thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char command[MESSAGE]; /* the one that waits to be obeyed */
static bool commanded;        /* main reads it without the lock: a late look is only late */
static bool had_tracees, ended;

void
wct_tell(const char *format, ...)
{
        char text[MESSAGE];
        va_list list;
        va_start(list, format);
        const int size = vsnprintf(text, sizeof text, format, list);
        va_end(list);
        if (size > 0)
                send(line, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1, MSG_NOSIGNAL);
}

uint64_t
wct_clock(void)
{
        if (wct_session.control->clock == WCI_CLOCK_TSC)
                return __builtin_ia32_rdtsc();
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- the thread that hears ---------------------------------------------------------------------------------------- */

static void
woken(int number)
{
        (void)number;
}

/* Give main a command, and wake it until it has taken it. */
static void
hand_over(const char *text)
{
        pthread_mutex_lock(&lock);
        snprintf(command, sizeof command, "%s", text);
        __atomic_store_n(&commanded, true, __ATOMIC_RELEASE);
        pthread_cond_broadcast(&changed);
        while (commanded) {
                struct timespec until;
                pthread_kill(main_thread, WAKE);
                clock_gettime(CLOCK_REALTIME, &until);
                until.tv_nsec += 5000000;
                until.tv_sec += until.tv_nsec / 1000000000;
                until.tv_nsec %= 1000000000;
                pthread_cond_timedwait(&changed, &lock, &until);
        }
        pthread_mutex_unlock(&lock);
}

static void *
hear(void *unused)
{
        struct pollfd from[3] = {
            {.fd = line, .events = POLLIN}, {.fd = ending, .events = POLLIN}, {.fd = asked_to_end, .events = POLLIN}};
        (void)unused;
        for (;;) {
                char text[MESSAGE];
                struct signalfd_siginfo taken;
                if (poll(from, 3, -1) < 0)
                        continue;
                if (from[1].revents & POLLIN && read(ending, &taken, sizeof taken) > 0)
                        hand_over("over");
                if (from[2].revents & POLLIN && read(asked_to_end, &taken, sizeof taken) > 0)
                        hand_over("over");
                if (!from[0].revents)
                        continue;
                const ssize_t size = recv(line, text, sizeof text - 1, 0);
                if (size <= 0) {
                        hand_over("over");
                        return NULL;
                }
                text[size] = 0;
                hand_over(text);
        }
}

/* --- what main does with it --------------------------------------------------------------------------------------- */

static void
obey(const char *text)
{
        char why[MESSAGE - 16] = "";
        int pid = 0, filtered = 0;
        if (strcmp(text, "detach") == 0 || strcmp(text, "over") == 0) {
                wct_session.over = true;
                wct_detach_all();
                ended = wct_tracees() == 0;
                return;
        }
        if (strcmp(text, "handlers") == 0) {
                wct_handlers_look();
                return;
        }
        bool done = false;
        if (strncmp(text, "plan ", 5) == 0 || strncmp(text, "drop ", 5) == 0 || strncmp(text, "want ", 5) == 0) {
                const char *said = wct_grow(text);
                if (said == NULL)
                        wct_tell("ok 0");
                else
                        wct_tell("error %s", said);
                return;
        }
        if (sscanf(text, "launch %d %d", &pid, &filtered) == 2) {
                wct_session.filtered = filtered != 0;
                done = wct_seize_launched(pid, why, sizeof why);
        } else if (sscanf(text, "attach %d", &pid) == 1) {
                done = wct_attach(pid, why, sizeof why);
        } else {
                snprintf(why, sizeof why, "the tracer does not know the command '%.40s'", text);
        }
        had_tracees |= done;
        if (done)
                wct_tell("ok %d", pid);
        else
                wct_tell("error %s", why);
}

bool
wct_commands(bool wait)
{
        while (wait || __atomic_load_n(&commanded, __ATOMIC_ACQUIRE)) {
                char text[MESSAGE];
                if (wait && (ended || had_tracees) && !commanded)
                        return false;
                pthread_mutex_lock(&lock);
                while (!commanded)
                        pthread_cond_wait(&changed, &lock);
                memcpy(text, command, sizeof text);
                __atomic_store_n(&commanded, false, __ATOMIC_RELEASE);
                pthread_cond_broadcast(&changed);
                pthread_mutex_unlock(&lock);
                obey(text);
                wait = wct_tracees() == 0;
        }
        return true;
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

static const char *
session_open(void)
{
        static char path[4096]; /* also what is returned */
        struct stat info;
        snprintf(path, sizeof path, "%s/plan", wct_session.path);
        const char *why = wct_plan_open(path);
        if (why != NULL) {
                snprintf(path, sizeof path, "the session's plan: %s", why);
                return path;
        }
        snprintf(path, sizeof path, "%s/control", wct_session.path);
        const int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &info) != 0)
                return "the session has no control file";
        void *map = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (map == MAP_FAILED)
                return "the session's control file cannot be mapped";
        struct wci_control *control = map;
        const uint64_t targets = (uint64_t)wct_plan.head->targets + WCI_CONTROL_ROOM; /* with those that come later */
        const uint64_t limits = targets * sizeof(struct wci_limit);
        if ((uint64_t)info.st_size < WCI_CONTROL_WORDS + limits || control->limits_at > (uint64_t)info.st_size - limits ||
            control->room != WCI_CONTROL_ROOM || control->magic != WCI_CONTROL_MAGIC || control->abi != WCI_ABI_VERSION)
                return "the session's control file is not one";
        if (control->targets != wct_plan.head->targets || control->manifest != wct_plan.head->manifest)
                return "the session's control file belongs to another plan";
        wct_session.control = control;
        wct_session.words = (const uint64_t *)((const char *)map + WCI_CONTROL_WORDS);
        wct_session.limits = (struct wci_limit *)((char *)map + control->limits_at);
        wct_session.follow = (enum wci_follow)control->follow;
        return NULL;
}

/* Returns why not. */
static const char *
options_read(int count, char **words)
{
        wct_session.pin = true;
        for (int i = 1; i < count; i++) {
                if (strcmp(words[i], "--session") == 0 && i + 1 < count)
                        wct_session.path = words[++i];
                else if (strcmp(words[i], "--line") == 0 && i + 1 < count)
                        line = atoi(words[++i]);
                else if (strcmp(words[i], "--beside") == 0)
                        wct_session.mode = WCT_COVER_BESIDE;
                else if (strcmp(words[i], "--no-pin") == 0)
                        wct_session.pin = false;
                else
                        return words[i];
        }
        return wct_session.path == NULL || line < 0 ? "--session and --line are needed" : NULL;
}

/*
 * A crash of our own: the heap may be locked, so that there is a limit to it. Where somebody has sent the signal it is no crash,
 * and has come at any moment: main shall end when it is through with what it does.
 */
static void
crashed(int number, siginfo_t *info, void *context)
{
        const uint64_t one = 1;
        (void)context;
        if (info->si_code <= 0 && info->si_pid != getpid() && write(asked_to_end, &one, sizeof one) == sizeof one)
                return;
        signal(number, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        alarm(CRASH_SECONDS);
        if (pthread_equal(pthread_self(), main_thread) && !wct_session.over) {
                wct_session.over = true;
                wct_dispatch_abandon();
                wct_detach_all();
        }
        raise(number);
}

static void
signals_prepare(void)
{
        static const int ignored[] = {SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE};
        static const int ending_ones[] = {SIGTERM, SIGHUP,  SIGUSR1, SIGUSR2,   SIGVTALRM,
                                          SIGPROF, SIGIO,   SIGPWR,  SIGSTKFLT, SIGXCPU};
        static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP, SIGALRM};
        static char stack[CRASH_STACK];
        const struct sigaction quiet = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP}; /* stops come by waitpid alone */
        const struct sigaction wake = {.sa_handler = woken};                              /* no SA_RESTART: it shall interrupt */
        sigset_t ends;
        for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
                signal(ignored[i], SIG_IGN);
        sigaction(SIGCHLD, &quiet, NULL);
        sigaction(WAKE, &wake, NULL);
        sigemptyset(&ends);
        for (size_t i = 0; i < sizeof ending_ones / sizeof *ending_ones; i++)
                sigaddset(&ends, ending_ones[i]);
        const stack_t elsewhere = {.ss_sp = stack, .ss_size = sizeof stack};
        struct sigaction crash = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART};
        crash.sa_sigaction = crashed;
        asked_to_end = eventfd(0, EFD_CLOEXEC);
        sigaltstack(&elsewhere, NULL);
        for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
                sigaction(crashes[i], &crash, NULL);
        pthread_sigmask(SIG_BLOCK, &ends, NULL);
        ending = signalfd(-1, &ends, SFD_CLOEXEC);
}

int
main(int count, char **words)
{
        const char *why = options_read(count, words);
        if (why != NULL) {
                fprintf(stderr, "wc-tracer: %s\n", why);
                return 2;
        }
        fcntl(line, F_SETFD, FD_CLOEXEC);
        main_thread = pthread_self();
        signals_prepare();
        why = session_open();
        if (why != NULL) {
                wct_tell("error %s", why);
                wct_tell("end");
                return 1;
        }
        why = wct_handlers_open(wct_text(wct_plan.head->library));
        if (why != NULL)
                wct_tell("warn no handler runs: %s", why);
        pthread_t hearer;
        if (pthread_create(&hearer, NULL, hear, NULL) != 0) {
                wct_tell("error the tracer cannot start a thread");
                return 1;
        }
        struct wct_event event;
        while (wct_next_event(&event))
                wct_dispatch_event(&event);
        wct_tell("end");
        return 0;
}
