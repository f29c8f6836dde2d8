"""What has been graded so far, in OUT/journal.sqlite: a run that is killed goes on where it was.

The seed is drawn once and stored before anything is graded, so the second run gives the grades
that the first would have given. A result is stored in one transaction, under the submission's
key and content, and nothing that is graded is graded again. A student's newest file counts: the one
that came last for the first time. Every result stays in the table `history`, the replaced ones too.
Other exercises in the same folder are another run, with a seed and results of its own; those of the
first stay.
"""

import json
import secrets
import sqlite3


class Busy(Exception):
    """Another run is using this folder."""


class Journal:
    """ids: the exercises that are graded.

    again  keys of those that are graded once more, though nothing has changed
    older  keys of those whose file in this run came before the one that is graded
    """

    def __init__(self, path, ids):
        self.db, self.exercises = sqlite3.connect(path, timeout=1, isolation_level=None), ",".join(ids)
        try:
            self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.db.execute("BEGIN EXCLUSIVE")
            self.db.execute("CREATE TABLE IF NOT EXISTS run (seed INTEGER, exercises TEXT)")
            self.db.execute("CREATE TABLE IF NOT EXISTS grade (exercises TEXT, key TEXT, sha256 TEXT, isolation TEXT, "
                            "entry TEXT, PRIMARY KEY (exercises, key))")
            self.db.execute("CREATE TABLE IF NOT EXISTS history (exercises TEXT, key TEXT, sha256 TEXT, "
                            "isolation TEXT, entry TEXT)")
            self.db.execute("CREATE INDEX IF NOT EXISTS of_student ON history (exercises, key)")
            self.db.execute("INSERT INTO history SELECT * FROM grade WHERE NOT EXISTS (SELECT 1 FROM history)")
            row = self.db.execute("SELECT seed FROM run WHERE exercises = ?", (self.exercises,)).fetchone()
            if row is None:
                row = (secrets.randbits(48),)
                self.db.execute("INSERT INTO run VALUES (?, ?)", (*row, self.exercises))
            self.db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self.db.close()
            if "locked" in str(error):
                raise Busy from None
            raise
        self.seed, self.again, self.older = row[0], set(), set()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.db.close()

    def result(self, submission):
        """(entry, isolation) if this very submission is graded already, else None."""
        row = self.db.execute("SELECT entry, isolation FROM grade WHERE exercises = ? AND key = ? AND sha256 = ?",
                              (self.exercises, submission.key, submission.sha256)).fetchone()
        entry = json.loads(row[0]) if row else {"status": None}
        return (entry | {"student": submission.student}, row[1]) if entry["status"] == "graded" else None

    def store(self, submission, entry, isolation):
        row = self.exercises, submission.key, submission.sha256, isolation, json.dumps(entry)
        self.db.execute("BEGIN IMMEDIATE")
        self.db.execute("INSERT OR REPLACE INTO grade VALUES (?, ?, ?, ?, ?)", row)
        if submission.sha256 or None not in self.files(submission.key):        # what is refused, is so in every run
            self.db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?)", row)
        self.db.execute("COMMIT")

    def files(self, key):
        """The student's files, as digests, in the order in which they came for the first time; None: refused."""
        return [sha256 for sha256, in self.db.execute(
            "SELECT sha256 FROM history WHERE exercises = ? AND key = ? GROUP BY sha256 ORDER BY min(rowid)",
            (self.exercises, key))]

    def newer(self, submission):
        """(entry, isolation) of the file that is graded, if it came after this one; else None."""
        row = self.db.execute("SELECT entry, isolation FROM grade WHERE exercises = ? AND key = ?",
                              (self.exercises, submission.key)).fetchone()
        entry = json.loads(row[0]) if row and submission.key not in self.again else {"status": None}
        files = self.files(submission.key) if entry["status"] == "graded" else []
        if entry.get("sha256") not in files or submission.sha256 not in files[:files.index(entry["sha256"])]:
            return None
        return entry | {"student": submission.student}, row[1]

    def standing(self):
        """{key: entry} of all that count now."""
        return {key: entry for key, entry, _ in self.others(())}

    def forget(self, key):
        """Grade this submission again, also where a newer one is graded."""
        self.again.add(key)
        self.db.execute("UPDATE grade SET sha256 = NULL WHERE exercises = ? AND key = ?", (self.exercises, key))

    def others(self, keys):
        """[(key, entry, isolation)] of those that earlier runs have met and this one has not."""
        rows = self.db.execute("SELECT key, entry, isolation FROM grade WHERE exercises = ?", (self.exercises,))
        return [(key, json.loads(entry), isolation) for key, entry, isolation in rows if key not in keys]
