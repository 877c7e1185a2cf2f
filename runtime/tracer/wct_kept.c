/*
 * wct_kept.c: what is kept of calls until their records are written, and how it stands in these.
 *
 * Called by wct_call.c and wct_capture.c. Rules: memory is used again, so that in the long run a call allocates nothing; a
 * record never has more than WCI_RECORD_CELLS cells, and what is cut for that says so.
 *
 * Absent on purpose: reading the tracee (wct_capture.c).
 */
#include <stdlib.h>
#include <string.h>

#include "wct_record.h"

static struct wct_kept *small_ones, *large_ones;

struct wct_kept *
wct_kept_new(uint32_t room)
{
        struct wct_kept **list = room == WCT_SMALL_ROOM ? &small_ones : &large_ones;
        struct wct_kept *kept = *list;
        if (kept != NULL)
                *list = kept->next;
        else if ((kept = malloc(sizeof *kept + room)) == NULL)
                return NULL;
        kept->room = room;
        kept->used = 0;
        memset(kept->piece, 0, sizeof kept->piece);
        return kept;
}

void
wct_kept_free(struct wct_kept *kept)
{
        if (kept == NULL)
                return;
        struct wct_kept **list = kept->room == WCT_SMALL_ROOM ? &small_ones : &large_ones;
        kept->next = *list;
        *list = kept;
}

/* Room for size more bytes, in a larger one if need be. False: there is none; then less is kept. */
bool
wct_kept_room(struct wct_kept **kept, uint32_t size)
{
        struct wct_kept *old = *kept;
        if (old->used + size <= old->room)
                return true;
        if (old->room != WCT_SMALL_ROOM || old->used + size > WCT_LARGE_ROOM)
                return false;
        struct wct_kept *larger = wct_kept_new(WCT_LARGE_ROOM);
        if (larger == NULL)
                return false;
        larger->used = old->used;
        memcpy(larger->piece, old->piece, sizeof old->piece);
        memcpy(larger->bytes, old->bytes, old->used);
        wct_kept_free(old);
        *kept = larger;
        return true;
}

/* --- into the record ---------------------------------------------------------------------------------------------- */

/* What the record says of an argument: as it is after the call, where it was to be looked at then. */
static struct wct_piece *
piece_of(const struct wct_symbol *symbol, const struct wct_argument *argument, uint32_t ordinal, struct wct_kept *entry,
         struct wct_kept *later)
{
        const bool scanned = argument->content == WCT_KEEP_VARIADIC && (symbol->flags & WCT_SCANF) != 0;
        const bool is_later = argument->content == WCT_KEEP_VARIADIC ? scanned : argument->when != WCT_AT_ENTRY;
        struct wct_piece *before = entry == NULL ? NULL : &entry->piece[ordinal];
        struct wct_piece *after = later == NULL ? NULL : &later->piece[ordinal];
        if (!is_later || (argument->when == WCT_AT_BOTH && (after == NULL || after->flags == 0)))
                return before;
        return after;
}

uint32_t
wct_captures_fit(const struct wct_symbol *symbol, struct wct_kept *entry, struct wct_kept *later)
{
        const struct wct_argument *argument = wct_plan.arguments + symbol->first;
        uint32_t cells = symbol->cells, ordinal = 0;
        for (uint32_t i = 0; i < symbol->arguments; i++, argument++) {
                if (argument->blob == 0)
                        continue;
                struct wct_piece *piece = piece_of(symbol, argument, ordinal++, entry, later);
                if (piece == NULL || piece->flags == 0)
                        continue;
                uint32_t more = (piece->length + WCI_CONT_PAYLOAD - 1) / WCI_CONT_PAYLOAD;
                if (cells + more > WCI_RECORD_CELLS) {
                        more = WCI_RECORD_CELLS - cells;
                        piece->length = more * WCI_CONT_PAYLOAD;
                        piece->flags |= WCI_BLOB_TRUNCATED;
                }
                cells += more;
        }
        return cells;
}

uint32_t
wct_piece_store(struct wci_cell *record, uint32_t cell, const uint8_t *from, uint32_t length)
{
        for (; length != 0; cell++) {
                const uint32_t part = (uint32_t)wct_smaller(length, WCI_CONT_PAYLOAD);
                memcpy(record[cell].payload, from, part);
                from += part;
                length -= part;
        }
        return cell;
}

void
wct_captures_store(const struct wct_symbol *symbol, struct wct_kept *entry, struct wct_kept *later, uint8_t *record)
{
        const struct wct_argument *argument = wct_plan.arguments + symbol->first;
        uint32_t cell = symbol->cells, ordinal = 0;
        for (uint32_t i = 0; i < symbol->arguments; i++, argument++) {
                struct wci_blob blob = {0, 0, 0};
                if (argument->blob == 0)
                        continue;
                const struct wct_piece *piece = piece_of(symbol, argument, ordinal++, entry, later);
                if (piece != NULL && piece->flags != 0) {
                        const bool is_entry = entry != NULL && piece >= entry->piece && piece < entry->piece + WCT_MOST_BLOBS;
                        blob = (struct wci_blob){(uint16_t)piece->length, piece->flags, (uint8_t)(piece->length ? cell : 0)};
                        cell = wct_piece_store((struct wci_cell *)(void *)record, cell,
                                           (is_entry ? entry : later)->bytes + piece->at, piece->length);
                }
                memcpy(record + argument->blob, &blob, sizeof blob);
        }
}
