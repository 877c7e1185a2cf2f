/*
 * wct_capture.c: what stands behind pointers: texts, buffers, argv, and printf's arguments.
 *
 * Called by wct_call.c at entry and after the call; the record is laid out then, as the shim's wci_capture.c lays it out.
 * Rules: T3; everything is bounded before it is read; one system call brings what does not depend on something else: first
 * pointers behind pointers, then texts up to the end of their page and buffers, then what is left of texts. Flags are the
 * shim's: NULL, unreadable, cut.
 *
 * Absent on purpose: what is captured, and when: the plan says so.
 */
#include <string.h>

#include "wct_record.h"

#define TEXT_WINDOW 128u /* bytes of a text read at first */

/* --- one capture -------------------------------------------------------------------------------------------------- */

struct capture {
        const struct wct_argument *argument;
        uint64_t from;
        uint32_t most;  /* bytes looked at: for a text one more than is kept, which tells whether it was cut */
        uint32_t limit; /* bytes kept */
        uint32_t got;
        uint32_t ordinal; /* of its piece */
        bool cut;         /* a buffer longer than what is kept of it */
        bool open;        /* a text whose end has not been seen yet */
};

struct work {
        struct wct_call *call;
        const struct wct_site *site;
        struct wct_kept *kept;
        enum wct_moment moment;
        struct wct_evaluation evaluation;
        struct capture captures[WCT_MOST_BLOBS];
        uint32_t count;
};

static struct wct_piece *
piece_of(struct work *work, const struct capture *capture)
{
        return &work->kept->piece[capture->ordinal];
}

static uint32_t
string_limit(void)
{
        return (uint32_t)wct_smaller(wct_session.control->string_limit, WCT_PATH_LIMIT);
}

static bool
is_due(const struct wct_argument *argument, enum wct_moment moment)
{
        if (argument->content == WCT_KEEP_VARIADIC)
                return true; /* at entry to find them, later to see what became of them */
        if (moment == WCT_MOMENT_ENTRY)
                return argument->when == WCT_AT_ENTRY || argument->when == WCT_AT_BOTH;
        return argument->when == WCT_AT_RETURN || (argument->when != WCT_AT_ENTRY && moment == WCT_MOMENT_SUCCESS);
}

/* Make a capture of an argument that is due. False: nothing is to be read; the piece says why. */
static bool
capture_begin(struct work *work, const struct wct_argument *argument, uint32_t index, struct capture *capture)
{
        struct wct_piece *piece = piece_of(work, capture);
        const uint32_t limit = argument->limit != 0 ? argument->limit : string_limit();
        *piece = (struct wct_piece){0, 0, 0};
        capture->argument = argument;
        if (argument->content == WCT_KEEP_VARIADIC)
                return true;
        if (argument->condition != 0 && (int64_t)wct_length(&work->evaluation, argument->condition) <= 0)
                return false;
        capture->limit = (uint32_t)wct_smaller(limit, WCT_RECORD_BYTES);
        capture->from = argument->where == WCT_IN_RESULT ? work->evaluation.result : work->call->value[index];
        if (limit == 0)
                return false;
        if (capture->from == 0)
                piece->flags = argument->indirect ? 0 : WCI_BLOB_KEPT | WCI_BLOB_NULL;
        return capture->from != 0;
}

/* Where a text's address stands behind the pointer: all of them in one read. */
static void
indirect_read(struct work *work)
{
        struct wct_fetch fetches[WCT_MOST_BLOBS];
        uint32_t count = 0, next = 0;
        for (uint32_t i = 0; i < work->count; i++)
                if (work->captures[i].argument->indirect)
                        fetches[count++] = (struct wct_fetch){&work->captures[i].from, work->captures[i].from, 8, 0};
        if (count == 0)
                return;
        wct_read_many(work->site->tracee->tid, fetches, count);
        for (uint32_t i = 0; i < work->count; i++) {
                struct capture *capture = &work->captures[i];
                if (!capture->argument->indirect)
                        continue;
                const bool there = fetches[next++].got == 8;
                if (there && capture->from != 0)
                        continue;
                piece_of(work, capture)->flags = WCI_BLOB_KEPT | (there ? WCI_BLOB_NULL : WCI_BLOB_UNREADABLE);
                capture->from = 0;
        }
}

/* How much of it is looked at. */
static void
capture_measure(struct work *work, struct capture *capture)
{
        const struct wct_argument *argument = capture->argument;
        const bool measured = argument->length != 0;
        const uint64_t length = measured ? wct_length(&work->evaluation, argument->length) : 0;
        if (argument->content == WCT_KEEP_TEXT) {
                capture->most = measured && length <= capture->limit ? (uint32_t)length : capture->limit + 1;
                return;
        }
        const uint64_t whole = !measured ? capture->limit : (int64_t)length < 0 ? 0 : length;
        capture->cut = whole > capture->limit;
        capture->most = (uint32_t)wct_smaller(whole, capture->limit);
}

/* --- texts and buffers -------------------------------------------------------------------------------------------- */

/* The next stretch of a capture: of a text a window, to the end of its page. */
static uint32_t
stretch(const struct capture *capture)
{
        const uint32_t rest = capture->most - capture->got;
        if (capture->argument->content != WCT_KEEP_TEXT)
                return rest;
        const uint32_t page = WCT_PAGE - (uint32_t)((capture->from + capture->got) & (WCT_PAGE - 1));
        const uint32_t window = capture->got == 0 ? TEXT_WINDOW : 8 * TEXT_WINDOW;
        return (uint32_t)wct_smaller(wct_smaller(rest, page), window);
}

static void
text_look(struct work *work, struct capture *capture, uint32_t asked, uint32_t got)
{
        struct wct_piece *piece = piece_of(work, capture);
        const uint8_t *text = work->kept->bytes + piece->at;
        const uint8_t *end = memchr(text + capture->got, '\0', got);
        const uint32_t length = end != NULL ? (uint32_t)(end - text) : capture->got + got;
        capture->got += got;
        capture->open = end == NULL && got == asked && capture->got < capture->most;
        if (capture->open)
                return;
        piece->flags = WCI_BLOB_KEPT;
        if (end == NULL && got < asked)
                piece->flags |= length == 0 ? WCI_BLOB_UNREADABLE : WCI_BLOB_TRUNCATED;
        if (length > capture->limit)
                piece->flags |= WCI_BLOB_TRUNCATED;
        piece->length = (uint32_t)wct_smaller(length, capture->limit);
}

static void
bytes_look(struct work *work, struct capture *capture, uint32_t asked, uint32_t got)
{
        struct wct_piece *piece = piece_of(work, capture);
        piece->flags = capture->cut ? WCI_BLOB_KEPT | WCI_BLOB_TRUNCATED : WCI_BLOB_KEPT;
        if (got < asked)
                piece->flags |= got == 0 ? WCI_BLOB_UNREADABLE : WCI_BLOB_TRUNCATED;
        piece->length = got;
        capture->open = false;
}

/* Give the captures that are open their places, one behind the other, with room for all that they may become. */
static void
places_give(struct work *work)
{
        for (uint32_t i = 0; i < work->count; i++) {
                struct capture *capture = &work->captures[i];
                const uint8_t content = capture->argument->content;
                if (capture->from == 0 || (content != WCT_KEEP_TEXT && content != WCT_KEEP_BYTES))
                        continue;
                capture_measure(work, capture);
                if (!wct_kept_room(&work->kept, capture->most)) {
                        piece_of(work, capture)->flags = WCI_BLOB_KEPT | WCI_BLOB_TRUNCATED;
                        continue;
                }
                piece_of(work, capture)->at = work->kept->used;
                piece_of(work, capture)->flags = WCI_BLOB_KEPT;
                work->kept->used += capture->most;
                capture->open = capture->most != 0;
        }
}

static void
captures_read(struct work *work)
{
        for (;;) {
                struct wct_fetch fetches[WCT_MOST_BLOBS];
                struct capture *who[WCT_MOST_BLOBS];
                uint32_t count = 0;
                for (uint32_t i = 0; i < work->count; i++) {
                        struct capture *capture = &work->captures[i];
                        if (!capture->open)
                                continue;
                        fetches[count] = (struct wct_fetch){work->kept->bytes + piece_of(work, capture)->at + capture->got,
                                                            capture->from + capture->got, stretch(capture), 0};
                        who[count++] = capture;
                }
                if (count == 0)
                        return;
                wct_read_many(work->site->tracee->tid, fetches, count);
                for (uint32_t i = 0; i < count; i++) {
                        if (who[i]->argument->content == WCT_KEEP_TEXT)
                                text_look(work, who[i], fetches[i].size, fetches[i].got);
                        else
                                bytes_look(work, who[i], fetches[i].size, fetches[i].got);
                }
        }
}

/* --- argv, envp --------------------------------------------------------------------------------------------------- */

/* The addresses up to the NULL that ends them; returns how many, at most one more than are kept. */
static uint32_t
addresses_read(pid_t tid, uint64_t from, uint64_t *addresses)
{
        const size_t got = wct_read(tid, addresses, from, (WCT_MOST_TEXTS + 1) * sizeof *addresses);
        uint32_t count = 0;
        while (count < got / sizeof *addresses && addresses[count] != 0)
                count++;
        return count;
}

/* All texts' beginnings at once; of one that goes on over its page's end, the rest. Returns the length, at most limit. */
static uint32_t
text_finish(pid_t tid, struct wct_fetch *fetch, uint32_t limit)
{
        uint8_t *text = fetch->into;
        const uint8_t *end = memchr(text, '\0', fetch->got);
        if (end != NULL)
                return (uint32_t)(end - text);
        if (fetch->got < fetch->size || fetch->got == limit)
                return fetch->got;
        const size_t more = wct_read(tid, text + fetch->got, fetch->from + fetch->got, limit - fetch->got);
        end = memchr(text + fetch->got, '\0', more);
        return end != NULL ? (uint32_t)(end - text) : fetch->got + (uint32_t)more;
}

static void
texts_capture(struct work *work, struct capture *capture)
{
        static uint8_t texts[(WCT_MOST_TEXTS + 1) * WCT_TEXTS_ROOM];
        uint64_t addresses[WCT_MOST_TEXTS + 1];
        struct wct_fetch fetches[WCT_MOST_TEXTS];
        const pid_t tid = work->site->tracee->tid;
        const uint32_t limit = (uint32_t)wct_smaller(capture->limit, WCT_TEXTS_ROOM);
        const uint32_t all = addresses_read(tid, capture->from, addresses);
        const uint32_t count = (uint32_t)wct_smaller(all, WCT_MOST_TEXTS);
        struct wct_piece *piece = piece_of(work, capture);
        piece->flags = WCI_BLOB_KEPT | (all > count ? WCI_BLOB_TRUNCATED : 0);
        if (!wct_kept_room(&work->kept, WCT_TEXTS_ROOM))
                return;
        piece = piece_of(work, capture);
        piece->at = work->kept->used;
        for (uint32_t i = 0; i < count; i++) {
                const uint64_t page = WCT_PAGE - (addresses[i] & (WCT_PAGE - 1));
                const uint32_t size = (uint32_t)wct_smaller(limit, page);
                fetches[i] = (struct wct_fetch){texts + i * WCT_TEXTS_ROOM, addresses[i], size, 0};
        }
        wct_read_many(tid, fetches, count);
        for (uint32_t i = 0; i < count; i++) {
                const uint32_t length = text_finish(tid, &fetches[i], limit);
                if (piece->length + length + 1 > WCT_TEXTS_ROOM) {
                        piece->flags |= WCI_BLOB_TRUNCATED;
                        break;
                }
                uint8_t *to = work->kept->bytes + piece->at + piece->length;
                memcpy(to, fetches[i].into, length);
                to[length] = '\0';
                piece->length += length + 1;
        }
        work->kept->used += piece->length;
}

/* --- printf, scanf ------------------------------------------------------------------------------------------------ */

/* The format: from what has been captured of it when that is all of it, else from the tracee. */
static bool
format_read(struct work *work, char format[static WCT_PATH_LIMIT])
{
        const struct wct_symbol *symbol = work->call->symbol;
        const struct wct_argument *arguments = wct_plan.arguments + symbol->first;
        uint32_t ordinal = 0;
        bool ended;
        for (uint32_t i = 0; i < symbol->format; i++)
                ordinal += arguments[i].blob != 0;
        const struct wct_piece *piece = &work->kept->piece[ordinal];
        if (arguments[symbol->format].content == WCT_KEEP_TEXT && piece->flags == WCI_BLOB_KEPT &&
            piece->length < WCT_PATH_LIMIT) {
                memcpy(format, work->kept->bytes + piece->at, piece->length);
                format[piece->length] = '\0';
                return true;
        }
        const size_t length = wct_read_text(work->site->tracee->tid, format, work->call->value[symbol->format],
                                            WCT_PATH_LIMIT - 1, &ended);
        format[length] = '\0';
        return length != 0;
}

/* At entry: printf's items; for scanf, where they will be. */
static void
variadic_enter(struct work *work, struct capture *capture)
{
        static char format[WCT_PATH_LIMIT];
        struct wct_source source;
        wct_source_begin(&source, work->call, work->site);
        if (!wct_kept_room(&work->kept, sizeof source + WCT_VARIADIC_ROOM))
                return;
        struct wct_piece *piece = piece_of(work, capture);
        piece->at = work->kept->used;
        if (work->call->symbol->flags & WCT_SCANF) {
                memcpy(work->kept->bytes + piece->at, &source, sizeof source);
                work->kept->used += sizeof source;
                return;
        }
        piece->flags = WCI_BLOB_KEPT;
        if (format_read(work, format))
                piece->length = wct_variadic_printf(&source, format, work->kept->bytes + piece->at);
        work->kept->used += piece->length;
}

/* After scanf: what it has stored. Its source was kept at entry, where its flags are none. */
static void
scanf_exit(struct work *work, struct capture *capture)
{
        static char format[WCT_PATH_LIMIT];
        struct wct_source source;
        bool ended;
        const int matched = (int)(int64_t)work->evaluation.result;
        if (!wct_kept_room(&work->kept, WCT_VARIADIC_ROOM))
                return;
        struct wct_piece *piece = piece_of(work, capture);
        piece->flags = WCI_BLOB_KEPT;
        piece->at = work->kept->used;
        if (matched <= 0)
                return;
        memcpy(&source, work->call->kept->bytes + work->call->kept->piece[capture->ordinal].at, sizeof source);
        const size_t length = wct_read_text(work->site->tracee->tid, format, work->call->value[work->call->symbol->format],
                                            WCT_PATH_LIMIT - 1, &ended);
        format[length] = '\0';
        piece->length = wct_variadic_scanf(&source, format, matched, work->kept->bytes + piece->at);
        work->kept->used += piece->length;
}

/* After printf: what it was given is known; of one that failed nothing is shown. */
static void
printf_exit(struct work *work, struct capture *capture)
{
        const uint32_t condition = capture->argument->condition;
        if (condition != 0 && (int64_t)wct_length(&work->evaluation, condition) <= 0)
                work->call->kept->piece[capture->ordinal].length = 0;
}

static void
variadic_capture(struct work *work, struct capture *capture)
{
        if (work->moment == WCT_MOMENT_ENTRY)
                variadic_enter(work, capture);
        else if (work->call->symbol->flags & WCT_SCANF)
                scanf_exit(work, capture);
        else
                printf_exit(work, capture);
}

/* --- all of a call's ---------------------------------------------------------------------------------------------- */

static void
work_collect(struct work *work)
{
        const struct wct_symbol *symbol = work->call->symbol;
        const struct wct_argument *argument = wct_plan.arguments + symbol->first;
        uint32_t ordinal = 0;
        for (uint32_t i = 0; i < symbol->arguments; i++, argument++) {
                struct capture *capture = &work->captures[work->count];
                if (argument->blob == 0)
                        continue;
                *capture = (struct capture){.ordinal = ordinal++};
                if (is_due(argument, work->moment) && capture_begin(work, argument, i, capture))
                        work->count++;
        }
}

struct wct_kept *
wct_captures_take(struct wct_call *call, const struct wct_site *site, enum wct_moment moment)
{
        static struct wct_kept *later;
        struct work work = {.call = call, .site = site, .moment = moment};
        if (moment != WCT_MOMENT_ENTRY && later == NULL && (later = wct_kept_new(WCT_LARGE_ROOM)) == NULL)
                return NULL;
        work.kept = moment == WCT_MOMENT_ENTRY ? call->kept : later;
        if (moment != WCT_MOMENT_ENTRY) {
                later->used = 0;
                memset(later->piece, 0, sizeof later->piece);
        }
        work.evaluation = (struct wct_evaluation){call, site->tracee->tid, 0};
        if (moment != WCT_MOMENT_ENTRY)
                work.evaluation.result = wct_result_word(call->symbol, site);
        work_collect(&work);
        indirect_read(&work);
        places_give(&work);
        captures_read(&work);
        for (uint32_t i = 0; i < work.count; i++) {
                struct capture *capture = &work.captures[i];
                if (capture->argument->content == WCT_KEEP_TEXTS && capture->from != 0)
                        texts_capture(&work, capture);
                else if (capture->argument->content == WCT_KEEP_VARIADIC)
                        variadic_capture(&work, capture);
        }
        if (moment == WCT_MOMENT_ENTRY)
                call->kept = work.kept;
        return work.kept;
}
