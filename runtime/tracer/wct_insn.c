/*
 * wct_insn.c: how long an x86-64 instruction is, and where its parts stand.
 *
 * Called where a breakpoint is planted. The tables say of every opcode whether a ModRM byte follows, and what immediate; all
 * else (SIB, displacement) follows from the ModRM byte. tests/test_tracer_insn.py holds them against objdump.
 *
 * Absent on purpose: what instructions do (wct_emulate.c knows the few that need no memory); APX (REX2, extended EVEX).
 */
#include "wct_insn.h"

/* An opcode's letter: what follows it. */
enum follows {
        NONE = '.',    /* nothing */
        MODRM = 'm',
        MODRM_B = 'b', /* ModRM, 1 byte */
        MODRM_Z = 'z', /* ModRM, 4 bytes (2 with 66) */
        BYTE = '1',
        WORD = '2',
        WORD_BYTE = '3',
        Z = 'Z',       /* 4 bytes, 2 with 66 */
        FOUR = '4',
        V = 'V',       /* 8 with REX.W, else as Z */
        OFFSET = 'o',  /* 8 bytes, 4 with 67 */
        TEST_B = 't',  /* ModRM, 1 byte if its reg is 0 or 1 */
        TEST_Z = 'T',
        CONTROL = 'c', /* ModRM without memory, whatever its mod says */
        BAD = 'x'
};

static const char one_byte[257] =
        "mmmm1Zxxmmmm1Zxx" /* 00 */
        "mmmm1Zxxmmmm1Zxx"
        "mmmm1Zxxmmmm1Zxx"
        "mmmm1Zxxmmmm1Zxx"
        "xxxxxxxxxxxxxxxx" /* 40: REX */
        "................"
        "xxxmxxxxZz1b...." /* 60 */
        "1111111111111111"
        "bzxbmmmmmmmmmmmm" /* 80 */
        "..........x....."
        "oooo....1Z......" /* a0 */
        "11111111VVVVVVVV"
        "bb2.xxbz3.2..1x." /* c0 */
        "mmmmxxx.mmmmmmmm"
        "1111111144x1...." /* e0 */
        "x.xx..tT......mm";

static const char two_bytes[257] =
        "mmmmx.....x.xm.b" /* 00 */
        "mmmmmmmmmmmmmmmm"
        "ccccxxxxmmmmmmmm"
        "......x.xxxxxxxx"
        "mmmmmmmmmmmmmmmm" /* 40 */
        "mmmmmmmmmmmmmmmm"
        "mmmmmmmmmmmmmmmm"
        "bbbbmmm.mmxxmmmm"
        "4444444444444444" /* 80 */
        "mmmmmmmmmmmmmmmm"
        "...mbmmm...mbmmm"
        "mmmmmmmmmmbmmmmm"
        "mmbmbbbm........" /* c0 */
        "mmmmmmmmmmmmmmmm"
        "mmmmmmmmmmmmmmmm"
        "mmmmmmmmmmmmmmmm";

struct reader {
        const uint8_t *code;
        size_t size, at;
        bool short_of; /* more bytes were wanted than there are */
};

static uint8_t
next(struct reader *r)
{
        if (r->at >= r->size || r->at >= WCT_INSN_MOST) {
                r->short_of = true;
                return 0;
        }
        return r->code[r->at++];
}

static void
skip(struct reader *r, size_t bytes)
{
        r->at += bytes;
        r->short_of = r->short_of || r->at > r->size || r->at > WCT_INSN_MOST;
}

/* Takes legacy prefixes and REX; returns the byte behind them. */
static uint8_t
prefixes(struct wct_insn *insn, struct reader *r)
{
        for (;;) {
                const uint8_t byte = next(r);
                switch (byte) {
                case 0x66: insn->wide = true; break;
                case 0x67: insn->narrow = true; break;
                case 0xf0: insn->locked = true; break;
                case 0xf2: case 0xf3: insn->repeat = byte; break;
                case 0x64: case 0x65: insn->segment = byte; break;
                case 0x26: case 0x2e: case 0x36: case 0x3e: break;
                default:
                        if ((byte & 0xf0) != 0x40)
                                return byte;
                        insn->rex = byte;
                        continue;
                }
                insn->rex = 0; /* one that does not stand right before the opcode counts for nothing */
                if (r->short_of)
                        return 0;
        }
}

static void
memory(struct wct_insn *insn, struct reader *r, bool registers_only)
{
        insn->modrm_at = (uint8_t)r->at;
        const uint8_t modrm = next(r), mod = modrm >> 6, rm = modrm & 7;
        if (mod == 3 || registers_only)
                return;
        uint8_t size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
        if (rm == 4) {
                const uint8_t sib = next(r);
                if (mod == 0 && (sib & 7) == 5)
                        size = 4;
        } else if (mod == 0 && rm == 5) {
                size = 4;
                insn->rip = true;
        }
        if (size > 0)
                insn->disp_at = (uint8_t)r->at;
        insn->disp_size = size;
        skip(r, size);
}

static uint8_t
immediate(const struct wct_insn *insn, char follows, const struct reader *r)
{
        const uint8_t z = insn->wide && !(insn->rex & 8) ? 2 : 4;
        const uint8_t reg = insn->modrm_at && r->size > insn->modrm_at ? r->code[insn->modrm_at] >> 3 & 7 : 0;
        switch (follows) {
        case MODRM_B: case BYTE: return 1;
        case WORD: return 2;
        case WORD_BYTE: return 3;
        case FOUR: return 4;
        case MODRM_Z: case Z: return z;
        case V: return insn->rex & 8 ? 8 : z;
        case OFFSET: return insn->narrow ? 4 : 8;
        case TEST_B: return reg < 2 ? 1 : 0;
        case TEST_Z: return reg < 2 ? z : 0;
        default: return 0;
        }
}

static bool
has_modrm(char follows)
{
        return follows == MODRM || follows == MODRM_B || follows == MODRM_Z || follows == TEST_B || follows == TEST_Z ||
               follows == CONTROL;
}

static void
operands(struct wct_insn *insn, struct reader *r, char follows)
{
        if (has_modrm(follows))
                memory(insn, r, follows == CONTROL);
        insn->imm_size = immediate(insn, follows, r);
        if (insn->imm_size > 0)
                insn->imm_at = (uint8_t)r->at;
        skip(r, insn->imm_size);
}

static char
follows_0f(const struct wct_insn *insn)
{
        if (insn->opcode == 0x78 && (insn->wide || insn->repeat == 0xf2))
                return 'E'; /* extrq, insertq: ModRM and two bytes */
        return two_bytes[insn->opcode];
}

static char
follows_legacy(struct wct_insn *insn, struct reader *r, uint8_t byte)
{
        insn->map = WCT_MAP_ONE;
        insn->opcode = byte;
        if (byte != 0x0f)
                return one_byte[byte];
        insn->map = WCT_MAP_0F;
        insn->opcode = next(r);
        if (insn->opcode == 0x38 || insn->opcode == 0x3a) {
                insn->map = insn->opcode == 0x38 ? WCT_MAP_0F38 : WCT_MAP_0F3A;
                insn->opcode = next(r);
                return insn->map == WCT_MAP_0F38 ? MODRM : MODRM_B;
        }
        return follows_0f(insn);
}

/* VEX, EVEX, XOP: the map is in a field of the prefix. */
static char
follows_vector(struct wct_insn *insn, struct reader *r, uint8_t byte)
{
        const uint8_t first = next(r);
        uint8_t map = byte == 0xc5 ? 1 : byte == 0x62 ? first & 7 : first & 31;
        skip(r, byte == 0xc5 ? 0 : byte == 0x62 ? 2 : 1);
        insn->map = WCT_MAP_OTHER;
        insn->opcode = next(r);
        insn->wide = false; /* 66 before them is no operand size */
        switch (map) {
        case 1: return byte != 0x62 && insn->opcode == 0x77 ? NONE : two_bytes[insn->opcode] == MODRM_B ? MODRM_B : MODRM;
        case 2: case 5: case 6: case 9: return MODRM;
        case 3: case 8: return MODRM_B;
        case 7: case 10: return MODRM_Z;
        default: return BAD;
        }
}

static bool
is_vector(const struct reader *r, uint8_t byte)
{
        const bool more = r->at < r->size;
        return byte == 0xc4 || byte == 0xc5 || byte == 0x62 || (byte == 0x8f && more && (r->code[r->at] & 31) >= 8);
}

static enum wct_flow
flow_one(const struct wct_insn *insn, uint8_t reg)
{
        switch (insn->opcode) {
        case 0x70 ... 0x7f: return WCT_FLOW_BRANCH;
        case 0xe0 ... 0xe3: return WCT_FLOW_COUNT;
        case 0xe8: return WCT_FLOW_CALL;
        case 0xe9: case 0xeb: return WCT_FLOW_JUMP;
        case 0xc2: case 0xc3: return WCT_FLOW_RETURN;
        case 0xcc: return WCT_FLOW_TRAP;
        case 0xcd: case 0xf1: return WCT_FLOW_KERNEL;
        case 0xc7: return insn->modrm_at == insn->imm_at - 1 && reg == 7 ? WCT_FLOW_BEGIN : WCT_FLOW_NEXT;
        case 0xff: return reg == 2 ? WCT_FLOW_CALL_BY : reg == 4 ? WCT_FLOW_JUMP_BY : WCT_FLOW_NEXT;
        default: return WCT_FLOW_NEXT;
        }
}

static enum wct_flow
flow_0f(const struct wct_insn *insn)
{
        if (insn->opcode >= 0x80 && insn->opcode <= 0x8f)
                return WCT_FLOW_BRANCH;
        return insn->opcode == 0x05 || insn->opcode == 0x34 ? WCT_FLOW_KERNEL : WCT_FLOW_NEXT;
}

bool
wct_insn_decode(struct wct_insn *insn, const uint8_t *code, size_t size)
{
        struct reader r = {.code = code, .size = size};
        *insn = (struct wct_insn){0};
        const uint8_t byte = prefixes(insn, &r);
        if (r.short_of)
                return false;
        const char follows = is_vector(&r, byte) ? follows_vector(insn, &r, byte) : follows_legacy(insn, &r, byte);
        if (follows == BAD)
                return false;
        if (follows == 'E') {
                memory(insn, &r, false);
                skip(&r, 2);
        } else {
                operands(insn, &r, follows);
        }
        if (r.short_of)
                return false;
        const uint8_t reg = insn->modrm_at ? code[insn->modrm_at] >> 3 & 7 : 0;
        insn->length = (uint8_t)r.at;
        insn->flow = insn->map == WCT_MAP_ONE ? flow_one(insn, reg) : insn->map == WCT_MAP_0F ? flow_0f(insn) : WCT_FLOW_NEXT;
        return true;
}

uint64_t
wct_insn_goal(const struct wct_insn *insn, const uint8_t *code, uint64_t at)
{
        const uint8_t *from = code + insn->imm_at;
        int64_t by = insn->imm_size == 1 ? (int8_t)from[0]
                                         : (int32_t)(from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
                                                     (uint32_t)from[3] << 24);
        return at + insn->length + (uint64_t)by;
}
