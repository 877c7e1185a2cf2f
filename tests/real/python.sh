# needs: python3
cat >work.py <<'END'
import ctypes, csv, decimal, hashlib, io, json, locale, math, multiprocessing, os, pickle, queue, random, re, select
import shutil, signal, socket, sqlite3, struct, subprocess, sys, tempfile, threading, time, zlib
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def square(n):
    return n * n


def child(connection):
    connection.send([square(n) for n in range(10)])
    connection.close()


def main():
    data = {"numbers": list(range(1000)), "text": "äöü" * 10, "pi": math.pi}
    with open("data.json", "w") as file:
        json.dump(data, file, indent=1)
    print(json.load(open("data.json")) == data, hashlib.sha256(pickle.dumps(data)).hexdigest())
    print(zlib.crc32(zlib.compress(b"x" * 100000)), decimal.Decimal(2).sqrt(), math.gamma(5.5), math.erf(0.3))
    print(subprocess.run(["echo", "hi"], capture_output=True), subprocess.call(["false"]))
    print(subprocess.run("cat; echo err >&2; exit 5", shell=True, input=b"in", capture_output=True))
    waiting = subprocess.Popen(["sh", "-c", "echo ready; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(waiting.stdout.readline(), waiting.kill(), waiting.wait(), os.system("exit 3"), os.popen("echo popen").read())
    total, lock, threads = [0], threading.Lock(), []

    def add():
        for _ in range(2000):
            with lock:
                total[0] += 1

    for _ in range(8):
        threads.append(threading.Thread(target=add))
        threads[-1].start()
    for thread in threads:
        thread.join()
    print(total)
    with ThreadPoolExecutor(4) as pool:
        print(list(pool.map(square, range(20))))
    for method in "fork", "spawn", "forkserver":
        context = multiprocessing.get_context(method)
        here, there = context.Pipe()
        process = context.Process(target=child, args=(there,))
        process.start()
        print(method, here.recv(), process.join(), process.exitcode)
    with multiprocessing.Pool(2) as pool:
        print(pool.map(square, range(30)))
    with ProcessPoolExecutor(2) as pool:
        print(sum(pool.map(square, range(100), chunksize=10)))
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        with server.accept()[0] as accepted:
            accepted.sendall(accepted.recv(100)[::-1])

    thread = threading.Thread(target=serve)
    thread.start()
    with socket.create_connection(server.getsockname()) as client:
        client.sendall(b"reversed")
        print(client.recv(100))
    thread.join()
    signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.pause()
    pid = os.fork()
    if pid == 0:
        os._exit(9)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    pid = os.posix_spawn("/bin/echo", ["echo", "spawned"], os.environ)
    os.waitpid(pid, 0)
    libc = ctypes.CDLL(None)
    libc.qsort.restype = None
    values = (ctypes.c_int * 6)(5, 3, 9, 1, 7, 2)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    libc.qsort(values, 6, 4, compare(lambda a, b: a[0] - b[0]))
    print(list(values), ctypes.CDLL("libm.so.6").abs(-4))
    database = sqlite3.connect("data.db")
    database.execute("create table t (a, b)")
    database.executemany("insert into t values (?, ?)", [(n, str(n)) for n in range(500)])
    database.commit()
    print(database.execute("select sum(a), count(b) from t where a % 3 = 0").fetchone())
    random.seed(4)
    print([random.random() for _ in range(3)], re.sub(r"(\w+)", r"<\1>", "some words"), struct.pack("<dI", 1.5, 3))
    print(time.strftime("%F", time.gmtime(0)), locale.setlocale(locale.LC_ALL, "C"), sorted(os.listdir(".")))
    try:
        open("/nonexistent")
    except OSError as error:
        print(error)
    os.kill(os.getpid(), 0)
    sys.stdout.flush()
    os.execvp("sh", ["sh", "-c", "echo the end"])


if __name__ == "__main__":
    main()
END
"$(command -v python3)" work.py
