/*
 * wci_when.c: the texts that a `when` asks about: those of the program, and the path of the caller's library.
 *
 * Called by generated wrappers (wci_when.h).  Rules: R1, R7 (an unproven text is read through the kernel, a window at a
 * time), R9 (no more than a window of stack; once quiet, an unproven text is unreadable, and then it is like nothing).
 * The caller's object comes from _dl_find_object (glibc 2.35), which takes no lock and is made for being called anywhere:
 * the object cannot go away meanwhile, since code of it is about to be returned to.
 * Absent on purpose: numbers, which the wrapper computes itself.
 */
#include "wci_when.h"

#include "wci_runtime.h"

#include <link.h>

static uint32_t
text_read(void *context, void *to, uint64_t from, uint32_t size)
{
        (void)context;
        return wci_quiet ? 0 : wci_guarded_read(to, (uintptr_t)from, size);
}

bool
wci_text_equals(const void *text, const char *other, bool proven)
{
        struct wc_text seen;
        wc_text_begin(&seen, (uintptr_t)text, proven ? NULL : text_read, NULL);
        return wc_text_equals(&seen, other);
}

bool
wci_text_matches(const void *text, const char *glob, bool proven)
{
        struct wc_text seen;
        wc_text_begin(&seen, (uintptr_t)text, proven ? NULL : text_read, NULL);
        return wc_text_matches(&seen, glob);
}

/* dlfcn.h's struct dl_find_object, which older headers do not have. */
struct found {
        unsigned long long flags;
        void *low, *high;
        struct link_map *map;
        void *frames;
        unsigned long long more[7];
};

/* By pointer: the shim may have a wrapper of that name. */
static int (*find_object)(void *address, struct found *found);
static const struct wci_slot slot = {"_dl_find_object", NULL, NULL, (void **)&find_object};

void
wci_when_resolve(void)
{
        if (find_object == NULL)
                wci_resolve(&slot);
}

/* The program itself has no name in the loader's list. */
static const char *
caller_path(const void *address)
{
        struct found found;
        wci_when_resolve(); /* a call before our constructor */
        if (find_object == NULL || find_object((void *)(uintptr_t)address, &found) != 0)
                return "";
        const char *path = found.map->l_name;
        if (path != NULL && path[0] != '\0')
                return path;
        return wci_segment != NULL ? wci_segment->program : "";
}

bool
wci_caller_equals(const void *address, const char *other)
{
        return wci_text_equals(caller_path(address), other, true);
}

bool
wci_caller_matches(const void *address, const char *glob)
{
        return wci_text_matches(caller_path(address), glob, true);
}
