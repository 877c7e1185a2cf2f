/*
 * wct_segment.c: segments and rings: the writer.
 */
#include "wct.h"

struct wct_segment *
wct_segment_new(pid_t pid, pid_t parent, const char *program)
{
        (void)pid, (void)parent, (void)program;
        return NULL;
}

struct wct_segment *
wct_segment_share(struct wct_segment *segment)
{
        return segment;
}

void
wct_segment_release(struct wct_segment *segment)
{
        (void)segment;
}

bool
wct_ring_claim(struct wct_tracee *tracee, uint32_t reason)
{
        (void)tracee, (void)reason;
        return false;
}

void
wct_ring_leave(struct wct_tracee *tracee)
{
        (void)tracee;
}
