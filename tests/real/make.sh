# needs: make cc
cat >Makefile <<'END'
OBJECTS := $(foreach n,1 2 3 4 5 6,part$(n).o)
all: program; ./program
program: $(OBJECTS) main.o; @$(CC) -o $@ $^
%.o: %.c; @$(CC) -O1 -c $< -o $@
part%.c: ; @echo 'int part$*(void) { return $*; }' >$@
main.c: ; @(echo '#include <stdio.h>'; for n in 1 2 3 4 5 6; do echo "int part$$n(void);"; done; \
	echo 'int main(void) { return printf("%d", part1() + part2() + part3() + part4() + part5() + part6()) != 2; }') >$@
fails: ; @false
.SECONDARY:
END
make -s -j2; make -s -q || echo "status $?"; make -n fails; make fails 2>&1 || echo "status $?"
