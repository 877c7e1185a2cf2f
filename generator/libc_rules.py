"""What is known about glibc beyond its headers: data for headers.py, aliases.py and policy.py."""

from __future__ import annotations

_HEADERS = """
    aio.h aliases.h alloca.h ar.h argp.h argz.h arpa/ftp.h arpa/inet.h arpa/nameser.h arpa/telnet.h arpa/tftp.h
    assert.h byteswap.h complex.h cpio.h ctype.h dirent.h dlfcn.h elf.h endian.h envz.h err.h errno.h error.h
    execinfo.h fcntl.h features.h fenv.h fmtmsg.h fnmatch.h fpu_control.h fstab.h fts.h ftw.h gconv.h getopt.h glob.h
    gnu/lib-names.h gnu/libc-version.h grp.h gshadow.h iconv.h ieee754.h ifaddrs.h inttypes.h langinfo.h lastlog.h
    libgen.h libintl.h limits.h link.h locale.h malloc.h math.h mcheck.h memory.h mntent.h monetary.h mqueue.h
    net/ethernet.h net/if.h net/if_arp.h net/if_packet.h net/ppp_defs.h net/route.h netdb.h netinet/ether.h
    netinet/icmp6.h netinet/if_ether.h netinet/igmp.h netinet/in.h netinet/in_systm.h netinet/ip.h netinet/ip6.h
    netinet/ip_icmp.h netinet/tcp.h netinet/udp.h netpacket/packet.h nl_types.h nss.h obstack.h paths.h poll.h
    printf.h pthread.h pty.h pwd.h re_comp.h regex.h resolv.h sched.h search.h semaphore.h setjmp.h sgtty.h shadow.h
    signal.h spawn.h stdarg.h stdbool.h stddef.h stdint.h stdio.h stdio_ext.h stdlib.h string.h strings.h sys/acct.h
    sys/auxv.h sys/cdefs.h sys/dir.h sys/epoll.h sys/errno.h sys/eventfd.h sys/fanotify.h sys/fcntl.h sys/file.h
    sys/fsuid.h sys/gmon.h sys/inotify.h sys/io.h sys/ioctl.h sys/ipc.h sys/klog.h sys/mman.h sys/mount.h sys/msg.h
    sys/mtio.h sys/param.h sys/pci.h sys/perm.h sys/personality.h sys/pidfd.h sys/platform/x86.h sys/poll.h
    sys/prctl.h sys/procfs.h sys/profil.h sys/ptrace.h sys/quota.h sys/random.h sys/raw.h sys/reboot.h sys/reg.h
    sys/resource.h sys/rseq.h sys/select.h sys/sem.h sys/sendfile.h sys/shm.h sys/signal.h sys/signalfd.h
    sys/single_threaded.h sys/socket.h sys/stat.h sys/statfs.h sys/statvfs.h sys/swap.h sys/syscall.h sys/sysinfo.h
    sys/sysmacros.h sys/termios.h sys/time.h sys/timeb.h sys/timerfd.h sys/times.h sys/timex.h sys/ttydefaults.h
    sys/types.h sys/ucontext.h sys/uio.h sys/un.h sys/unistd.h sys/user.h sys/utsname.h sys/vfs.h sys/vlimit.h
    sys/vt.h sys/wait.h sys/xattr.h syscall.h sysexits.h syslog.h tar.h termio.h termios.h threads.h time.h ttyent.h
    uchar.h ucontext.h ulimit.h unistd.h utime.h utmp.h utmpx.h values.h wait.h wchar.h wctype.h wordexp.h
"""
PUBLIC_HEADERS: tuple[str, ...] = tuple(_HEADERS.split())
"""glibc's public headers that declare functions, types of their arguments, or constants; each is used if installed.

Left out: tgmath.h (macros over every function of math.h), regexp.h (gone), thread_db.h and proc_service.h (the
debugger's), and headers of single drivers.
"""
