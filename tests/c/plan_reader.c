/* What the tracer's own reader says of a plan: "N symbols, M arguments", or why it refuses it. Links wct_plan.c and
 * wct_length.c. lint-flags: -Iruntime/tracer */
#include <stdio.h>

#include "wct.h"

struct wct_session wct_session;

/* No process is looked at here. */
size_t
wct_read(pid_t tid, void *into, uint64_t from, size_t size)
{
        (void)tid, (void)into, (void)from, (void)size;
        return 0;
}

int
main(int argc, char **argv)
{
        const char *why = argc == 2 ? wct_plan_open(argv[1]) : "no plan is given";
        if (why != NULL) {
                puts(why);
                return 1;
        }
        printf("%u symbols, %u arguments\n", wct_plan.head->symbols, wct_plan.head->arguments);
        return 0;
}
