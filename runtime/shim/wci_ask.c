/*
 * wci_ask.c: questions: calls that wait until somebody outside of the program has decided about them.
 *
 * Called by generated wrappers of targets that a Python handler decides about. The call is shown as a record, but in the
 * question's own memory (struct wci_question), not among the ring's records. Rules:
 *   R2  errno is what the real call left, unless the answer puts a result in its place
 *   R4  a call waits no longer than the session says, and not at all for somebody who is dead: then it goes on, or fails
 *   R8  a fork child that comes back here in its parent's question takes the answer that is there, and touches nothing
 *   R9  quiet: no system call: whoever answers looks from time to time
 * A signal handler may come in at any place and ask a question of its own: each has a level, the deepest is the youngest.
 * One that was left by a jump is found by the address of its frame, as in the in-flight stack.
 * Absent on purpose: who answers (consumer/answering.py).
 */
#include "wci_ask.h"

#include "wci_runtime.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <time.h>

#define SLICE_NS 50000000ull /* how long to sleep before looking whether the answerer lives */
#define PAUSE_NS 20u         /* about what a pause instruction takes, where no clock may be asked */
#define SECOND_NS 1000000000ull
#define STACK_NEAR (64ul << 20) /* two frames farther apart lie on different stacks */

static struct wci_question *
level_at(struct wci_ring *ring, uint32_t depth)
{
        char *end = (char *)ring + wci_segment->ring_stride;
        return (struct wci_question *)(end - (WCI_ASK_LEVELS - depth) * WCI_ASK_SIZE);
}

static bool
on_signal_stack(void)
{
        stack_t now = {.ss_flags = SS_ONSTACK};
        if (!wci_quiet)
                wci_syscall3(SYS_sigaltstack, NULL, &now, 0);
        return (now.ss_flags & SS_ONSTACK) != 0;
}

/* Questions of frames that are deeper than ours were left by a jump; on a signal stack, addresses tell nothing. */
static void
levels_look(struct wci_ring *ring, uintptr_t frame)
{
        if (ring->ask_depth == 0 || on_signal_stack())
                return;
        while (ring->ask_depth != 0 && level_at(ring, ring->ask_depth - 1)->frame <= frame)
                ring->ask_depth--;
}

/* Take the next level. NULL: too many of them, or no memory. */
static struct wci_question *
level_take(struct wci_ring *ring, uintptr_t frame)
{
        levels_look(ring, frame);
        const uint32_t depth = ring->ask_depth;
        if (depth == WCI_ASK_LEVELS)
                return NULL;
        struct wci_question *level = level_at(ring, depth);
        if (ring->ask_ready <= depth) {
                if (wci_quiet || !wci_populate(level, WCI_ASK_SIZE))
                        return NULL;
                ring->ask_ready = depth + 1;
        }
        level->frame = frame;
        WCI_ORDER(); /* a signal handler that sees the level taken sees by whom */
        ring->ask_depth = depth + 1;
        return level;
}

struct wci_record_head
wci_ask_begin(struct wci_ask *ask, struct wci_call *call, uint32_t symbol, uint32_t kind, uint32_t cells, uint64_t result)
{
        struct wci_record_head record = {.cells = cells};
        ask->ring = call->ring;
        ask->claims = call->claims & ~WCI_CALL_LIMITED;
        ask->cells = cells;
        ask->changed = ask->texts = 0;
        const bool answered = __atomic_load_n(&wci_control->asked_by, __ATOMIC_ACQUIRE) != 0;
        ask->level = answered ? level_take(call->ring, (uintptr_t)__builtin_frame_address(0)) : NULL;
        if (ask->level == NULL)
                return record;
        ask->depth = call->ring->ask_depth - 1;
        struct wci_cell *cell = (struct wci_cell *)((char *)ask->level + WCI_ASK_CELLS);
        wci_cells_open(cell, symbol, kind, cells);
        record.first = (struct wci_first *)cell;
        record.first->clock = call->clock;
        record.first->duration = kind == WCI_CALL ? call->duration : WCI_NO_DURATION;
        record.first->result = result;
        record.first->error = kind == WCI_CALL ? call->error : 0;
        return record;
}

static bool
is_ours(const struct wci_ask *ask)
{
        return ask->ring->owner_pid == wci_alive->pid && ask->ring->claims == ask->claims;
}

/* The question stands in memory; say where, and wake whoever answers. */
static uint32_t
post(const struct wci_ask *ask)
{
        struct wci_question *level = ask->level;
        const struct wci_ring *ring = ask->ring;
        const uint64_t offset = (uint64_t)((const char *)ring - (char *)wci_segment) - wci_segment->first_ring;
        struct wci_asking *asking = (struct wci_asking *)((char *)wci_control + WCI_ASKING_AT);
        level->cells = ask->cells;
        level->pid = ring->record_pid;
        level->tid = ring->record_pid == ring->owner_pid ? ring->owner_tid & 0x7fffffffu : ring->record_pid;
        level->serial = level->serial + 1 != 0 ? level->serial + 1 : 1;
        const uint32_t serial = level->serial;
        __atomic_store_n(&level->asked, serial, __ATOMIC_RELEASE); /* who sees it sees the record */
        const uint32_t number = __atomic_fetch_add(&asking->asking, 1, __ATOMIC_ACQ_REL);
        const uint32_t index = (uint32_t)(offset / wci_segment->ring_stride);
        __atomic_store_n(&asking->hint[number % WCI_HINTS], WCI_HINT(wci_segment->pid, index, ask->depth), __ATOMIC_RELEASE);
        if (!wci_quiet)
                wci_syscall6(SYS_futex, (long)&asking->asking, FUTEX_WAKE, INT_MAX, 0, 0, 0);
        return serial;
}

static bool
nobody_answers(uint64_t now)
{
        return __atomic_load_n(&wci_control->asked_by, __ATOMIC_RELAXED) == 0 || wci_turned_off() ||
               wci_consumer_is_dead(now);
}

static void
sleep_on(struct wci_question *level, uint32_t seen, uint64_t left)
{
        const uint64_t slice = left < SLICE_NS ? left : SLICE_NS;
        const struct timespec time = {0, (long)slice};
        if (wci_quiet)
                __builtin_ia32_pause();
        else
                wci_syscall6(SYS_futex, (long)&level->answered, FUTEX_WAIT, seen, (long)&time, 0, 0);
}

/* Both are written at once, but nobody promises that they are seen at once. */
static bool
verdict_is_there(const struct wci_question *level, uint32_t serial)
{
        return __atomic_load_n(&level->verdict, __ATOMIC_ACQUIRE) >> 8 == (serial & 0xffffffu);
}

/* False: there is no answer, and nobody will give one in time. */
static bool
wait(const struct wci_ask *ask, uint32_t serial)
{
        struct wci_question *level = ask->level;
        uint64_t now = wci_monotonic_ns();
        const uint64_t end = now + wci_control->ask_ms * 1000000ull;
        for (;;) {
                const uint32_t answered = __atomic_load_n(&level->answered, __ATOMIC_ACQUIRE);
                if (answered == serial && verdict_is_there(level, serial))
                        return true;
                if (now >= end || nobody_answers(now))
                        return false;
                sleep_on(level, answered, end - now);
                now = wci_clock_kind == WCI_CLOCK_FROZEN && wci_quiet ? now + PAUSE_NS : wci_monotonic_ns();
        }
}

/* As long as the answer says, whatever signals come meanwhile. */
static void
wait_longer(uint64_t delay)
{
        if (delay == 0 || wci_quiet)
                return;
        const uint64_t end = wci_monotonic_ns() + delay;
        const struct timespec until = {(time_t)(end / SECOND_NS), (long)(end % SECOND_NS)};
        while (wci_syscall6(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, (long)&until, 0, 0, 0) == -EINTR)
                ;
}

/* Ask. False: there is no answer. */
static bool
is_answered(struct wci_ask *ask)
{
        if (ask->level == NULL)
                return false;
        const bool answered = wait(ask, post(ask));
        if (is_ours(ask))
                __atomic_store_n(&ask->level->asked, 0, __ATOMIC_RELEASE);
        return answered;
}

/* The time that the answer took is not the call's: it begins anew. */
static void
begin_anew(struct wci_call *call, uint32_t clocks)
{
        struct wci_ring *ring = call->ring;
        if (clocks & WCI_CLOCK_AT_ENTRY)
                call->clock = wci_clock();
        if (ring->owner_pid == wci_alive->pid && ring->claims == (call->claims & ~WCI_CALL_LIMITED) && call->depth < WCI_INFLIGHT)
                ring->inside[call->depth].clock = call->clock;
}

/* Nobody has decided in time: true, the session says that the call fails then. */
static bool
fails_without(const struct wci_ask *ask, uint64_t *result)
{
        const uint32_t error = wci_control->ask_default;
        if (error == 0 || ask->fails == WCI_FAILS_NEVER)
                return false;
        *result = ask->fails == WCI_FAILS_NUMBER ? error : ask->failure;
        if (ask->fails == WCI_FAILS_ERRNO)
                errno = (int)error;
        return true;
}

bool
wci_ask_before(struct wci_ask *ask, struct wci_call *call, uint64_t *result, uint32_t clocks)
{
        const int error = errno;
        if (!is_answered(ask)) {
                errno = error;
                const bool fails = fails_without(ask, result);
                begin_anew(call, clocks);
                return !fails;
        }
        const struct wci_question *level = ask->level;
        const uint32_t verdict = level->verdict & 0xffu;
        wait_longer(verdict != WCI_GO ? level->delay_ns : 0);
        begin_anew(call, clocks);
        if (verdict == WCI_RESULT) {
                *result = level->result;
                errno = level->error != 0 ? level->error : error;
                return false;
        }
        ask->changed = verdict == WCI_CHANGED ? level->changed : 0;
        ask->texts = level->texts & ask->changed;
        errno = error;
        return true;
}

bool
wci_ask_after(struct wci_ask *ask, struct wci_call *call, uint64_t *result)
{
        const int error = errno;
        const bool answered = is_answered(ask);
        errno = error;
        if (!answered)
                return false;
        const uint32_t verdict = ask->level->verdict & 0xffu;
        wait_longer(verdict != WCI_GO ? ask->level->delay_ns : 0);
        if (verdict != WCI_RESULT)
                return false;
        *result = ask->level->result;
        if (ask->level->error != 0)
                errno = call->error = ask->level->error;
        return true;
}

uint64_t
wci_ask_number(const struct wci_ask *ask, uint32_t field)
{
        return ask->level->value[field];
}

static const char *
text_at(const struct wci_ask *ask, uint32_t field, size_t *most)
{
        const uint64_t offset = ask->level->value[field];
        *most = offset < WCI_ASK_SIZE - WCI_ASK_TEXT ? WCI_ASK_SIZE - WCI_ASK_TEXT - (size_t)offset : 0;
        return (const char *)ask->level + WCI_ASK_TEXT + offset;
}

size_t
wci_ask_size(const struct wci_ask *ask, uint32_t field)
{
        size_t most, length = 0;
        const char *text = text_at(ask, field, &most);
        while (length < most && text[length] != '\0')
                length++;
        return length + 1;
}

char *
wci_ask_text(const struct wci_ask *ask, uint32_t field, char *room, size_t size)
{
        size_t most;
        const char *text = text_at(ask, field, &most);
        for (size_t i = 0; i + 1 < size; i++)
                room[i] = text[i];
        room[size - 1] = '\0';
        return room;
}

void
wci_ask_end(const struct wci_ask *ask)
{
        if (ask->level != NULL && is_ours(ask))
                ask->ring->ask_depth = ask->depth;
}

void
wci_ask_left(uintptr_t stack)
{
        struct wci_ring *ring = wci_tls.ring;
        if (ring == NULL || wci_alive == NULL || ring->owner_pid != wci_alive->pid)
                return;
        while (ring->ask_depth != 0) {
                const uintptr_t frame = level_at(ring, ring->ask_depth - 1)->frame;
                if (frame >= stack || stack - frame >= STACK_NEAR)
                        return;
                ring->ask_depth--;
        }
}
