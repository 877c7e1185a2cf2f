/* dice.c: throws three dice, and a fourth with the system's own randomness. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int
main(void)
{
        unsigned char byte = 255;
        srand((unsigned)time(NULL));
        for (int i = 0; i < 3; i++)
                printf("%d ", rand() % 6 + 1);
        const int fd = open("/dev/urandom", O_RDONLY);
        if (fd < 0 || read(fd, &byte, 1) != 1)
                return 1;
        close(fd);
        printf("and %d\n", byte % 6 + 1);
        return 0;
}
