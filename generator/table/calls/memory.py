"""Address space, NUMA policy, futexes, System V semaphores. brk gives the break, new or old, and never an error.

Only some of futex's operations take a timeout (FUTEX_WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2: 0 6 9 11
13); to the others the word is a number, or nothing.
"""

TEXT = """
brk(void *addr) -> void *
mremap(void *old_address, size_t old_size:size, size_t new_size:size, int flags:flags=mremap, void *new_address) -> void *
mbind(void *addr, unsigned long len:size, int mode:flags=mempolicy, const unsigned long *nodemask:in[(maxnode+63)/64*8], unsigned long maxnode, unsigned int flags:flags=mbind) -> long
set_mempolicy(int mode:flags=mempolicy, const unsigned long *nodemask:in[(maxnode+63)/64*8], unsigned long maxnode) -> long
get_mempolicy(int *mode:out of flags=mempolicy, unsigned long *nodemask:out[(maxnode+63)/64*8], unsigned long maxnode, void *addr, unsigned long flags:flags=get_mempolicy) -> long
set_mempolicy_home_node(void *start, unsigned long len:size, unsigned long home_node, unsigned long flags) -> long
migrate_pages(int pid:pid, unsigned long maxnode, const unsigned long *old_nodes:in[(maxnode+63)/64*8], const unsigned long *new_nodes:in[(maxnode+63)/64*8]) -> long
move_pages(int pid:pid, unsigned long count, void **pages:in[count*8], const int *nodes:in[count*4], int *status:out[count*4], int flags:flags=mbind) -> long
semctl(int semid, int semnum, int cmd:enum=semctl, unsigned long arg) -> int

futex(uint32_t *uaddr, int futex_op:flags=futex, uint32_t val, const struct timespec *timeout:in if 5-min(1,futex_op&127)-min(1,(futex_op&127)-6)-min(1,(futex_op&127)-9)-min(1,(futex_op&127)-11)-min(1,(futex_op&127)-13), uint32_t *uaddr2, uint32_t val3:enum=futex_bitset) -> long
futex_waitv(struct futex_waitv *waiters:in[nr_futexes*sizeof], unsigned int nr_futexes, unsigned int flags, struct timespec *timeout:in, clockid_t clockid:clockid) -> long
set_robust_list(struct robust_list_head *head, size_t len:size) -> long
get_robust_list(int pid:pid, struct robust_list_head **head_ptr:out, size_t *len_ptr:out of size) -> long
membarrier(int cmd:enum=membarrier, unsigned int flags:flags=membarrier_flags, int cpu_id) -> int
rseq(struct rseq *rseq, uint32_t rseq_len:size, int flags:flags=rseq, uint32_t sig) -> int
"""
