/* name.c: prints the name of this machine, as /etc/hostname has it. */
#include <stdio.h>

int
main(void)
{
        char name[64];
        FILE *file = fopen("/etc/hostname", "r");
        if (file == NULL || fgets(name, sizeof name, file) == NULL)
                return 1;
        printf("this is %s", name);
        return 0;
}
