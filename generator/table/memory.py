"""Address space and interprocess communication: strace's %memory and %ipc. The heap is alloc.py's."""

TEXT = """
%memory:
mmap mmap64(addr, length:size, prot:flags=mmap_prot, flags:flags=mmap, fd:fd, offset) -> | MAP_FAILED
munmap(addr:consumed, length:size) -> | -1
mprotect(addr, len:size, prot:flags=mmap_prot) -> | -1
pkey_mprotect(addr, len:size, prot:flags=mmap_prot, pkey) -> | -1
pkey_alloc(flags, access_rights:flags=pkey) -> | -1
pkey_free(pkey) -> | -1
pkey_set(pkey, access_rights:flags=pkey) -> | -1
pkey_get(pkey) -> flags=pkey | -1
madvise(addr, length:size, advice:enum=madvise) -> | -1
posix_madvise(addr, len:size, advice:enum=posix_madvise) -> errno | errno
process_madvise(pidfd:fd, iovec:in+[vlen*sizeof], vlen, advice:enum=madvise, flags) -> size | -1
msync(addr, length:size, flags:flags=msync) -> | -1
mlock(addr, len:size) -> | -1
mlock2(addr, len:size, flags:flags=mlock2) -> | -1
munlock(addr, len:size) -> | -1
mlockall(flags:flags=mlockall) -> | -1
munlockall() -> | -1
mincore(addr, length:size, vec:out[(length+4095)/4096]) -> | -1
mremap(old_address:consumed, old_size:size, new_size:size, flags:flags=mremap, new_address) -> | MAP_FAILED
remap_file_pages(addr, size:size, prot:flags=mmap_prot, pgoff, flags:flags=mmap) -> | -1
brk(addr) -> | -1
sbrk(increment) -> | MAP_FAILED
%memory %ipc:
shmat(shmid, shmaddr, shmflg:flags=shmat) -> | MAP_FAILED
shmdt(shmaddr:consumed) -> | -1
%memory %process:
process_vm_readv(pid:pid, local_iov:in+[liovcnt*sizeof], liovcnt, remote_iov:in+[riovcnt*sizeof], riovcnt, flags) -> size | -1
process_vm_writev(pid:pid, local_iov:in+[liovcnt*sizeof], liovcnt, remote_iov:in+[riovcnt*sizeof], riovcnt, flags) -> size | -1

# What shmctl and its like do to their buffer depends on the command
%ipc:
shmget(key:enum=ipc_key, size:size, shmflg:flags=ipcget) -> | -1
shmctl(shmid, cmd:enum=ipcctl, buf:out?) -> | -1
semget(key:enum=ipc_key, nsems, semflg:flags=ipcget) -> | -1
semop(semid, sops:in+[nsops*sizeof], nsops:size) -> | -1
semtimedop(semid, sops:in+[nsops*sizeof], nsops:size, timeout:in+) -> | -1
semctl(semid, semnum, cmd:enum=semctl, arg) -> | -1
msgget(key:enum=ipc_key, msgflg:flags=ipcget) -> | -1
msgsnd(msqid, msgp:in+[msgsz+8], msgsz:size, msgflg:flags=msgflg) -> | -1
msgrcv(msqid, msgp:out[ret+8], msgsz:size, msgtyp, msgflg:flags=msgflg) -> size | -1
msgctl(msqid, cmd:enum=ipcctl, buf:out?) -> | -1
%ipc %desc:
mq_open(name:path, oflag:flags=open, mode:mode, attr) -> fd | -1
__mq_open_2(name:path, oflag:flags=open) -> fd | -1
mq_unlink(name:path) -> | -1
mq_close(mqdes:fd) -> | -1
mq_getattr(mqdes:fd, attr:out) -> | -1
mq_setattr(mqdes:fd, newattr:in+, oldattr:out) -> | -1
mq_send(mqdes:fd, msg_ptr:in+[msg_len], msg_len:size, msg_prio) -> | -1
mq_timedsend(mqdes:fd, msg_ptr:in+[msg_len], msg_len:size, msg_prio, abs_timeout:in+) -> | -1
mq_receive(mqdes:fd, msg_ptr:out[ret], msg_len:size, msg_prio:out) -> size | -1
mq_timedreceive(mqdes:fd, msg_ptr:out[ret], msg_len:size, msg_prio:out, abs_timeout:in+) -> size | -1
mq_notify(mqdes:fd, sevp:in+) -> | -1
"""
