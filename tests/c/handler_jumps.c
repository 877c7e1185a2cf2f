/* handler_jumps.c: comes back from rand ten times by siglongjmp, then calls from deep frames. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

sigjmp_buf place;

__attribute__((noinline)) static int
deep(int n)
{
        volatile char room[256];
        room[n] = 1;
        return n ? deep(n - 1) + room[n] : getppid();
}

int
main(void)
{
        volatile int jumps = 0;
        if (sigsetjmp(place, 1) == 0 || ++jumps < 10)
                rand();
        printf("jumped %d times, %d\n", jumps, deep(5) != 0);
        return 0;
}
