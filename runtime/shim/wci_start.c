/*
 * wci_start.c: the constructor: finds the session, maps the control page, starts recording, or leaves everything off.
 *
 * Runs by -z initfirst before .preinit_array: environ is not set yet, so that the environment comes from the arguments
 * that ld.so gives to constructors.  Rules: R2 (errno as it was), R4 (whatever fails, the program runs on), R5 (no
 * descriptor stays open), R9 (nothing is torn down: there is no destructor), R10 (without a session, pass through).
 */
#include "wci_control.h"
#include "wci_runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

WCI_HIDDEN __thread struct wci_tls wci_tls __attribute__((tls_model("initial-exec")));
struct wci_alive *wci_alive;
const uint64_t *wci_words = wci_no_words;
struct wci_control *wci_control;
uint32_t wci_string_limit;
bool wci_quiet;
static char session_path[200];
static char own_preload[4096], own_session[256];
static char *own_environment[3];

_Static_assert(sizeof(struct wci_tls) <= 64, "R1: thread-local storage stays small");

int *
wci_errno_location(void)
{
        return &errno;
}

const char *
wci_session_path(void)
{
        return session_path;
}

char *const *
wci_own_environment(void)
{
        return own_environment;
}

/* A copy of what brought us here: programs write over their environment's strings to set their title. */
static void
keep_environment(const char *session, const char *preload)
{
        struct wci_text text = {own_session, own_session + sizeof own_session};
        wci_text_add(&text, "WC_SESSION=");
        wci_text_add(&text, session);
        own_environment[0] = own_session;
        if (preload == NULL || wci_text_length(preload) + sizeof "LD_PRELOAD=" > sizeof own_preload)
                return;
        text = (struct wci_text){own_preload, own_preload + sizeof own_preload};
        wci_text_add(&text, "LD_PRELOAD=");
        wci_text_add(&text, preload);
        own_environment[1] = own_preload;
}

static const char *
environment_value(char **environment, const char *prefix)
{
        for (char **entry = environment; entry != NULL && *entry != NULL; entry++)
                if (wci_text_starts(*entry, prefix))
                        return *entry + wci_text_length(prefix);
        return NULL;
}

/* Map the control page set; NULL when it is not one of this shim's sessions. */
static struct wci_control *
control_map(const char *session)
{
        char path[256];
        struct wci_text text = {path, path + sizeof path};
        wci_text_add(&text, session);
        wci_text_add(&text, "/control");
        const size_t least = WCI_CONTROL_WORDS + wci_targets * (sizeof(uint64_t) + sizeof(struct wci_limit));
        const long fd = wci_syscall6(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0, 0, 0);
        if (fd < 0)
                return NULL;
        const long size = wci_syscall3(SYS_lseek, fd, 0, 2);
        long map = -1;
        if (size >= (long)least)
                map = wci_syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        wci_syscall3(SYS_close, fd, 0, 0);
        if (map < 0 && map > -4096)
                return NULL;
        struct wci_control *control = (struct wci_control *)map;
        if (control->magic == WCI_CONTROL_MAGIC && control->abi == WCI_ABI_VERSION &&
            control->targets == wci_targets && control->manifest == wci_manifest_hash && control->closed == 0) {
                if (control->limits_at <= (uint64_t)size - sizeof(struct wci_limit) * wci_targets)
                        wci_limits = (struct wci_limit *)(map + (long)control->limits_at);
                return control;
        }
        wci_syscall3(SYS_munmap, map, size, 0);
        return NULL;
}

/* R8: a page that the kernel wipes in a fork child. */
static struct wci_alive *
alive_map(void)
{
        const long map = wci_syscall6(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map < 0 && map > -4096)
                return NULL;
        if (wci_syscall3(SYS_madvise, map, 4096, MADV_WIPEONFORK) < 0) {
                wci_syscall3(SYS_munmap, map, 4096, 0);
                return NULL;
        }
        struct wci_alive *alive = (struct wci_alive *)map;
        alive->pid = (uint32_t)wci_syscall0(SYS_getpid);
        return alive;
}

static bool
is_ours(const char *entry, const char *session)
{
        const char *value = entry + wci_text_length("LD_PRELOAD=");
        return wci_text_starts(entry, "LD_PRELOAD=") && wci_text_starts(value, session);
}

/* --follow none: what this process starts shall not find us. Only our own first entry of LD_PRELOAD goes. */
static void
forget_environment(char **environment, const char *session)
{
        char **to = environment;
        for (char **from = environment; *from != NULL; from++) {
                if (wci_text_starts(*from, "WC_SESSION="))
                        continue;
                if (is_ours(*from, session)) {
                        char *value = *from + wci_text_length("LD_PRELOAD=");
                        char *rest = value;
                        while (*rest != '\0' && *rest != ':')
                                rest++;
                        if (*rest == '\0')
                                continue;
                        for (rest++; (*value++ = *rest++) != '\0';)
                                ;
                }
                *to++ = *from;
        }
        *to = NULL;
}

static void
start_session(const char *session, char **environment)
{
        struct wci_text text = {session_path, session_path + sizeof session_path};
        wci_text_add(&text, session);
        struct wci_control *control = control_map(session_path);
        if (control == NULL)
                return;
        wci_control = control;
        wci_string_limit = control->string_limit < WCI_PATH_LIMIT ? control->string_limit : WCI_PATH_LIMIT;
        wci_clock_init();
        wci_alive = alive_map();
        if (wci_alive == NULL || !wci_segment_open(session_path)) {
                __atomic_fetch_add(&control->no_segment, 1, __ATOMIC_RELAXED);
                return;
        }
        wci_table_open(session_path);
        wci_ring_first();
        __atomic_store_n(&wci_words, (const uint64_t *)((char *)control + WCI_CONTROL_WORDS), __ATOMIC_RELEASE);
        if (control->follow == WCI_FOLLOW_NONE)
                forget_environment(environment, session_path);
}

__attribute__((constructor)) static void
wci_start(int argc, char **argv, char **environment)
{
        (void)argc;
        (void)argv;
        const int error = errno;
        wci_resolve_all();
        const char *session = environment_value(environment, "WC_SESSION=");
        if (session != NULL && wci_control == NULL && wci_text_length(session) < sizeof session_path - 64) {
                keep_environment(session, environment_value(environment, "LD_PRELOAD="));
                start_session(session, environment);
        }
        errno = error;
}

bool
wci_turned_off(void)
{
        return __atomic_load_n(&wci_control->closed, __ATOMIC_ACQUIRE) != 0;
}

/* All targets off, for this process: at full speed from here on. */
void
wci_turn_off(void)
{
        __atomic_store_n(&wci_words, wci_no_words, __ATOMIC_RELEASE);
        if (wci_segment != NULL)
                __atomic_store_n(&wci_segment->closed, 1, __ATOMIC_RELAXED);
}
