"""What a suite gets to work with: brokers, temporary folders, the shared fixture, a place for notes."""

import contextlib
import tempfile
import uuid
from pathlib import Path

from . import fixture


class Context:
    """One suite's view of the run."""

    def __init__(self, brokers, options):
        self.brokers, self.options = brokers, options
        self.prefix = f"ct-{uuid.uuid4().hex[:8]}"
        self.notes = []
        self.endings = []
        self.folder = tempfile.TemporaryDirectory(prefix="compat-")

    def broker(self, properties=None):
        """A shared running broker."""
        return self.brokers.get(properties)

    def own_broker(self, properties=None):
        """A fresh broker for this suite alone."""
        return self.brokers.own(properties)

    def strict_bootstrap(self):
        """A broker that does not create topics by itself, or "" when there is none."""
        if self.brokers.external:
            return ""
        return self.broker({"auto.create.topics.enable": "false"}).bootstrap

    def topic(self, name):
        """A topic name that no other run uses."""
        return f"{self.prefix}-{name}"

    def temp(self):
        """A folder that goes away with the suite."""
        return Path(self.folder.name)

    def fixture(self):
        """The file of records that every client writes and reads."""
        path = self.temp() / "records.json"
        if not path.exists():
            fixture.write(path)
        return path

    def note(self, text):
        """Something to show if a case fails."""
        if text.strip():
            self.notes.append(text.rstrip())

    def on_close(self, action):
        """Something to do when the suite has ended, however it did."""
        self.endings.append(action)

    def close(self):
        """Does all of it, also when some of it raises."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.folder.cleanup)
            stack.callback(self.brokers.close_fresh)
            for action in reversed(self.endings):
                stack.callback(action)
