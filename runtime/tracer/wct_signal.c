/*
 * wct_signal.c: signals on their way to a tracee, and group-stops.
 */
#include "wct.h"

void
wct_on_signal(struct wct_tracee *tracee, int number)
{
        (void)tracee, (void)number;
}
