/*
 * wci_swap.c: which handlers there are: their library loaded, their names looked up, each target's pair put in force.
 *
 * wci_handlers_load runs when the program's _start comes to __libc_start_main (docs/adr/0003); from then on the control
 * thread (wci_control.c) calls wci_swap_look when wc-run has changed the session's table (wc_table.h).  Rules:
 *   R2  errno stays what it was
 *   R4  a library that cannot be loaded, or lacks a handler, is reported in the session's file `warnings`; the program runs on
 * A target's pair is put in force by one store, and never freed: calls that took the one before end in it. For the same reason
 * libraries stay mapped, each for good.
 * Absent on purpose: running handlers (wci_handler.c), and what is in the files that are loaded: wc-run sees to it that a new
 * library has a path of its own, since dlopen gives the old one for a path that it knows.
 */
#include "wci_handler.h"

#include "wci_control.h"
#include "wci_runtime.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h> /* SEEK_END */
#include <sys/mman.h>

#define PIECE 16384u /* bytes that pairs are taken from */

/* One line for the consumer: the program's own output is not ours to write to. */
void
wci_swap_warn(const char *what, const char *why)
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
        return name != NULL ? wci_handler_find(library, name, wci_swap_warn) : NULL;
}

/* The library's own path, not the session's link to it: its $ORIGIN is where it lies. */
static const char *
first_path(char *room, size_t size)
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

static struct {
        void *handle;
        char path[4096];
} library; /* the newest that was loaded */

static bool
same_text(const char *one, const char *other)
{
        return wci_text_starts(one, other) && wci_text_starts(other, one);
}

/* Load *path* unless it is the newest already; NULL: `what` and the reason have been told. */
static void *
load(const char *path, const char *what)
{
        if (path != NULL && library.handle != NULL && same_text(path, library.path))
                return library.handle;
        (void)wci_dlerror(); /* looked up now: later that would clear what dlopen has to say */
        void *handle = path != NULL ? wci_dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
        if (handle == NULL) {
                const char *why = path != NULL ? wci_dlerror() : "the session has no handlers.so";
                wci_swap_warn(what, why != NULL ? why : "dlopen failed");
                return NULL;
        }
        library.handle = handle;
        struct wci_text text = {library.path, library.path + sizeof library.path};
        wci_text_add(&text, path);
        return handle;
}

static void
load_first(void)
{
        char room[4096];
        const struct wci_handler_names *names = wci_handler_names;
        if (names->enter == NULL && names->leave == NULL)
                return;
        void *handle = load(first_path(room, sizeof room), "no handler runs: ");
        for (; handle != NULL && (names->enter != NULL || names->leave != NULL); names++) {
                struct wci_handlers *pair = pair_new();
                if (pair == NULL)
                        break;
                *(void **)&pair->enter = look_up(handle, names->enter);
                *(void **)&pair->leave = look_up(handle, names->leave);
                if (pair->enter != NULL || pair->leave != NULL)
                        __atomic_store_n(&wci_target_handlers[names->target], pair, __ATOMIC_RELEASE);
        }
        (void)wci_dlerror();
}

/* --- the session's table ---------------------------------------------------------------------------------------------- */

struct wci_table *wci_table;
static const struct wci_handlers **next; /* by target: what `prepared` puts in force */
static uint32_t prepared, acting;        /* numbers of changes */

static void *
map(long descriptor, size_t size)
{
        const int flags = descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
        const long made = wci_syscall6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, flags, descriptor, 0);
        return made < 0 && made > -4096 ? NULL : (void *)made;
}

/* In the constructor, where a descriptor takes no number from the program. Without a table handlers stay what they are. */
void
wci_table_open(const char *session)
{
        char path[256];
        struct wci_text text = {path, path + sizeof path};
        wci_text_add(&text, session);
        wci_text_add(&text, "/handlers");
        if (!wci_takes_handlers)
                return;
        const long fd = wci_syscall6(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0, 0, 0);
        if (fd < 0)
                return;
        const long size = wci_syscall3(SYS_lseek, fd, 0, SEEK_END);
        struct wci_table *found = size >= (long)sizeof *found ? map(fd, (size_t)size) : NULL;
        wci_syscall3(SYS_close, fd, 0, 0);
        next = map(-1, wci_targets * sizeof *next);
        if (found == NULL || next == NULL || found->magic != WCI_TABLE_MAGIC || found->size != (uint64_t)size ||
            found->targets < wci_targets)
                return;
        wci_table = found;
}

static const struct wci_half *
half_of(uint64_t state)
{
        return (const struct wci_half *)((const char *)wci_table + wci_table->half_at[state & 1]);
}

static const char *
text_of(const struct wci_half *half, uint32_t offset)
{
        const char *texts = (const char *)((const struct wci_named *)(half + 1) + wci_table->targets);
        return offset != 0 && offset < wci_table->texts_size ? texts + offset : NULL;
}

/* The target's pair in the library; NULL without handlers. False: no memory, or a name is missing and has been told. */
static bool
pair_prepare(void *handle, const struct wci_half *half, uint32_t target)
{
        const struct wci_named *named = (const struct wci_named *)(half + 1) + target;
        const struct wci_handlers *now = wci_target_handlers[target];
        const char *enter = text_of(half, named->enter), *leave = text_of(half, named->leave);
        struct wci_handlers pair = {NULL, NULL};
        next[target] = NULL;
        if (enter == NULL && leave == NULL)
                return true;
        *(void **)&pair.enter = look_up(handle, enter);
        *(void **)&pair.leave = look_up(handle, leave);
        if ((enter != NULL) != (pair.enter != NULL) || (leave != NULL) != (pair.leave != NULL))
                return false;
        if (now != NULL && now->enter == pair.enter && now->leave == pair.leave) {
                next[target] = now;
                return true;
        }
        struct wci_handlers *made = pair_new();
        if (made == NULL)
                return false;
        *made = pair;
        next[target] = made;
        return true;
}

static bool
prepare(uint64_t state)
{
        const struct wci_half *half = half_of(state);
        const char *path = text_of(half, half->library);
        if (prepared == (uint32_t)(state >> 1))
                return true;
        prepared = 0;
        void *handle = path != NULL ? load(path, "the new handlers do not run: ") : NULL;
        if (path != NULL && handle == NULL)
                return false;
        for (uint32_t target = 0; target < wci_targets; target++)
                if (!pair_prepare(handle, half, target))
                        return false;
        (void)wci_dlerror();
        prepared = (uint32_t)(state >> 1);
        return true;
}

static void
act(uint64_t state)
{
        for (uint32_t target = 0; target < wci_targets; target++)
                __atomic_store_n(&wci_target_handlers[target], next[target], __ATOMIC_RELEASE);
        acting = (uint32_t)(state >> 1);
}

bool
wci_swap_is_behind(void)
{
        return (uint32_t)(__atomic_load_n(&wci_table->current, __ATOMIC_ACQUIRE) >> 1) != acting;
}

/* Put in force what is current, prepare what is proposed, and say so. For one thread of the process at a time. */
void
wci_swap_look(struct wci_answer *answer)
{
        const uint64_t current = __atomic_load_n(&wci_table->current, __ATOMIC_ACQUIRE);
        if (current >> 1 != acting) {
                if (prepare(current))
                        act(current);
                else if (current == __atomic_load_n(&wci_table->current, __ATOMIC_ACQUIRE))
                        acting = (uint32_t)(current >> 1); /* told: here everything stays as it was */
        }
        __atomic_store_n(&answer->acting, acting, __ATOMIC_RELEASE);
        const uint64_t proposed = __atomic_load_n(&wci_table->proposed, __ATOMIC_ACQUIRE);
        const uint32_t number = (uint32_t)(proposed >> 1);
        if (number <= acting || number == answer->ready || number == answer->failed)
                return;
        const bool can = prepare(proposed);
        if (proposed == __atomic_load_n(&wci_table->proposed, __ATOMIC_ACQUIRE))
                __atomic_store_n(can ? &answer->ready : &answer->failed, number, __ATOMIC_RELEASE);
        else
                prepared = 0; /* it was written over meanwhile */
}

/*
 * Called when the program's _start has come to __libc_start_main: all libraries are initialised, none of the program's
 * own code has run. What dlopen calls, and the library's constructors, are not the program's calls either.
 */
void
wci_handlers_load(void)
{
        if (!wci_takes_handlers || wci_segment == NULL)
                return;
        const int error = errno;
        const struct wci_place before = wci_handler_begin(wci_tls.ring, NULL, (uintptr_t)__builtin_frame_address(0));
        struct wci_answer nobody = {.pid = 0};
        wci_control_claim();
        if (wci_table != NULL && wci_table->current != 0)
                wci_swap_look(&nobody);
        else
                load_first();
        wci_control_begin();
        wci_handler_end(&before);
        errno = error;
}
