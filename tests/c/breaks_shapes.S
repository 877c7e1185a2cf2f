/*
 * breaks_shapes.S: functions whose first instruction is of every kind that a breakpoint must run elsewhere.
 *
 * Each is called by breaks_shapes.c as long shape_*(long a, long b).
 */
        .text
        .macro shape name
        .globl shape_\name
        .type shape_\name, @function
        .p2align 4
shape_\name:
        .endm

shape push
        push %rbp
        lea (%rdi,%rsi), %rax
        pop %rbp
        ret

shape endbr
        endbr64
        lea 1(%rdi,%rsi), %rax
        ret

shape return
        ret

shape lea
        lea (%rdi,%rsi,4), %rax
        ret

shape load
        mov shape_number(%rip), %rax
        add %rdi, %rax
        ret

shape store
        movq $7, shape_cell(%rip)
        mov shape_cell(%rip), %rax
        ret

shape call
        call 1f
        add $1, %rax
        ret
1:      lea (%rdi,%rsi), %rax
        ret

shape call_memory
        call *shape_pointer(%rip)
        add $1, %rax
        ret

shape jump_memory
        jmp *shape_pointer(%rip)

shape jump
        jmp shape_lea

shape jump_short
        jmp 1f
        ud2
1:      mov %rsi, %rax
        ret

shape branch
        jrcxz 1f
        lea 2(%rdi), %rax
        ret
1:      lea 3(%rdi), %rax
        ret

shape loop
        loop shape_loop_more
        mov $1, %eax
        ret
shape_loop_more:
        mov $2, %eax
        ret

shape test
        test %rdi, %rdi
        je 1f
        mov $5, %eax
        ret
1:      mov $6, %eax
        ret

shape compare
        cmp %rsi, %rdi
        setl %al
        movzbl %al, %eax
        ret

shape vector
        movq %rdi, %xmm0
        movq %xmm0, %rax
        ret

shape string
        rep stosb
        mov %rdi, %rax
        ret

shape atomic
        lock xadd %rdi, shape_cell(%rip)
        mov %rdi, %rax
        ret

shape flags
        pushf
        pop %rax
        and $1, %eax
        ret

shape kernel
        syscall
        ret

shape enter
        enter $16, $0
        lea 9(%rdi), %rax
        leave
        ret

shape stack_argument
        mov 8(%rsp), %rax
        xor %eax, %eax
        ret

shape return_more
        push $1
        pop %rax
        ret

        .data
        .p2align 3
shape_number: .quad 1000
shape_cell: .quad 0
shape_pointer: .quad shape_lea
        .section .note.GNU-stack, "", @progbits
