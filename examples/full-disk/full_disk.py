"""full_disk.py: what does sqlite3 do when the disk is full? Moves 10 pounds from alice to bob, again and again.

The disk is full from the first write on, then from the second... and each time the database is looked at afterwards.

    python3 full_disk.py [delete|wal]       the journal mode
"""

import itertools
import subprocess
import sys
from pathlib import Path

MOVE = """
BEGIN;
UPDATE account SET pounds = pounds - 10 WHERE name = 'alice';
UPDATE account SET pounds = pounds + 10 WHERE name = 'bob';
COMMIT;
"""
NEW = """
PRAGMA journal_mode = {};
CREATE TABLE account(name TEXT, pounds INTEGER);
INSERT INTO account VALUES ('alice', 50), ('bob', 50);
"""
FOUND = {"50 50": "nothing was moved", "40 60": "the money was moved"}


def sql(text):
    return subprocess.run(["sqlite3", "bank.db", text], capture_output=True, text=True, check=True).stdout.split()


def new_bank(mode):
    for path in Path().glob("bank.db*"):
        path.unlink()
    sql(NEW.format(mode))


def move(when):
    """Move the money while the writes that *when* means fail. Return what sqlite3 says."""
    full = ["--inject", f"sys:pwrite64:error=ENOSPC:when={when}"] if when else []
    command = ["wc-run", "--trace", "sys:pwrite64", *full, "-o", "calls.txt", "sqlite3", "bank.db", MOVE]
    return subprocess.run(command, capture_output=True, text=True).stderr.strip() or "nothing"


def outcome(mode, when):
    """Return what sqlite3 says, whether it leaves a journal behind, and what is found when there is room again."""
    new_bank(mode)
    said = move(when)
    left = "a journal" if Path("bank.db-journal").exists() else "-"
    *pounds, check = sql("SELECT pounds FROM account; PRAGMA integrity_check;")
    return said, left, FOUND.get(" ".join(pounds), " ".join(pounds)) if check == "ok" else check


def main(mode="delete"):
    new_bank(mode)
    move("")
    writes = len(Path("calls.txt").read_text().splitlines())
    print(f"{mode}: {writes} writes\n  {'full from':11}{'sqlite3 says':50}{'leaves':11}afterwards")
    for (said, left, found), same in itertools.groupby(range(1, writes + 1), lambda first: outcome(mode, f"{first}+")):
        numbers = [*same]
        span = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}..{numbers[-1]}"
        print(f"  {span:11}{said:50}{left:11}{found}")


if __name__ == "__main__":
    main(*sys.argv[1:])
