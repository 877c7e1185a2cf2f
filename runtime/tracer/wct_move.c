/*
 * wct_move.c: an instruction made to run somewhere else than where it was written.
 *
 * Called where a slot is filled (wct_slot.c). The moved one is followed by a jump to what follows the original; what counts
 * from rip is counted anew; a call pushes the original's return address and jumps, so that the program never sees a slot's.
 *
 * Absent on purpose: instructions in which the kernel sees where they stand (syscall), and jumps of 16 bits: no slot for them.
 */
#include "wct_insn.h"

#include <string.h>

static bool
fits(int64_t distance)
{
        return distance == (int32_t)distance;
}

static void
put(struct wct_moved *moved, const void *bytes, size_t size)
{
        memcpy(moved->bytes + moved->size, bytes, size);
        moved->size = (uint8_t)(moved->size + size);
}

/* jmp goal, from where the moved one has got to: rel32, or through the 8 bytes behind it. */
static void
put_jump(struct wct_moved *moved, uint64_t slot, uint64_t goal)
{
        const int64_t distance = (int64_t)(goal - (slot + moved->size + 5));
        if (fits(distance)) {
                const int32_t rel = (int32_t)distance;
                put(moved, "\xe9", 1);
                put(moved, &rel, 4);
                return;
        }
        put(moved, "\xff\x25\0\0\0\0", 6);
        put(moved, &goal, 8);
}

/* push of a 64-bit constant: through 8 bytes that stand at the end of the slot. */
static void
put_push(struct wct_moved *moved, uint64_t value)
{
        const int32_t ahead = WCT_MOVED_MOST - 8 - (moved->size + 6);
        put(moved, "\xff\x35", 2);
        put(moved, &ahead, 4);
        memcpy(moved->bytes + WCT_MOVED_MOST - 8, &value, 8);
}

/* The instruction as it is, but for a displacement that counts from rip. */
static bool
copy(struct wct_moved *moved, const struct wct_insn *insn, const uint8_t *code, uint64_t at, uint64_t slot)
{
        uint8_t bytes[WCT_INSN_MOST];
        memcpy(bytes, code, insn->length);
        if (insn->rip) {
                int32_t displacement;
                memcpy(&displacement, bytes + insn->disp_at, 4);
                const int64_t anew = displacement + (int64_t)(at - (slot + moved->size));
                if (!fits(anew))
                        return false;
                displacement = (int32_t)anew;
                memcpy(bytes + insn->disp_at, &displacement, 4);
        }
        put(moved, bytes, insn->length);
        return true;
}

/* call [rsp + n]: the return address is pushed before, so what was at n is at n + 8. */
static bool
widen_stack_operand(struct wct_insn *insn, uint8_t *code)
{
        const uint8_t modrm = code[insn->modrm_at], mod = modrm >> 6;
        if (mod == 3 || (modrm & 7) != 4 || (code[insn->modrm_at + 1] & 7) != 4 || (insn->rex & 1))
                return true; /* rsp is not its base */
        int32_t displacement = 0;
        if (mod == 1)
                displacement = (int8_t)code[insn->disp_at];
        else if (mod == 2)
                memcpy(&displacement, code + insn->disp_at, 4);
        if (displacement > INT32_MAX - 8 || insn->modrm_at + 6 > (int)WCT_INSN_MOST)
                return false;
        displacement += 8;
        code[insn->modrm_at] = (uint8_t)((modrm & 0x3f) | 0x80);
        memcpy(code + insn->modrm_at + 2, &displacement, 4);
        insn->disp_at = (uint8_t)(insn->modrm_at + 2);
        insn->disp_size = 4;
        insn->length = (uint8_t)(insn->modrm_at + 6);
        return true;
}

/* Through rsp itself (call rsp): it would be read after the push. */
static bool
is_by_rsp(const struct wct_insn *insn, const uint8_t *code)
{
        return code[insn->modrm_at] >> 6 == 3 && (code[insn->modrm_at] & 7) == 4 && !(insn->rex & 1);
}

static bool
move_call_by(struct wct_moved *moved, const struct wct_insn *insn, const uint8_t *code, uint64_t at, uint64_t slot)
{
        uint8_t jump[WCT_INSN_MOST + 4] = {0};
        struct wct_insn as_jump = *insn;
        memcpy(jump, code, insn->length);
        if (insn->wide || is_by_rsp(insn, code) || !widen_stack_operand(&as_jump, jump))
                return false;
        jump[as_jump.modrm_at] = (uint8_t)((jump[as_jump.modrm_at] & 0xc7) | 4 << 3);
        put_push(moved, at + insn->length);
        moved->pushed = moved->size;
        /* its own displacement counts from the end of the original, that of the copy from where it ends now */
        const uint64_t as_if_at = at + insn->length - as_jump.length;
        if (!copy(moved, &as_jump, jump, as_if_at, slot) || moved->size > WCT_MOVED_MOST - 8)
                return false;
        moved->size = WCT_MOVED_MOST;
        return true;
}

static void
move_call(struct wct_moved *moved, uint64_t back, uint64_t goal, uint64_t slot)
{
        put_push(moved, back);
        moved->pushed = moved->size;
        put_jump(moved, slot, goal);
        if (moved->size <= WCT_MOVED_MOST - 8)
                moved->size = WCT_MOVED_MOST;
}

/* jcc, loop, jrcxz: over a jump to what follows, to a jump to the goal. */
static bool
move_branch(struct wct_moved *moved, const struct wct_insn *insn, const uint8_t *code, uint64_t at, uint64_t slot)
{
        const uint64_t goal = wct_insn_goal(insn, code, at);
        if (insn->flow == WCT_FLOW_COUNT) {
                if (insn->narrow)
                        put(moved, "\x67", 1);
                put(moved, &insn->opcode, 1);
        } else {
                const uint8_t opcode = (uint8_t)(0x70 | (insn->opcode & 15));
                put(moved, &opcode, 1);
        }
        const uint8_t hop = (uint8_t)(moved->size + 1); /* offset behind the short jump */
        put(moved, "", 1);
        put_jump(moved, slot, at + insn->length);
        moved->bytes[hop - 1] = (uint8_t)(moved->size - hop);
        if (moved->size > WCT_MOVED_MOST - 14)
                return false;
        put_jump(moved, slot, goal);
        return true;
}

bool
wct_insn_move(struct wct_moved *moved, const struct wct_insn *insn, const uint8_t *code, uint64_t at, uint64_t slot)
{
        *moved = (struct wct_moved){0};
        const bool near_word = insn->wide && insn->map <= WCT_MAP_0F && !(insn->rex & 8);
        switch ((enum wct_flow)insn->flow) {
        case WCT_FLOW_NEXT:
                if (!copy(moved, insn, code, at, slot))
                        return false;
                moved->done = moved->size;
                put_jump(moved, slot, at + insn->length);
                return true;
        case WCT_FLOW_JUMP_BY:
        case WCT_FLOW_RETURN:
                return copy(moved, insn, code, at, slot);
        case WCT_FLOW_JUMP:
                if (!near_word)
                        put_jump(moved, slot, wct_insn_goal(insn, code, at));
                return !near_word;
        case WCT_FLOW_BRANCH:
        case WCT_FLOW_COUNT:
                return !near_word && move_branch(moved, insn, code, at, slot);
        case WCT_FLOW_CALL:
                if (!near_word)
                        move_call(moved, at + insn->length, wct_insn_goal(insn, code, at), slot);
                return !near_word;
        case WCT_FLOW_CALL_BY:
                return move_call_by(moved, insn, code, at, slot);
        default:
                return false;
        }
}
