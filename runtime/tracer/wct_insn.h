/*
 * wct_insn.h: x86-64 instructions, as far as a breakpoint must know them: how long, where they go, how to run them elsewhere.
 *
 * Used by wct_break.c and wct_slot.c. Knows no process: bytes and registers in, bytes and registers out.
 */
#ifndef WCT_INSN_H
#define WCT_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#define WCT_INSN_MOST 15u /* bytes of the longest instruction */
#define WCT_MOVED_MOST 32u /* bytes of the longest moved one, with its way back */

enum wct_flow {
        WCT_FLOW_NEXT,      /* to the next one */
        WCT_FLOW_JUMP,      /* jmp rel */
        WCT_FLOW_BRANCH,    /* jcc rel, condition in the opcode's low four bits */
        WCT_FLOW_COUNT,     /* loop*, jrcxz: rel8 only, and what they ask is not in the flags */
        WCT_FLOW_CALL,      /* call rel */
        WCT_FLOW_CALL_BY,   /* call through a register or memory */
        WCT_FLOW_JUMP_BY,   /* jmp through a register or memory */
        WCT_FLOW_RETURN,
        WCT_FLOW_TRAP,      /* int3: the program's own */
        WCT_FLOW_KERNEL,    /* syscall, int n: the kernel sees where it is */
        WCT_FLOW_BEGIN      /* xbegin rel32 */
};

enum wct_map { WCT_MAP_ONE, WCT_MAP_0F, WCT_MAP_0F38, WCT_MAP_0F3A, WCT_MAP_OTHER };

struct wct_insn {
        uint8_t length;
        uint8_t map;      /* enum wct_map; of VEX and EVEX ones OTHER */
        uint8_t opcode;
        uint8_t flow;     /* enum wct_flow */
        uint8_t rex;      /* 0: none */
        uint8_t modrm_at; /* 0: none */
        uint8_t disp_at;  /* 0: no displacement */
        uint8_t disp_size;
        uint8_t imm_at;
        uint8_t imm_size; /* of a relative jump: its displacement's */
        bool rip;         /* the displacement counts from the next instruction */
        bool wide;        /* 66 */
        bool narrow;      /* 67 */
        bool locked;      /* f0 */
        uint8_t repeat;   /* f2, f3 */
        uint8_t segment;  /* 64, 65 */
};

/* Decode the first of `size` bytes. False: it is none, or not all of it is there. */
bool wct_insn_decode(struct wct_insn *insn, const uint8_t *code, size_t size);
/* Where a relative jump or call at `at` goes. */
uint64_t wct_insn_goal(const struct wct_insn *insn, const uint8_t *code, uint64_t at);
/*
 * Do what the instruction at `at` does with registers alone, rip included. False: it needs memory, or is not a simple one;
 * registers are as they were.
 */
bool wct_insn_emulate(const struct wct_insn *insn, const uint8_t *code, uint64_t at, struct user_regs_struct *regs);

struct wct_moved {
        uint8_t bytes[WCT_MOVED_MOST];
        uint8_t size;
        uint8_t done;   /* offset behind which the instruction has been run in full: only the way back is left */
        uint8_t pushed; /* offset at which a call's return address has been pushed but nothing else done; 0: no such point */
};

/* Make of the instruction at `at` what does the same at `slot`, and goes on where the original would. False: it cannot be. */
bool wct_insn_move(struct wct_moved *moved, const struct wct_insn *insn, const uint8_t *code, uint64_t at, uint64_t slot);

#endif
