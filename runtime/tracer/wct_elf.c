/*
 * wct_elf.c: symbols of a mapped object.
 *
 * Called by wct_object.c, once for every file. Both symbol tables are looked through for the names in the plan.
 * Rules: T3 (a file is hostile: everything in it is checked against its size).
 *
 * Absent on purpose: .gnu_debugdata and separate debug files (the plan has addresses where the generator read them), hash
 * tables (every name is wanted by the plan or not: one pass), relocation.
 */
#define _GNU_SOURCE
#include "wct_elf.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FOUND 100000u
#define PAGE 4096ull

struct file {
        const uint8_t *bytes;
        uint64_t size;
        const Elf64_Ehdr *head;
        const Elf64_Phdr *segments;
        uint32_t segment_count;
};

static const void *
part(const struct file *file, uint64_t at, uint64_t size)
{
        return at <= file->size && size <= file->size - at ? file->bytes + at : NULL;
}

static bool
read_head(struct file *file)
{
        file->head = part(file, 0, sizeof *file->head);
        if (file->head == NULL || memcmp(file->head->e_ident, ELFMAG, SELFMAG) != 0 ||
            file->head->e_ident[EI_CLASS] != ELFCLASS64 || file->head->e_machine != EM_X86_64 ||
            file->head->e_phentsize != sizeof(Elf64_Phdr))
                return false;
        file->segment_count = file->head->e_phnum;
        file->segments = part(file, file->head->e_phoff, (uint64_t)file->segment_count * sizeof(Elf64_Phdr));
        return file->segments != NULL && file->head->e_phoff % 8 == 0;
}

static const Elf64_Phdr *
segment_of(const struct file *file, uint32_t type)
{
        for (uint32_t i = 0; i < file->segment_count; i++) {
                if (file->segments[i].p_type == type)
                        return &file->segments[i];
        }
        return NULL;
}

/* The loaded segment that holds an address, and how much of the file is behind it there. */
static const Elf64_Phdr *
segment_at(const struct file *file, uint64_t address, uint64_t *left)
{
        for (uint32_t i = 0; i < file->segment_count; i++) {
                const Elf64_Phdr *at = &file->segments[i];
                if (at->p_type == PT_LOAD && address >= at->p_vaddr && address - at->p_vaddr < at->p_filesz) {
                        *left = at->p_filesz - (address - at->p_vaddr);
                        return at;
                }
        }
        return NULL;
}

static const void *
at_address(const struct file *file, uint64_t address, uint64_t size)
{
        uint64_t left;
        const Elf64_Phdr *segment = segment_at(file, address, &left);
        if (segment == NULL || left < size)
                return NULL;
        return part(file, segment->p_offset + (address - segment->p_vaddr), size);
}

/* --- what is dynamic about it --------------------------------------------------------------------------------------- */

struct dynamic {
        uint64_t symbols, texts, texts_size, soname, gnu_hash, hash;
        bool has_soname;
};

static bool
read_dynamic(const struct file *file, struct dynamic *dynamic)
{
        const Elf64_Phdr *segment = segment_of(file, PT_DYNAMIC);
        *dynamic = (struct dynamic){0};
        if (segment == NULL)
                return false;
        const Elf64_Dyn *all = part(file, segment->p_offset, segment->p_filesz);
        for (uint64_t i = 0; all != NULL && i < segment->p_filesz / sizeof *all && all[i].d_tag != DT_NULL; i++) {
                switch (all[i].d_tag) {
                case DT_SYMTAB: dynamic->symbols = all[i].d_un.d_ptr; break;
                case DT_STRTAB: dynamic->texts = all[i].d_un.d_ptr; break;
                case DT_STRSZ: dynamic->texts_size = all[i].d_un.d_val; break;
                case DT_GNU_HASH: dynamic->gnu_hash = all[i].d_un.d_ptr; break;
                case DT_HASH: dynamic->hash = all[i].d_un.d_ptr; break;
                case DT_SONAME: dynamic->soname = all[i].d_un.d_val; dynamic->has_soname = true; break;
                default: break;
                }
        }
        return all != NULL;
}

static uint64_t
count_by_gnu_hash(const struct file *file, uint64_t table)
{
        const uint32_t *head = at_address(file, table, 16);
        if (head == NULL)
                return 0;
        const uint64_t buckets_at = table + 16 + 8ull * head[2], chains_at = buckets_at + 4ull * head[0];
        const uint32_t *buckets = at_address(file, buckets_at, 4ull * head[0]);
        uint64_t last = 0;
        for (uint32_t i = 0; buckets != NULL && i < head[0]; i++)
                last = buckets[i] > last ? buckets[i] : last;
        if (last < head[1])
                return head[1];
        const uint32_t *link;
        while ((link = at_address(file, chains_at + 4 * (last - head[1]), 4)) != NULL && !(*link & 1))
                last++;
        return last + 1;
}

/* How many symbols .dynsym has: section headers may have been stripped. */
static uint64_t
dynamic_count(const struct file *file, const struct dynamic *dynamic)
{
        if (dynamic->gnu_hash != 0)
                return count_by_gnu_hash(file, dynamic->gnu_hash);
        const uint32_t *head = dynamic->hash != 0 ? at_address(file, dynamic->hash, 8) : NULL;
        return head != NULL ? head[1] : 0;
}

/* --- symbols ---------------------------------------------------------------------------------------------------------- */

struct table {
        const Elf64_Sym *symbols;
        uint64_t count;
        const char *texts;
        uint64_t texts_size;
        bool exported;
};

static struct wct_found *
add(struct wct_object *object)
{
        if (object->count == object->room) {
                const uint32_t room = object->room == 0 ? 16 : object->room * 2;
                struct wct_found *larger = realloc(object->found, room * sizeof *larger);
                if (larger == NULL || room > MOST_FOUND)
                        return NULL;
                object->found = larger;
                object->room = room;
        }
        return &object->found[object->count++];
}

static bool
is_known(struct wct_object *object, const struct wct_symbol *symbol, uint64_t value, bool exported)
{
        for (uint32_t i = 0; i < object->count; i++) {
                if (object->found[i].symbol != symbol || object->found[i].value != value)
                        continue;
                object->found[i].exported |= exported;
                return true;
        }
        return false;
}

/* The code at an address, when it is code. */
static void
keep(const struct file *file, struct wct_object *object, const struct wct_symbol *symbol, uint64_t value, bool resolver,
     bool exported)
{
        uint64_t left;
        const Elf64_Phdr *segment = segment_at(file, value, &left);
        if (segment == NULL || !(segment->p_flags & PF_X) || is_known(object, symbol, value, exported))
                return;
        const uint8_t size = (uint8_t)(left < WCT_ELF_CODE ? left : WCT_ELF_CODE);
        const void *code = at_address(file, value, size);
        struct wct_found *found = code != NULL ? add(object) : NULL;
        if (found == NULL)
                return;
        *found = (struct wct_found){
                .symbol = symbol, .value = value, .resolver = resolver, .exported = exported, .size = size,
        };
        memcpy(found->code, code, size);
}

static bool
is_function(const Elf64_Sym *symbol)
{
        const unsigned type = ELF64_ST_TYPE(symbol->st_info);
        return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0 &&
               (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

static void
look_up(const struct file *file, struct wct_object *object, const Elf64_Sym *symbol, const char *name, bool exported)
{
        const bool resolver = ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC;
        if (strcmp(name, "_dl_debug_state") == 0)
                object->debug_state = symbol->st_value;
        else if (strcmp(name, "__errno_location") == 0)
                object->errno_place = symbol->st_value;
        else if (strncmp(name, "runtime.morestack_noctxt", 24) == 0)
                object->moves_stacks = true;
        const struct wct_symbol *wanted = NULL;
        while ((wanted = wct_plan_function(name, wanted)) != NULL)
                keep(file, object, wanted, symbol->st_value, resolver, exported);
}

/* An executable's thread-local block ends where the thread pointer points. */
static void
look_up_errno(const struct file *file, struct wct_object *object, const Elf64_Sym *symbol, const char *name)
{
        const Elf64_Phdr *block = segment_of(file, PT_TLS);
        if (block == NULL || symbol->st_shndx == SHN_UNDEF || strcmp(name, "errno") != 0 || symbol->st_value > block->p_memsz)
                return;
        const uint64_t align = block->p_align > 0 ? block->p_align : 1;
        const uint64_t size = (block->p_memsz + align - 1) / align * align;
        object->errno_from = (int64_t)(symbol->st_value - size);
}

static void
look_through(const struct file *file, struct wct_object *object, const struct table *table)
{
        char plain[512];
        if (table->texts == NULL || table->symbols == NULL || table->texts_size == 0 ||
            table->texts[table->texts_size - 1] != '\0')
                return;
        for (uint64_t i = 0; i < table->count; i++) {
                const Elf64_Sym *symbol = &table->symbols[i];
                const bool local = ELF64_ST_TYPE(symbol->st_info) == STT_TLS;
                if ((!local && !is_function(symbol)) || symbol->st_name >= table->texts_size)
                        continue;
                const char *name = table->texts + symbol->st_name;
                const char *version = strchr(name, '@'); /* memcpy@GLIBC_2.2.5, in .symtab */
                if (version != NULL && version > name && (size_t)(version - name) < sizeof plain) {
                        memcpy(plain, name, (size_t)(version - name));
                        plain[version - name] = '\0';
                        name = plain;
                }
                if (local)
                        look_up_errno(file, object, symbol, name);
                else
                        look_up(file, object, symbol, name, table->exported);
        }
}

static void
look_through_dynamic(const struct file *file, struct wct_object *object, const struct dynamic *dynamic)
{
        struct table table = {.count = dynamic_count(file, dynamic), .texts_size = dynamic->texts_size, .exported = true};
        table.symbols = at_address(file, dynamic->symbols, table.count * sizeof(Elf64_Sym));
        table.texts = at_address(file, dynamic->texts, table.texts_size);
        look_through(file, object, &table);
}

static void
look_through_sections(const struct file *file, struct wct_object *object)
{
        const Elf64_Ehdr *head = file->head;
        const Elf64_Shdr *all = part(file, head->e_shoff, (uint64_t)head->e_shnum * sizeof *all);
        if (all == NULL || head->e_shoff == 0 || head->e_shentsize != sizeof *all)
                return;
        for (uint32_t i = 0; i < head->e_shnum; i++) {
                if (all[i].sh_type != SHT_SYMTAB || all[i].sh_link >= head->e_shnum)
                        continue;
                const Elf64_Shdr *texts = &all[all[i].sh_link];
                const struct table table = {
                        .symbols = part(file, all[i].sh_offset, all[i].sh_size),
                        .count = all[i].sh_size / sizeof(Elf64_Sym),
                        .texts = part(file, texts->sh_offset, texts->sh_size),
                        .texts_size = texts->sh_size,
                };
                look_through(file, object, &table);
        }
}

/* Those that the plan has by address: the program's own, whose names are in a separate file. */
static void
look_up_addresses(const struct file *file, struct wct_object *object)
{
        for (uint32_t i = 0; i < wct_plan.head->symbols; i++) {
                const struct wct_symbol *symbol = &wct_plan.symbols[i];
                if (symbol->number < 0 && symbol->address != 0)
                        keep(file, object, symbol, symbol->address, false, false);
        }
}

static void
name_it(const struct file *file, struct wct_object *object, const struct dynamic *dynamic, const char *path)
{
        const char *texts = dynamic->has_soname ? at_address(file, dynamic->texts, dynamic->texts_size) : NULL;
        const char *last = strrchr(path, '/');
        const char *name = last != NULL ? last + 1 : path;
        if (texts != NULL && dynamic->soname < dynamic->texts_size && texts[dynamic->texts_size - 1] == '\0')
                name = texts + dynamic->soname;
        snprintf(object->soname, sizeof object->soname, "%.255s", name);
}

static void
keep_loads(const struct file *file, struct wct_object *object)
{
        for (uint32_t i = 0; i < file->segment_count && object->load_count < WCT_ELF_LOADS; i++) {
                const Elf64_Phdr *at = &file->segments[i];
                const struct wct_load load = {at->p_offset & ~(PAGE - 1), at->p_vaddr & ~(PAGE - 1)};
                if (at->p_type == PT_LOAD)
                        object->loads[object->load_count++] = load;
        }
}

/* mov $15, %rax; syscall: libcs' __restore_rt, whose name they keep to themselves. Unwinders know it by these bytes too. */
static void
look_up_restorer(const struct file *file, struct wct_object *object)
{
        for (uint32_t i = 0; i < file->segment_count && object->restorer == 0; i++) {
                const Elf64_Phdr *at = &file->segments[i];
                const bool code = at->p_type == PT_LOAD && (at->p_flags & PF_X);
                const uint8_t *bytes = code ? part(file, at->p_offset, at->p_filesz) : NULL;
                const uint8_t *found = bytes != NULL ? memmem(bytes, at->p_filesz, "\x48\xc7\xc0\x0f\0\0\0\x0f\x05", 9) : NULL;
                if (found != NULL)
                        object->restorer = at->p_vaddr + (uint64_t)(found - bytes);
        }
}

void
wct_object_read(struct wct_object *object, const void *bytes, uint64_t size, const char *path)
{
        struct file found = {.bytes = bytes, .size = size};
        const struct file *file = &found;
        struct dynamic dynamic;
        if (!read_head(&found))
                return;
        const bool is_dynamic = read_dynamic(file, &dynamic);
        object->is_static = !is_dynamic || (segment_of(file, PT_INTERP) == NULL && !dynamic.has_soname);
        keep_loads(file, object);
        name_it(file, object, &dynamic, path);
        if (is_dynamic)
                look_through_dynamic(file, object, &dynamic);
        look_through_sections(file, object);
        look_up_addresses(file, object);
        if (object->count > 0)
                look_up_restorer(file, object);
}
