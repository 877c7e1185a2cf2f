/*
 * variants.h: what the copies of a program share: shared between variants.c, which starts them, and judge.c, the handlers
 * that run at their calls.
 *
 * The copies go through rounds. In a round every copy that is still there says what it is about to do: a call, or that it
 * has ended. What at least two of them say is right. The lock is held for everything here.
 */
#ifndef VARIANTS_H
#define VARIANTS_H

#include <pthread.h>
#include <stdbool.h>

#define VARIANTS 3
#define VARIANTS_MOST 4096 /* bytes of a call; longer ones are made shorter, as the kernel may do, too */

enum state {
        RUNS,    /* in a round, or on its way to the next */
        WAITS,   /* has said what it is about to do */
        ENDED,   /* its process is gone, by itself: that is what it says from then on */
        STOPPED, /* by the judge: it says nothing any more */
};

struct statement {
        bool writes; /* or reads */
        int fd;
        int size;
        char bytes[VARIANTS_MOST]; /* of a write */
};

struct variants {
        pthread_mutex_t lock; /* robust: its owner may be killed */
        enum state state[VARIANTS];
        struct statement says[VARIANTS];
        long round;    /* how many have been judged */
        int leader;    /* who makes the call of this round, when it is one that only one copy makes */
        bool answered; /* the leader has made it; the others take what it got: */
        long result;
        int error;
        char bytes[VARIANTS_MOST]; /* of a read */
};

#endif
