/*
 * wct_space.c: the objects that are mapped in an address space, from its beginning to its end.
 *
 * Called by the loop at exec, attach, fork and detach, and by wct_want.c. At EVENT_EXEC nothing can be called in the tracee
 * yet: an int3 goes on the image's first instruction (the loader's, or a static program's own), and wct_want.c plants the
 * rest when that is reached.
 * Rules: T3 (maps and files are looked at, never believed: wct_break_plant compares bytes).
 *
 * Absent on purpose: what the plan wants in them (wct_want.c).
 */
#define _GNU_SOURCE
#include "wct_space.h"

#include <elf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- a space's life ----------------------------------------------------------------------------------------------------- */

struct wct_space *
wct_space_of(struct wct_tracee *tracee)
{
        struct wct_process *process = tracee->process;
        if (process->space == NULL) {
                process->space = calloc(1, sizeof *process->space);
                if (process->space != NULL)
                        process->space->users = 1;
        }
        return process->space;
}

static void
free_breaks(struct wct_space *space)
{
        for (uint32_t i = 0; i < WCT_BREAK_BUCKETS; i++) {
                for (struct wct_break *at = space->buckets[i], *next; at != NULL; at = next) {
                        next = at->next;
                        free(at);
                }
        }
}

void
wct_space_release(struct wct_space *space)
{
        if (space == NULL || --space->users > 0)
                return;
        free_breaks(space);
        while (space->pools != NULL) {
                struct wct_pool *pool = space->pools;
                space->pools = pool->next;
                free(pool);
        }
        while (space->resolving != NULL) {
                struct wct_resolving *one = space->resolving;
                space->resolving = one->next;
                wct_resolving_free(one);
        }
        free(space->modules);
        free(space->executable);
        free(space);
}

void
wct_resolving_free(struct wct_resolving *one)
{
        free(one);
}

static void *
copy_of(const void *from, size_t size)
{
        void *to = from != NULL && size > 0 ? malloc(size) : NULL;
        return to != NULL ? memcpy(to, from, size) : NULL;
}

static void
copy_breaks(struct wct_space *to, const struct wct_space *from)
{
        for (uint32_t i = 0; i < WCT_BREAK_BUCKETS; i++) {
                struct wct_break **place = &to->buckets[i];
                *place = NULL;
                for (const struct wct_break *at = from->buckets[i]; at != NULL; at = at->next) {
                        struct wct_break *one = copy_of(at, sizeof *at);
                        if (one == NULL)
                                return;
                        one->next = NULL;
                        *place = one;
                        place = &one->next;
                }
        }
}

static void
copy_pools(struct wct_space *to, const struct wct_space *from)
{
        struct wct_pool **place = &to->pools;
        *place = NULL;
        for (const struct wct_pool *at = from->pools; at != NULL; at = at->next) {
                struct wct_pool *pool = copy_of(at, sizeof *at);
                if (pool == NULL)
                        return;
                for (uint32_t i = 0; i < pool->used; i++)
                        pool->slots[i] = at->slots[i] != NULL ? wct_break_find(to, at->slots[i]->address) : NULL;
                pool->next = NULL;
                *place = pool;
                place = &pool->next;
        }
}

struct wct_space *
wct_space_inherit(struct wct_space *space, bool share)
{
        if (space == NULL || share) {
                if (space != NULL)
                        space->users++;
                return space;
        }
        struct wct_space *child = copy_of(space, sizeof *space);
        if (child == NULL)
                return NULL;
        child->users = 1;
        child->resolving = NULL;
        memset(child->awaited, 0, sizeof child->awaited);
        memset(child->text_taken, 0, sizeof child->text_taken);
        child->modules = copy_of(space->modules, space->module_count * sizeof *space->modules);
        child->module_count = child->modules != NULL ? space->module_count : 0;
        child->executable = copy_of(space->executable, space->executable_count * sizeof *space->executable);
        child->executable_count = child->executable != NULL ? space->executable_count : 0;
        copy_breaks(child, space);
        copy_pools(child, space);
        return child;
}

/* --- what is mapped ------------------------------------------------------------------------------------------------------ */

const struct wct_module *
wct_space_module(const struct wct_space *space, uint64_t address)
{
        for (uint32_t i = 0; space != NULL && i < space->module_count; i++) {
                if (address >= space->modules[i].low && address < space->modules[i].high)
                        return &space->modules[i];
        }
        return NULL;
}

static bool
is_executable(const struct wct_space *space, uint64_t address)
{
        uint32_t low = 0, high = space->executable_count;
        while (low < high) {
                const uint32_t middle = (low + high) / 2;
                if (address >= space->executable[middle].high)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < space->executable_count && address >= space->executable[low].low;
}

static void
note_executable(struct wct_space *space, const struct wct_maps *maps)
{
        struct wct_range *all = realloc(space->executable, maps->count * sizeof *all);
        if (all == NULL)
                return;
        space->executable = all;
        space->executable_count = 0;
        for (uint32_t i = 0; i < maps->count; i++) {
                if (maps->all[i].executable)
                        all[space->executable_count++] = (struct wct_range){maps->all[i].low, maps->all[i].high};
        }
}

/* The session has a link to the shim, which programs preload; maps show what it leads to. */
static bool
is_shim(const struct wct_mapping *mapping)
{
        static char path[PATH_MAX];
        static bool looked;
        char link[PATH_MAX];
        const char *name = wct_text(wct_plan.head->shim);
        if (!looked && *name != '\0') {
                snprintf(link, sizeof link, "%s/%s", wct_session.path, name);
                if (realpath(link, path) == NULL)
                        path[0] = '\0';
        }
        looked = true;
        return path[0] != '\0' && strncmp(mapping->path, path, sizeof mapping->path - 1) == 0;
}

/* Neighbours of one file, at rising offsets: one object. The same file again from its start: another copy. */
static bool
belongs_to(const struct wct_mapping *mapping, const struct wct_mapping *first, const struct wct_mapping *last)
{
        return first != NULL && mapping->inode == first->inode && mapping->device == first->device &&
               mapping->offset >= last->offset && mapping->offset > first->offset && strcmp(mapping->path, first->path) == 0;
}

static struct wct_module *
module_find(struct wct_space *space, const struct wct_mapping *first)
{
        for (uint32_t i = 0; i < space->module_count; i++) {
                if (space->modules[i].low == first->low && space->modules[i].inode == first->inode)
                        return &space->modules[i];
        }
        return NULL;
}

/* The plan has grown. A file that cannot be read any more has nothing new. */
static void
object_again(struct wct_tracee *tracee, struct wct_module *module, const struct wct_mapping *first)
{
        uint64_t bias;
        const struct wct_object *object = wct_object_of(tracee->tid, first, &bias);
        if (object != NULL && bias == module->bias)
                module->object = object;
}

static void
module_add(struct wct_tracee *tracee, const struct wct_mapping *first, uint64_t high, uint64_t headers)
{
        struct wct_space *space = tracee->process->space;
        struct wct_module *module = module_find(space, first);
        if (module != NULL) {
                module->high = high;
                module->seen = true;
                if (module->object != NULL && module->object->generation != wct_plan.generation)
                        object_again(tracee, module, first);
                return;
        }
        struct wct_module *all = realloc(space->modules, (space->module_count + 1) * sizeof *all);
        if (all == NULL)
                return;
        space->modules = all;
        module = &all[space->module_count++];
        *module = (struct wct_module){.low = first->low, .high = high, .inode = first->inode, .seen = true};
        module->program = headers >= first->low && headers < high;
        module->shim = is_shim(first);
        module->object = module->shim ? NULL : wct_object_of(tracee->tid, first, &module->bias);
        space->moves_stacks |= module->program && module->object != NULL && module->object->moves_stacks;
}

static void
note_modules(struct wct_tracee *tracee, const struct wct_maps *maps)
{
        const uint64_t headers = wct_auxv(tracee->process->pid, AT_PHDR);
        const struct wct_mapping *first = NULL, *last = NULL;
        bool executable = false;
        for (uint32_t i = 0; i <= maps->count; i++) {
                const struct wct_mapping *at = i < maps->count ? &maps->all[i] : NULL;
                if (at != NULL && (at->inode == 0 || at->path[0] != '/'))
                        continue; /* .bss, heaps */
                if (at != NULL && belongs_to(at, first, last)) {
                        last = at;
                        executable |= at->executable;
                        continue;
                }
                if (first != NULL && executable)
                        module_add(tracee, first, last->high, headers);
                first = last = at;
                executable = at != NULL && at->executable;
        }
}

static void
forget_modules(struct wct_space *space)
{
        uint32_t kept = 0;
        for (uint32_t i = 0; i < space->module_count; i++) {
                if (space->modules[i].seen)
                        space->modules[kept++] = space->modules[i];
                else
                        wct_break_drop(space, space->modules[i].low, space->modules[i].high);
        }
        space->module_count = kept;
}

bool
wct_space_read(struct wct_tracee *tracee)
{
        struct wct_space *space = tracee->process->space;
        struct wct_maps maps;
        if (!wct_maps_read(tracee->tid, &maps))
                return false;
        for (uint32_t i = 0; i < space->module_count; i++)
                space->modules[i].seen = false;
        note_executable(space, &maps);
        note_modules(tracee, &maps);
        forget_modules(space);
        wct_maps_free(&maps);
        return true;
}

bool
wct_space_executable(struct wct_tracee *tracee, uint64_t address)
{
        struct wct_space *space = tracee->process->space;
        struct wct_maps maps;
        if (is_executable(space, address))
                return true;
        if (!wct_maps_read(tracee->tid, &maps))
                return false;
        note_executable(space, &maps);
        wct_maps_free(&maps);
        return is_executable(space, address);
}

/* --- beginnings and ends --------------------------------------------------------------------------------------------- */

void
wct_space_exec(struct wct_tracee *tracee)
{
        wct_space_release(tracee->process->space);
        tracee->process->space = NULL;
        wct_break_forget(tracee);
        if (wct_space_of(tracee) == NULL || tracee->process->coverage == WCT_EVENTS_ONLY)
                return;
        wct_texts_make(tracee);
        if (!wct_plan.has_functions)
                return;
        const struct user_regs_struct *regs = wct_regs(tracee);
        if (regs != NULL)
                tracee->process->space->starting = wct_break_plant(tracee, regs->rip, WCT_ROLE_START, NULL, 0) != NULL;
}

void
wct_space_attach(struct wct_tracee *tracee)
{
        struct wct_space *space = wct_space_of(tracee);
        if (space == NULL)
                return;
        wct_texts_make(tracee);
        if (!wct_plan.has_functions)
                return;
        space->started = true;
        wct_space_look(tracee, true);
}

static void
write_back(const struct wct_space *space, struct wct_tracee *tracee)
{
        for (uint32_t i = 0; i < WCT_BREAK_BUCKETS; i++) {
                for (struct wct_break *at = space->buckets[i]; at != NULL; at = at->next) {
                        struct wct_break copy = *at;
                        wct_break_lift(&copy, tracee->tid);
                }
        }
}

void
wct_space_scrub(struct wct_space *space, struct wct_tracee *tracee)
{
        if (space == NULL)
                return;
        write_back(space, tracee);
        if (tracee->process->space != space)
                return; /* a copy of it: its own table stays true */
        for (uint32_t i = 0; i < WCT_BREAK_BUCKETS; i++) {
                for (struct wct_break *at = space->buckets[i]; at != NULL; at = at->next) {
                        at->planted = false;
                        at->roles = 0;
                }
        }
        wct_pools_unmap(tracee);
}

bool
wct_ip_is_hidden(struct wct_tracee *tracee, uint64_t ip)
{
        struct wct_space *space = wct_plan.head->shim != 0 && tracee->process != NULL ? wct_space_of(tracee) : NULL;
        if (space == NULL)
                return false;
        if (!is_executable(space, ip))
                wct_space_read(tracee);
        const struct wct_module *module = wct_space_module(space, ip);
        return module != NULL && module->shim;
}
