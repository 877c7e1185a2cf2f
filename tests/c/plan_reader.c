/* What the tracer's own reader says of a plan: "N symbols, M arguments", or why it refuses it. Links wct_plan.c,
 * wct_tables.c, wct_length.c and wct_when.c. With a second plan: what both are together. lint-flags: -Iruntime/tracer */
#include <stdio.h>

#include "wct_record.h"
#include "wct_space.h"

struct wct_session wct_session;

/* No process is looked at here. */
size_t
wct_read(pid_t tid, void *into, uint64_t from, size_t size)
{
        (void)tid, (void)into, (void)from, (void)size;
        return 0;
}

bool
wct_maps_read(pid_t pid, struct wct_maps *maps)
{
        (void)pid, (void)maps;
        return false;
}

void
wct_maps_free(struct wct_maps *maps)
{
        (void)maps;
}

const struct wct_mapping *
wct_maps_at(const struct wct_maps *maps, uint64_t address)
{
        (void)maps, (void)address;
        return NULL;
}

uint64_t
wct_result_word(const struct wct_symbol *symbol, const struct wct_site *site)
{
        (void)symbol, (void)site;
        return 0;
}

bool
wct_result_is_failure(const struct wct_symbol *symbol, uint64_t word)
{
        (void)symbol, (void)word;
        return false;
}

bool
wct_segments_grow(uint32_t targets)
{
        (void)targets;
        return true;
}

int
main(int argc, char **argv)
{
        const char *why = argc > 1 ? wct_plan_open(argv[1]) : "no plan is given";
        if (why == NULL && argc > 2)
                why = wct_plan_grow(argv[2], wct_plan.head->targets, wct_plan.head->symbols);
        if (why != NULL) {
                puts(why);
                return 1;
        }
        printf("%u symbols, %u arguments\n", wct_plan.head->symbols, wct_plan.head->arguments);
        return 0;
}
