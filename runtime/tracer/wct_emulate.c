/*
 * wct_emulate.c: the instructions that functions begin with and that stand behind calls, done on registers alone.
 *
 * Called by wct_break.c: always for those that change nothing but the ip (endbr64, nop, jumps), for others where the tracee
 * may not map memory for slots. What needs memory goes to a slot, where it costs no system call: push and call are not here.
 *
 * Absent on purpose: 8- and 16-bit operands, shifts, multiplication: a slot does them right.
 */
#include "wct_insn.h"

#include <string.h>

#define CARRY 0x1ull
#define PARITY 0x4ull
#define ADJUST 0x10ull
#define ZERO 0x40ull
#define SIGN 0x80ull
#define OVERFLOW 0x800ull
#define ARITHMETIC (CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW)

static unsigned long long *
slot_of(struct user_regs_struct *regs, unsigned number)
{
        unsigned long long *const all[16] = {
                &regs->rax, &regs->rcx, &regs->rdx, &regs->rbx, &regs->rsp, &regs->rbp, &regs->rsi, &regs->rdi,
                &regs->r8,  &regs->r9,  &regs->r10, &regs->r11, &regs->r12, &regs->r13, &regs->r14, &regs->r15,
        };
        return all[number & 15];
}

static uint64_t
masked(uint64_t value, bool quad)
{
        return quad ? value : (uint32_t)value;
}

static int64_t
displacement(const struct wct_insn *insn, const uint8_t *code)
{
        int32_t word = 0;
        if (insn->disp_size == 1)
                return (int8_t)code[insn->disp_at];
        if (insn->disp_size == 4)
                memcpy(&word, code + insn->disp_at, 4);
        return word;
}

static int64_t
immediate(const struct wct_insn *insn, const uint8_t *code)
{
        int32_t word = 0;
        int64_t quad = 0;
        if (insn->imm_size == 1)
                return (int8_t)code[insn->imm_at];
        if (insn->imm_size == 8) {
                memcpy(&quad, code + insn->imm_at, 8);
                return quad;
        }
        memcpy(&word, code + insn->imm_at, 4);
        return word;
}

static bool
condition(unsigned code, uint64_t flags)
{
        const bool less = !(flags & SIGN) != !(flags & OVERFLOW);
        bool is;
        switch (code >> 1) {
        case 0: is = flags & OVERFLOW; break;
        case 1: is = flags & CARRY; break;
        case 2: is = flags & ZERO; break;
        case 3: is = flags & (CARRY | ZERO); break;
        case 4: is = flags & SIGN; break;
        case 5: is = flags & PARITY; break;
        case 6: is = less; break;
        default: is = less || (flags & ZERO); break;
        }
        return is != (code & 1);
}

/* add or, and sub xor cmp, by the number that opcodes and ModRM give them; adc and sbb are not done. */
enum sum { ADD = 0, OR = 1, AND = 4, SUB = 5, XOR = 6, CMP = 7, TEST = 8 };

static uint64_t
sum_of(enum sum kind, uint64_t a, uint64_t b)
{
        switch (kind) {
        case ADD: return a + b;
        case OR: return a | b;
        case AND: case TEST: return a & b;
        case XOR: return a ^ b;
        default: return a - b;
        }
}

static uint64_t
flags_of(enum sum kind, uint64_t a, uint64_t b, uint64_t result, bool quad)
{
        const uint64_t top = quad ? 1ull << 63 : 1ull << 31;
        uint64_t flags = (result == 0 ? ZERO : 0) | (result & top ? SIGN : 0) |
                         (__builtin_parity((unsigned)(result & 0xff)) ? 0 : PARITY);
        if (kind == ADD) {
                flags |= (result < a ? CARRY : 0) | ((a ^ result) & (b ^ result) & top ? OVERFLOW : 0);
                flags |= (a ^ b ^ result) & ADJUST;
        } else if (kind == SUB || kind == CMP) {
                flags |= (a < b ? CARRY : 0) | ((a ^ b) & (a ^ result) & top ? OVERFLOW : 0);
                flags |= (a ^ b ^ result) & ADJUST;
        }
        return flags;
}

static void
do_sum(enum sum kind, unsigned long long *to, uint64_t b, bool quad, struct user_regs_struct *regs)
{
        const uint64_t a = masked(*to, quad);
        b = masked(b, quad);
        const uint64_t result = masked(sum_of(kind, a, b), quad);
        const bool keeps = kind == CMP || kind == TEST;
        regs->eflags = (regs->eflags & ~ARITHMETIC) | flags_of(kind, a, b, result, quad);
        if (!keeps)
                *to = result;
}

struct operands {
        unsigned reg, rm;
        bool quad, registers; /* rm is a register */
};

static struct operands
operands_of(const struct wct_insn *insn, const uint8_t *code)
{
        const uint8_t modrm = insn->modrm_at ? code[insn->modrm_at] : 0;
        return (struct operands){
                .reg = (modrm >> 3 & 7u) | (insn->rex & 4u) << 1,
                .rm = (modrm & 7u) | (insn->rex & 1u) << 3,
                .quad = insn->rex & 8,
                .registers = insn->modrm_at && modrm >> 6 == 3,
        };
}

static uint64_t
effective(const struct wct_insn *insn, const uint8_t *code, uint64_t at, struct user_regs_struct *regs)
{
        const uint8_t modrm = code[insn->modrm_at];
        uint64_t sum = (uint64_t)displacement(insn, code);
        if (insn->rip)
                return sum + at + insn->length;
        if ((modrm & 7) != 4)
                return sum + *slot_of(regs, (modrm & 7u) | (insn->rex & 1u) << 3);
        const uint8_t sib = code[insn->modrm_at + 1];
        const unsigned index = (sib >> 3 & 7u) | (insn->rex & 2u) << 2;
        if ((sib & 7) != 5 || modrm >> 6 != 0)
                sum += *slot_of(regs, (sib & 7u) | (insn->rex & 1u) << 3);
        if (index != 4)
                sum += *slot_of(regs, index) << (sib >> 6);
        return sum;
}

/* add, or, and, sub, xor, cmp, test: between registers, or with a constant. */
static bool
sums(const struct wct_insn *insn, const uint8_t *code, const struct operands *o, struct user_regs_struct *regs)
{
        unsigned long long *reg = slot_of(regs, o->reg), *rm = slot_of(regs, o->rm);
        const uint8_t op = insn->opcode;
        const unsigned kind = op < 0x40 ? op >> 3 : op == 0x85 ? TEST : o->reg & 7;
        const bool constant = op == 0x81 || op == 0x83, by_rax = op < 0x40 && (op & 7) == 5;
        if (kind == 2 || kind == 3 || (!o->registers && !by_rax)) /* adc, sbb */
                return false;
        if (by_rax)
                do_sum(kind, &regs->rax, (uint64_t)immediate(insn, code), o->quad, regs);
        else if (constant)
                do_sum(kind, rm, (uint64_t)immediate(insn, code), o->quad, regs);
        else if (op != 0x85 && (op & 7) == 3)
                do_sum(kind, reg, *rm, o->quad, regs);
        else
                do_sum(kind, rm, *reg, o->quad, regs);
        return true;
}

/* mov between registers, movsxd, mov of a constant. */
static bool
moves(const struct wct_insn *insn, const uint8_t *code, const struct operands *o, struct user_regs_struct *regs)
{
        unsigned long long *reg = slot_of(regs, o->reg), *rm = slot_of(regs, o->rm);
        if (!o->registers)
                return false;
        switch (insn->opcode) {
        case 0x89: *rm = masked(*reg, o->quad); return true;
        case 0x8b: *reg = masked(*rm, o->quad); return true;
        case 0x63: *reg = (uint64_t)(int64_t)(int32_t)*rm; return o->quad;
        default:
                if (o->reg & 7)
                        return false;
                *rm = masked((uint64_t)immediate(insn, code), o->quad);
                return true;
        }
}

static bool
one_byte(const struct wct_insn *insn, const uint8_t *code, uint64_t at, struct user_regs_struct *regs)
{
        const struct operands o = operands_of(insn, code);
        switch (insn->opcode) {
        case 0x90: /* nop, pause; with REX.B it exchanges registers */
                return !(insn->rex & 1);
        case 0x01: case 0x03: case 0x05: case 0x09: case 0x0b: case 0x0d: case 0x21: case 0x23: case 0x25: case 0x29:
        case 0x2b: case 0x2d: case 0x31: case 0x33: case 0x35: case 0x39: case 0x3b: case 0x3d: case 0x81: case 0x83: case 0x85:
                return sums(insn, code, &o, regs);
        case 0x89: case 0x8b: case 0xc7:
                return moves(insn, code, &o, regs);
        case 0x63:
                return o.quad && moves(insn, code, &o, regs);
        case 0x8d:
                if (o.registers || insn->narrow)
                        return false;
                *slot_of(regs, o.reg) = masked(effective(insn, code, at, regs), o.quad);
                return true;
        case 0x98:
                regs->rax = o.quad ? (uint64_t)(int64_t)(int32_t)regs->rax : (uint32_t)(int16_t)regs->rax;
                return true;
        case 0xb8 ... 0xbf:
                *slot_of(regs, (insn->opcode & 7u) | (insn->rex & 1u) << 3) = masked((uint64_t)immediate(insn, code), o.quad);
                return true;
        default:
                return false;
        }
}

static bool
two_bytes(const struct wct_insn *insn, const uint8_t *code)
{
        if (insn->opcode == 0x1e && insn->repeat == 0xf3)
                return code[insn->modrm_at] >> 1 == 0xfa >> 1; /* endbr64, endbr32: no tracking is on in user space */
        return insn->opcode == 0x1f;                           /* nop with a ModRM: touches no memory */
}

static bool
goes(const struct wct_insn *insn, const uint8_t *code, uint64_t at, struct user_regs_struct *regs)
{
        const struct operands o = operands_of(insn, code);
        switch ((enum wct_flow)insn->flow) {
        case WCT_FLOW_JUMP:
                regs->rip = wct_insn_goal(insn, code, at);
                return true;
        case WCT_FLOW_BRANCH:
                regs->rip = condition(insn->opcode & 15u, regs->eflags) ? wct_insn_goal(insn, code, at) : at + insn->length;
                return true;
        case WCT_FLOW_JUMP_BY:
                if (o.registers)
                        regs->rip = *slot_of(regs, o.rm);
                return o.registers;
        default:
                return false;
        }
}

bool
wct_insn_emulate(const struct wct_insn *insn, const uint8_t *code, uint64_t at, struct user_regs_struct *regs)
{
        const uint8_t nops = insn->map == WCT_MAP_0F ? 0x1f : 0x90;
        const bool nop = insn->map <= WCT_MAP_0F && insn->opcode == nops;
        if (insn->locked || (insn->wide && !nop))
                return false;
        if (insn->flow != WCT_FLOW_NEXT)
                return goes(insn, code, at, regs);
        const bool done = insn->map == WCT_MAP_ONE  ? one_byte(insn, code, at, regs)
                          : insn->map == WCT_MAP_0F ? two_bytes(insn, code)
                                                    : false;
        if (done)
                regs->rip = at + insn->length;
        return done;
}
