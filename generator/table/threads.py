"""POSIX threads, semaphores and C11 threads. Their objects are opaque: only results are told.

sem_open creates by name like a file.
"""

TEXT = """
%thread:
pthread_create(thread:out, attr, start_routine, arg) -> errno | errno %process
pthread_join(thread, retval:out) -> errno | errno
pthread_tryjoin_np(thread, retval:out) -> errno | errno
pthread_timedjoin_np(thread, retval:out, abstime:in) -> errno | errno
pthread_clockjoin_np(thread, retval:out, clockid:clockid, abstime:in) -> errno | errno
pthread_detach(thread) -> errno | errno
pthread_exit(retval) ->
pthread_cancel(thread) -> errno | errno
pthread_testcancel() ->
pthread_setcancelstate(state:enum=cancelstate, oldstate:out) -> errno | errno
pthread_setcanceltype(type:enum=canceltype, oldtype:out) -> errno | errno
pthread_self() ->
pthread_equal(t1, t2) ->
pthread_once(once_control, init_routine) -> errno | errno
pthread_atfork(prepare, parent, child) -> errno | errno
__register_atfork(prepare, parent, child, dso_handle) -> errno | errno
pthread_key_create(key:out, destructor) -> errno | errno
pthread_key_delete(key) -> errno | errno
pthread_getspecific(key) ->
pthread_setspecific(key, value) -> errno | errno
pthread_getname_np(thread, name:outstr[size], size:size) -> errno | errno
pthread_setname_np(thread, name:str+) -> errno | errno
pthread_getaffinity_np(thread, cpusetsize:size, cpuset:out[cpusetsize] of bytes) -> errno | errno
pthread_setaffinity_np(thread, cpusetsize:size, cpuset:in[cpusetsize] of bytes) -> errno | errno
pthread_getschedparam(thread, policy:out of enum=sched, param:out) -> errno | errno
pthread_setschedparam(thread, policy:enum=sched, param:in+) -> errno | errno
pthread_setschedprio(thread, prio) -> errno | errno
pthread_getcpuclockid(thread, clockid:out of clockid) -> errno | errno
pthread_getattr_np(thread, attr) -> errno | errno
pthread_getconcurrency() ->
pthread_setconcurrency(new_level) -> errno | errno

pthread_mutex_init(mutex, attr) -> errno | errno
pthread_mutex_destroy(mutex) -> errno | errno
pthread_mutex_lock(mutex) -> errno | errno
pthread_mutex_trylock(mutex) -> errno | errno
pthread_mutex_timedlock(mutex, abstime:in) -> errno | errno
pthread_mutex_clocklock(mutex, clockid:clockid, abstime:in) -> errno | errno
pthread_mutex_unlock(mutex) -> errno | errno
pthread_mutex_consistent(mutex) -> errno | errno
pthread_mutex_getprioceiling(mutex, prioceiling:out) -> errno | errno
pthread_mutexattr_init(attr) -> errno | errno
pthread_mutexattr_destroy(attr) -> errno | errno
pthread_mutexattr_gettype(attr, type:out of enum=mutex_type) -> errno | errno
pthread_mutexattr_settype(attr, type:enum=mutex_type) -> errno | errno
pthread_mutexattr_getpshared(attr, pshared:out) -> errno | errno
pthread_mutexattr_setpshared(attr, pshared:enum=pshared) -> errno | errno
pthread_mutexattr_getrobust(attr, robustness:out) -> errno | errno
pthread_mutexattr_setrobust(attr, robustness:enum=robust) -> errno | errno
pthread_mutexattr_setprotocol(attr, protocol:enum=mutex_protocol) -> errno | errno

pthread_cond_init(cond, attr) -> errno | errno
pthread_cond_destroy(cond) -> errno | errno
pthread_cond_wait(cond, mutex) -> errno | errno
pthread_cond_timedwait(cond, mutex, abstime:in) -> errno | errno
pthread_cond_clockwait(cond, mutex, clockid:clockid, abstime:in) -> errno | errno
pthread_cond_signal(cond) -> errno | errno
pthread_cond_broadcast(cond) -> errno | errno
pthread_condattr_init(attr) -> errno | errno
pthread_condattr_destroy(attr) -> errno | errno
pthread_condattr_getclock(attr, clockid:out of clockid) -> errno | errno
pthread_condattr_setclock(attr, clockid:clockid) -> errno | errno

pthread_rwlock_init(rwlock, attr) -> errno | errno
pthread_rwlock_destroy(rwlock) -> errno | errno
pthread_rwlock_rdlock(rwlock) -> errno | errno
pthread_rwlock_tryrdlock(rwlock) -> errno | errno
pthread_rwlock_timedrdlock(rwlock, abstime:in) -> errno | errno
pthread_rwlock_wrlock(rwlock) -> errno | errno
pthread_rwlock_trywrlock(rwlock) -> errno | errno
pthread_rwlock_timedwrlock(rwlock, abstime:in) -> errno | errno
pthread_rwlock_unlock(rwlock) -> errno | errno
pthread_spin_init(lock, pshared:enum=pshared) -> errno | errno
pthread_spin_destroy(lock) -> errno | errno
pthread_spin_lock(lock) -> errno | errno
pthread_spin_trylock(lock) -> errno | errno
pthread_spin_unlock(lock) -> errno | errno
pthread_barrier_init(barrier, attr, count) -> errno | errno
pthread_barrier_destroy(barrier) -> errno | errno
pthread_barrier_wait(barrier) ->

pthread_attr_init(attr) -> errno | errno
pthread_attr_destroy(attr) -> errno | errno
pthread_attr_getdetachstate(attr, detachstate:out of enum=detachstate) -> errno | errno
pthread_attr_setdetachstate(attr, detachstate:enum=detachstate) -> errno | errno
pthread_attr_getstacksize(attr, stacksize:out of size) -> errno | errno
pthread_attr_setstacksize(attr, stacksize:size) -> errno | errno
pthread_attr_getguardsize(attr, guardsize:out of size) -> errno | errno
pthread_attr_setguardsize(attr, guardsize:size) -> errno | errno
pthread_attr_getstack(attr, stackaddr:out, stacksize:out of size) -> errno | errno
pthread_attr_setstack(attr, stackaddr, stacksize:size) -> errno | errno
pthread_attr_getschedpolicy(attr, policy:out of enum=sched) -> errno | errno
pthread_attr_setschedpolicy(attr, policy:enum=sched) -> errno | errno
pthread_attr_getschedparam(attr, param:out) -> errno | errno
pthread_attr_setschedparam(attr, param:in+) -> errno | errno
pthread_attr_getscope(attr, scope:out) -> errno | errno
pthread_attr_setscope(attr, scope:enum=scope) -> errno | errno
pthread_attr_getinheritsched(attr, inheritsched:out) -> errno | errno
pthread_attr_setinheritsched(attr, inheritsched:enum=inheritsched) -> errno | errno
pthread_attr_setaffinity_np(attr, cpusetsize:size, cpuset:in+[cpusetsize] of bytes) -> errno | errno

sem_init(sem, pshared, value) -> | -1
sem_destroy(sem) -> | -1
sem_open(name:path, oflag:flags=open, mode:mode, value) -> | NULL
sem_close(sem:consumed) -> | -1
sem_unlink(name:path) -> | -1
sem_wait(sem) -> | -1
sem_trywait(sem) -> | -1
sem_timedwait(sem, abs_timeout:in) -> | -1
sem_clockwait(sem, clockid:clockid, abs_timeout:in) -> | -1
sem_post(sem) -> | -1
sem_getvalue(sem, sval:out) -> | -1

thrd_create(thr:out, func, arg) -> enum=thrd | nonzero
thrd_join(thr, res:out) -> enum=thrd | nonzero
thrd_detach(thr) -> enum=thrd | nonzero
thrd_exit(res) ->
thrd_current() ->
thrd_equal(thr0, thr1) ->
thrd_sleep(duration:in, remaining) ->
thrd_yield() ->
mtx_init(mutex, type) -> enum=thrd | nonzero
mtx_destroy(mutex) ->
mtx_lock(mutex) -> enum=thrd | nonzero
mtx_trylock(mutex) -> enum=thrd | nonzero
mtx_timedlock(mutex, time_point:in) -> enum=thrd | nonzero
mtx_unlock(mutex) -> enum=thrd | nonzero
cnd_init(cond) -> enum=thrd | nonzero
cnd_destroy(cond) ->
cnd_wait(cond, mutex) -> enum=thrd | nonzero
cnd_timedwait(cond, mutex, time_point:in) -> enum=thrd | nonzero
cnd_signal(cond) -> enum=thrd | nonzero
cnd_broadcast(cond) -> enum=thrd | nonzero
tss_create(key:out, destructor) -> enum=thrd | nonzero
tss_delete(key) ->
tss_get(key) ->
tss_set(key, val) -> enum=thrd | nonzero
call_once(flag, func) ->
%thread += pthread_getattr_default_np pthread_setattr_default_np pthread_yield pthread_rwlockattr_init
%thread += pthread_rwlockattr_destroy pthread_barrierattr_init pthread_barrierattr_destroy pthread_rwlock_clockrdlock
%thread += pthread_rwlock_clockwrlock pthread_attr_getaffinity_np pthread_attr_getsigmask_np pthread_attr_setsigmask_np
"""
