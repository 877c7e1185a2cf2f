/* wci_text.c: text without libc, for the constructor's paths. Bounded, always ended with NUL. */
#include "wci_runtime.h"

void
wci_text_add(struct wci_text *text, const char *string)
{
        while (*string != '\0' && text->at + 1 < text->end)
                *text->at++ = *string++;
        *text->at = '\0';
}

void
wci_text_add_number(struct wci_text *text, uint64_t number, unsigned base)
{
        char digits[32];
        char *digit = digits + sizeof digits - 1;
        *digit = '\0';
        do {
                *--digit = "0123456789abcdef"[number % base];
                number /= base;
        } while (number != 0);
        wci_text_add(text, digit);
}

size_t
wci_text_length(const char *string)
{
        size_t length = 0;
        while (string[length] != '\0')
                length++;
        return length;
}

bool
wci_text_starts(const char *string, const char *prefix)
{
        while (*prefix != '\0')
                if (*string++ != *prefix++)
                        return false;
        return true;
}
