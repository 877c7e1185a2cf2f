/* handler_vfork.c: execs in a vfork child, first in vain. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(void)
{
        int status = 0;
        const pid_t child = vfork();
        if (child == 0) {
                execl("/nowhere", "nowhere", (char *)NULL);
                execl("/bin/sh", "sh", "-c", "exit 9", (char *)NULL);
                _exit(1);
        }
        waitpid(child, &status, 0);
        printf("child %d, status %d\n", child, WEXITSTATUS(status));
        return 0;
}
