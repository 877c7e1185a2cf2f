/* Calls rand, random and labs in turn until its standard input closes, at most COUNT rounds; a line for each "go". */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
        const long count = argc > 1 ? atol(argv[1]) : 1000;
        volatile long sum = 0;
        char order;
        while (read(0, &order, 1) == 1) {
                for (long i = 0; i < count; i++)
                        sum += rand() % 7 + random() % 5 + labs(-i);
                if (write(1, "done\n", 5) != 5)
                        return 1;
        }
        return 0;
}
