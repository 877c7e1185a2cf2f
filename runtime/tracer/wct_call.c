/*
 * wct_call.c: one call: counted, captured, recorded.
 */
#include "wct.h"

bool
wct_target_is_on(const struct wct_symbol *symbol)
{
        return (wct_session.words[symbol->target] & WCI_WORD_ON) != 0;
}

void
wct_call_enter(struct wct_call *call, const struct wct_symbol *symbol, const struct wct_site *site)
{
        (void)site;
        call->symbol = symbol;
        call->recorded = false;
}

void
wct_call_exit(struct wct_call *call, const struct wct_site *site)
{
        (void)call, (void)site;
}

void
wct_call_drop(struct wct_call *call, struct wct_tracee *tracee)
{
        (void)call, (void)tracee;
}

void
wct_call_changed(struct wct_call *call, const struct wct_site *site)
{
        (void)call, (void)site;
}

void
wct_call_returned(struct wct_call *call)
{
        (void)call;
}
