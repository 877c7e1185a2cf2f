/*
 * quiet_close.c: a preload library written by hand: close answers nothing but success, and counts how often that was
 * not the truth.
 *
 *     cc -shared -fPIC -I$(wc-gen --include-dir) quiet_close.c -o quiet_close.so
 */
#include <wc_preload.h>

FUNC(close, int, int)

static int hidden;

int
close(int fd)
{
        INITIAL(close)
        if (wc_close(fd) != 0)
                __atomic_fetch_add(&hidden, 1, __ATOMIC_RELAXED);
        return 0;
}

__attribute__((destructor)) static void
report(void)
{
        if (hidden != 0)
                fprintf(stderr, "%d failures of close were hidden\n", hidden);
}
