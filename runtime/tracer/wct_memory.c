/*
 * wct_memory.c: reading and writing the memory of a tracee.
 *
 * Called by everybody. Rules: T3 (whatever an address is, the answer is how many bytes are there); the tid of a stopped
 * thread is asked, not the pid: a leader that has exited has no memory any more. Reads go through process_vm_readv; where
 * the kernel does not let us (a program that may not be read), word by word through ptrace, which we hold already. Writes
 * go through ptrace: it alone writes into pages that the program itself cannot write to.
 *
 * Absent on purpose: a cache. Between two stops another thread may have changed anything.
 */
#define _GNU_SOURCE

#include "wct_record.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define WINDOW 256u /* bytes of a text that are looked at first */

/* One aligned word; false where there is no page. */
static bool
peek(pid_t tid, uint64_t from, uint64_t *word)
{
        errno = 0;
        *word = (uint64_t)ptrace(PTRACE_PEEKDATA, tid, (void *)(uintptr_t)from, NULL);
        return errno == 0;
}

static size_t
read_by_words(pid_t tid, uint8_t *into, uint64_t from, size_t size)
{
        size_t done = 0;
        while (done < size) {
                const uint32_t skip = (uint32_t)((from + done) & 7);
                const size_t part = wct_smaller(8 - skip, size - done);
                uint64_t word;
                if (!peek(tid, from + done - skip, &word))
                        break;
                memcpy(into + done, (const uint8_t *)&word + skip, part);
                done += part;
        }
        return done;
}

size_t
wct_read(pid_t tid, void *into, uint64_t from, size_t size)
{
        const struct iovec local = {into, size}, remote = {(void *)(uintptr_t)from, size};
        uint64_t word;
        if (size == 0)
                return 0;
        if (size == sizeof word && peek(tid, from, &word)) { /* a fifth cheaper */
                memcpy(into, &word, sizeof word);
                return size;
        }
        const ssize_t got = process_vm_readv(tid, &local, 1, &remote, 1, 0);
        if (got >= 0)
                return (size_t)got;
        return errno == EPERM || errno == ENOSYS ? read_by_words(tid, into, from, size) : 0;
}

/* Hand out what one process_vm_readv has brought. Returns the first fetch behind the one that it stopped in. */
static uint32_t
hand_out(struct wct_fetch *fetches, uint32_t first, uint32_t count, size_t got)
{
        for (uint32_t i = first; i < count; i++) {
                fetches[i].got = (uint32_t)wct_smaller(got, fetches[i].size);
                got -= fetches[i].got;
                if (fetches[i].got < fetches[i].size)
                        return i + 1;
        }
        return count;
}

void
wct_read_many(pid_t tid, struct wct_fetch *fetches, uint32_t count)
{
        struct iovec local[WCT_MOST_FETCHES], remote[WCT_MOST_FETCHES];
        for (uint32_t i = 0; i < count; i++) {
                local[i] = (struct iovec){fetches[i].into, fetches[i].size};
                remote[i] = (struct iovec){(void *)(uintptr_t)fetches[i].from, fetches[i].size};
        }
        for (uint32_t next = 0; next < count;) {
                const ssize_t got = process_vm_readv(tid, local + next, count - next, remote + next, count - next, 0);
                if (got < 0 && errno != EFAULT) {
                        for (; next < count; next++)
                                fetches[next].got = (uint32_t)wct_read(tid, fetches[next].into, fetches[next].from,
                                                                       fetches[next].size);
                        return;
                }
                next = hand_out(fetches, next, count, got < 0 ? 0 : (size_t)got);
        }
}

/* By pieces that begin small and end at pages: a text is mostly short, and what lies behind its page may be missing. */
size_t
wct_read_text(pid_t tid, char *into, uint64_t from, size_t room, bool *ended)
{
        size_t done = 0, window = WINDOW;
        *ended = false;
        while (done < room) {
                size_t size = wct_smaller(WCT_PAGE - ((from + done) & (WCT_PAGE - 1)), room - done);
                size = wct_smaller(size, window);
                const size_t got = wct_read(tid, into + done, from + done, size);
                const char *end = memchr(into + done, '\0', got);
                *ended = end != NULL;
                if (*ended)
                        return (size_t)(end - into);
                done += got;
                if (got < size)
                        break;
                window *= 4;
        }
        return done;
}

static bool
poke(pid_t tid, uint64_t to, const uint8_t *from, size_t size)
{
        size_t done = 0;
        while (done < size) {
                const uint32_t skip = (uint32_t)((to + done) & 7);
                const size_t part = wct_smaller(8 - skip, size - done);
                const uint64_t at = to + done - skip;
                uint64_t word;
                if (part < 8 && !peek(tid, at, &word))
                        return false;
                memcpy((uint8_t *)&word + skip, from + done, part);
                if (ptrace(PTRACE_POKEDATA, tid, (void *)(uintptr_t)at, (void *)(uintptr_t)word) != 0)
                        return false;
                done += part;
        }
        return true;
}

/* Within one page a first word that can be written says that all of them can. */
bool
wct_write(pid_t tid, uint64_t to, const void *from, size_t size)
{
        const uint8_t *bytes = from;
        size_t done = 0;
        uint8_t before[WCT_PAGE];
        const size_t part = wct_smaller(WCT_PAGE - (to & (WCT_PAGE - 1)), size);
        if (part == size)
                return poke(tid, to, bytes, size);
        if (wct_read(tid, before, to, part) != part || !poke(tid, to, bytes, part))
                return false;
        done += part;
        if (wct_write(tid, to + done, bytes + done, size - done))
                return true;
        poke(tid, to, before, part);
        return false;
}
