/*
 * wci_tail_common.S: what every tail-jump stub jumps to, with the stub's number in r11d.
 *
 * Keeps all that a call may pass in registers (six integer registers, al, r10, eight vector registers; the upper halves
 * of wider vectors are not touched by the C it calls, which is compiled without AVX), records, and jumps on.
 */
        .text
        .globl  wci_tail_common
        .hidden wci_tail_common
        .type   wci_tail_common, @function
        .p2align 4
wci_tail_common:
        .cfi_startproc
        subq    $200, %rsp
        .cfi_adjust_cfa_offset 200
        movq    %rdi, 0(%rsp)
        movq    %rsi, 8(%rsp)
        movq    %rdx, 16(%rsp)
        movq    %rcx, 24(%rsp)
        movq    %r8, 32(%rsp)
        movq    %r9, 40(%rsp)
        movq    %rax, 48(%rsp)
        movq    %r10, 56(%rsp)
        movups  %xmm0, 64(%rsp)
        movups  %xmm1, 80(%rsp)
        movups  %xmm2, 96(%rsp)
        movups  %xmm3, 112(%rsp)
        movups  %xmm4, 128(%rsp)
        movups  %xmm5, 144(%rsp)
        movups  %xmm6, 160(%rsp)
        movups  %xmm7, 176(%rsp)
        movl    %r11d, %edi
        movq    %rsp, %rsi
        call    wci_tail_enter
        movq    %rax, %r11
        movups  176(%rsp), %xmm7
        movups  160(%rsp), %xmm6
        movups  144(%rsp), %xmm5
        movups  128(%rsp), %xmm4
        movups  112(%rsp), %xmm3
        movups  96(%rsp), %xmm2
        movups  80(%rsp), %xmm1
        movups  64(%rsp), %xmm0
        movq    56(%rsp), %r10
        movq    48(%rsp), %rax
        movq    40(%rsp), %r9
        movq    32(%rsp), %r8
        movq    24(%rsp), %rcx
        movq    16(%rsp), %rdx
        movq    8(%rsp), %rsi
        movq    0(%rsp), %rdi
        addq    $200, %rsp
        .cfi_adjust_cfa_offset -200
        jmp     *%r11
        .cfi_endproc
        .size   wci_tail_common, .-wci_tail_common

        .section .note.GNU-stack, "", @progbits
