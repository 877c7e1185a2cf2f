/* handler_forks.c: rand in a process and in its child. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(void)
{
        rand();
        if (fork() == 0) {
                rand();
                getppid();
                _exit(0);
        }
        wait(NULL);
        getppid();
        return 0;
}
