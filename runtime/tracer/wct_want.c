/*
 * wct_want.c: what the plan wants in the objects of an address space, planted there.
 *
 * Called when an image's first instruction is reached, when its loader says that objects have come or gone, and at attach.
 *   objects   ld.so calls _dl_debug_state before and after every change of its list. The first that shows new objects comes
 *             when all libraries are relocated and none of their constructors has run; one after a dlopen comes before
 *             relocation.
 *   IFUNC     of a relocated object: the resolver is called in the tracee. Else a breakpoint on the resolver: the loader, or
 *             a static program's own start, calls it, and what it returns is the function.
 *
 * Absent on purpose: names in the vDSO (nobody calls them by name), functions of code that is mapped without a file.
 */
#include "wct_space.h"

#include <string.h>

/* musl is one object; what the plan looks for in a library of glibc's is there. */
static bool
is_in_musl(const char *library, const char *soname)
{
        static const char *const parts[] = {"libc.so.", "libm.so.", "libpthread.so.", "librt.so.", "libdl.so."};
        const bool musl = strcmp(soname, "libc.so") == 0 || strncmp(soname, "ld-musl-", 8) == 0 ||
                          strncmp(soname, "libc.musl-", 10) == 0;
        for (size_t i = 0; musl && i < sizeof parts / sizeof parts[0]; i++) {
                if (strncmp(library, parts[i], strlen(parts[i])) == 0)
                        return true;
        }
        return false;
}

static bool
is_wanted(const struct wct_process *process, const struct wct_module *module, const struct wct_found *found)
{
        const struct wct_symbol *symbol = found->symbol;
        const char *library = wct_text(symbol->library);
        if ((symbol->flags & WCT_FALLBACK) && process->coverage != WCT_EVERYTHING)
                return false;
        if (symbol->address != 0 && symbol->address != found->value)
                return false;
        if (strcmp(library, ".") == 0)
                return module->program;
        if (strcmp(library, "*") == 0)
                return module->program || found->exported;
        if (*library == '\0')
                return !module->program && found->exported;
        return strcmp(library, module->object->soname) == 0 || is_in_musl(library, module->object->soname);
}

static void
want(struct wct_break *one, const struct wct_module *module, const struct wct_symbol *symbol)
{
        wct_break_want(one, symbol);
        one->low = module->low;
        one->high = module->high;
        one->restorer = module->object->restorer != 0 ? module->bias + module->object->restorer : 0;
        one->of_program = module->program;
}

/* It may be in another object than its resolver, or in none: time() is in the vDSO. Calls of it count as the resolver's. */
static void
plant_resolved(struct wct_tracee *tracee, const struct wct_module *module, const struct wct_symbol *symbol, uint64_t function)
{
        if (!wct_space_executable(tracee, function))
                return;
        struct wct_break *one = wct_break_plant(tracee, function, WCT_ROLE_ENTRY, NULL, 0);
        if (one != NULL)
                want(one, module, symbol);
}

void
wct_space_resolved(struct wct_tracee *tracee, const struct wct_break *resolver, uint64_t function)
{
        const struct wct_module *found = wct_space_module(tracee->process->space, resolver->address);
        if (found == NULL)
                return;
        const struct wct_module module = *found;
        for (const struct wct_wanted *w = resolver->wanted; w != NULL; w = w->next)
                plant_resolved(tracee, &module, w->symbol, function);
}

static void
plant_found(struct wct_tracee *tracee, const struct wct_module *module, const struct wct_found *found, bool relocated)
{
        const uint64_t address = module->bias + found->value;
        uint64_t function;
        if (found->resolver && relocated && wct_inject_call(tracee, address, &function)) {
                plant_resolved(tracee, module, found->symbol, function);
                return;
        }
        const enum wct_role role = found->resolver ? WCT_ROLE_RESOLVER : WCT_ROLE_ENTRY;
        struct wct_break *one = wct_break_plant(tracee, address, role, found->code, found->size);
        if (one != NULL)
                want(one, module, found->symbol);
}

static void
plant_from(struct wct_tracee *tracee, const struct wct_module *module, bool relocated, const struct wct_symbol *first)
{
        const struct wct_object *object = module->object;
        for (uint32_t i = 0; object != NULL && i < object->count; i++) {
                const struct wct_found *found = &object->found[i];
                if (found->symbol >= first && !wct_plan_is_dropped(found->symbol->target) &&
                    is_wanted(tracee->process, module, found))
                        plant_found(tracee, module, found, relocated && !object->is_static);
        }
}

static void
plant_module(struct wct_tracee *tracee, const struct wct_module *module, bool relocated)
{
        const struct wct_object *object = module->object;
        if (object == NULL)
                return;
        if (object->debug_state != 0)
                wct_break_plant(tracee, module->bias + object->debug_state, WCT_ROLE_OBJECTS, NULL, 0);
        plant_from(tracee, module, relocated, wct_plan.symbols);
}

void
wct_space_look(struct wct_tracee *tracee, bool relocated)
{
        struct wct_space *space = tracee->process->space;
        if (!wct_space_read(tracee))
                return;
        for (uint32_t i = 0; i < space->module_count; i++) {
                if (space->modules[i].planted)
                        continue;
                space->modules[i].planted = true;
                const struct wct_module module = space->modules[i]; /* what is planted may make us look again */
                plant_module(tracee, &module, relocated);
                space->relocated |= relocated;
        }
}

/* --- a plan that changes while programs run ---------------------------------------------------------------------------- */

void
wct_space_grow(struct wct_tracee *tracee, const struct wct_symbol *first)
{
        struct wct_space *space = wct_space_of(tracee);
        if (space == NULL || space->starting)
                return;
        space->started = true;
        if (!wct_space_read(tracee))
                return;
        for (uint32_t i = 0; i < space->module_count; i++) {
                const struct wct_module module = space->modules[i];
                if (module.planted)
                        plant_from(tracee, &module, true, first);
        }
        wct_space_look(tracee, true);
}

static bool
is_wanted_still(const struct wct_break *one)
{
        for (const struct wct_wanted *w = one->wanted; w != NULL; w = w->next) {
                if (!wct_plan_is_dropped(w->symbol->target))
                        return true;
        }
        return false;
}

void
wct_space_thin(struct wct_tracee *tracee)
{
        struct wct_space *space = tracee->process->space;
        for (uint32_t i = 0; space != NULL && i < WCT_BREAK_BUCKETS; i++) {
                for (struct wct_break *at = space->buckets[i]; at != NULL; at = at->next) {
                        if (!(at->roles & (WCT_ROLE_ENTRY | WCT_ROLE_RESOLVER)) || is_wanted_still(at))
                                continue;
                        at->roles &= (uint8_t)~(WCT_ROLE_ENTRY | WCT_ROLE_RESOLVER);
                        if (at->roles == 0)
                                wct_break_lift(at, tracee->tid);
                }
        }
}
