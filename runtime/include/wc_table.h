/*
 * wc_table.h: which handlers a session's targets have, when its wc-run has changed that: the file "handlers" of a session.
 *
 * Written by wc-run (consumer/table.py, compared with this by tests/test_reload.py); read by the control thread of every shim
 * that takes handlers, and by the tracer.  Both are "readers" here.
 *
 * THE FILE
 *   struct wci_table, then two halves at half_at[0] and half_at[1], each:
 *     struct wci_half, struct wci_named[targets], char texts[texts_size]: NUL-terminated names; offset 0 is none
 *
 * A CHANGE (who moves the arrow)
 *   written into the half that is not in force, then `proposed` = number << 1 | half, `asked` + 1 and a wake (wc-run)
 *     --> every reader loads the library and looks the names up; ready = number, or failed = number (reader)
 *   `current` = `proposed`, `asked` + 1 and a wake, once nobody has failed (wc-run) --> in force; acting = number (reader)
 *   Where one has failed, `current` stays, and nothing has changed anywhere.
 * A reader that looks at a half makes sure afterwards that it is still the one: wc-run writes the next change into the other.
 */
#ifndef WC_TABLE_H
#define WC_TABLE_H

#include <stdint.h>

#define WCI_TABLE_MAGIC 0x3130304c42544357ull /* "WCTBL001" */
#define WCI_ANSWERS 160u
#define WCI_TABLE_TEXTS (64u << 10)

/* One reader's answer. Taken by a locked exchange of pid; given back by its owner, or taken over when that is dead. */
struct wci_answer {
        uint32_t pid;    /* whose it is, the tracer's own for the tracer; 0: free */
        uint32_t ready;  /* number of the last change that it can put in force */
        uint32_t failed; /* number of the last that it cannot: the session's file `warnings` says why */
        uint32_t acting; /* number of the one in force there; 0: what the program began with */
        uint32_t maker;  /* thread that loads handlers, or makes the control thread, now; 0: none */
        uint32_t thread; /* the control thread. What these two do is not the program's: a tracer does not show it */
};

struct wci_table {
        uint64_t magic;
        uint64_t size;       /* of the file */
        uint32_t targets;    /* pairs of a half */
        uint32_t texts_size; /* of a half; the last byte is NUL */
        uint32_t half_at[2];
        uint64_t proposed; /* wc-run, release; 0: nothing yet */
        uint64_t current;  /* wc-run, release; 0: what the shim and the plan begin with */
        uint32_t asked;    /* futex word of the readers' sleep */
        uint32_t spare[3];
        struct wci_answer answers[WCI_ANSWERS];
};

struct wci_half {
        uint32_t library; /* text: path of the library to load; 0: none, and no names */
        uint32_t spare;
};

struct wci_named {
        uint32_t enter; /* text: name of the handler; 0: none */
        uint32_t leave;
};

_Static_assert(sizeof(struct wci_table) <= 4096, "the futex and the answers stand in the first page");

#endif
