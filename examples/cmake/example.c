/* example.c: one call to intercept. */
#include <stdlib.h>

int
main(void)
{
        return getenv("HOME") == NULL;
}
