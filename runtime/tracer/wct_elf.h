/*
 * wct_elf.h: an object file, as the plan sees it: which of its functions are wanted, and where they are in it.
 *
 * Used by wct_space.c. An object is read once, however many processes map it.
 */
#ifndef WCT_ELF_H
#define WCT_ELF_H

#include "wct.h"

#define WCT_ELF_CODE 16u

struct wct_found {
        const struct wct_symbol *symbol;
        uint64_t value;     /* as in the file: not relocated */
        bool resolver;      /* an IFUNC: what is there returns the function's address */
        bool exported;      /* by .dynsym */
        uint8_t code[WCT_ELF_CODE]; /* what the file has there */
        uint8_t size;
};

#define WCT_ELF_LOADS 16u

struct wct_load {
        uint64_t offset, address; /* of a loaded segment, to whole pages */
};

struct wct_object {
        struct wct_object *next;
        uint64_t device, inode, size;
        int64_t changed[2];
        uint32_t generation;    /* of the plan that it was read for */
        char soname[256];       /* DT_SONAME, or the last part of its path */
        bool is_static;         /* no PT_DYNAMIC, or no PT_INTERP and no DT_SONAME: nobody relocates it but itself */
        bool moves_stacks;      /* Go's: a function that finds its stack too small begins anew on a larger one */
        uint64_t debug_state;   /* ld.so's function that tells of every object that comes or goes; 0: none */
        uint64_t errno_place;   /* __errno_location */
        int64_t errno_from;     /* errno of an executable of its own, from the thread pointer; 0: it has none */
        uint64_t restorer;      /* where signal handlers return to; 0: it has none */
        struct wct_load loads[WCT_ELF_LOADS];
        uint32_t load_count;
        struct wct_found *found;
        uint32_t count, room;
};

/* A mapping of a file: a line of /proc/PID/maps. */
struct wct_mapping {
        uint64_t low, high, offset, device, inode;
        bool readable, writable, executable;
        char path[512]; /* "" for none; "[stack]" and the like */
};

/* NULL: it cannot be read, or is no x86-64 object. `bias` is how far from its file's addresses this mapping of it is. */
const struct wct_object *wct_object_of(pid_t pid, const struct wct_mapping *mapping, uint64_t *bias);

/* wct_elf.c, for wct_object.c: what is in these bytes; nothing when they are no object. */
void wct_object_read(struct wct_object *object, const void *bytes, uint64_t size, const char *path);

#endif
