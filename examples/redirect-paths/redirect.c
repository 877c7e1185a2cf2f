/*
 * redirect.c: handlers that lead a program to other files: REDIRECT=/etc/=./my-etc/:/var/log=/tmp/log, each FROM=TO replaces
 * the beginning of a path.
 *
 *     cc -shared -fPIC -I$(wc-gen --include-dir) redirect.c -o redirect.so
 *
 * back_enter of functions and system calls that take a path: redirect_first as their first argument, redirect_second as
 * their second. The new path must lie where the program can read it. In the program itself that is our own memory; from a
 * tracer it is written below the program's stack, which a system call, unlike a function, leaves alone.
 */
#include <limits.h>
#include <wc_ptrace.h>

#define ROOMS 4       /* a signal's handler may open a file, too, before the kernel has read our path */
#define RED_ZONE 128l /* a function may use so much below its stack pointer */

/* Read the path at src, which may end anywhere in its page. */
static bool
read_path(int pid, long src, char *path)
{
        for (int i = 0; i < PATH_MAX; i++)
                if (PeekData(pid, src + i, 1, path + i) != 1)
                        return false;
                else if (path[i] == '\0')
                        return true;
        return false;
}

/* Write into other what path becomes. Returns its length, or 0 if no rule says anything about it. */
static int
redirected(const char *path, char *other)
{
        const char *rule = getenv("REDIRECT");
        while (rule != NULL && *rule != '\0') {
                const int from = (int)strcspn(rule, "=:"), to = (int)strcspn(rule + from, ":") - 1;
                if (to > 0 && strncmp(path, rule, (size_t)from) == 0) {
                        const int length = snprintf(other, PATH_MAX, "%.*s%s", to, rule + from + 1, path + from);
                        return length < PATH_MAX ? length : 0;
                }
                rule += from + to + 1;
                rule += *rule == ':';
        }
        return 0;
}

static void
redirect(struct user_regs_struct *regs, int pid, unsigned long long *argument)
{
        static __thread char rooms[ROOMS][PATH_MAX];
        static __thread unsigned next;
        char path[PATH_MAX], *other = rooms[next++ % ROOMS];
        if (!read_path(pid, (long)*argument, path))
                return;
        const int length = redirected(path, other);
        const long below = (long)regs->rsp - RED_ZONE - PATH_MAX;
        if (length == 0)
                return;
        if (pid == getpid())
                *argument = (unsigned long)other;
        else if (wc_poke_data(pid, below, other, (size_t)length + 1))
                *argument = (unsigned long)below;
}

void
redirect_first(struct user_regs_struct *regs, int pid)
{
        redirect(regs, pid, &regs->rdi);
}

void
redirect_second(struct user_regs_struct *regs, int pid)
{
        redirect(regs, pid, &regs->rsi);
}
