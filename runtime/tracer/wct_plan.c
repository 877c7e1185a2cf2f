/*
 * wct_plan.c: the plan: read, checked once, looked up.
 *
 * wct_main.c opens it, wct_grow.c adds to it; the loop looks system calls up by number, wct_space.c functions by name. Rules:
 * after wct_plan_open or wct_plan_grow every offset, count and program of the plan is sound, so that nobody behind it checks
 * again. A file is read, not mapped: it lies in the session's directory, where others can write.
 *
 * Absent on purpose: where a name is in memory (wct_space.c), how several files become one plan (wct_tables.c).
 */
#define _GNU_SOURCE

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wct_record.h"

#define MOST_BYTES (64u << 20)
#define NUMBERS 1024u /* of system calls; x86-64 has some 470 */
#define NOBODY UINT32_MAX

struct wct_plan wct_plan;
static struct wct_facts *facts;                  /* by symbol */
static const struct wct_symbol *numbers[NUMBERS]; /* by system call */
static uint32_t *buckets, *following;            /* by hash of the name: index of a symbol, NOBODY; by symbol: the next */
static uint32_t bucket_mask, indexed;            /* symbols that can be looked up */

/* --- reading ------------------------------------------------------------------------------------------------------ */

static char *
file_read(const char *path, size_t *size)
{
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat status;
        char *bytes = NULL;
        if (fd < 0)
                return NULL;
        if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 && status.st_size <= MOST_BYTES)
                bytes = malloc((size_t)status.st_size);
        *size = bytes == NULL ? 0 : (size_t)status.st_size;
        for (size_t done = 0; done < *size;) {
                const ssize_t got = read(fd, bytes + done, *size - done);
                if (got <= 0) {
                        free(bytes);
                        bytes = NULL;
                        break;
                }
                done += (size_t)got;
        }
        close(fd);
        return bytes;
}

/* --- checking ----------------------------------------------------------------------------------------------------- */

static bool
part_is_inside(const struct wct_plan_head *head, uint32_t at, uint64_t count, uint64_t size)
{
        return at % 8 == 0 && at >= sizeof *head && count * size <= head->size && at <= head->size - count * size;
}

static const char *
head_refuse(const struct wct_plan_head *head, size_t size)
{
        if (size < sizeof *head || head->magic != WCT_PLAN_MAGIC)
                return "it is not a plan";
        if (head->version != WCT_PLAN_VERSION)
                return "it is a plan of another version";
        if (head->size != size)
                return "it is cut short";
        if (!part_is_inside(head, head->targets_at, head->targets, sizeof(struct wct_target)) ||
            !part_is_inside(head, head->symbols_at, head->symbols, sizeof(struct wct_symbol)) ||
            !part_is_inside(head, head->arguments_at, head->arguments, sizeof(struct wct_argument)) ||
            !part_is_inside(head, head->steps_at, head->steps, sizeof(struct wct_step)) ||
            !part_is_inside(head, head->injects_at, head->injects, sizeof(struct wc_rule)) ||
            !part_is_inside(head, head->texts_at, head->texts_size, 1))
                return "a part of it lies outside of the file";
        if (head->targets > UINT16_MAX || head->symbols >= WCI_SYMBOL_NONE || head->steps == 0)
                return "it has too many targets or symbols, or no programs";
        return NULL;
}

/* Every text ends inside of the texts: then any offset below texts_size is one. */
static bool
texts_are_sound(void)
{
        const uint32_t size = wct_plan.head->texts_size;
        return size != 0 && wct_plan.texts[0] == '\0' && wct_plan.texts[size - 1] == '\0';
}

static bool
is_text(uint32_t offset)
{
        return offset < wct_plan.head->texts_size;
}

/* Fixed parts stand behind the first cell's head and between the headers of the others. */
static bool
place_is_sound(const struct wct_symbol *symbol, uint32_t offset, uint32_t size)
{
        const uint32_t within = offset % WCI_CELL_SIZE;
        return offset >= WCI_FIRST_ARGS && offset + size <= symbol->cells * WCI_CELL_SIZE &&
               within + size <= WCI_CELL_SIZE && (offset < WCI_CELL_SIZE || within >= sizeof(struct wci_cell_header));
}

/* One without words is nowhere: a struct half in registers and half in vectors. */
static bool
value_is_sound(const struct wct_symbol *symbol, const struct wct_argument *argument)
{
        const uint32_t words = wct_words(argument);
        const uint32_t places = argument->where == WCT_IN_REGISTER ? 6 : argument->where == WCT_IN_VECTOR ? 8 : 256 + 7;
        if (argument->type > WCT_COMPLEX || argument->where > WCT_IN_VARIADIC || !is_text(argument->name))
                return false;
        if (argument->where > WCT_ON_STACK || words == 0)
                return argument->offset == 0;
        if (words > 7 || argument->place + words > places)
                return false;
        return argument->offset == 0 || (argument->size != 0 && argument->size <= 8 * words &&
                                         place_is_sound(symbol, argument->offset, argument->size));
}

static bool
capture_is_sound(const struct wct_symbol *symbol, const struct wct_argument *argument)
{
        if (argument->content > WCT_KEEP_VARIADIC || argument->when > WCT_AT_BOTH || argument->indirect > 1)
                return false;
        if ((argument->content == WCT_KEEP_NOTHING) != (argument->blob == 0))
                return false;
        if ((argument->content == WCT_KEEP_VARIADIC) != (argument->where == WCT_IN_VARIADIC))
                return false;
        if (argument->where == WCT_IN_RESULT && (argument->when == WCT_AT_ENTRY || argument->content == WCT_KEEP_NOTHING))
                return false;
        return argument->blob == 0 || place_is_sound(symbol, argument->blob, sizeof(struct wci_blob));
}

/* printf's format is an argument by value, a va_list the one behind it; what they describe is one argument. */
static bool
variadic_is_sound(const struct wct_symbol *symbol, const struct wct_argument *arguments)
{
        uint32_t described = 0;
        for (uint32_t i = 0; i < symbol->arguments; i++)
                described += arguments[i].where == WCT_IN_VARIADIC;
        if (described == 0)
                return true;
        const uint32_t last = symbol->format + (symbol->flags & WCT_VA_LIST ? 1u : 0u);
        return described == 1 && last < symbol->arguments && arguments[symbol->format].where <= WCT_ON_STACK &&
               arguments[last].where <= WCT_ON_STACK && (symbol->flags & (WCT_PRINTF | WCT_SCANF)) != 0;
}

static bool
result_is_sound(const struct wct_symbol *symbol)
{
        if (symbol->result > WCT_COMPLEX || symbol->fail > WCT_FAIL_ERRNO)
                return false;
        return symbol->result_at == 0 ||
               (symbol->result_size != 0 && place_is_sound(symbol, symbol->result_at, symbol->result_size));
}

static const char *
arguments_refuse(const struct wct_symbol *symbol)
{
        const struct wct_argument *arguments = wct_plan.arguments + symbol->first;
        uint32_t blobs = 0;
        for (uint32_t i = 0; i < symbol->arguments; i++) {
                if (!value_is_sound(symbol, &arguments[i]))
                        return "an argument's value lies outside of its record, or travels nowhere";
                if (!capture_is_sound(symbol, &arguments[i]))
                        return "what an argument points to lies outside of its record";
                blobs += arguments[i].blob != 0;
                if (wct_length_refuse(symbol, arguments[i].length) || wct_length_refuse(symbol, arguments[i].condition))
                        return "a program is none";
        }
        if (blobs > WCT_MOST_BLOBS)
                return "a symbol keeps too much";
        if (wct_when_refuse(symbol, symbol->when_before) || wct_when_refuse(symbol, symbol->when_after))
                return "a condition is none";
        return variadic_is_sound(symbol, arguments) ? NULL : "a format is missing";
}

static const char *
symbol_refuse(const struct wct_symbol *symbol)
{
        const struct wct_plan_head *head = wct_plan.head;
        if (!is_text(symbol->name) || !is_text(symbol->library) || symbol->target >= head->targets)
                return "a symbol has no name or no target";
        if (symbol->arguments > WCT_MOST_ARGUMENTS || symbol->first > head->arguments ||
            symbol->arguments > head->arguments - symbol->first)
                return "a symbol's arguments are not there";
        if (symbol->cells == 0 || symbol->cells >= WCI_RECORD_CELLS || symbol->number < -1 ||
            (symbol->number >= 0 && (uint32_t)symbol->number >= NUMBERS))
                return "a symbol has no sensible size or number";
        if (symbol->caller != 0 && !place_is_sound(symbol, symbol->caller, 8))
                return "a symbol's caller lies outside of its record";
        if (symbol->inject > head->injects || (symbol->injected != 0 && !place_is_sound(symbol, symbol->injected, 1)))
                return "what is injected into a symbol is none";
        return result_is_sound(symbol) ? arguments_refuse(symbol) : "a symbol's result is none";
}

static const char *
contents_refuse(void)
{
        const struct wct_plan_head *head = wct_plan.head;
        if (!texts_are_sound() || !is_text(head->library) || !is_text(head->shim))
                return "its texts do not end";
        if (wct_session.control != NULL && head->manifest != wct_session.control->manifest)
                return "it belongs to another session";
        for (uint32_t i = 0; i < head->targets; i++) {
                const struct wct_target *target = &wct_plan.targets[i];
                if (!is_text(target->name) || !is_text(target->back_enter) || !is_text(target->back_exit) ||
                    target->record > WCT_RECORD_BOTH || target->clocks > WCT_CLOCK_NONE)
                        return "a target of it is none";
        }
        for (uint32_t i = 0; i < head->injects; i++) {
                if (wct_plan.injects[i].step == 0)
                        return "a rule of it is none";
        }
        for (uint32_t i = 0; i < head->symbols; i++) {
                const char *why = symbol_refuse(&wct_plan.symbols[i]);
                if (why != NULL)
                        return why;
        }
        return NULL;
}

/* --- looking up --------------------------------------------------------------------------------------------------- */

static uint32_t
name_hash(const char *name)
{
        uint32_t hash = 2166136261u;
        for (; *name != '\0'; name++)
                hash = (hash ^ (uint8_t)*name) * 16777619u;
        return hash & bucket_mask;
}

static void
facts_add(struct wct_facts *all, const struct wct_argument *argument)
{
        const uint32_t words = wct_words(argument);
        const bool is_value = argument->where <= WCT_ON_STACK && words != 0;
        const bool variadic = argument->where == WCT_IN_VARIADIC;
        if (is_value && argument->where == WCT_ON_STACK && argument->place + words > all->stack_words)
                all->stack_words = (uint16_t)(argument->place + words);
        if (is_value)
                all->wide_words = (uint8_t)(all->wide_words + words - 1);
        all->vector |= is_value && argument->where == WCT_IN_VECTOR;
        all->conditional |= is_value && argument->blob == 0 && argument->condition != 0;
        const bool kept = argument->blob != 0;
        all->at_entry |= variadic || (kept && (argument->when == WCT_AT_ENTRY || argument->when == WCT_AT_BOTH));
        all->at_exit |= variadic || (kept && argument->when != WCT_AT_ENTRY);
        all->keeps |= all->at_entry || all->wide_words != 0;
}

static bool
tables_make(void)
{
        for (bucket_mask = 15; bucket_mask < 2 * wct_plan.head->symbols; bucket_mask = bucket_mask * 2 + 1)
                ;
        facts = calloc(wct_plan.room, sizeof *facts);
        buckets = malloc((bucket_mask + 1) * sizeof *buckets);
        following = malloc(wct_plan.room * sizeof *following);
        if (facts == NULL || buckets == NULL || following == NULL)
                return false;
        memset(buckets, 0xff, (bucket_mask + 1) * sizeof *buckets);
        return true;
}

/* A call has one symbol: that of a target before one that stands in for a function's. */
static void
number_add(const struct wct_symbol *symbol)
{
        const struct wct_symbol *other = numbers[symbol->number];
        wct_plan.has_syscalls = true;
        if (other == NULL || (other->flags & WCT_FALLBACK) || wct_plan_is_dropped(other->target))
                numbers[symbol->number] = symbol;
}

/* Symbols of one name are chained in their order: the last one is put in front first. */
static void
index_add(void)
{
        const uint32_t symbols = wct_plan.head->symbols;
        for (uint32_t i = symbols; i-- > indexed;) {
                const struct wct_symbol *symbol = &wct_plan.symbols[i];
                for (uint32_t a = 0; a < symbol->arguments; a++)
                        facts_add(&facts[i], &wct_plan.arguments[symbol->first + a]);
                if (symbol->number >= 0) {
                        number_add(symbol);
                        continue;
                }
                uint32_t *bucket = &buckets[name_hash(wct_text(symbol->name))];
                following[i] = *bucket;
                *bucket = i;
                wct_plan.has_functions = true;
        }
        indexed = symbols;
}

/* Read a file and check it, as the plan for that long; `added` is what it says, in `bytes`, which are the caller's to free. */
static const char *
file_take(const char *path, uint32_t most_targets, struct wct_plan *added, char **bytes)
{
        const struct wct_plan before = wct_plan;
        size_t size = 0;
        *bytes = file_read(path, &size);
        if (*bytes == NULL)
                return "it cannot be read";
        const struct wct_plan_head *head = (const struct wct_plan_head *)(void *)*bytes;
        const char *why = head_refuse(head, size);
        if (why == NULL && head->targets > most_targets)
                why = "it belongs to another session";
        if (why != NULL)
                return why;
        *added = (struct wct_plan){.head = head,
                                   .targets = (const void *)(*bytes + head->targets_at),
                                   .symbols = (const void *)(*bytes + head->symbols_at),
                                   .arguments = (const void *)(*bytes + head->arguments_at),
                                   .steps = (const void *)(*bytes + head->steps_at),
                                   .injects = (const void *)(*bytes + head->injects_at),
                                   .texts = *bytes + head->texts_at};
        wct_plan = *added;
        why = contents_refuse();
        wct_plan = before;
        return why;
}

static void
plan_forget(void)
{
        free(facts);
        free(buckets);
        free(following);
        facts = NULL;
        buckets = following = NULL;
        indexed = 0;
        memset(numbers, 0, sizeof numbers);
        wct_tables_forget();
}

const char *
wct_plan_open(const char *path)
{
        struct wct_plan added;
        char *bytes;
        plan_forget();
        const uint32_t most = wct_session.control != NULL ? wct_session.control->targets : UINT16_MAX;
        const char *why = file_take(path, most, &added, &bytes);
        if (why == NULL)
                why = wct_tables_open(&added);
        free(bytes);
        if (why == NULL && !tables_make())
                why = "there is no memory for it";
        if (why == NULL)
                index_add();
        else
                plan_forget();
        return why;
}

const char *
wct_plan_grow(const char *path, uint32_t first_target, uint32_t first_symbol)
{
        struct wct_plan added;
        char *bytes;
        const char *why = file_take(path, WCI_CONTROL_ROOM, &added, &bytes);
        if (why == NULL)
                why = wct_tables_add(&added, first_target, first_symbol);
        free(bytes);
        if (why == NULL)
                index_add();
        return why;
}

const struct wct_symbol *
wct_plan_syscall(long number)
{
        return number >= 0 && number < (long)NUMBERS ? numbers[number] : NULL;
}

const struct wct_symbol *
wct_plan_function(const char *name, const struct wct_symbol *after)
{
        if (buckets == NULL)
                return NULL;
        uint32_t i = after == NULL ? buckets[name_hash(name)] : following[after - wct_plan.symbols];
        while (i != NOBODY && strcmp(wct_text(wct_plan.symbols[i].name), name) != 0)
                i = following[i];
        return i == NOBODY ? NULL : &wct_plan.symbols[i];
}

const struct wct_facts *
wct_facts(const struct wct_symbol *symbol)
{
        return &facts[symbol - wct_plan.symbols];
}
