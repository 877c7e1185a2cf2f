/*
 * wci_hooks.c: what some wrappers do besides recording (see wci_hooks.h).
 *
 * Rules: R1 (nothing here allocates; environments are built on the wrapper's stack, since a vfork child may call
 * exec), R2, R9 (before a seccomp filter is installed the runtime turns quiet for good).
 */
#include "wci_hooks.h"
#include "wci_runtime.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static struct wci_ring *
exec_ring(struct wci_call *call, bool traced)
{
        if (traced)
                return call->ring;
        if (wci_segment == NULL || wci_words == wci_no_words)
                return NULL;
        struct wci_ring *ring = wci_tls.ring;
        if (ring != NULL && ring->owner_pid == wci_alive->pid)
                return ring;
        return wci_ring_acquire(WCI_UNCOUNTED, 0);
}

void
wci_hook_exec(struct wci_call *call, bool traced, uint32_t symbol, const char *path, uint32_t pid)
{
        struct wci_call own = {.ring = exec_ring(call, traced), .target = WCI_UNCOUNTED};
        if (own.ring == NULL)
                return;
        if (traced)
                own = *call;
        own.clock = traced ? call->clock : wci_clock();
        own.duration = WCI_NO_DURATION;
        own.error = 0;
        uint32_t cells = 1;
        struct wci_capture text = wci_capture_text(path, WCI_PATH_LIMIT, false);
        wci_capture_fit(&text, &cells);
        const struct wci_record_head record = wci_record(&own, symbol, WCI_EXEC, cells, traced);
        if (traced) {
                call->target |= WCI_UNCOUNTED; /* counted here: when the CALL of a failed exec is lost, no second call is */
                call->claims -= record.first == NULL; /* and no CALL is recorded whose EXEC was counted as lost */
        }
        if (record.first == NULL)
                return;
        struct wci_exec args = {wci_capture_put(record.first, 1, &text), pid};
        if (pid == 0)
                args.pid = own.ring->record_pid;
        __builtin_memcpy(record.first->args, &args, sizeof args);
        wci_commit(&record);
        if (traced)
                wci_count_returned(&own);
}

static bool
has_entry(char *const *environment, const char *prefix)
{
        for (char *const *entry = environment; entry != NULL && *entry != NULL; entry++)
                if (wci_text_starts(*entry, prefix))
                        return true;
        return false;
}

/* Whether the program that is about to run in our place, or as a child, shall find us whatever its environment says. */
static bool
keeps_us(bool of_child)
{
        if (wci_control == NULL || wci_control->follow == WCI_FOLLOW_DEFAULT)
                return false;
        if (wci_control->follow == WCI_FOLLOW_ALL)
                return true;
        return !of_child && wci_segment != NULL && !wci_quiet && (uint32_t)wci_syscall0(SYS_getpid) == wci_segment->pid;
}

/* Returns how many pointers the new environment takes, without its NULL; 0: leave the environment as it is. */
uint32_t
wci_environment_more(char *const *environment, bool of_child)
{
        if (!keeps_us(of_child))
                return 0;
        if (has_entry(environment, "WC_SESSION=") && has_entry(environment, "LD_PRELOAD="))
                return 0;
        uint32_t entries = 2;
        for (char *const *entry = environment; entry != NULL && *entry != NULL; entry++)
                entries++;
        return entries;
}

char *const *
wci_environment_with(char *const *environment, char **room)
{
        if (room == NULL)
                return environment;
        char **to = room;
        for (char *const *ours = wci_own_environment(); *ours != NULL; ours++)
                *to++ = *ours;
        for (char *const *entry = environment; entry != NULL && *entry != NULL; entry++)
                if (!wci_text_starts(*entry, "LD_PRELOAD=") && !wci_text_starts(*entry, "WC_SESSION="))
                        *to++ = *entry;
        *to = NULL;
        return room;
}

static void
turn_quiet(void)
{
        wci_quiet = true;
        wci_control_end();
        if (wci_segment != NULL)
                wci_segment->quiet = 1;
}

void
wci_hook_prctl(int option, unsigned long argument)
{
        if (option == PR_SET_SECCOMP)
                turn_quiet();
        if ((option == PR_SET_SECCOMP && argument == SECCOMP_MODE_STRICT) ||
            (option == PR_SET_TSC && argument == PR_TSC_SIGSEGV))
                wci_clock_freeze();
}

void
wci_hook_syscall(long number, unsigned long first, unsigned long second)
{
        if (number == SYS_prctl)
                wci_hook_prctl((int)first, second);
        if (number == SYS_unshare || number == SYS_setns)
                wci_control_end();
        if (number != SYS_seccomp)
                return;
        turn_quiet();
        if (first == SECCOMP_SET_MODE_STRICT)
                wci_clock_freeze();
}

/* mlockall would fault in and lock every ring: give up those that nobody has claimed. */
void
wci_hook_mlockall(void)
{
        if (wci_segment == NULL)
                return;
        const uint32_t keep = wci_segment->rings_used + 1;
        if (keep >= wci_segment->rings)
                return;
        const uint64_t from = wci_segment->first_ring + wci_segment->ring_stride * keep;
        wci_segment->rings = keep;
        wci_syscall3(SYS_munmap, (char *)wci_segment + from, wci_segment->size - from, 0);
}
