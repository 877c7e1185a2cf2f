/*
 * wct_swap.c: which handlers there are in the tracer: loaded before the program runs, and others when wc-run says "handlers".
 *
 * Called by wct_main.c (open, look) and wct_handler.c (pair_of), all in the thread that makes the ptrace calls and runs the
 * handlers, so that nothing here is shared.  A change stands in the session's table (wc_table.h), and is answered there, as by
 * the shims; it is in force for calls that begin afterwards.
 * Rules: a library that cannot be loaded and a handler that it has not are told, in the shim's words, and the program runs on;
 * of a change that cannot be made whole nothing is made.  Libraries, handlers and pairs stay for good: calls are inside them.
 * Absent on purpose: running handlers (wct_handler.c).
 */
#define _GNU_SOURCE
#include "wct_handler.h"

#include "wc_table.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_SYMBOL 256 /* of a name with its mark; longer ones have none */

typedef const char *wct_names(uint32_t target, bool enter); /* a handler's name; "" for none */

struct set {
        void *library;
        char path[4096];
        const struct wct_pair **pairs; /* by target; NULL: none has any */
        struct wct_handler **all;      /* each once, however many targets it has */
        uint32_t count;
        uint32_t number; /* of the change */
};

static struct set now, next;
static struct wci_table *table;
static struct wci_answer *answer;
static uint32_t targets; /* room in `pairs` */
static bool guarded;

const struct wct_pair *
wct_pair_of(const struct wct_symbol *symbol)
{
        return now.pairs != NULL && symbol->target < targets ? now.pairs[symbol->target] : NULL;
}

/* --- a set ------------------------------------------------------------------------------------------------------------ */

/* By its mark, if WC_HANDLER has made one; else by its name. False: it cannot run, which has been told. */
static bool
handler_find(struct wct_handler *handler, void *library)
{
        char symbol[MOST_SYMBOL];
        const int length = snprintf(symbol, sizeof symbol, "wc_handler_%s", handler->name);
        const struct wc_handler_mark *mark = length < (int)sizeof symbol ? dlsym(library, symbol) : NULL;
        if (mark != NULL && mark->magic == WC_HANDLER_MAGIC) {
                if (mark->version == 0 || mark->version > WC_CALL_VERSION) {
                        wct_tell("warn compiled with a later wc_call.h than this wc-intercept has, and switched off: the handler %s",
                                 handler->name);
                        return false;
                }
                handler->run_call = mark->run;
                return true;
        }
        handler->run = (wct_function)(uintptr_t)dlsym(library, handler->name);
        if (handler->run == NULL)
                wct_tell("warn the handler library has no function named %s", handler->name);
        return handler->run != NULL;
}

static struct wct_handler *
handler_add(struct set *set, const char *name)
{
        struct wct_handler **all = realloc(set->all, (set->count + 1) * sizeof *all);
        struct wct_handler *handler = calloc(1, sizeof *handler);
        char *copy = strdup(name);
        if (all != NULL)
                set->all = all;
        if (all == NULL || handler == NULL || copy == NULL) {
                free(handler);
                free(copy);
                return NULL;
        }
        handler->name = copy;
        handler->off = !handler_find(handler, set->library);
        set->all[set->count++] = handler;
        return handler;
}

/* NULL for no name. One that the library has not is kept without a function, so that it is told once. */
static struct wct_handler *
handler_named(struct set *set, const char *name)
{
        if (*name == '\0')
                return NULL;
        for (uint32_t i = 0; i < set->count; i++)
                if (strcmp(set->all[i]->name, name) == 0)
                        return set->all[i];
        return handler_add(set, name);
}

/* False: there is no memory, or a handler is missing. */
static bool
set_fill(struct set *set, wct_names *names)
{
        bool whole = true;
        set->all = NULL;
        set->count = 0;
        set->pairs = calloc(targets, sizeof *set->pairs);
        for (uint32_t i = 0; set->pairs != NULL && i < wct_plan.head->symbols; i++) { /* others have theirs in a shim */
                const uint32_t target = wct_plan.symbols[i].target;
                const char *enter = names(target, true), *leave = names(target, false);
                if (set->pairs[target] != NULL || (*enter == '\0' && *leave == '\0'))
                        continue;
                struct wct_pair *pair = malloc(sizeof *pair);
                if (pair == NULL)
                        return false;
                *pair = (struct wct_pair){handler_named(set, enter), handler_named(set, leave)};
                whole &= (pair->enter == NULL) == (*enter == '\0') && (pair->enter == NULL || !pair->enter->off);
                whole &= (pair->leave == NULL) == (*leave == '\0') && (pair->leave == NULL || !pair->leave->off);
                set->pairs[target] = pair;
        }
        if (set->count != 0 && !guarded)
                wct_guard_begin();
        guarded |= set->count != 0;
        return whole && set->pairs != NULL;
}

static bool
set_load(struct set *set, const char *path)
{
        set->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        snprintf(set->path, sizeof set->path, "%s", path);
        return set->library != NULL;
}

/* --- the beginning ---------------------------------------------------------------------------------------------------- */

static const char *
first_name(uint32_t target, bool enter)
{
        return wct_text(enter ? wct_plan.targets[target].back_enter : wct_plan.targets[target].back_exit);
}

static bool
any_first(void)
{
        for (uint32_t i = 0; i < wct_plan.head->symbols; i++) {
                const uint32_t target = wct_plan.symbols[i].target;
                if (*first_name(target, true) != '\0' || *first_name(target, false) != '\0')
                        return true;
        }
        return false;
}

/* The session's copy of the library, or the library. */
static const char *
first_path(const char *library)
{
        static char path[4096];
        char link[4096];
        snprintf(link, sizeof link, "%s/handlers.so", wct_session.path);
        const ssize_t size = readlink(link, path, sizeof path - 1);
        if (size <= 0)
                return library;
        path[size] = '\0';
        return path;
}

/* One that is free, or whose owner is dead: tracers come and go with the targets that are added. */
static struct wci_answer *
answer_take(struct wci_table *from)
{
        for (uint32_t i = 0; i < WCI_ANSWERS; i++) {
                struct wci_answer *one = &from->answers[i];
                uint32_t pid = __atomic_load_n(&one->pid, __ATOMIC_RELAXED);
                if (pid != 0 && (kill((pid_t)pid, 0) == 0 || errno != ESRCH))
                        continue;
                if (!__atomic_compare_exchange_n(&one->pid, &pid, (uint32_t)getpid(), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
                        continue;
                one->ready = one->failed = one->acting = one->maker = one->thread = 0;
                return one;
        }
        return NULL;
}

static void
table_open(void)
{
        char path[4096];
        struct stat info;
        snprintf(path, sizeof path, "%s/handlers", wct_session.path);
        const int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return;
        struct wci_table *found = MAP_FAILED;
        if (fstat(fd, &info) == 0 && (size_t)info.st_size >= sizeof *found)
                found = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (found == MAP_FAILED || found->magic != WCI_TABLE_MAGIC || found->size != (uint64_t)info.st_size ||
            found->targets < targets)
                return;
        answer = answer_take(found);
        table = answer != NULL ? found : NULL;
        if (table != NULL)
                targets = table->targets;
}

const char *
wct_handlers_open(const char *library)
{
        targets = wct_plan.head->targets;
        table_open();
        if (*library == '\0' || !any_first())
                return NULL;
        if (!set_load(&now, first_path(library)))
                return dlerror();
        (void)set_fill(&now, first_name);
        return now.pairs == NULL ? "there is no memory for handlers" : NULL;
}

/* --- a change --------------------------------------------------------------------------------------------------------- */

static uint64_t looking_at; /* what table_name reads */

static const struct wci_half *
half(void)
{
        return (const struct wci_half *)((const char *)table + table->half_at[looking_at & 1]);
}

static const char *
table_text(uint32_t offset)
{
        const char *texts = (const char *)((const struct wci_named *)(half() + 1) + table->targets);
        return offset < table->texts_size ? texts + offset : "";
}

static const char *
table_name(uint32_t target, bool enter)
{
        const struct wci_named *named = (const struct wci_named *)(half() + 1) + target;
        return table_text(enter ? named->enter : named->leave);
}

static bool
prepare(uint64_t state)
{
        looking_at = state;
        if (next.number == state >> 1)
                return true;
        next.number = 0;
        next.library = now.library;
        snprintf(next.path, sizeof next.path, "%s", now.path);
        const char *path = table_text(half()->library);
        if (*path != '\0' && (now.library == NULL || strcmp(path, now.path) != 0) && !set_load(&next, path)) {
                wct_tell("warn the new handlers do not run: %s", dlerror());
                return false;
        }
        free(next.all);
        free(next.pairs);
        if (!set_fill(&next, table_name))
                return false;
        next.number = (uint32_t)(state >> 1);
        return true;
}

/* Calls keep their pair, not the list of pairs. */
static void
act(void)
{
        const struct set before = now;
        now = next;
        next = (struct set){.number = 0};
        free(before.all);
        free(before.pairs);
}

void
wct_handlers_look(void)
{
        if (table == NULL)
                return;
        const uint64_t current = __atomic_load_n(&table->current, __ATOMIC_ACQUIRE);
        if (current >> 1 != now.number) {
                if (prepare(current))
                        act();
                else
                        now.number = (uint32_t)(current >> 1); /* told: here everything stays as it was */
        }
        __atomic_store_n(&answer->acting, now.number, __ATOMIC_RELEASE);
        const uint64_t proposed = __atomic_load_n(&table->proposed, __ATOMIC_ACQUIRE);
        const uint32_t number = (uint32_t)(proposed >> 1);
        if (number <= now.number || number == answer->ready || number == answer->failed)
                return;
        const bool can = prepare(proposed);
        if (proposed == __atomic_load_n(&table->proposed, __ATOMIC_ACQUIRE))
                __atomic_store_n(can ? &answer->ready : &answer->failed, number, __ATOMIC_RELEASE);
        else
                next.number = 0; /* it was written over meanwhile */
}

/* --- what shims do for handlers ----------------------------------------------------------------------------------------- */

bool
wct_is_own(pid_t pid, pid_t tid)
{
        for (uint32_t i = 0; table != NULL && i < WCI_ANSWERS; i++) {
                const struct wci_answer *one = &table->answers[i];
                if (one->pid == (uint32_t)pid && one != answer && (one->maker == (uint32_t)tid || one->thread == (uint32_t)tid))
                        return true;
        }
        return false;
}

bool
wct_own_thread(pid_t pid, pid_t tid)
{
        for (uint32_t i = 0; table != NULL && i < WCI_ANSWERS; i++) {
                struct wci_answer *one = &table->answers[i];
                if (one->pid != (uint32_t)pid || one->maker == 0)
                        continue;
                one->thread = (uint32_t)tid; /* as it says itself when it runs */
                return true;
        }
        return false;
}
