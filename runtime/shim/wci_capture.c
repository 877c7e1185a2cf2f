/*
 * wci_capture.c: what stands behind a pointer argument, measured before the record is reserved and copied after.
 *
 * Called by wrappers between wci_returned and wci_commit.  Rule R7: a proven pointer (the call's return or errno proves
 * that the bytes were read or written) is read directly; any other goes through process_vm_readv on ourselves, where
 * a bad pointer is an error number and not a SIGSEGV.  R9: when quiet there is no system call, and unproven pointers are
 * left alone.  No libc: memcpy and strlen may be our own wrappers.
 */
#include "wci_runtime.h"

#include <errno.h>
#include <sys/uio.h>

#define WCI_PIECES 16u   /* iovecs per process_vm_readv */
#define WCI_WINDOW 256u  /* bytes of an unproven string looked at per system call */

static bool
has_zero_byte(uint64_t word)
{
        return ((word - 0x0101010101010101ull) & ~word & 0x8080808080808080ull) != 0;
}

/* strnlen by aligned words: an aligned word never crosses into a page that the string does not touch. */
static uint32_t
text_length(const char *text, uint32_t limit)
{
        uint32_t length = 0;
        while (length < limit && ((uintptr_t)(text + length) & 7) != 0) {
                if (text[length] == '\0')
                        return length;
                length++;
        }
        while (length + 8 <= limit && !has_zero_byte(*(const uint64_t *)(const void *)(text + length)))
                length += 8;
        while (length < limit && text[length] != '\0')
                length++;
        return length;
}

/* Read up to size bytes of our own memory; returns bytes read, fewer when a page is missing. */
uint32_t
wci_guarded_read(void *to, uintptr_t from, uint32_t size)
{
        uint32_t done = 0;
        while (done < size) {
                uint32_t piece = 4096 - (uint32_t)((from + done) & 4095);
                if (piece > size - done)
                        piece = size - done;
                const struct iovec local = {(char *)to + done, piece};
                const struct iovec remote = {(void *)(from + done), piece};
                if (wci_syscall6(SYS_process_vm_readv, wci_alive->pid, (long)&local, 1, (long)&remote, 1, 0) != piece)
                        break;
                done += piece;
        }
        return done;
}

static uint32_t
guarded_text_length(const char *text, uint32_t limit, bool *readable)
{
        char window[WCI_WINDOW];
        uint32_t length = 0;
        while (length < limit) {
                const uint32_t want = limit - length < WCI_WINDOW ? limit - length : WCI_WINDOW;
                const uint32_t got = wci_guarded_read(window, (uintptr_t)text + length, want);
                const uint32_t here = text_length(window, got);
                length += here;
                if (here < got)
                        return length;
                if (got < want) {
                        *readable = length != 0;
                        return length;
                }
        }
        return length;
}

/* A string's first bytes into a buffer of the caller; *more: there was more than limit. Returns the bytes read. */
uint32_t
wci_read_text(const char *text, uint8_t *to, uint32_t limit, bool *more)
{
        bool readable = true;
        const uint32_t length = wci_quiet ? 0 : guarded_text_length(text, limit + 1, &readable);
        *more = length > limit;
        return wci_guarded_read(to, (uintptr_t)text, length > limit ? limit : length);
}

static struct wci_capture
capture_nothing(const void *from, bool wanted)
{
        struct wci_capture capture;
        wci_capture_begin(&capture, from, 0);
        if (wanted && from == NULL)
                capture.flags = WCI_BLOB_KEPT | WCI_BLOB_NULL;
        return capture;
}

static struct wci_capture
capture_some(const void *from, uint32_t length, bool truncated, bool guarded)
{
        struct wci_capture capture;
        wci_capture_begin(&capture, from, truncated ? WCI_BLOB_KEPT | WCI_BLOB_TRUNCATED : WCI_BLOB_KEPT);
        capture.length = length;
        capture.guarded = guarded;
        capture.cells = (uint16_t)((length + WCI_CONT_PAYLOAD - 1) / WCI_CONT_PAYLOAD);
        return capture;
}

/* A NUL-terminated string: at most limit bytes of it, without the NUL. */
struct wci_capture
wci_capture_text(const void *from, uint32_t limit, uint32_t proof)
{
        return wci_capture_text_within(from, UINT64_MAX, limit, proof);
}

/* Bytes from `from` to the end of its page. */
static uint32_t
to_page_end(const void *from)
{
        return 4096 - (uint32_t)((uintptr_t)from & 4095);
}

/*
 * An unproven string of a usual length: one guarded read brings it into the capture itself, and the record copies it
 * from there. (Measuring it first would take a second system call.)
 */
static struct wci_capture
capture_window(const char *from, uint32_t most, uint32_t limit)
{
        struct wci_capture capture;
        wci_capture_begin(&capture, from, WCI_BLOB_KEPT);
        capture.in_window = 1;
        const uint32_t got = wci_guarded_read(capture.window, (uintptr_t)from, most);
        const uint32_t length = text_length((const char *)capture.window, got);
        if (length == 0 && got == 0 && most != 0)
                capture.flags |= WCI_BLOB_UNREADABLE;
        else if (length > limit || (length == got && got < most))
                capture.flags |= WCI_BLOB_TRUNCATED;
        capture.length = length > limit ? limit : length;
        capture.cells = (uint16_t)((capture.length + WCI_CONT_PAYLOAD - 1) / WCI_CONT_PAYLOAD);
        return capture;
}

/* The same in a buffer of size bytes, which need not hold a NUL: not a byte behind them is read. */
struct wci_capture
wci_capture_text_within(const void *from, uint64_t size, uint32_t limit, uint32_t proof)
{
        if (from == NULL || limit == 0)
                return capture_nothing(from, limit != 0);
        const uint32_t most = size > limit ? limit + 1 : (uint32_t)size; /* one more tells whether it was cut */
        const uint32_t direct = proof == WCI_PROVEN ? most : proof == WCI_PROVEN_FIRST ? to_page_end(from) : 0;
        if (direct != 0) {
                const uint32_t bound = direct < most ? direct : most;
                const uint32_t length = text_length(from, bound);
                if (length < bound || bound == most)
                        return capture_some(from, length > limit ? limit : length, length > limit, false);
        }
        if (wci_quiet)
                return capture_nothing(from, false);
        if (most <= WCI_CAPTURE_WINDOW)
                return capture_window(from, most, limit);
        bool readable = true;
        const uint32_t length = guarded_text_length(from, most, &readable);
        if (!readable) {
                struct wci_capture capture = capture_nothing(from, true);
                capture.flags = WCI_BLOB_KEPT | WCI_BLOB_UNREADABLE;
                return capture;
        }
        return capture_some(from, length > limit ? limit : length, length > limit, true);
}

/* length bytes, of which at most limit are kept. */
struct wci_capture
wci_capture_bytes(const void *from, uint64_t length, uint32_t limit, bool proven)
{
        if (from == NULL || limit == 0 || (!proven && wci_quiet))
                return capture_nothing(from, limit != 0);
        if ((int64_t)length < 0)
                length = 0;
        return capture_some(from, length > limit ? limit : (uint32_t)length, length > limit, !proven);
}

/* argv, envp: the strings one after another, each with its NUL, collected in room (which the record then copies). */
struct wci_capture
wci_capture_texts(char *const *from, uint32_t limit, uint8_t *room, uint32_t size)
{
        if (from == NULL || limit == 0 || wci_quiet)
                return capture_nothing(from, limit != 0);
        uint32_t used = 0;
        bool truncated = false;
        for (uint32_t i = 0;; i++) {
                uintptr_t text = 0;
                bool readable = true;
                if (wci_guarded_read(&text, (uintptr_t)&from[i], sizeof text) != sizeof text || text == 0)
                        break;
                uint32_t length = guarded_text_length((const char *)text, limit, &readable);
                if (used + length + 1 > size || i == 64) {
                        truncated = true;
                        break;
                }
                used += wci_guarded_read(room + used, text, length);
                room[used++] = '\0';
        }
        return capture_some(room, used, truncated, false);
}

static void
copy_direct(uint8_t *to, const uint8_t *from, uint32_t length)
{
        for (; length >= 8; to += 8, from += 8, length -= 8)
                __builtin_memcpy(to, from, 8);
        for (uint32_t i = 0; i < length; i++) {
                __asm__ volatile("" ::: "memory"); /* keeps the loop from becoming a call of memcpy */
                to[i] = from[i];
        }
}

static void
put_direct(struct wci_cell *cell, const uint8_t *from, uint32_t length)
{
        for (; length > WCI_CONT_PAYLOAD; cell++, from += WCI_CONT_PAYLOAD, length -= WCI_CONT_PAYLOAD)
                copy_direct(cell->payload, from, WCI_CONT_PAYLOAD);
        copy_direct(cell->payload, from, length);
}

/* Through the kernel, straight into the cells. Returns the bytes that could be read. */
static uint32_t
put_guarded(struct wci_cell *cell, const uint8_t *from, uint32_t length)
{
        uint32_t done = 0;
        while (done < length) {
                struct iovec local[WCI_PIECES];
                uint32_t pieces = 0, batch = 0;
                for (; pieces < WCI_PIECES && done + batch < length; pieces++, cell++) {
                        const uint32_t rest = length - done - batch;
                        local[pieces].iov_base = cell->payload;
                        local[pieces].iov_len = rest < WCI_CONT_PAYLOAD ? rest : WCI_CONT_PAYLOAD;
                        batch += (uint32_t)local[pieces].iov_len;
                }
                const struct iovec remote = {(void *)(uintptr_t)(from + done), batch};
                const long got = wci_syscall6(SYS_process_vm_readv, wci_alive->pid, (long)local, pieces, (long)&remote,
                                              1, 0);
                if (got > 0)
                        done += (uint32_t)got;
                if (got != (long)batch)
                        break;
        }
        return done;
}

/* Copy a capture into the record from its cell `ordinal` on; returns what the fixed part keeps of it. */
struct wci_blob
wci_capture_put(void *record, uint32_t ordinal, const struct wci_capture *capture)
{
        struct wci_blob blob = {(uint16_t)capture->length, capture->flags, (uint8_t)ordinal};
        if (capture->cells == 0) {
                blob.cell = 0;
                return blob;
        }
        struct wci_cell *cell = (struct wci_cell *)record + ordinal;
        if (!capture->guarded) {
                put_direct(cell, capture->in_window ? capture->window : capture->from, capture->length);
                return blob;
        }
        const uint32_t done = put_guarded(cell, capture->from, capture->length);
        if (done < capture->length)
                blob.flags |= done == 0 ? WCI_BLOB_UNREADABLE : WCI_BLOB_TRUNCATED;
        blob.length = (uint16_t)done;
        return blob;
}

bool
wci_errno_proves_path(int error)
{
        return error == ENOENT || error == EACCES || error == EEXIST || error == ENOTDIR || error == EISDIR ||
               error == ELOOP || error == EROFS || error == ENOTEMPTY || error == EXDEV;
}
