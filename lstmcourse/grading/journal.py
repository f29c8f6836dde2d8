"""What has been graded so far, in OUT/journal.sqlite: a run that is killed goes on where it was.

The seed is drawn once and stored before anything is graded, so the second run gives the grades
that the first would have given. A result is stored in one transaction, under the submission's
path and content, and nothing that is stored is graded again.
"""

import json
import secrets
import sqlite3


class Busy(Exception):
    """Another run is using this folder."""


class Journal:
    """ids: the exercises that are graded; other ones than last time are another run, with a new seed."""

    def __init__(self, path, ids):
        self.db = sqlite3.connect(path, timeout=1, isolation_level=None)
        try:
            self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.db.execute("BEGIN EXCLUSIVE")
            self.db.execute("CREATE TABLE IF NOT EXISTS run (seed INTEGER, exercises TEXT)")
            self.db.execute("CREATE TABLE IF NOT EXISTS result "
                            "(key TEXT PRIMARY KEY, sha256 TEXT, isolation TEXT, entry TEXT)")
            row = self.db.execute("SELECT seed, exercises FROM run").fetchone()
            if row is None or row[1] != ",".join(ids):
                row = (secrets.randbits(48),)
                self.db.execute("DELETE FROM run")
                self.db.execute("DELETE FROM result")
                self.db.execute("INSERT INTO run VALUES (?, ?)", (*row, ",".join(ids)))
            self.db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self.db.close()
            if "locked" in str(error):
                raise Busy from None
            raise
        self.seed = row[0]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.db.close()

    def result(self, submission):
        """(entry, isolation) if this very submission is graded already, else None."""
        row = self.db.execute("SELECT entry, isolation FROM result WHERE key = ? AND sha256 = ?",
                              (submission.key, submission.sha256)).fetchone()
        return (json.loads(row[0]) | {"student": submission.student}, row[1]) if row else None

    def store(self, submission, entry, isolation):
        self.db.execute("INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?)",
                        (submission.key, submission.sha256, isolation, json.dumps(entry)))
