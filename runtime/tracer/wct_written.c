/*
 * wct_written.c: the records of one call: before it, after it, of what replaces the program, and for who decides about it.
 *
 * Called by wct_call.c in the order of the shim's wrappers, and by wct_ask.c. Rules: a record that is lost is counted; of a call
 * that has two, the first is nobody's loss.
 *
 * Absent on purpose: whether there is to be a record (wct_call.c), what is in it (wct_value.c, wct_capture.c).
 */
#include <string.h>

#include "wct_record.h"

static const struct wct_target *
target_of(const struct wct_symbol *symbol)
{
        return &wct_plan.targets[symbol->target];
}

/* Whether the ENTER record is all there is of a call. */
bool
wct_enters_only(const struct wct_symbol *symbol)
{
        return (symbol->flags & WCT_NORETURN) != 0 || target_of(symbol)->record == WCT_RECORD_ENTRY;
}

bool
wct_has_enter_record(const struct wct_symbol *symbol)
{
        return wct_enters_only(symbol) || target_of(symbol)->record == WCT_RECORD_BOTH;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static void
caller_store(const struct wct_call *call, uint8_t *record)
{
        if (call->symbol->caller != 0)
                memcpy(record + call->symbol->caller, &call->back, sizeof call->back);
}

static bool
captures(const struct wct_symbol *symbol)
{
        return wct_facts(symbol)->at_entry || wct_facts(symbol)->at_exit;
}

static uint32_t
cells_of(const struct wct_call *call, struct wct_kept *later)
{
        return captures(call->symbol) ? wct_captures_fit(call->symbol, call->kept, later) : call->symbol->cells;
}

static void
record_fill(struct wct_call *call, const struct wct_site *site, enum wci_kind kind, struct wct_kept *later,
            struct wci_first *first)
{
        const struct wct_symbol *symbol = call->symbol;
        const bool returned = kind == WCI_CALL;
        uint8_t *bytes = (uint8_t *)first;
        first->clock = call->clock;
        first->duration = returned ? call->duration : WCI_NO_DURATION;
        first->result = returned ? (uint64_t)call->result : 0;
        first->error = returned ? site->error : 0;
        wct_values_store(call, bytes);
        if (captures(symbol))
                wct_captures_store(symbol, call->kept, later, bytes);
        caller_store(call, bytes);
        if (symbol->injected != 0)
                bytes[symbol->injected] = call->injected;
        if (returned)
                wct_result_store(symbol, site, bytes);
}

/* Write one record of a call. False: it was lost, and counted. */
static bool
record_write(struct wct_call *call, struct wci_ring *ring, const struct wct_site *site, enum wci_kind kind, uint32_t target,
             struct wct_kept *later)
{
        const uint32_t cells = cells_of(call, later);
        const struct wct_open_record record = wct_ring_open(ring, target, call->symbol->id, kind, cells);
        if (record.first == NULL)
                return false;
        record_fill(call, site, kind, later, record.first);
        wct_ring_commit(&record);
        return true;
}

/* The ENTER record. Of a call that has another one the first is nobody's loss. */
void
wct_write_enter(struct wct_call *call, struct wci_ring *ring, const struct wct_site *site)
{
        const bool only = wct_enters_only(call->symbol);
        const uint32_t target = call->symbol->target | (only ? 0 : WCT_UNCOUNTED);
        call->shown = true;
        if (record_write(call, ring, site, WCI_ENTER, target, NULL) && only)
                wct_ring_count(ring, call->symbol->target)->returned++;
        if (call->symbol->flags & WCT_NORETURN)
                ring->depth = call->place;
}

/* --- functions that replace the program --------------------------------------------------------------------------- */

/* One whose EXEC record counts. A handler's answer in its place runs nothing. */
bool
wct_is_exec(const struct wct_call *call)
{
        return (call->symbol->flags & WCT_EXECS) != 0 && call->symbol->number < 0 && !call->skipped &&
               !wct_enters_only(call->symbol);
}

/* The first text among its arguments: what is to be run. */
static uint32_t
exec_path(const struct wct_call *call, const struct wct_site *site, char path[static WCT_PATH_LIMIT], uint8_t *flags)
{
        const struct wct_argument *argument = wct_plan.arguments + call->symbol->first;
        uint32_t i = 0;
        bool ended = false;
        *flags = WCI_BLOB_KEPT | WCI_BLOB_NULL;
        while (i < call->symbol->arguments && argument[i].content != WCT_KEEP_TEXT)
                i++;
        if (i == call->symbol->arguments) /* fexecve */
                return 0;
        *flags = WCI_BLOB_KEPT | (call->value[i] == 0 ? WCI_BLOB_NULL : 0);
        const size_t length = wct_read_text(site->tracee->tid, path, call->value[i], WCT_PATH_LIMIT, &ended);
        if (call->value[i] != 0 && !ended)
                *flags |= length == 0 ? WCI_BLOB_UNREADABLE : WCI_BLOB_TRUNCATED;
        return (uint32_t)length;
}

/*
 * As in the shim, the EXEC record stands for the call, which is counted here: its CALL record comes only if it fails. Where
 * it is lost, that one is not written either.
 */
void
wct_write_exec(struct wct_call *call, struct wci_ring *ring, const struct wct_site *site)
{
        static char path[WCT_PATH_LIMIT];
        struct wci_exec exec = {.pid = (uint32_t)site->tracee->process->pid};
        const uint32_t length = exec_path(call, site, path, &exec.path.flags);
        const uint32_t cells = 1 + (length + WCI_CONT_PAYLOAD - 1) / WCI_CONT_PAYLOAD;
        const struct wct_open_record record = wct_ring_open(ring, call->symbol->target, call->symbol->id, WCI_EXEC, cells);
        if (record.first == NULL) {
                ring->depth = call->place;
                wct_call_drop(call, site->tracee);
                return;
        }
        wct_event_begin(&record, call->clock, WCI_NO_DURATION, 1);
        exec.path.length = (uint16_t)length;
        exec.path.cell = length != 0;
        memcpy(record.first->args, &exec, sizeof exec);
        wct_piece_store((struct wci_cell *)(void *)record.first, 1, (const uint8_t *)path, length);
        wct_ring_commit(&record);
        wct_ring_count(ring, call->symbol->target)->returned++;
}

/* --- the end of a call ---------------------------------------------------------------------------------------------- */

/* An exec that has succeeded: what was behind its pointers is gone. */
static bool
memory_is_gone(const struct wct_call *call, bool failed)
{
        return (call->symbol->flags & WCT_EXECS) != 0 && !failed;
}

/* Take its result, and read what is read after it. */
static struct wct_kept *
end_take(struct wct_call *call, const struct wct_site *site)
{
        const struct wct_symbol *symbol = call->symbol;
        const uint64_t word = wct_result_word(symbol, site);
        const bool failed = wct_result_is_failure(symbol, word);
        call->result = (int64_t)word;
        if (!wct_facts(symbol)->at_exit || memory_is_gone(call, failed))
                return NULL;
        return wct_captures_take(call, site, failed ? WCT_MOMENT_FAILURE : WCT_MOMENT_SUCCESS);
}

void
wct_write_exit(struct wct_call *call, struct wci_ring *ring, const struct wct_site *site)
{
        struct wct_kept *later = end_take(call, site);
        const uint32_t target = call->symbol->target;
        const bool counted = wct_is_exec(call);
        if (record_write(call, ring, site, WCI_CALL, target | (counted ? WCT_UNCOUNTED : 0), later) && !counted)
                wct_ring_count(ring, target)->returned++;
}

/* --- for who decides about it --------------------------------------------------------------------------------------- */

uint32_t
wct_write_question(struct wct_call *call, const struct wct_site *site, enum wci_kind kind, struct wci_cell *cell)
{
        struct wct_kept *later = kind == WCI_CALL ? end_take(call, site) : NULL;
        const uint32_t cells = cells_of(call, later);
        for (uint32_t i = 1; i < cells; i++)
                cell[i].header = (struct wci_cell_header){.symbol = call->symbol->id, .kind = WCI_CONTINUATION, .count = (uint8_t)i};
        cell->header = (struct wci_cell_header){.symbol = call->symbol->id, .kind = (uint8_t)kind, .count = (uint8_t)cells};
        record_fill(call, site, kind, later, (struct wci_first *)(void *)cell);
        return cells;
}
