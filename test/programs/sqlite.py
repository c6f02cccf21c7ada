# A bank in SQLite: transfers between accounts by several processes, some of them rolled back.
#   sqlite.py DATABASE make MODE        makes the tables
#   sqlite.py DATABASE work SEED COUNT  transfers; prints how many were committed
#   sqlite.py DATABASE check            SQLite's own check, the sum of all accounts, and the number of transfers
import random, sqlite3, sys

ACCOUNTS, EACH = 500, 1000
database, what = sys.argv[1:3]
bank = sqlite3.connect(database, timeout=300, isolation_level=None)
bank.execute("PRAGMA synchronous=FULL")

if what == "make":
    mode = bank.execute(f"PRAGMA journal_mode={sys.argv[3]}").fetchone()[0]
    assert mode == sys.argv[3], mode
    bank.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER, note BLOB)")
    bank.execute("CREATE TABLE transfer (id INTEGER PRIMARY KEY AUTOINCREMENT, source, target, amount)")
    bank.execute("CREATE INDEX by_source ON transfer (source)")
    bank.execute("BEGIN")
    bank.executemany("INSERT INTO account VALUES (?, ?, zeroblob(700))", [(i, EACH) for i in range(ACCOUNTS)])
    bank.execute("COMMIT")
elif what == "work":
    choice, committed = random.Random(sys.argv[3]), 0
    for _ in range(int(sys.argv[4])):
        source, target = choice.sample(range(ACCOUNTS), 2)
        bank.execute("BEGIN IMMEDIATE")
        bank.execute("UPDATE account SET balance = balance - 1, note = randomblob(700) WHERE id = ?", (source,))
        bank.execute("INSERT INTO transfer (source, target, amount) VALUES (?, ?, 1)", (source, target))
        if choice.random() < 0.2:
            bank.execute("ROLLBACK")
            continue
        bank.execute("UPDATE account SET balance = balance + 1 WHERE id = ?", (target,))
        bank.execute("COMMIT")
        committed += 1
    print(committed)
else:
    assert bank.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert bank.execute("SELECT SUM(balance) FROM account").fetchone()[0] == ACCOUNTS * EACH
    count, = bank.execute("SELECT COUNT(*) FROM transfer").fetchone()
    print("ok", count)
bank.close()
