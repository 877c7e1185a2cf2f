/*
 * wct_segment.h: what wct_segment.c (segments) and wct_owner.c (whose each ring is) say to each other, and to nobody else.
 */
#ifndef WCT_SEGMENT_H
#define WCT_SEGMENT_H

#include "wct_record.h"

/* What the session says of segments. Kept here: programs have the control page mapped, and could write over it by mistake. */
struct wct_shape {
        uint32_t targets, ring_cells, rings;
        bool asks; /* rings have room for questions */
};
extern struct wct_shape wct_shape;

struct wct_geometry {
        uint64_t stride, first_ring, size;
        uint32_t rings;
};

struct wct_segment {
        struct wct_segment *next;
        struct wci_segment *map;
        struct wct_geometry at;
        uint32_t used; /* rings ever taken */
        uint32_t users;
        uint32_t retry;
        bool claimed; /* ever: the first claim is the image's own */
        bool *taken;  /* by ring */
};

struct wct_segment *wct_segment_of(const struct wci_ring *ring); /* NULL: it is gone */
bool wct_segment_has(const struct wct_segment *segment, const struct wci_ring *ring);
uint64_t wct_counts_used(uint32_t targets); /* the page in front of them, and the counts of so many targets */

#endif
