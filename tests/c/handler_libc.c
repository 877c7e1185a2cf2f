/* handler_libc.c: one scene of libc calls per argument; the classes that a wrapper may have. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (strcmp(argv[1], "printf") == 0) {
                printf("%d %s %d %d %d %d %d\n", 1, "two", 3, 4, 5, 6, 7);
        } else if (strcmp(argv[1], "open") == 0) {
                const int fd = open("/nowhere/at/all", O_RDONLY);
                printf("opened %d, %s\n", fd >= 0, strerror(errno));
        } else if (strcmp(argv[1], "create") == 0) {
                const int fd = open("made", O_WRONLY | O_CREAT, 0600);
                printf("created %d\n", fd >= 0);
        } else if (strcmp(argv[1], "fcntl") == 0) {
                printf("duplicated to %d\n", fcntl(1, F_DUPFD, 50));
        } else if (strcmp(argv[1], "syscall") == 0) {
                printf("syscall %d\n", syscall(SYS_getppid) == getppid());
        } else if (strcmp(argv[1], "read") == 0) {
                char small[4];
                const ssize_t count = read(0, small, (size_t)argc + 2);
                printf("read %zd, %s\n", count, strerror(errno));
        } else if (strcmp(argv[1], "exec") == 0) {
                execl("/bin/false", "false", "first", (char *)NULL);
                printf("exec failed\n");
        } else if (strcmp(argv[1], "exit") == 0) {
                exit(3);
        } else if (strcmp(argv[1], "dlopen") == 0) {
                printf("dlopen %d\n", dlopen("libm.so.6", RTLD_LAZY) != NULL);
        } else if (strcmp(argv[1], "memset") == 0) {
                char some[8];
                void *(*volatile set)(void *, int, size_t) = memset;
                set(some, 'x', 8);
                printf("memset %.8s\n", some);
        } else if (strcmp(argv[1], "connect") == 0) {
                struct sockaddr address = {.sa_family = AF_INET};
                const int result = connect(99, &address, sizeof address);
                printf("connect %d, %s\n", result, strerror(errno));
        }
        return 0;
}
