/*
 * wct_ask.c: questions: calls of tracees that wait until somebody outside of the program has decided about them.
 *
 * Called by wct_syscall.c, wct_entry.c and wct_return.c for recorded calls; wct_pause.c looks for answers. What a question looks
 * like, and who answers, is as in the shim (struct wci_question). Rules:
 *   T2  the tracee stands still, all others go on: nothing here waits. A thread of ours sleeps on the session's count of
 *       answers, and wakes main out of waitpid, again and again until main has looked
 *   T5  no call waits longer than the session says, nor for somebody who is gone: then it goes on, or fails
 * Absent on purpose: what an answer does to a call (wct_answer.c).
 */
#define _GNU_SOURCE
#include "wct_record.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAKE SIGURG /* as wct_main.c has it: its handler does nothing */
#define LOOK_NS 50000000ull /* how often to look whether the answerer lives */
#define AGAIN_NS 300000 /* a wake that comes just before waitpid is lost */
#define TEXT_ROOM (WCI_ASK_SIZE - WCI_ASK_TEXT)

struct wct_question {
        struct wci_question *level; /* in the ring */
        void (*goes_on)(struct wct_tracee *tracee, const struct wct_answer *answer);
        const struct wct_symbol *symbol;
        uint64_t until; /* CLOCK_MONOTONIC, ns: it waits no longer */
        uint32_t serial;
        bool before;
        bool decided; /* the answer is there, and says to wait until then */
        struct wct_answer answer;
        char text[TEXT_ROOM + 1];
};

static uint32_t came; /* futex word: 1 until main has looked */

static struct wci_asking *
asking(void)
{
        return (struct wci_asking *)(void *)((char *)wct_session.control + WCI_ASKING_AT);
}

static uint64_t
now_ns(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- the thread that hears answers -------------------------------------------------------------------------------- */

static void *
hear(void *unused)
{
        const struct timespec again = {0, AGAIN_NS};
        uint32_t seen = 0; /* whatever has come before us is looked at as well */
        (void)unused;
        for (;;) {
                syscall(SYS_futex, &asking()->answers, FUTEX_WAIT, seen, NULL, NULL, 0);
                const uint32_t now = __atomic_load_n(&asking()->answers, __ATOMIC_ACQUIRE);
                if (now == seen)
                        continue;
                seen = now;
                __atomic_store_n(&came, 1, __ATOMIC_RELEASE);
                while (__atomic_load_n(&came, __ATOMIC_ACQUIRE) != 0) {
                        syscall(SYS_tgkill, getpid(), getpid(), WAKE);
                        syscall(SYS_futex, &came, FUTEX_WAIT_PRIVATE, 1, &again, NULL, 0);
                }
        }
        return NULL;
}

static bool
is_heard(void)
{
        static bool tried, heard;
        pthread_t thread;
        if (!tried)
                heard = pthread_create(&thread, NULL, hear, NULL) == 0;
        tried = true;
        return heard;
}

bool
wct_answers_came(void)
{
        if (__atomic_load_n(&came, __ATOMIC_RELAXED) == 0)
                return false;
        __atomic_store_n(&came, 0, __ATOMIC_RELEASE);
        syscall(SYS_futex, &came, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        return true;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static bool
nobody_answers(void)
{
        return wct_session.over || __atomic_load_n(&wct_session.control->asked_by, __ATOMIC_ACQUIRE) == 0;
}

uint32_t
wct_asks(const struct wct_symbol *symbol)
{
        return wct_session.control->ask_ms != 0 && !(symbol->flags & WCT_NORETURN) ? wct_plan.targets[symbol->target].asks : 0;
}

/* The question stands in memory; say where, and wake whoever answers. */
static uint32_t
post(struct wci_question *level, const struct wct_tracee *tracee, uint32_t cells, uint64_t hint)
{
        level->cells = cells;
        level->pid = (uint32_t)tracee->process->pid;
        level->tid = (uint32_t)tracee->tid;
        level->counted = 1;
        level->serial = level->serial + 1 != 0 ? level->serial + 1 : 1;
        const uint32_t serial = level->serial;
        __atomic_store_n(&level->asked, serial, __ATOMIC_RELEASE); /* who sees it sees the record */
        const uint32_t number = __atomic_fetch_add(&asking()->asking, 1, __ATOMIC_ACQ_REL);
        __atomic_store_n(&asking()->hint[number % WCI_HINTS], hint, __ATOMIC_RELEASE);
        syscall(SYS_futex, &asking()->asking, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
        return serial;
}

bool
wct_ask(struct wct_tracee *tracee, struct wct_call *call, const struct wct_site *site, enum wci_kind kind,
        void (*goes_on)(struct wct_tracee *tracee, const struct wct_answer *answer))
{
        uint64_t hint;
        if (tracee->question != NULL || !tracee->process->launched || !wct_ring_is_live(tracee) || nobody_answers() || !is_heard())
                return false;
        struct wci_question *level = wct_ring_question(tracee->ring, &hint);
        struct wct_question *question = level != NULL ? malloc(sizeof *question) : NULL;
        if (question == NULL)
                return false;
        question->level = level;
        question->goes_on = goes_on;
        question->symbol = call->symbol;
        question->before = kind == WCI_ENTER;
        question->decided = false;
        question->until = now_ns() + wct_session.control->ask_ms * 1000000ull;
        tracee->question = question;
        struct wci_cell *cell = (struct wci_cell *)(void *)((char *)level + WCI_ASK_CELLS);
        question->serial = post(level, tracee, wct_write_question(call, site, kind, cell), hint);
        wct_look_at(now_ns() + LOOK_NS);
        return true;
}

void
wct_ask_forget(struct wct_tracee *tracee)
{
        struct wct_question *question = tracee->question;
        if (question == NULL)
                return;
        if (wct_ring_is_live(tracee))
                __atomic_store_n(&question->level->asked, 0, __ATOMIC_RELEASE);
        tracee->question = NULL;
        free(question);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* Both are written at once, but nobody promises that they are seen at once. */
static bool
is_answered(const struct wct_question *question)
{
        const struct wci_question *level = question->level;
        return __atomic_load_n(&level->answered, __ATOMIC_ACQUIRE) == question->serial &&
               __atomic_load_n(&level->verdict, __ATOMIC_ACQUIRE) >> 8 == (question->serial & 0xffffffu);
}

/* Returns how long the call is to wait. */
static uint64_t
take(struct wct_question *question)
{
        const struct wci_question *level = question->level;
        struct wct_answer *answer = &question->answer;
        question->decided = true;
        *answer = (struct wct_answer){.verdict = level->verdict & 0xffu};
        if (answer->verdict == WCI_GO)
                return 0;
        answer->error = level->error;
        answer->result = level->result;
        answer->changed = answer->verdict == WCI_CHANGED ? level->changed : 0;
        answer->texts = answer->changed & level->texts;
        if (answer->changed != 0)
                memcpy(answer->value, level->value, sizeof answer->value);
        if (answer->texts != 0) {
                memcpy(question->text, (const char *)level + WCI_ASK_TEXT, TEXT_ROOM);
                question->text[TEXT_ROOM] = '\0';
                answer->text = question->text;
        }
        return level->delay_ns;
}

/* Nobody has decided in time: the call goes on, or it fails as the session says. */
static void
take_nothing(struct wct_question *question)
{
        const struct wct_symbol *symbol = question->symbol;
        const uint32_t error = wct_session.control->ask_default;
        question->answer = (struct wct_answer){.verdict = WCI_GO};
        if (error == 0 || !question->before || !symbol->can_fail || wct_session.over)
                return;
        question->answer.verdict = WCI_RESULT;
        question->answer.error = symbol->fail == WCT_FAIL_ERRNO ? 0 : (int32_t)error;
        question->answer.result = symbol->fail == WCT_FAIL_ERRNO                                  ? error
                                  : symbol->fail == WCT_FAIL_NULL || symbol->fail == WCT_FAIL_ZERO ? 0
                                                                                                   : (uint64_t)-1;
}

static void
settle(struct wct_tracee *tracee)
{
        struct wct_question *question = tracee->question;
        if (wct_ring_is_live(tracee))
                __atomic_store_n(&question->level->asked, 0, __ATOMIC_RELEASE);
        tracee->question = NULL; /* the call may ask once more */
        question->goes_on(tracee, &question->answer);
        free(question);
        wct_resume(tracee);
}

uint64_t
wct_ask_look(struct wct_tracee *tracee, uint64_t now)
{
        struct wct_question *question = tracee->question;
        if (!question->decided && is_answered(question)) {
                const uint64_t delay = take(question);
                question->until = delay != 0 ? now + delay : 0;
        } else if (!question->decided && (now >= question->until || nobody_answers())) {
                take_nothing(question);
                question->until = 0;
        }
        if (now < question->until && !wct_session.over)
                return question->decided || question->until < now + LOOK_NS ? question->until : now + LOOK_NS;
        settle(tracee);
        return 0;
}
