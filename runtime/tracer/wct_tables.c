/*
 * wct_tables.c: the plan's tables, to which targets are added while programs run.
 *
 * Called by wct_plan.c with files that it has read and checked. Everything that has met a symbol keeps a pointer to it, so the
 * tables have room behind them from the start and never move; an offset in an added file counts from that file's own tables,
 * and is counted on here. Targets keep their numbers for good: one that was dropped is only marked.
 *
 * Rules: whoever adds an offset to a struct of wc_plan.h adds it here; the assertions below are to remind of it.
 * Absent on purpose: names and numbers looked up (wct_plan.c), code planted (wct_grow.c).
 */
#define _GNU_SOURCE

#include <stdlib.h>
#include <string.h>

#include "wct_record.h"

#define SYMBOLS 4096u /* that can be added; a target may have several */
#define STEPS (1u << 16)
#define INJECTS 4096u
#define TEXTS (1u << 20)
#define MOST_SYMBOLS 65535u

_Static_assert(sizeof(struct wct_plan_head) == 80, "a table of its own is added in wct_tables_add");
_Static_assert(sizeof(struct wct_target) == 16, "its offsets are counted on in target_add");
_Static_assert(sizeof(struct wct_symbol) == 56, "its offsets are counted on in symbol_add");
_Static_assert(sizeof(struct wct_step) == 8, "its offsets are counted on in step_add");
_Static_assert(sizeof(struct wct_argument) == 32, "its offsets are counted on in argument_add");

static struct wct_plan_head head;
static struct {
        struct wct_target *targets;
        struct wct_symbol *symbols;
        struct wct_argument *arguments;
        struct wct_step *steps;
        struct wc_rule *injects;
        char *texts;
        bool *dropped;
} tables;
static struct wct_plan_head room; /* what each has room for */

/* Where an added file's parts come to stand. */
struct base {
        uint32_t target, symbol, argument, step, inject, text, id;
};

static uint32_t
text_at(const struct base *base, uint32_t text)
{
        return text == 0 ? 0 : base->text + text;
}

static uint32_t
program_at(const struct base *base, uint32_t program)
{
        return program == 0 ? 0 : base->step + program;
}

static struct wct_target
target_add(const struct base *base, struct wct_target target)
{
        target.name = text_at(base, target.name);
        target.back_enter = text_at(base, target.back_enter);
        target.back_exit = text_at(base, target.back_exit);
        return target;
}

static struct wct_step
step_add(const struct base *base, struct wct_step step)
{
        if (step.operation == WCT_WHEN_TEXT_EQUALS || step.operation == WCT_WHEN_TEXT_MATCHES)
                step.value = text_at(base, step.value);
        return step;
}

static struct wct_symbol
symbol_add(const struct base *base, struct wct_symbol symbol)
{
        symbol.name = text_at(base, symbol.name);
        symbol.library = text_at(base, symbol.library);
        symbol.first += base->argument;
        symbol.id = (uint16_t)(symbol.id + base->id);
        symbol.target = (uint16_t)(symbol.target + base->target);
        symbol.when_before = program_at(base, symbol.when_before);
        symbol.when_after = program_at(base, symbol.when_after);
        symbol.inject = symbol.inject == 0 ? 0 : (uint16_t)(symbol.inject + base->inject);
        return symbol;
}

static struct wct_argument
argument_add(const struct base *base, struct wct_argument argument)
{
        argument.name = text_at(base, argument.name);
        argument.length = program_at(base, argument.length);
        argument.condition = program_at(base, argument.condition);
        return argument;
}

static void
copy(const struct wct_plan *from, const struct base *base)
{
        for (uint32_t i = 0; i < from->head->targets; i++)
                tables.targets[base->target + i] = target_add(base, from->targets[i]);
        for (uint32_t i = 0; i < from->head->symbols; i++)
                tables.symbols[base->symbol + i] = symbol_add(base, from->symbols[i]);
        for (uint32_t i = 0; i < from->head->arguments; i++)
                tables.arguments[base->argument + i] = argument_add(base, from->arguments[i]);
        for (uint32_t i = 0; i < from->head->steps; i++)
                tables.steps[base->step + i] = step_add(base, from->steps[i]);
        memcpy(tables.injects + base->inject, from->injects, from->head->injects * sizeof *tables.injects);
        memcpy(tables.texts + base->text, from->texts, from->head->texts_size);
        head.targets = base->target + from->head->targets;
        head.symbols = base->symbol + from->head->symbols;
        head.arguments = base->argument + from->head->arguments;
        head.steps = base->step + from->head->steps;
        head.injects = base->inject + from->head->injects;
        head.texts_size = base->text + from->head->texts_size;
}

static uint32_t
smaller(uint32_t a, uint32_t b)
{
        return a < b ? a : b;
}

void
wct_tables_forget(void)
{
        free(tables.targets);
        free(tables.symbols);
        free(tables.arguments);
        free(tables.steps);
        free(tables.injects);
        free(tables.texts);
        free(tables.dropped);
        memset(&tables, 0, sizeof tables);
        memset(&wct_plan, 0, sizeof wct_plan);
}

/* Room costs address space alone until it is used. Targets: what the control file has words for. */
const char *
wct_tables_open(const struct wct_plan *plan)
{
        const struct base none = {0};
        head = room = *plan->head;
        room.targets = head.targets + WCI_CONTROL_ROOM;
        room.symbols = smaller(head.symbols + SYMBOLS, MOST_SYMBOLS);
        room.arguments += SYMBOLS * WCT_MOST_ARGUMENTS;
        room.steps += STEPS;
        room.injects = smaller(head.injects + INJECTS, UINT16_MAX - 1);
        room.texts_size += TEXTS;
        tables.targets = calloc(room.targets, sizeof *tables.targets);
        tables.symbols = calloc(room.symbols, sizeof *tables.symbols);
        tables.arguments = calloc(room.arguments, sizeof *tables.arguments);
        tables.steps = calloc(room.steps, sizeof *tables.steps);
        tables.injects = calloc(room.injects, sizeof *tables.injects);
        tables.texts = calloc(room.texts_size, 1);
        tables.dropped = calloc(room.targets, sizeof *tables.dropped);
        if (tables.targets == NULL || tables.symbols == NULL || tables.arguments == NULL || tables.steps == NULL ||
            tables.injects == NULL || tables.texts == NULL || tables.dropped == NULL)
                return "there is no memory for it";
        copy(plan, &none);
        wct_plan = (struct wct_plan){.head = &head,
                                     .targets = tables.targets,
                                     .symbols = tables.symbols,
                                     .arguments = tables.arguments,
                                     .steps = tables.steps,
                                     .injects = tables.injects,
                                     .texts = tables.texts,
                                     .first_added = head.symbols,
                                     .room = room.symbols + 1};
        return NULL;
}

const char *
wct_tables_add(const struct wct_plan *plan, uint32_t first_target, uint32_t first_symbol)
{
        const struct wct_plan_head *added = plan->head;
        const struct base base = {first_target, head.symbols, head.arguments, head.steps, head.injects, head.texts_size,
                                  first_symbol};
        if (first_target < head.targets || first_target > room.targets || added->targets > room.targets - first_target ||
            added->symbols > room.symbols - head.symbols || first_symbol > MOST_SYMBOLS - added->symbols ||
            added->arguments > room.arguments - head.arguments || added->steps > room.steps - head.steps ||
            added->injects > room.injects - head.injects || added->texts_size > room.texts_size - head.texts_size)
                return "there is no room for so many";
        if (!wct_segments_grow(first_target + added->targets))
                return "there is no memory for their counters";
        copy(plan, &base);
        wct_plan.generation++;
        return NULL;
}

bool
wct_plan_is_dropped(uint32_t target)
{
        return tables.dropped[target];
}

void
wct_plan_drop(uint32_t target, bool dropped)
{
        if (target < head.targets)
                tables.dropped[target] = dropped;
}
