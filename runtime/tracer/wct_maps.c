/*
 * wct_maps.c: /proc/PID/maps and /proc/PID/auxv, as lists.
 *
 * Called by wct_space.c and wct_slot.c when an address space is looked at: at its start, when its loader says that objects
 * have come or gone, and when an address is met that nobody knows.
 */
#define _GNU_SOURCE
#include "wct_space.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MOST_BYTES (64u << 20)

/* The whole file: its size is known at its end only. */
static char *
read_file(const char *path, size_t *size)
{
        size_t room = 32768, done = 0;
        char *bytes = malloc(room);
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        for (ssize_t got; fd >= 0 && bytes != NULL && (got = read(fd, bytes + done, room - done - 1)) > 0;) {
                done += (size_t)got;
                if (room - done > 4096)
                        continue;
                char *larger = room < MOST_BYTES ? realloc(bytes, room * 2) : NULL;
                if (larger == NULL)
                        break;
                bytes = larger;
                room *= 2;
        }
        if (fd >= 0)
                close(fd);
        if (bytes != NULL)
                bytes[done] = '\0';
        *size = done;
        return bytes;
}

/* 7f0000000000-7f0000001000 r-xp 00000000 08:01 1234   /lib/libc.so.6 */
static bool
parse(const char *line, struct wct_mapping *mapping)
{
        unsigned long low, high, offset, inode;
        unsigned major, minor;
        char flags[8];
        int path_at = 0;
        if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %n", &low, &high, flags, &offset, &major, &minor, &inode, &path_at) < 7)
                return false;
        *mapping = (struct wct_mapping){
                .low = low, .high = high, .offset = offset, .device = makedev(major, minor), .inode = inode,
                .readable = flags[0] == 'r', .writable = flags[1] == 'w', .executable = flags[2] == 'x',
        };
        snprintf(mapping->path, sizeof mapping->path, "%.511s", path_at > 0 ? line + path_at : "");
        return true;
}

bool
wct_maps_read(pid_t pid, struct wct_maps *maps)
{
        char path[64];
        size_t size;
        uint32_t room = 0;
        *maps = (struct wct_maps){0};
        snprintf(path, sizeof path, "/proc/%d/maps", pid);
        char *bytes = read_file(path, &size);
        char *state = NULL;
        for (char *line = bytes != NULL ? strtok_r(bytes, "\n", &state) : NULL; line; line = strtok_r(NULL, "\n", &state)) {
                if (maps->count == room) {
                        room = room == 0 ? 64 : room * 2;
                        struct wct_mapping *larger = realloc(maps->all, room * sizeof *larger);
                        if (larger == NULL)
                                break;
                        maps->all = larger;
                }
                if (parse(line, &maps->all[maps->count]))
                        maps->count++;
        }
        free(bytes);
        return maps->count > 0;
}

void
wct_maps_free(struct wct_maps *maps)
{
        free(maps->all);
        *maps = (struct wct_maps){0};
}

const struct wct_mapping *
wct_maps_at(const struct wct_maps *maps, uint64_t address)
{
        for (uint32_t i = 0; i < maps->count; i++) {
                if (address >= maps->all[i].low && address < maps->all[i].high)
                        return &maps->all[i];
        }
        return NULL;
}

uint64_t
wct_auxv(pid_t pid, uint64_t type)
{
        char path[64];
        size_t size;
        uint64_t value = 0;
        snprintf(path, sizeof path, "/proc/%d/auxv", pid);
        char *bytes = read_file(path, &size);
        for (size_t at = 0; bytes != NULL && at + 16 <= size; at += 16) {
                uint64_t pair[2];
                memcpy(pair, bytes + at, 16);
                if (pair[0] == type)
                        value = pair[1];
        }
        free(bytes);
        return value;
}
