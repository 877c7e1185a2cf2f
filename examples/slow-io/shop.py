"""shop.py: a program that is slow, though it does little: it waits for a price list, and for a lock."""

import fcntl
import os
import threading
import time


def somebody_else(locked):
    """What is another program in real life: holds the lock for a while, and then tells the prices."""
    with open("shop.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        locked.set()
        time.sleep(0.2)
    time.sleep(0.3)
    with open("prices", "w") as prices:
        prices.write("tea 3\n")


os.mkfifo("prices")
locked = threading.Event()
threading.Thread(target=somebody_else, args=(locked,)).start()
locked.wait()

with open("shop.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with open("orders.txt", "w", buffering=1) as orders:
        for number in range(2000):
            orders.write(f"order {number}\n")
with open("prices") as prices:
    print(prices.read(), end="")
os.unlink("prices")
