"""A member of a group: a client program in a process of its own.

The contract of a member program, whatever its language. It learns from the environment

    MEMBER_BOOTSTRAP MEMBER_TOPIC MEMBER_GROUP
    MEMBER_INSTANCE       its group.instance.id; empty: a dynamic member
    MEMBER_PROTOCOL       classic or consumer
    MEMBER_SESSION_MS MEMBER_HEARTBEAT_MS

starts at the earliest record where the group has no offset, commits what it has printed as often as is
natural for the client, and prints on standard output, a line each and at once,

    assigned P ...        it now owns these partitions too
    revoked P ...         it no longer owns these
    record P OFFSET VALUE it has read this record

Lines of any other form are notes. On SIGTERM it leaves the group and ends with 0 (a JVM with 143).
"""

import os
import select
import signal
import subprocess
import threading

LEAVE_TIMEOUT_S = 20


class Member:
    """A running member; each of its lines goes to `hear(member, line)`."""

    def __init__(self, name, arguments, environment, hear):
        self.name, self.hear = name, hear
        self.process = subprocess.Popen([str(word) for word in arguments], env={**os.environ, **environment},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)
        self.reading, self.begun, self.ended = threading.Lock(), b"", False
        self.reader = threading.Thread(target=self.listen, daemon=True)
        self.reader.start()

    def listen(self):
        while not self.ended:
            select.select([self.output], [], [])
            self.hear_all()

    def hear_all(self):
        """Hears everything that the member has printed up to now, also from another thread."""
        with self.reading:
            while not self.ended:
                try:
                    piece = os.read(self.output, 1 << 16)
                except BlockingIOError:
                    return
                *lines, self.begun = (self.begun + piece).split(b"\n")
                for line in lines:
                    self.hear(self.name, line.decode(errors="replace"))
                self.ended = not piece

    def running(self):
        return self.process.poll() is None

    def leave(self):
        """SIGTERM, and the wait until it is gone."""
        self.process.terminate()
        code = self.process.wait(LEAVE_TIMEOUT_S)
        self.close()
        assert code in (0, 143), f"{self.name} exited with {code} after SIGTERM"

    def kill(self):
        """kill -9 of its whole process group, which nothing else is in."""
        if self.running():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self):
        """Hears its last words."""
        self.reader.join(LEAVE_TIMEOUT_S)
        self.process.stdout.close()
