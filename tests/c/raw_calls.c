/* raw_calls.c: makes system calls by their numbers, each with arguments that it accepts and with ones that it refuses.
 *
 * For test_raw_calls.py, which runs it under strace and under our tracer and compares what both say, so everything is as
 * deterministic as can be: what pointers lead to lies at fixed addresses, files are made in the working directory (which
 * must be empty), descriptors 3 and up are free at the start, nothing depends on the machine but the kernel itself.
 * Nothing here needs a privilege or harms anything when there is one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/mempolicy.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#define BAD ((void *)8) /* nothing is there */
#define N(word) ((long)(word))
#define CALL(nr, ...) CALL_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(nr, a, b, c, d, e, f, ...) syscall(SYS_##nr, N(a), N(b), N(c), N(d), N(e), N(f))

/* All that pointers lead to. The page is mapped at PLACE, so that addresses are those of every run. */
#define PLACE ((void *)0x20000000)
struct room {
        char name[16], other[16], text[64], bytes[4096];
        struct timespec spec[2];
        struct timeval val[2];
        struct itimerval timer;
        struct itimerspec timers;
        int fds[2], number, numbers[8];
        long word, words[16];
        uint64_t set, other_set;
        struct iovec vectors[2];
        struct pollfd polled[2];
        struct epoll_event events[4];
        fd_set reads, writes;
        struct open_how how;
        struct stat status;
        struct statfs file_system;
        struct statx extended;
        struct rlimit limit;
        struct rusage usage;
        struct utsname names;
        struct sysinfo info;
        struct tms times;
        struct utimbuf modified;
        struct flock lock;
        struct sockaddr_in internet;
        struct sockaddr_un local;
        socklen_t length;
        struct msghdr message;
        struct sigaction_of_kernel {
                void *handler;
                unsigned long flags;
                void *restorer;
                uint64_t mask;
        } action;
        siginfo_t siginfo;
        stack_t stack;
        struct sched_param_of_kernel {
                int priority;
        } parameter;
        struct sched_attr_of_kernel {
                uint32_t size, policy;
                uint64_t flags;
                int32_t nice;
                uint32_t priority;
                uint64_t runtime, deadline, period;
        } attributes;
        struct __user_cap_header_struct cap_head;
        struct __user_cap_data_struct caps[2];
        struct sembuf operation;
        struct shmid_ds segment;
        struct msqid_ds queue;
        struct {
                long type;
                char text[8];
        } letter;
        struct io_uring_params ring;
        struct landlock_ruleset_attr rules;
        struct landlock_path_beneath_attr rule;
        struct clone_args clone;
        struct perf_event_attr perf;
        struct sigevent event;
        struct timezone zone;
        struct timex clock;
        struct {
                uint64_t *set;
                size_t size;
        } masked;
};
static struct room *r;

static void
files(void)
{
        strcpy(r->name, "file");
        strcpy(r->other, "other");
        strcpy(r->text, "some text\n");
        CALL(open, r->name, O_CREAT | O_RDWR | O_CLOEXEC, 0640); /* 3 */
        CALL(open, "absent", O_RDONLY);
        CALL(open, BAD, O_WRONLY);
        CALL(openat, AT_FDCWD, r->name, O_RDONLY | O_NOFOLLOW, 0); /* 4 */
        CALL(openat, 99, r->name, O_RDONLY);
        r->how = (struct open_how){ .flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
        CALL(openat2, AT_FDCWD, r->name, &r->how, sizeof(r->how)); /* 5 */
        CALL(openat2, AT_FDCWD, "absent", &r->how, sizeof(r->how));
        CALL(openat2, AT_FDCWD, r->name, &r->how, 8);
        CALL(close, 5);
        CALL(close, 99);
        CALL(write, 3, r->text, 10);
        CALL(write, 99, r->text, 10);
        CALL(pwrite64, 3, r->text, 4, 100);
        CALL(pread64, 4, r->bytes, 10, 0);
        CALL(read, 4, r->bytes, 10);
        CALL(read, 4, BAD, 10);
        CALL(read, 4, r->bytes, 0);
        r->vectors[0] = (struct iovec){ r->bytes, 4 };
        r->vectors[1] = (struct iovec){ r->bytes + 16, 4 };
        CALL(lseek, 4, 0, SEEK_SET);
        CALL(lseek, 4, 0, 77);
        CALL(readv, 4, r->vectors, 2);
        CALL(preadv, 4, r->vectors, 2, 1);
        CALL(preadv2, 4, r->vectors, 2, 1, 0, 1 /* RWF_HIPRI */);
        CALL(writev, 3, r->vectors, 2);
        CALL(pwritev, 3, r->vectors, 2, 8);
        CALL(pwritev2, 3, r->vectors, 2, 8, 0, 2 /* RWF_DSYNC */);
        CALL(pwritev2, 3, r->vectors, 2, 8, 0, 1 << 20);
        CALL(dup, 3);        /* 5 */
        CALL(dup2, 3, 9);
        CALL(dup3, 3, 10, O_CLOEXEC);
        CALL(dup3, 3, 3, 0);
        CALL(fcntl, 3, F_GETFL);
        CALL(fcntl, 3, F_SETFD, FD_CLOEXEC);
        CALL(fcntl, 3, F_SETFD, 0);
        CALL(fcntl, 3, F_SETFL, O_APPEND | O_NONBLOCK);
        CALL(fcntl, 3, F_DUPFD_CLOEXEC, 20);
        CALL(fcntl, 99, F_GETFD);
        CALL(fstat, 3, &r->status);
        CALL(stat, r->name, &r->status);
        CALL(stat, "absent", &r->status);
        CALL(lstat, r->name, &r->status);
        CALL(newfstatat, AT_FDCWD, r->name, &r->status, AT_SYMLINK_NOFOLLOW);
        CALL(statx, AT_FDCWD, r->name, AT_STATX_DONT_SYNC, STATX_SIZE | STATX_MODE, &r->extended);
        CALL(statfs, "/proc", &r->file_system);
        CALL(getrlimit, RLIMIT_CPU, &r->limit);
        CALL(fstatfs, 99, &r->file_system);
        CALL(access, r->name, R_OK | W_OK);
        CALL(access, "absent", F_OK);
        CALL(faccessat, AT_FDCWD, r->name, R_OK);
        CALL(faccessat2, AT_FDCWD, r->name, R_OK, AT_EACCESS);
        CALL(ftruncate, 3, 50);
        CALL(truncate, r->name, 40);
        CALL(truncate, "absent", 40);
        CALL(fallocate, 3, FALLOC_FL_KEEP_SIZE, 0, 100);
        CALL(fadvise64, 3, 0, 100, POSIX_FADV_WILLNEED);
        CALL(readahead, 4, 0, 100);
        CALL(sync_file_range, 3, 0, 100, SYNC_FILE_RANGE_WRITE);
        CALL(fsync, 3);
        CALL(fdatasync, 99);
        CALL(flock, 3, LOCK_EX | LOCK_NB);
        CALL(flock, 3, LOCK_UN);
        CALL(mkdir, "dir", 0755);
        CALL(mkdir, "dir", 0755);
        CALL(mkdirat, AT_FDCWD, "dir2", 0700);
        CALL(chdir, "dir");
        CALL(chdir, "..");
        CALL(chdir, "absent");
        CALL(fchdir, 3);
        CALL(rmdir, "dir2");
        CALL(rmdir, "absent");
        CALL(link, r->name, "link");
        CALL(linkat, AT_FDCWD, r->name, AT_FDCWD, "link2", AT_SYMLINK_FOLLOW);
        CALL(symlink, "file", "symlink");
        CALL(symlinkat, "file", AT_FDCWD, "symlink");
        CALL(readlink, "symlink", r->bytes, 100);
        CALL(readlink, "file", r->bytes, 100);
        CALL(readlinkat, AT_FDCWD, "symlink", r->bytes, 3);
        CALL(rename, "link", "link3");
        CALL(renameat, AT_FDCWD, "link3", AT_FDCWD, "link4");
        CALL(renameat2, AT_FDCWD, "link4", AT_FDCWD, r->name, RENAME_NOREPLACE);
        CALL(unlink, "link4");
        CALL(unlinkat, AT_FDCWD, "dir", AT_REMOVEDIR);
        CALL(unlinkat, AT_FDCWD, "absent", 0);
        CALL(chmod, r->name, 0644);
        CALL(fchmod, 3, 0600);
        CALL(fchmodat, AT_FDCWD, "absent", 0600);
        CALL(chown, r->name, -1, -1);
        CALL(fchown, 3, -1, -1);
        CALL(lchown, "absent", 0, 0);
        CALL(fchownat, AT_FDCWD, r->name, -1, -1, AT_SYMLINK_NOFOLLOW);
        CALL(umask, 022);
        CALL(mknod, "fifo", S_IFIFO | 0600, 0);
        CALL(mknodat, AT_FDCWD, "fifo", S_IFIFO | 0600, 0);
        CALL(creat, "made", 0600); /* 6 */
        r->modified = (struct utimbuf){ 1000, 2000 };
        CALL(utime, "made", &r->modified);
        r->val[0].tv_sec = 5;
        r->val[1].tv_usec = 7;
        CALL(utimes, "made", r->val);
        r->spec[0].tv_nsec = UTIME_OMIT;
        r->spec[1].tv_sec = 9;
        CALL(utimensat, AT_FDCWD, "made", r->spec, 0);
        CALL(futimesat, AT_FDCWD, "absent", r->val);
        CALL(setxattr, "made", "user.a", "value", 5, XATTR_CREATE);
        CALL(getxattr, "made", "user.absent", r->bytes, 100);
        CALL(fsetxattr, 6, "bad", "v", 1, 0);
        CALL(listxattr, "absent", r->bytes, 100);
        CALL(fremovexattr, 6, "user.absent");
        CALL(getcwd, r->bytes, 4096);
        CALL(getcwd, r->bytes, 1);
        CALL(getdents64, 3, r->bytes, 4096);
        CALL(getdents, 99, r->bytes, 4096);
        CALL(copy_file_range, 4, 0, 6, 0, 10, 0);
        r->word = 2;
        CALL(sendfile, 6, 4, &r->word, 5);
        CALL(name_to_handle_at, AT_FDCWD, r->name, BAD, &r->number, 0);
        CALL(open_by_handle_at, AT_FDCWD, BAD, O_RDONLY);
        CALL(chroot, "absent");
        CALL(pivot_root, "absent", "absent");
        CALL(umount2, "absent", 2 /* MNT_DETACH */);
        CALL(open_tree, AT_FDCWD, "absent", AT_SYMLINK_NOFOLLOW);
        CALL(fsopen, "no such thing", 0);
        CALL(fspick, AT_FDCWD, "absent", 0);
        CALL(move_mount, 99, "a", 99, "b", 0);
        CALL(swapoff, "absent");
        CALL(ioctl, 3, 0x5401 /* TCGETS */, r->bytes);
        CALL(close_range, 9, 30, 0);
        CALL(syncfs, 99);
}

static void
descriptors(void)
{
        CALL(pipe, r->fds);
        CALL(pipe2, r->fds, O_CLOEXEC | O_NONBLOCK);
        CALL(pipe, BAD);
        CALL(eventfd, 5);
        CALL(eventfd2, 5, 0x80000 | 1);
        CALL(eventfd2, 5, 1 << 20);
        CALL(epoll_create, 4);
        const int poller = CALL(epoll_create1, EPOLL_CLOEXEC);
        r->events[0] = (struct epoll_event){ .events = EPOLLIN | EPOLLET, .data.u64 = 77 };
        CALL(epoll_ctl, poller, EPOLL_CTL_ADD, r->fds[0], r->events);
        CALL(epoll_ctl, poller, EPOLL_CTL_ADD, 99, r->events);
        CALL(write, r->fds[1], "x", 1);
        CALL(epoll_wait, poller, r->events, 4, 0);
        CALL(epoll_wait, poller, r->events, 0, 0);
        r->set = 1 << (SIGUSR1 - 1);
        CALL(epoll_pwait, poller, r->events, 4, 0, &r->set, 8);
        r->spec[0] = (struct timespec){ 0, 1000 };
        CALL(epoll_pwait2, poller, r->events, 4, r->spec, &r->set, 8);
        r->polled[0] = (struct pollfd){ r->fds[0], POLLIN, 0 };
        r->polled[1] = (struct pollfd){ r->fds[1], POLLOUT, 0 };
        CALL(poll, r->polled, 2, 0);
        r->spec[0] = (struct timespec){ 0, 0 };
        CALL(ppoll, r->polled, 2, r->spec, &r->set, 8);
        CALL(ppoll, r->polled, 2, r->spec, &r->set, 4);
        FD_SET(r->fds[0], &r->reads);
        CALL(select, r->fds[0] + 1, &r->reads, 0, 0, r->val);
        r->masked.set = &r->set;
        r->masked.size = 8;
        CALL(pselect6, r->fds[0] + 1, &r->reads, 0, 0, r->spec, &r->masked);
        CALL(tee, r->fds[0], r->fds[1], 1, 0);
        CALL(splice, r->fds[0], 0, r->fds[1], 0, 1, 2 /* SPLICE_F_NONBLOCK */);
        r->vectors[0] = (struct iovec){ "abc", 3 };
        CALL(vmsplice, r->fds[1], r->vectors, 1, 0);
        CALL(memfd_create, "name", 1 /* MFD_CLOEXEC */);
        CALL(memfd_create, "name", 1 << 20);
        CALL(signalfd, -1, &r->set, 8);
        CALL(signalfd4, -1, &r->set, 8, 0x80000);
        CALL(signalfd4, -1, &r->set, 4, 0);
        const int timer = CALL(timerfd_create, CLOCK_MONOTONIC, 0x80000);
        r->timers = (struct itimerspec){ { 1, 0 }, { 1000, 0 } };
        CALL(timerfd_settime, timer, 0, &r->timers, 0);
        CALL(timerfd_create, 99, 0);
        const int watcher = CALL(inotify_init1, IN_CLOEXEC);
        CALL(inotify_init);
        CALL(inotify_add_watch, watcher, "file", IN_MODIFY | IN_OPEN);
        CALL(inotify_add_watch, watcher, "absent", IN_MODIFY);
        CALL(inotify_rm_watch, watcher, 55);
        CALL(fanotify_init, 1 << 30, O_RDONLY);
        CALL(userfaultfd, 1 << 30);
        CALL(io_uring_setup, 0, &r->ring);
        CALL(io_uring_enter, 99, 0, 0, 1, 0, 0);
        CALL(io_uring_register, 99, 8, 0, 0);
        CALL(io_destroy, 77);
        CALL(io_setup, 0, BAD);
        CALL(io_getevents, 77, 1, 1, BAD, r->spec);
        CALL(pidfd_open, -5, 0);
        CALL(pidfd_getfd, 99, 3, 0);
        CALL(close_range, 60, 50, 0);
}

static void
network(void)
{
        CALL(socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, r->fds);
        CALL(sendto, r->fds[0], "hello", 5, MSG_NOSIGNAL, 0, 0);
        CALL(recvfrom, r->fds[1], r->bytes, 100, MSG_DONTWAIT, 0, 0);
        CALL(recvfrom, r->fds[1], r->bytes, 100, MSG_DONTWAIT, 0, 0);
        CALL(shutdown, r->fds[0], SHUT_WR);
        CALL(socket, AF_INET, SOCK_STREAM, IPPROTO_TCP);
        const int one = CALL(socket, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        CALL(socket, 99, SOCK_STREAM, 0);
        r->internet = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
        CALL(bind, one, &r->internet, sizeof(r->internet));
        CALL(connect, 99, &r->internet, sizeof(r->internet));
        r->local.sun_family = AF_UNIX;
        strcpy(r->local.sun_path, "absent");
        CALL(connect, r->fds[0], &r->local, 10);
        r->length = sizeof(r->internet);
        CALL(getpeername, one, r->bytes, &r->length);
        r->length = 4;
        CALL(getsockopt, one, SOL_SOCKET, SO_TYPE, &r->number, &r->length);
        r->number = 1;
        CALL(setsockopt, one, SOL_SOCKET, SO_REUSEADDR, &r->number, 4);
        CALL(setsockopt, one, IPPROTO_IP, IP_TTL, &r->number, 4);
        CALL(setsockopt, one, IPPROTO_TCP, TCP_NODELAY, &r->number, 4);
        CALL(setsockopt, one, SOL_SOCKET, 9999, &r->number, 4);
        CALL(setsockopt, 99, SOL_SOCKET, SO_REUSEADDR, &r->number, 4);
        CALL(listen, 99, 5);
        CALL(accept, one, 0, 0);
        CALL(accept4, 99, 0, 0, SOCK_CLOEXEC);
        r->vectors[0] = (struct iovec){ "abc", 3 };
        r->message = (struct msghdr){ .msg_iov = r->vectors, .msg_iovlen = 1 };
        CALL(sendmsg, 99, &r->message, MSG_DONTWAIT);
        CALL(recvmsg, one, &r->message, MSG_DONTWAIT);
        CALL(sendmmsg, 99, r->bytes, 0, 0);
}

static void
memory(void)
{
        char *const place = (char *)0x30000000;
        CALL(mmap, place, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        CALL(mmap, place, 0, PROT_READ, MAP_PRIVATE, 3, 0);
        CALL(mprotect, place, 4096, PROT_READ);
        CALL(mprotect, 3, 4096, PROT_NONE);
        CALL(madvise, place, 4096, MADV_DONTNEED);
        CALL(madvise, place, 4096, 999);
        CALL(mincore, place, 8192, r->bytes);
        CALL(msync, place, 4096, MS_ASYNC);
        CALL(mlock, place, 4096);
        CALL(mlock2, place, 4096, 1);
        CALL(munlock, place, 4096);
        CALL(mlockall, 1 << 10);
        CALL(mremap, place, 8192, 4096, 0);
        CALL(mremap, place, 0, 0, 99);
        CALL(remap_file_pages, place, 0, 0, 0, 0);
        CALL(pkey_mprotect, place, 4096, PROT_READ, -1);
        CALL(pkey_free, 99);
        CALL(munmap, place, 8192);
        CALL(munmap, 3, 8192);
        CALL(process_madvise, 99, r->vectors, 1, MADV_COLD, 0);
        CALL(membarrier, 1 << 20, 0);
        CALL(membarrier, 0, 0);
        CALL(get_mempolicy, &r->number, 0, 0, 0, 0);
        CALL(set_mempolicy, 99, 0, 0);
        CALL(mbind, place, 4096, MPOL_BIND, r->words, 0, 0);
        CALL(futex, &r->number, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0);
        r->spec[0] = (struct timespec){ 0, 1000 };
        CALL(futex, &r->number, FUTEX_WAIT, 12345, r->spec);
        CALL(futex, &r->number, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 12345, r->spec, 0, -1);
        const long segment = CALL(shmget, IPC_PRIVATE, 4096, IPC_CREAT | 0600); /* its number is the kernel's choice */
        CALL(shmget, 0x1234567, 4096, 0);
        CALL(shmctl, segment, IPC_RMID, 0);
        CALL(shmat, -1, 0, SHM_RDONLY);
        CALL(shmdt, place);
        CALL(semget, 0x1234567, 1, 0);
        CALL(semop, -1, &r->operation, 1);
        CALL(semtimedop, -1, &r->operation, 1, r->spec);
        CALL(semctl, -1, 0, IPC_RMID, 0);
        CALL(msgget, 0x1234567, 0);
        r->letter.type = 1;
        strcpy(r->letter.text, "letter");
        CALL(msgsnd, -1, &r->letter, 6, IPC_NOWAIT);
        CALL(msgrcv, -1, &r->letter, 6, 0, IPC_NOWAIT);
        CALL(msgctl, -1, IPC_RMID, 0);
        CALL(mq_unlink, "absent");
        CALL(mq_open, "absent", O_RDONLY, 0, 0);
        CALL(process_vm_readv, -1, r->vectors, 1, r->vectors, 1, 0);
}

static void
signals(void)
{
        CALL(rt_sigprocmask, SIG_BLOCK, &r->set, &r->other_set, 8);
        CALL(rt_sigprocmask, SIG_UNBLOCK, &r->set, 0, 8);
        CALL(rt_sigprocmask, 99, &r->set, 0, 8);
        r->action.flags = SA_RESTART;
        r->action.mask = 1 << (SIGHUP - 1);
        r->action.handler = SIG_IGN;
        CALL(rt_sigaction, SIGUSR2, &r->action, 0, 8);
        CALL(rt_sigaction, SIGUSR2, 0, &r->action, 8);
        CALL(rt_sigaction, SIGKILL, &r->action, 0, 8);
        CALL(rt_sigpending, &r->other_set, 8);
        r->spec[0] = (struct timespec){ 0, 1000 };
        CALL(rt_sigtimedwait, &r->set, &r->siginfo, r->spec, 8);
        CALL(sigaltstack, 0, &r->stack);
        CALL(kill, 0x3ffffff, SIGUSR1);
        CALL(tkill, -1, SIGUSR1);
        CALL(tgkill, -1, -1, SIGUSR1);
        r->siginfo.si_signo = SIGUSR1;
        r->siginfo.si_code = SI_QUEUE;
        r->siginfo.si_pid = 5;
        CALL(rt_sigqueueinfo, -1, SIGUSR1, &r->siginfo);
        CALL(rt_tgsigqueueinfo, -1, -1, SIGUSR1, &r->siginfo);
        CALL(pidfd_send_signal, 99, SIGUSR1, 0, 0);
}

static void
processes(void)
{
        CALL(getpid);
        CALL(gettid);
        CALL(getppid);
        CALL(getuid);
        CALL(geteuid);
        CALL(getgid);
        CALL(getegid);
        CALL(getpgrp);
        CALL(getpgid, -1);
        CALL(getsid, -1);
        CALL(setpgid, -1, -1);
        CALL(getresuid, r->numbers, r->numbers + 1, r->numbers + 2);
        CALL(getresgid, r->numbers, r->numbers + 1, r->numbers + 2);
        CALL(setresuid, -1, -1, -1);
        CALL(setreuid, -1, -1);
        CALL(setregid, -1, -1);
        CALL(setfsuid, -1);
        CALL(getgroups, 0, 0);
        CALL(getpriority, PRIO_PROCESS, 0);
        CALL(setpriority, PRIO_USER, -1, 5);
        CALL(getrlimit, RLIMIT_CORE, &r->limit);
        CALL(setrlimit, RLIMIT_CORE, &r->limit);
        CALL(prlimit64, 0, RLIMIT_NOFILE, 0, &r->limit);
        CALL(getrusage, 99, &r->usage);
        CALL(sched_yield);
        CALL(sched_getscheduler, 0);
        CALL(sched_getparam, 0, &r->parameter);
        CALL(sched_setscheduler, -1, SCHED_FIFO, &r->parameter);
        CALL(sched_get_priority_max, SCHED_RR);
        CALL(sched_get_priority_min, 99);
        CALL(sched_getaffinity, -1, 128, r->bytes);
        CALL(sched_getattr, 0, &r->attributes, sizeof(r->attributes), 0);
        CALL(sched_setattr, -1, &r->attributes, 0);
        CALL(sched_rr_get_interval, -1, r->spec);
        CALL(ioprio_get, 1, 0);
        CALL(ioprio_set, 99, 0, 0);
        CALL(prctl, 3 /* PR_GET_DUMPABLE */);
        CALL(prctl, 9999, 1, 2, 3, 4);
        CALL(arch_prctl, 0x1003, &r->word);
        CALL(arch_prctl, 9999, 0);
        CALL(personality, -1);
        CALL(capget, &r->cap_head, 0);
        r->cap_head.version = _LINUX_CAPABILITY_VERSION_3;
        CALL(capget, &r->cap_head, r->caps);
        CALL(capset, BAD, r->caps);
        CALL(wait4, -1, &r->number, WNOHANG, 0);
        CALL(waitid, P_ALL, 0, &r->siginfo, WEXITED | WNOHANG, 0);
        CALL(ptrace, 9999, -1, 1, 2);
        CALL(kcmp, -1, -1, 0, 0, 0);
        CALL(unshare, 1 << 2);
        CALL(setns, 99, 0);
        CALL(seccomp, 99, 0, 0);
        r->rules.handled_access_fs = 1;
        CALL(landlock_create_ruleset, &r->rules, 8, 1 << 20);
        CALL(landlock_add_rule, 99, 1, &r->rule, 0);
        CALL(landlock_restrict_self, 99, 0);
        r->clone = (struct clone_args){ .flags = CLONE_VM | CLONE_THREAD, .exit_signal = SIGCHLD, .stack_size = 4096 };
        CALL(clone3, &r->clone, sizeof(r->clone)); /* a thread must share its handlers */
        CALL(clone3, &r->clone, 4);
        CALL(clone3, &r->clone, sizeof(r->clone) + 100000);
        CALL(set_robust_list, BAD, 1);
        CALL(get_robust_list, -1, &r->word, r->words);
        CALL(rseq, BAD, 1, 0, 0);
        CALL(keyctl, 99, 0, 0, 0, 0);
        CALL(add_key, "bad", "name", "payload", 7, KEY_SPEC_PROCESS_KEYRING);
        CALL(request_key, "bad", "name", 0, 0);
        CALL(perf_event_open, BAD, 0, -1, -1, 0);
        CALL(bpf, 9999, r->bytes, 8);
        CALL(execve, "absent", r->words, r->words);
        CALL(execveat, AT_FDCWD, "absent", r->words, r->words, AT_SYMLINK_NOFOLLOW);
        CALL(modify_ldt, 99, BAD, 0);
        CALL(set_thread_area, BAD);
        CALL(process_mrelease, 99, 0);
        CALL(iopl, 99);
        CALL(ioperm, 0x10000, 1, 1);
}

static void
system_and_time(void)
{
        CALL(uname, &r->names);
        CALL(uname, BAD);
        CALL(sysinfo, BAD);
        CALL(times, 0);
        CALL(time, BAD);
        CALL(clock_getres, CLOCK_MONOTONIC, r->spec);
        CALL(clock_gettime, 99, r->spec);
        CALL(clock_settime, CLOCK_MONOTONIC, r->spec);
        CALL(settimeofday, BAD, 0);
        r->spec[0] = (struct timespec){ 0, 1000 };
        CALL(nanosleep, r->spec, 0);
        r->spec[0].tv_nsec = -1;
        CALL(nanosleep, r->spec, 0);
        CALL(clock_nanosleep, CLOCK_REALTIME, 1 /* TIMER_ABSTIME */, r->spec, 0);
        r->timer = (struct itimerval){ { 0, 0 }, { 1000, 0 } };
        CALL(setitimer, ITIMER_PROF, &r->timer, 0);
        CALL(getitimer, 99, &r->timer);
        CALL(alarm, 0);
        r->event.sigev_notify = SIGEV_NONE;
        CALL(timer_create, CLOCK_REALTIME, &r->event, &r->number);
        CALL(timer_settime, 0, 0, &r->timers, 0);
        CALL(timer_getoverrun, 0);
        CALL(timer_delete, 0);
        CALL(timer_delete, 99);
        CALL(adjtimex, BAD);
        CALL(getrandom, r->bytes, 4, 1 << 10);
        CALL(syslog, 99, 0, 0);
        CALL(reboot, 1, 2, 3, 0);
        CALL(sethostname, BAD, 4);
        CALL(init_module, BAD, 4, "parameter");
        CALL(finit_module, 99, "parameter", 1);
        CALL(delete_module, "no such module", O_NONBLOCK);
        CALL(quotactl, 99, "absent", 0, 0);
        CALL(ustat, 0, BAD);
        CALL(sysfs, 99, 0, 0);
        CALL(acct, "absent");
        CALL(uselib, "absent");
        CALL(lookup_dcookie, 1, r->bytes, 100);
        CALL(vserver, 1, 2, 3, 4, 5);
}

int
main(void)
{
        r = mmap(PLACE, sizeof(*r), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (r != PLACE)
                return 77;
        files();
        descriptors();
        network();
        memory();
        signals();
        processes();
        system_and_time();
        CALL(exit_group, 0);
}
