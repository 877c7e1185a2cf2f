/*
 * wci_resolve.c: fills the cached pointers (the INITIAL half of the FUNC / INITIAL pattern).
 *
 * The constructor resolves every libc name at once (0.5 ms for all of libc); INITIAL covers calls that come earlier,
 * and libraries beyond libc, which are looked up at the first call only: a failed dlsym allocates, and a program that
 * never loads libm would pay for 800 failures.  Order: RTLD_NEXT (an allocator preloaded behind us stays in charge),
 * then the library by its soname, for one that a plugin pulled in locally.  R2: errno stays what it was.
 *
 * No dlopen before libc has run its own constructor: dlopen would run it, with the argc, argv and environ that only
 * this constructor sets, all zero, and main would find no environment.  environ tells: it is never NULL afterwards.
 */
#include "wci_runtime.h"

#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

static void *
look_up(void *handle, const struct wci_slot *slot)
{
        return slot->version != NULL ? dlvsym(handle, slot->name, slot->version) : dlsym(handle, slot->name);
}

/* dlopen and dlerror may be our own wrappers: those behind us, looked up without wci_resolve (which needs them). */
void *
wci_dlopen(const char *name, int flags)
{
        static void *(*next)(const char *, int);
        if (next == NULL)
                *(void **)&next = dlsym(RTLD_NEXT, "dlopen");
        return next != NULL ? next(name, flags) : NULL;
}

char *
wci_dlerror(void)
{
        static char *(*next)(void);
        if (next == NULL)
                *(void **)&next = dlsym(RTLD_NEXT, "dlerror");
        return next != NULL ? next() : NULL;
}

WCI_COLD void
wci_resolve(const struct wci_slot *slot)
{
        const int error = errno;
        wci_tls.resolving++;
        void *found = look_up(RTLD_NEXT, slot);
        if (found == NULL && environ != NULL) {
                void *library =
                    wci_dlopen(slot->library != NULL ? slot->library : "libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
                if (library != NULL)
                        found = look_up(library, slot);
                (void)wci_dlerror(); /* the program shall not find our failure there */
        }
        if (found != NULL)
                __atomic_store_n(slot->pointer, found, __ATOMIC_RELEASE);
        wci_tls.resolving--;
        errno = error;
}

void
wci_resolve_all(void)
{
        for (uint32_t t = 0; wci_slot_tables[t] != NULL; t++)
                for (const struct wci_slot *const *slot = wci_slot_tables[t]; *slot != NULL; slot++)
                        if ((*slot)->library == NULL && *(*slot)->pointer == NULL)
                                wci_resolve(*slot);
        wci_when_resolve();
}
