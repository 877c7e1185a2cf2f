/*
 * wci_swap.c: which handlers there are: their library loaded, their names looked up, each target's pair put in force.
 *
 * wci_handlers_load runs when the program's _start comes to __libc_start_main (docs/adr/0003).  Rules:
 *   R2  errno stays what it was
 *   R4  a library that cannot be loaded, or lacks a handler, is reported in the session's file `warnings`; the program runs on
 * A target's pair is put in force by one store, and never freed: calls that took the one before end in it.
 * Absent on purpose: running handlers (wci_handler.c).
 */
#include "wci_handler.h"

#include "wci_runtime.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define PIECE 16384u /* bytes that pairs are taken from */

/* One line for the consumer: the program's own output is not ours to write to. */
static void
warn(const char *what, const char *why)
{
        char path[256], line[1024];
        struct wci_text text = {path, path + sizeof path};
        wci_text_add(&text, wci_session_path());
        wci_text_add(&text, "/warnings");
        struct wci_text message = {line, line + sizeof line - 1};
        wci_text_add(&message, what);
        wci_text_add(&message, why);
        message.at[0] = '\n';
        const long fd = wci_syscall6(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                                     0600, 0, 0);
        if (fd < 0)
                return;
        wci_syscall3(SYS_write, fd, line, message.at + 1 - line);
        wci_syscall3(SYS_close, fd, 0, 0);
}

/* Room for a pair that lasts as long as the process; NULL: no memory. Not malloc, which may be a target. */
static struct wci_handlers *
pair_new(void)
{
        static char *piece;
        static size_t left;
        if (left < sizeof(struct wci_handlers)) {
                const long map =
                    wci_syscall6(SYS_mmap, 0, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                if (map < 0 && map > -4096)
                        return NULL;
                piece = (char *)map;
                left = PIECE;
        }
        left -= sizeof(struct wci_handlers);
        return (struct wci_handlers *)(piece + left);
}

static void *
look_up(void *library, const char *name)
{
        void *found = name != NULL ? dlsym(library, name) : NULL;
        if (found == NULL && name != NULL)
                warn("the handler library has no function named ", name);
        return found;
}

/* The library's own path, not the session's link to it: its $ORIGIN is where it lies. */
static const char *
library_path(char *room, size_t size)
{
        char link[256];
        struct wci_text text = {link, link + sizeof link};
        wci_text_add(&text, wci_session_path());
        wci_text_add(&text, "/handlers.so");
        const long length = wci_syscall3(SYS_readlink, link, room, size - 1);
        if (length <= 0 || length == (long)size - 1)
                return NULL;
        room[length] = '\0';
        return room;
}

static void
pair_load(void *library, const struct wci_handler_names *names)
{
        struct wci_handlers *pair = pair_new();
        if (pair == NULL)
                return;
        *(void **)&pair->enter = look_up(library, names->enter);
        *(void **)&pair->leave = look_up(library, names->leave);
        if (pair->enter != NULL || pair->leave != NULL)
                __atomic_store_n(&wci_target_handlers[names->target], pair, __ATOMIC_RELEASE);
}

static void
load(void)
{
        char room[4096];
        const char *path = library_path(room, sizeof room);
        (void)wci_dlerror(); /* looked up now: later that would clear what dlopen has to say */
        void *library = path != NULL ? wci_dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
        if (library == NULL) {
                const char *why = path != NULL ? wci_dlerror() : "the session has no handlers.so";
                warn("no handler runs: ", why != NULL ? why : "dlopen failed");
                return;
        }
        for (const struct wci_handler_names *names = wci_handler_names; names->enter != NULL || names->leave != NULL; names++)
                pair_load(library, names);
        (void)wci_dlerror();
}

/*
 * Called when the program's _start has come to __libc_start_main: all libraries are initialised, none of the program's
 * own code has run. What dlopen calls, and the library's constructors, are not the program's calls either.
 */
void
wci_handlers_load(void)
{
        if ((wci_handler_names[0].enter == NULL && wci_handler_names[0].leave == NULL) || wci_segment == NULL)
                return;
        const int error = errno;
        const struct wci_place before = wci_handler_begin(wci_tls.ring, NULL, (uintptr_t)__builtin_frame_address(0));
        load();
        wci_handler_end(&before);
        errno = error;
}
