/*
 * wci_resolve.c: fills the cached pointers (the INITIAL half of the FUNC / INITIAL pattern).
 *
 * The constructor resolves every libc name at once (0.5 ms for all of libc); INITIAL covers calls that come earlier,
 * and libraries beyond libc, which are looked up at the first call only: a failed dlsym allocates, and a program that
 * never loads libm would pay for 800 failures.  Order: RTLD_NEXT (an allocator preloaded behind us stays in charge),
 * then the library by its soname, for one that a plugin pulled in locally.  R2: errno stays what it was.
 */
#include "wci_runtime.h"

#include <dlfcn.h>
#include <errno.h>

static void *
look_up(void *handle, const struct wci_slot *slot)
{
        return slot->version != NULL ? dlvsym(handle, slot->name, slot->version) : dlsym(handle, slot->name);
}

WCI_COLD void
wci_resolve(const struct wci_slot *slot)
{
        const int error = errno;
        wci_tls.resolving++;
        void *found = look_up(RTLD_NEXT, slot);
        if (found == NULL) {
                void *library = dlopen(slot->library != NULL ? slot->library : "libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
                if (library != NULL)
                        found = look_up(library, slot);
                (void)dlerror(); /* the program shall not find our failure there */
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
}

/* The session's link to the handler library: the shim itself knows no path. */
void
wci_handlers_load(const char *session)
{
        if (wci_handler_slots[0].name == NULL)
                return;
        char path[256];
        struct wci_text text = {path, path + sizeof path};
        wci_text_add(&text, session);
        wci_text_add(&text, "/handlers.so");
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        for (uint32_t i = 0; library != NULL && wci_handler_slots[i].name != NULL; i++)
                *wci_handler_slots[i].pointer = dlsym(library, wci_handler_slots[i].name);
        (void)dlerror();
}
