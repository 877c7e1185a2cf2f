/*
 * wc_run.c: the command wc-run, up to the moment when Python starts.
 *
 * An interpreter changes what its children inherit, and forgets what it was: Python ignores SIGPIPE and SIGXFSZ, and
 * sets LC_CTYPE in a C locale. It also dies of a SIGUSR1 that comes before its first instruction. So this program runs
 * first: it notes the signal mask and the ignored signals, blocks SIGUSR1 and SIGUSR2, keeps the locale from being
 * coerced, and becomes wc-run-session, the Python script that is installed beside it. consumer/inherited.py reads
 * the note and gives the program back what it would have had.
 *
 * The note, in the environment: WC_RUN=<pid>:<ignored>:<blocked>:<locale>, masks in hex, bit 0 for signal 1; locale is 1 when
 * PYTHONCOERCECLOCALE was set here. The pid tells a note of ours from one inherited.
 * Absent on purpose: options. This file knows none.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN_ERROR 125
#define SIGNALS 64

static uint64_t
ignored_signals(void)
{
        uint64_t mask = 0;
        for (int number = 1; number <= SIGNALS; number++) {
                struct sigaction action;
                if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
                        mask |= 1ull << (number - 1);
        }
        return mask;
}

static uint64_t
blocked_signals(void)
{
        sigset_t set;
        uint64_t mask = 0;
        sigprocmask(SIG_SETMASK, NULL, &set);
        for (int number = 1; number <= SIGNALS; number++)
                if (sigismember(&set, number) == 1)
                        mask |= 1ull << (number - 1);
        return mask;
}

static void
leave_note(void)
{
        const int coerce = getenv("PYTHONCOERCECLOCALE") == NULL;
        char note[96];
        snprintf(note, sizeof note, "%ld:%llx:%llx:%d", (long)getpid(), (unsigned long long)ignored_signals(),
                 (unsigned long long)blocked_signals(), coerce);
        setenv("WC_RUN", note, 1);
        if (coerce)
                setenv("PYTHONCOERCECLOCALE", "0", 1);
}

static void
block_user_signals(void)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigaddset(&set, SIGUSR2);
        sigprocmask(SIG_BLOCK, &set, NULL);
}

int
main(int argc, char **argv)
{
        (void)argc;
        static const char script[] = "-session";
        char path[PATH_MAX + sizeof script] = "wc-run-session"; /* without /proc: searched on PATH */
        const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
        if (length > 0)
                memcpy(path + length, script, sizeof script);
        leave_note();
        block_user_signals();
        execvp(path, argv);
        fprintf(stderr, "wc-run: error: cannot start its Python part\n  at:   %s\n  why:  %s\n", path, strerror(errno));
        return OWN_ERROR;
}
