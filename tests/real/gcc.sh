# needs: gcc ar
cat >a.c <<'END'
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
int twice(int);
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(int argc, char **argv)
{
	int values[] = {5, 3, 8, 1};
	qsort(values, 4, sizeof(int), compare);
	printf("%d %d %d %.6f\n", values[0], values[3], twice(argc), pow(2, argc + 0.5));
	return atoi(argv[1]);
}
END
echo 'int twice(int n) { return 2 * n; }' >b.c
gcc -O2 -g -Wall -c a.c -o a.o; gcc -O2 -fPIC -c b.c -o b.o; ar rcs libb.a b.o; gcc a.o libb.a -lm -o program
./program 3 || echo "status $?"; gcc -shared b.o -o libb.so; gcc a.c -L. -lb -lm -Wl,-rpath,"$PWD" -o shared; ./shared 0
gcc -S -O3 -masm=att a.c -o - | sha256sum; gcc -E a.c | wc -l; nm libb.a; size program | tail -n 1; strip program; ./program 0
gcc -static a.c b.c -lm -o static && size static >/dev/null; echo 'int main( {' >bad.c; gcc -c bad.c 2>&1 || echo "status $?"
gcc -pipe -pthread -flto -O2 a.c b.c -lm -o lto; ./lto 4 || echo "status $?"
