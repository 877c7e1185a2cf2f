/* handler_stub_calls.c: calls every function of handler_stub.h once and prints what came back. */
#include "handler_stub.h"

#include <stdio.h>

int
main(void)
{
        printf("nine %ld\n", nine(1, 2, 3, 4, 5, 6, 7, 8, 9));
        printf("mixed %ld\n", mixed(-1, 20.5, "four", 8.0f, 200, 100000));
        const struct two_longs longs = swap_longs((struct two_longs){5, 6}, 100);
        printf("swap_longs %ld %ld\n", longs.first, longs.second);
        const struct two_ints ints = swap_ints((struct two_ints){7, 8});
        printf("swap_ints %d %d\n", ints.first, ints.second);
        const struct four_longs four = reverse((struct four_longs){{1, 2, 3, 4}}, 10);
        printf("reverse %ld %ld %ld %ld\n", four.words[0], four.words[1], four.words[2], four.words[3]);
        printf("half %g\n", half(12.0, 2));
        printf("third %g\n", (double)third(9.0f));
        printf("precise %.19Lf\n", precise(0.1L, 1));
        int place = 0;
        fill(&place, 77);
        printf("fill %d\n", place);
        printf("is_odd %d\n", is_odd(3));
        printf("with_message %d\n", with_message(40, "ab"));
        return 0;
}
