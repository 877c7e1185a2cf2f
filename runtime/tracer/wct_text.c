/*
 * wct_text.c: memory in the tracee for strings that calls are given in place of their own.
 *
 * Called by wct_space.c where an image begins or is attached to, which is where a system call can be made in it: at the entry of
 * a call it is too late. Only where the plan has a call that may be given a string. Rules: a place is one call's until it has
 * ended, since it may be made again after a signal; T3 (the tracee may have unmapped it: then nothing can be written there).
 * A forked child has the memory too; the places are free there.
 * Absent on purpose: what is written there (wct_answer.c).
 */
#include "wct_space.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#define ROOM (WCI_ASK_SIZE - WCI_ASK_TEXT)
#define SIZE ((WCT_TEXTS * ROOM + 4095ull) & ~4095ull)

static bool
reads_text(const struct wct_symbol *symbol)
{
        for (uint32_t i = 0; i < symbol->arguments; i++) {
                const struct wct_argument *argument = &wct_plan.arguments[symbol->first + i];
                if (argument->content == WCT_KEEP_TEXT && argument->field != 0)
                        return true;
        }
        return false;
}

bool
wct_texts_are_wanted(void)
{
        for (uint32_t i = 0; i < wct_plan.head->symbols; i++) {
                if (wct_asks(&wct_plan.symbols[i]) & WCT_ASKS_BEFORE && reads_text(&wct_plan.symbols[i]))
                        return true;
        }
        return false;
}

void
wct_texts_make(struct wct_tracee *tracee)
{
        struct wct_space *space = tracee->process->space;
        const uint64_t args[6] = {0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, (uint64_t)-1, 0};
        int64_t got;
        if (space == NULL || space->texts != 0 || !wct_texts_are_wanted())
                return;
        if (wct_inject_syscall(tracee, SYS_mmap, args, &got) && !(got < 0 && got >= -4095))
                space->texts = (uint64_t)got;
}

uint64_t
wct_text_take(struct wct_tracee *tracee, struct wct_call *call)
{
        struct wct_space *space = tracee->process->space;
        uint32_t place = 0;
        if (space == NULL || space->texts == 0)
                return 0;
        while (place < WCT_TEXTS && space->text_taken[place])
                place++;
        if (place == WCT_TEXTS)
                return 0;
        space->text_taken[place] = true;
        call->text = (uint8_t)(place + 1);
        return space->texts + (uint64_t)place * ROOM;
}

void
wct_text_leave(struct wct_tracee *tracee, struct wct_call *call)
{
        struct wct_space *space = tracee->process != NULL ? tracee->process->space : NULL;
        if (call->text != 0 && space != NULL)
                space->text_taken[call->text - 1] = false;
        call->text = 0;
}
