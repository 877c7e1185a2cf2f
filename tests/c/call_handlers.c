/* call_handlers.c: handlers of wc_call.h for handler_stub.h's functions: see prints all that there is, other_NAME changes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <wc_call.h>

static void
print_value(const struct wc_call *call, int which)
{
        struct wc_value value;
        char text[16];
        if (!wc_call_get(call, which, &value)) {
                printf(" %s=?%u", value.name, value.kind);
                return;
        }
        printf(" %s=", value.name);
        if (value.kind == WC_FLOATING)
                printf("%g", value.is.floating);
        else if (value.kind == WC_TEXT && wc_call_string(call, which, text, sizeof text))
                printf("\"%s\"", text);
        else if (value.kind == WC_TEXT || value.kind == WC_POINTER)
                printf("%s", value.is.address != 0 ? "somewhere" : "nowhere");
        else
                printf("%lld", (long long)value.is.number);
        printf("/%u", value.size);
}

WC_HANDLER(see)
{
        printf("%s %s:", call->at_exit ? "after" : "before", call->name);
        for (int i = 0; i < (int)call->arguments; i++)
                print_value(call, i);
        struct wc_value value;
        if (call->at_exit && wc_call_describe(call, WC_RESULT, &value) && value.kind != WC_NONE)
                print_value(call, WC_RESULT);
        printf("\n");
}

/* One to nine, then a number too large, and one that is not there. */
WC_HANDLER(other_nine)
{
        const bool set = wc_call_set_int(call, 0, 9) && wc_call_set_int(call, wc_call_arg(call, "f"), 4) &&
                         wc_call_set_int(call, wc_call_arg(call, "i"), 1);
        const bool refused = !wc_call_set_int(call, 9, 1) && !wc_call_set_int(call, wc_call_arg(call, "none"), 1) &&
                             !wc_call_set_double(call, 0, 1.0) && !wc_call_set_errno(call, EIO);
        printf("set %d, refused %d\n", set, refused);
}

WC_HANDLER(other_mixed)
{
        const bool set = wc_call_set_int(call, wc_call_arg(call, "a"), -3) &&
                         wc_call_set_double(call, wc_call_arg(call, "x"), 30.25) &&
                         wc_call_set_double(call, wc_call_arg(call, "y"), 2.5) &&
                         wc_call_set_int(call, wc_call_arg(call, "small"), 255);
        printf("set %d, too large refused %d\n", set, !wc_call_set_int(call, wc_call_arg(call, "small"), 256));
}

WC_HANDLER(other_precise)
{
        double x = 0;
        const bool got = wc_call_double(call, 0, &x);
        printf("got %d %g, set %d\n", got, x, wc_call_set_double(call, 0, 2.5));
}

WC_HANDLER(other_fill)
{
        uint64_t place = 0;
        int before = -1;
        const bool got = wc_call_pointer(call, wc_call_arg(call, "place"), &place) &&
                         wc_call_read(call, place, &before, sizeof before);
        const int written = 70;
        if (call->at_exit && got)
                printf("found %d, wrote %d\n", before, wc_call_write(call, place, &written, sizeof written));
        printf("bad refused %d %d\n", !wc_call_read(call, 16, &before, sizeof before),
               !wc_call_write(call, 16, &before, sizeof before));
}

WC_HANDLER(give_minus_7)
{
        if (!wc_call_return_int(call, -7) && !wc_call_return_double(call, -7))
                printf("%s: skipped %d\n", call->name, wc_call_skip(call));
}

WC_HANDLER(give_true)
{
        printf("refused %d, given %d\n", !wc_call_return_int(call, 2), wc_call_return_int(call, 1));
}

WC_HANDLER(after)
{
        long number;
        double real;
        if (wc_call_int(call, WC_RESULT, &number))
                printf("%s gave %ld, skipped %d: %d\n", call->name, number, call->skipped, wc_call_return_int(call, number - 1));
        else if (wc_call_double(call, WC_RESULT, &real))
                printf("%s gave %g: %d\n", call->name, real, wc_call_return_double(call, real / 2));
}
