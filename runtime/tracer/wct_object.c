/*
 * wct_object.c: the file behind a mapping, read once for all processes.
 *
 * Called by wct_space.c for every object that is new in an address space. What wct_elf.c found in it is kept by the file's
 * identity and time of change, and read anew when the plan has grown: modules keep what they had found until they look again.
 *
 * Absent on purpose: what is in it (wct_elf.c).
 */
#define _GNU_SOURCE
#include "wct_elf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct wct_object *objects;

static bool
is_same(const struct stat *status, const struct wct_mapping *mapping)
{
        return status->st_ino == mapping->inode; /* the device of an overlay's file is told differently by maps and stat */
}

static int
open_if_same(const char *path, const struct wct_mapping *mapping, struct stat *status)
{
        const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0 && fstat(fd, status) == 0 && S_ISREG(status->st_mode) && is_same(status, mapping))
                return fd;
        if (fd >= 0)
                close(fd);
        return -1;
}

/* The file by its path as the process sees it, or as the one that is executed, or as the mapping itself. */
static int
open_mapped(pid_t pid, const struct wct_mapping *mapping, struct stat *status)
{
        char path[sizeof mapping->path + 64];
        snprintf(path, sizeof path, "/proc/%d/root%s", pid, mapping->path);
        int fd = open_if_same(path, mapping, status);
        if (fd < 0) {
                snprintf(path, sizeof path, "/proc/%d/exe", pid);
                fd = open_if_same(path, mapping, status);
        }
        if (fd < 0) {
                snprintf(path, sizeof path, "/proc/%d/map_files/%lx-%lx", pid, (unsigned long)mapping->low,
                         (unsigned long)mapping->high);
                fd = open_if_same(path, mapping, status);
        }
        return fd;
}

static struct wct_object *
object_find(const struct stat *status)
{
        struct wct_object *at = objects;
        while (at != NULL &&
               (at->generation != wct_plan.generation || at->device != status->st_dev || at->inode != status->st_ino || at->size != (uint64_t)status->st_size ||
                at->changed[0] != status->st_mtim.tv_sec || at->changed[1] != status->st_mtim.tv_nsec))
                at = at->next;
        return at;
}

/* Into memory of ours: a file that is cut short while it is mapped would kill us. */
static void *
read_all(int fd, size_t size)
{
        uint8_t *bytes = size > 0 ? malloc(size) : NULL;
        for (size_t done = 0; bytes != NULL && done < size;) {
                const ssize_t got = read(fd, bytes + done, size - done);
                if (got <= 0) {
                        free(bytes);
                        return NULL;
                }
                done += (size_t)got;
        }
        return bytes;
}

/* What is no object is kept as well: it has no segments, so that nobody reads it again. */
static struct wct_object *
object_new(int fd, const struct stat *status, const char *path)
{
        struct wct_object *object = calloc(1, sizeof *object);
        void *bytes = object != NULL ? read_all(fd, (size_t)status->st_size) : NULL;
        if (object == NULL)
                return NULL;
        object->device = status->st_dev;
        object->inode = status->st_ino;
        object->size = (uint64_t)status->st_size;
        object->generation = wct_plan.generation;
        object->changed[0] = status->st_mtim.tv_sec;
        object->changed[1] = status->st_mtim.tv_nsec;
        if (bytes != NULL)
                wct_object_read(object, bytes, (uint64_t)status->st_size, path);
        free(bytes);
        object->next = objects;
        return objects = object;
}

static bool
find_bias(const struct wct_object *object, const struct wct_mapping *mapping, uint64_t *bias)
{
        for (uint32_t i = 0; i < object->load_count; i++) {
                if (object->loads[i].offset != mapping->offset)
                        continue;
                *bias = mapping->low - object->loads[i].address;
                return true;
        }
        return false;
}

const struct wct_object *
wct_object_of(pid_t pid, const struct wct_mapping *mapping, uint64_t *bias)
{
        struct stat status;
        const int fd = open_mapped(pid, mapping, &status);
        if (fd < 0)
                return NULL;
        struct wct_object *object = object_find(&status);
        if (object == NULL)
                object = object_new(fd, &status, mapping->path);
        close(fd);
        return object != NULL && find_bias(object, mapping, bias) ? object : NULL;
}
